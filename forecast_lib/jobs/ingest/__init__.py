"""Prices in: what the store knows, what the source has beyond it, and which tickers have come to an end."""
