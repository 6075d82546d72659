"""The frames of one run that its pages are made of, and how they become plain values.

This is the one place that bears a part that is not there: a first night has no past, a table may be empty or
lack a column.
"""

import datetime as dt
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import quantile_column

__all__ = [
    "ALL_TICKERS",
    "BANDS",
    "PAST_READ",
    "Past",
    "Record",
    "ReportInput",
    "by_ticker",
    "day_of",
    "group_by",
    "pairs",
    "pasts",
    "records",
]

ALL_TICKERS = "*"
BANDS = ((95, 0.025, 0.975), (80, 0.10, 0.90), (50, 0.25, 0.75))
"""The intervals that are drawn, wide to narrow: per cent, lower level, upper level."""

Record = dict[str, Any]
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ReportInput:
    """The frames of one run, with the columns of `tables.TABLES`; empty frames (without columns too) for
    parts not there yet.

    Attributes:
        run: the run's one row of `runs`.
        run_tickers: one row a ticker asked for.
        forecasts: this run's `forecasts`.
        prices: ticker, session, close: recent closes, adjusted for splits, oldest first in each ticker.
        past: earlier forecasts, one a ticker, step and target session, in that order, with `actual`: the
            close that came, on the forecast's own share basis, missing where it is not known.
        nights: `run_tickers` of earlier nightly runs with their `as_of`, the newest first in each ticker.
        models: the `models` that this run trained (others are ignored).
        backtest_scores: rows of the newest backtests; of doubles by ticker, model and step the last row
            counts.
        settled: by step and `made_by`: n, cov80, cov95, ratio, first and last target session of settled
            forecasts.
        coverage: the newest rows of `rolling_coverage`, one a ticker and step.
        model_coverage: the newest rows of `model_coverage`, one a model and step.
        quarantined: `quarantined_prices` rows that this run refused.
        refused: the newest rows of `quarantined_prices` of each ticker, of any run.
        verdicts: the newest rows of `price_verdicts` of each ticker.
        weights: this run's `forecast_weights`.
        drivers: this run's `forecast_drivers`.
        trials: this run's `covariate_trials`.
        simulated: the prices are made up; the pages say so loudly.
    """

    run: pd.DataFrame
    run_tickers: pd.DataFrame = field(default_factory=pd.DataFrame)
    forecasts: pd.DataFrame = field(default_factory=pd.DataFrame)
    prices: pd.DataFrame = field(default_factory=pd.DataFrame)
    past: pd.DataFrame = field(default_factory=pd.DataFrame)
    nights: pd.DataFrame = field(default_factory=pd.DataFrame)
    models: pd.DataFrame = field(default_factory=pd.DataFrame)
    backtest_scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    settled: pd.DataFrame = field(default_factory=pd.DataFrame)
    coverage: pd.DataFrame = field(default_factory=pd.DataFrame)
    model_coverage: pd.DataFrame = field(default_factory=pd.DataFrame)
    quarantined: pd.DataFrame = field(default_factory=pd.DataFrame)
    refused: pd.DataFrame = field(default_factory=pd.DataFrame)
    verdicts: pd.DataFrame = field(default_factory=pd.DataFrame)
    weights: pd.DataFrame = field(default_factory=pd.DataFrame)
    drivers: pd.DataFrame = field(default_factory=pd.DataFrame)
    trials: pd.DataFrame = field(default_factory=pd.DataFrame)
    simulated: bool = False


def records(frame: pd.DataFrame, wanted: Collection[str] | None = None) -> list[Record]:
    """The rows as dicts, every kind of missing value as `None`.

    Args:
        wanted: columns; all that are there if not given.
    """
    names = [str(name) for name in frame.columns if wanted is None or name in wanted]
    plain = [_plain(frame[name]) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*plain, strict=True)]


def _plain(column: pd.Series) -> list[Any]:
    of_numpy = isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf"
    values: list[Any] = (column if of_numpy else column.astype(object)).to_numpy().tolist()
    for at in np.flatnonzero(column.isna().to_numpy()).tolist():
        values[at] = None
    return values


def group_by(rows: Sequence[Record], key: str) -> dict[Any, list[Record]]:
    """The rows by the value of a column, both in the order in which they came."""
    groups: dict[Any, list[Record]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return groups


def by_ticker(frame: pd.DataFrame, wanted: Collection[str] | None = None) -> dict[str, list[Record]]:
    """The rows of each ticker, as `records`."""
    return group_by(records(frame, wanted), "ticker")


def day_of(value: Any) -> dt.date | None:
    """The date of a timestamp; `None` for none."""
    return None if value is None or value is pd.NaT else pd.Timestamp(value).date()


def pairs(text: str) -> tuple[tuple[str, Any], ...]:
    """A JSON object stored as text, as pairs; anything else becomes one nameless pair, shown as it is.

    >>> pairs('{"numpy": "2.4"}'), pairs("numpy 2.4")
    ((('numpy', '2.4'),), (('', 'numpy 2.4'),))
    """
    try:
        loaded = json.loads(text)
    except ValueError:
        return (("", text),)
    return tuple(loaded.items()) if isinstance(loaded, dict) else (("", text),)


@dataclass(frozen=True, eq=False)
class Past:
    """The earlier forecasts of one ticker for one step, oldest target session first; all arrays have one
    entry a forecast.

    Attributes:
        sessions: target sessions, datetime64[D].
        actual: the close that came, NaN where it is not known yet; on the forecast's own share basis, as the
            quantiles are.
        quantiles: by level.
    """

    step: int
    sessions: NDArray[np.datetime64]
    made_by: NDArray[np.object_]
    actual: Array
    quantiles: dict[float, Array]

    def inside(self, low: float, high: float) -> NDArray[np.bool_]:
        """Whether the close that came lies in the interval, its bounds included; False where none
        came yet.
        """
        return (self.quantiles[low] <= self.actual) & (self.actual <= self.quantiles[high])

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether a close came."""
        return np.isfinite(self.actual)


_LEVELS = tuple(sorted({level for _, *levels in BANDS for level in levels} | {0.5}))

PAST_READ = ("ticker", "step", "target_session", "made_by", "actual", *map(quantile_column, _LEVELS))
"""Columns of `forecast_history`."""


def pasts(frame: pd.DataFrame) -> dict[str, dict[int, Past]]:
    """Earlier forecasts by ticker and step."""
    if frame.empty:
        return {}
    sessions, actual = (
        frame["target_session"].to_numpy("datetime64[D]"),
        frame["actual"].to_numpy(float, na_value=math.nan),
    )
    columns = {level: frame[quantile_column(level)].to_numpy(float) for level in _LEVELS}
    made_by = frame["made_by"].to_numpy(object)
    found: dict[str, dict[int, Past]] = {}
    for (ticker, step), rows in frame.groupby(["ticker", "step"], sort=False).indices.items():
        own = {level: values[rows] for level, values in columns.items()}
        found.setdefault(str(ticker), {})[int(step)] = Past(
            int(step), sessions[rows], made_by[rows], actual[rows], own
        )
    return found
