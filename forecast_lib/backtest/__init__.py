"""Judging forecasts: rolling origins, metrics with their baseline, significance, tails, and the validation of
a model.
"""
