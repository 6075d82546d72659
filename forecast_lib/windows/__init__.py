"""From one ticker's price history to what a network reads: series, features, scale, windows."""
