"""More rows than one row group of DuckDB's holds."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from forecast_lib.tables import PRICE_VALUES
from tests.store.nights import day, night, stamp

EACH = 130_000
"""Rows of each ticker: a row group and a little of the next."""


def many_prices(tickers: int = 3) -> Iterator[pd.DataFrame]:
    """Prices of so many tickers, one frame after the other."""
    chance = np.random.default_rng(0)
    like = night(0)["prices"].iloc[np.zeros(EACH, int)].reset_index(drop=True)
    for ticker in range(tickers):
        yield like.assign(
            ticker=f"T{ticker}",
            session=pd.date_range(end=stamp(day(0)), periods=EACH, unit="us"),
            **dict(zip(PRICE_VALUES, chance.random((6, EACH)) + 1, strict=True)),
        )
