"""Backtests, and past nights over again."""
