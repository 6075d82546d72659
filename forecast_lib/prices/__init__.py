"""Prices come in here: the sources, and the checks that decide which rows are good."""

from forecast_lib.prices.source import PriceSource
from forecast_lib.prices.sources import open_source

__all__ = ["PriceSource", "open_source"]
