"""Judging forecasts: rolling origins, metrics with their baseline, significance, and the gate a model must pass."""
