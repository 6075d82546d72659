"""Forecasts: ticker by ticker, and all of them together."""
