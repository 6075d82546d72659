"""The frames of one run that its pages are made of, and how they become plain values.

This is the one place that bears a part that is not there: a first night has no past, a table may be empty or
lack a column.
"""

import datetime as dt
import functools
import itertools
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "ALL_TICKERS",
    "BANDS",
    "FORECASTS_READ",
    "NO_CLOSES",
    "PAST_BANDS",
    "PAST_READ",
    "Closes",
    "Past",
    "Record",
    "ReportInput",
    "by_ticker",
    "closes_of",
    "columns_of",
    "day_of",
    "group_by",
    "pairs",
    "pasts",
    "records",
]

ALL_TICKERS = "*"
BANDS = ((95, "q025", "q975"), (80, "q10", "q90"), (50, "q25", "q75"))
"""The intervals that are drawn, wide to narrow: per cent, and the columns of their lower and upper bounds."""

FORECASTS_READ = (
    *("ticker", "model_id", "made_by", "cutoff", "step", "target_session", "last_close", "point"),
    *("currency", "dividend", "split"),
    *("q005", "q01", "q05", "q50", *(name for _, *names in BANDS for name in names)),
)
"""Columns of `forecasts`."""

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
    """The rows as dicts, every kind of missing value as `None`, a timestamp as `datetime`.

    Args:
        wanted: columns; all that are there if not given.
    """
    names = [str(name) for name in frame.columns if wanted is None or name in wanted]
    plain = [_plain(frame[name]) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*plain, strict=True)]


def _plain(column: pd.Series) -> list[Any]:
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else "O"
    if kind == "M":
        return list(column.to_numpy("datetime64[us]").tolist())
    values: NDArray[Any] = column.to_numpy(object if kind == "O" else None)
    plain: list[Any] = values.tolist()
    for at in np.flatnonzero(pd.isna(values)).tolist() if kind in "Of" else ():
        plain[at] = None
    return plain


def columns_of(frame: pd.DataFrame, wanted: Sequence[str]) -> list[list[Any]]:
    """The values of these columns, as in `records`; of one that is not there, `None`s."""
    return [_plain(frame[name]) if name in frame else [None] * len(frame) for name in wanted]


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
    if value is None or value is pd.NaT:
        return None
    return value.date() if isinstance(value, dt.datetime) else pd.Timestamp(value).date()


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
class Closes:
    """The closes of one ticker, oldest first: sessions as datetime64[D], and prices."""

    sessions: NDArray[np.datetime64]
    prices: Array

    def __len__(self) -> int:
        return len(self.prices)

    def __getitem__(self, some: slice) -> "Closes":
        return Closes(self.sessions[some], self.prices[some])


NO_CLOSES = Closes(np.array([], "datetime64[D]"), np.array([]))


def closes_of(prices: pd.DataFrame) -> dict[str, Closes]:
    """The closes of each ticker."""
    if prices.empty:
        return {}
    code, tickers = pd.factorize(prices["ticker"])
    values = prices["close"].to_numpy(float, na_value=np.nan)
    order = np.argsort(code, kind="stable")
    order = order[~np.isnan(values[order])]
    days, values = prices["session"].to_numpy("datetime64[D]")[order], values[order]
    ends = np.cumsum(np.bincount(code[order], minlength=len(tickers))).tolist()
    spans = zip(tickers, [0, *ends], ends, strict=False)
    return {str(name): Closes(days[low:high], values[low:high]) for name, low, high in spans if high > low}


PAST_BANDS = BANDS[:2]
"""Those of earlier forecasts."""


@dataclass(frozen=True, eq=False)
class Past:
    """The earlier forecasts of one ticker for one step, oldest target session first; all arrays have one
    entry a forecast.

    Attributes:
        sessions: target sessions, datetime64[D].
        actual: the close that came, NaN where it is not known yet; on the forecast's own share basis, as the
            bounds are.
        bounds: (bands, 2, forecasts), lower and upper bounds of `PAST_BANDS`.
        held: by per cent, whether the close that came lies in the band, its bounds included; False where
            none came yet.
    """

    step: int
    sessions: NDArray[np.datetime64]
    made_by: NDArray[np.object_]
    actual: Array
    bounds: Array
    held: Mapping[int, NDArray[np.bool_]]

    @functools.cached_property
    def known(self) -> NDArray[np.intp]:
        """The places of the forecasts for which a close came."""
        return np.flatnonzero(np.isfinite(self.actual))


_PAST_BOUNDS = tuple(name for _, *names in PAST_BANDS for name in names)

PAST_READ = ("ticker", "step", "target_session", "made_by", "actual", *_PAST_BOUNDS)
"""Columns of `forecast_history`."""


def pasts(frame: pd.DataFrame) -> dict[str, dict[int, Past]]:
    """Earlier forecasts by ticker and step."""
    if frame.empty:
        return {}
    tickers, steps = frame["ticker"].to_numpy(object), frame["step"].to_numpy(int)
    sessions, made_by = frame["target_session"].to_numpy("datetime64[D]"), frame["made_by"].to_numpy(object)
    actual = frame["actual"].to_numpy(float, na_value=math.nan)
    bounds = np.stack([frame[name].to_numpy(float) for name in _PAST_BOUNDS]).reshape(-1, 2, len(frame))
    inside = (bounds[:, 0] <= actual) & (actual <= bounds[:, 1])
    starts = np.flatnonzero((tickers[1:] != tickers[:-1]) | (steps[1:] != steps[:-1])) + 1
    found: dict[str, dict[int, Past]] = {}
    for low, high in itertools.pairwise([0, *starts.tolist(), len(frame)]):
        step = int(steps[low])
        found.setdefault(str(tickers[low]), {})[step] = Past(
            step,
            sessions[low:high],
            made_by[low:high],
            actual[low:high],
            bounds[:, :, low:high],
            {percent: held[low:high] for (percent, *_), held in zip(PAST_BANDS, inside, strict=True)},
        )
    return found
