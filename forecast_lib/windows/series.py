"""One ticker's history as arrays, split-adjusted, oldest session first."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.covariates.inputs import Inputs

Array = NDArray[np.float64]

__all__ = ["Array", "PooledShape", "TickerSeries", "series_of"]


@dataclass(frozen=True, eq=False)
class PooledShape:
    """How all tickers' returns lie around the last close (`windows.pooled_shape`); in half widths of the 95 %
    interval.

    Attributes:
        days: (m,) datetime64[D], ascending: each estimate knows outcomes before its day only, and holds until
            the next.
        middle: (m, horizon, len(QUANTILES)) the middle of each quantile and its opposite above the last
            close; symmetric.
        reach: (m, horizon, len(QUANTILES)) how far each lies from that middle.
        share: (m, horizon) how much it counts; 0 where it is not known.
    """

    days: NDArray[np.datetime64]
    middle: Array
    reach: Array
    share: Array

    def place(self, sessions: NDArray[np.datetime64]) -> NDArray[np.intp]:
        """Which estimate holds on each of the sessions; -1 before the first day."""
        return np.searchsorted(self.days, sessions, side="right") - 1


@dataclass(
    frozen=True, eq=False
)  # two series are the same only if they are one: what is derived from one can be kept
class TickerSeries:
    """Prices of one ticker up to a cutoff; all arrays have one entry a session.

    Attributes:
        ticker: its name.
        sessions: (sessions,) datetime64[D], strictly ascending.
        open, high, low, volume: (sessions,), NaN where the source has none.
        close: (sessions,), positive.
        divided_by: (sessions,) what the session's prices were divided by: how many shares one has become by
            later splits, times later changes of unit.
        inputs: what is known beside its own prices; it may know later sessions, which are never asked for.
        shape: how all tickers' returns lie; likewise.
        missing: (sessions,) how many sessions of the exchange without a price lie between each and the one
            before it; None where nobody has looked, or none is missing.
    """

    ticker: str
    sessions: NDArray[np.datetime64]
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    divided_by: Array | None = None
    inputs: Inputs | None = None
    shape: PooledShape | None = None
    missing: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.sessions)

    def until(self, count: int) -> "TickerSeries":
        """The first `count` sessions: what was known at the evening of the last of them."""
        return self._part(slice(count))

    def since(self, first: int) -> "TickerSeries":
        """The sessions from index `first` on, as if the history began there."""
        return self._part(slice(first, None))

    def _part(self, chosen: slice) -> "TickerSeries":
        by_session = ("sessions", "open", "high", "low", "close", "volume", "divided_by", "missing")
        there = {name: values for name in by_session if (values := getattr(self, name)) is not None}
        return dataclasses.replace(self, **{name: values[chosen] for name, values in there.items()})


def series_of(ticker: str, prices: pd.DataFrame, divided_by: Array | None = None) -> TickerSeries:
    """The series of a split-adjusted price frame with columns session, open, high, low, close, volume;
    sessions ascending and unique.

    Args:
        divided_by: (sessions,) as in the series.

    Raises:
        ValueError: sessions are not strictly ascending, or a close is not a positive number.
    """
    sessions = prices["session"].to_numpy("datetime64[D]")
    if (np.diff(sessions) <= np.timedelta64(0, "D")).any():
        raise ValueError(f"{ticker}: sessions must be strictly ascending")
    values = {
        name: prices[name].to_numpy(np.float64, na_value=np.nan)
        for name in ("open", "high", "low", "close", "volume")
    }
    if not (np.isfinite(values["close"]) & (values["close"] > 0)).all():
        raise ValueError(f"{ticker}: every close must be positive and finite")
    return TickerSeries(ticker, sessions, **values, divided_by=divided_by)
