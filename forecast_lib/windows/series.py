"""One ticker's history as arrays, split-adjusted, oldest session first."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

__all__ = ["Array", "TickerSeries", "series_of"]


@dataclass(frozen=True, eq=False)  # two series are the same only if they are one: what is derived from one can be kept
class TickerSeries:
    """Prices of one ticker up to a cutoff; all arrays have one entry a session.

    Attributes:
        ticker: its name.
        sessions: (sessions,) datetime64[D], strictly ascending.
        open, high, low, volume: (sessions,), NaN where the source has none.
        close: (sessions,), positive.
        shares: (sessions,) how many shares of the newest basis one share of the session has become by splits.
    """

    ticker: str
    sessions: NDArray[np.datetime64]
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    shares: Array | None = None

    def __len__(self) -> int:
        return len(self.sessions)

    def until(self, count: int) -> "TickerSeries":
        """The first `count` sessions: what was known at the evening of the last of them."""
        shares = None if self.shares is None else self.shares[:count]
        cut = {name: getattr(self, name)[:count] for name in ("sessions", "open", "high", "low", "close", "volume")}
        return TickerSeries(ticker=self.ticker, **cut, shares=shares)


def series_of(ticker: str, prices: pd.DataFrame, shares: Array | None = None) -> TickerSeries:
    """The series of a split-adjusted price frame with columns session, open, high, low, close, volume; sessions ascending and unique.

    Args:
        shares: (sessions,) the factors by which the prices were adjusted.

    Raises:
        ValueError: sessions are not strictly ascending, or a close is not a positive number.
    """
    sessions = prices["session"].to_numpy("datetime64[D]")
    if (np.diff(sessions) <= np.timedelta64(0, "D")).any():
        raise ValueError(f"{ticker}: sessions must be strictly ascending")
    values = {name: prices[name].to_numpy(np.float64, na_value=np.nan) for name in ("open", "high", "low", "close", "volume")}
    if not (np.isfinite(values["close"]) & (values["close"] > 0)).all():
        raise ValueError(f"{ticker}: every close must be positive and finite")
    return TickerSeries(ticker, sessions, **values, shares=shares)
