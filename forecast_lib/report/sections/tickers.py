"""Every ticker of the run with its forecast: the table that sorts, searches and filters, one line a
ticker.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import quantile_column
from forecast_lib.report.frames import Past, Record, ReportInput, by_ticker, day_of, records
from forecast_lib.report.plots import Shape, draw_spark
from forecast_lib.report.words import severity

__all__ = ["StepValue", "TickerLine", "TickerState", "closes_of", "states", "status_counts", "ticker_lines"]

_SPARK = 40
"""Closes in the small line."""

Closes = Sequence[tuple[dt.date, float]]


@dataclass(frozen=True)
class TickerState:
    """How one ticker came out of the run."""

    ticker: str
    status: str
    reason: str | None
    flags: str | None
    made_by: str | None
    last_session: dt.date | None
    sessions_behind: int | None
    decision: str | None
    trigger: str | None
    model_id: str | None
    seconds: float | None


@dataclass(frozen=True)
class StepValue:
    """One step of a forecast: prices; the bounds are those of the 80 % and the 95 % interval."""

    step: int
    target_session: dt.date
    point: float
    low80: float
    high80: float
    low95: float
    high95: float


@dataclass(frozen=True)
class TickerLine:
    """One line of the table.

    Attributes:
        first, last: the forecast's first and last step; None without a forecast; `last` None where there is
            one step only.
        width: of the first step's 80 % interval, as a share of the last close.
        held, settled: earlier forecasts one session ahead whose 80 % interval held, of those with an outcome.
        spark: the last closes and the first step's 80 % interval.
    """

    state: TickerState
    currency: str | None
    last_close: float | None
    first: StepValue | None
    last: StepValue | None
    width: float | None
    held: int
    settled: int
    spark: tuple[Shape, ...]


def states(report: ReportInput) -> tuple[TickerState, ...]:
    """In the order of the run's tickers."""
    return tuple(_state(row) for row in records(report.run_tickers))


def _state(row: Record) -> TickerState:
    behind = row.get("sessions_behind")
    return TickerState(
        ticker=row["ticker"],
        status=row["status"],
        reason=row.get("reason"),
        flags=row.get("flags"),
        made_by=row.get("made_by"),
        last_session=day_of(row.get("last_session")),
        sessions_behind=None if behind is None else int(behind),
        decision=row.get("decision"),
        trigger=row.get("trigger"),
        model_id=row.get("model_id"),
        seconds=row.get("train_seconds"),
    )


def status_counts(found: Sequence[TickerState]) -> tuple[tuple[str, int], ...]:
    """How many tickers are in which status, from good to bad."""
    counts: dict[str, int] = {}
    for state in found:
        counts[state.status] = counts.get(state.status, 0) + 1
    return tuple((status, counts[status]) for status in sorted(counts, key=severity))


class _Closes(Sequence[tuple[dt.date, float]]):
    """One ticker's; plain values are made of those that somebody asks for, few of a night of thousands."""

    def __init__(self, days: NDArray[np.datetime64], values: NDArray[np.float64]) -> None:
        self._days, self._values = days, values

    def __len__(self) -> int:
        return len(self._days)

    @overload
    def __getitem__(self, at: int) -> tuple[dt.date, float]: ...
    @overload
    def __getitem__(self, at: slice) -> list[tuple[dt.date, float]]: ...
    def __getitem__(self, at: int | slice) -> tuple[dt.date, float] | list[tuple[dt.date, float]]:
        if isinstance(at, int):
            return self._days[at].item(), float(self._values[at])
        return list(zip(self._days[at].tolist(), self._values[at].tolist(), strict=True))

    def __iter__(self) -> Iterator[tuple[dt.date, float]]:
        return iter(self[:])


def closes_of(report: ReportInput) -> dict[str, Closes]:
    """The closes of each ticker, oldest first."""
    if report.prices.empty:
        return {}
    code, tickers = pd.factorize(report.prices["ticker"])
    values = report.prices["close"].to_numpy(float, na_value=np.nan)
    order = np.argsort(code, kind="stable")
    order = order[~np.isnan(values[order])]
    days, values = report.prices["session"].to_numpy("datetime64[D]")[order], values[order]
    ends = np.cumsum(np.bincount(code[order], minlength=len(tickers))).tolist()
    spans = zip(tickers, [0, *ends], ends, strict=False)
    return {str(name): _Closes(days[low:high], values[low:high]) for name, low, high in spans if high > low}


def ticker_lines(
    report: ReportInput,
    found: Sequence[TickerState],
    closes: Mapping[str, Closes],
    past: Mapping[str, Mapping[int, Past]],
) -> tuple[TickerLine, ...]:
    """One line for each ticker asked for, by name."""
    forecasts = by_ticker(report.forecasts)
    lines = (
        _line(each, forecasts.get(each.ticker, []), closes.get(each.ticker, ()), past.get(each.ticker, {}))
        for each in found
    )
    return tuple(sorted(lines, key=lambda line: line.state.ticker))


def _line(state: TickerState, forecast: list[Record], closes: Closes, past: Mapping[int, Past]) -> TickerLine:
    steps = [step_value(row) for row in sorted(forecast, key=lambda row: row["step"])]
    first = steps[0] if steps else None
    last_close = forecast[0]["last_close"] if forecast else closes[-1][1] if closes else None
    own = past.get(1)
    spark = [close for _, close in closes[-_SPARK:]]
    return TickerLine(
        state=state,
        currency=forecast[0].get("currency") if forecast else None,
        last_close=last_close,
        first=first,
        last=steps[-1] if len(steps) > 1 else None,
        width=(first.high80 - first.low80) / last_close if first and last_close else None,
        held=int(own.inside(0.10, 0.90).sum()) if own else 0,
        settled=int(own.known.sum()) if own else 0,
        spark=draw_spark(spark, (first.low80, first.high80) if first else None) if len(spark) > 1 else (),
    )


def step_value(row: Record) -> StepValue:
    """One row of `forecasts` in plain values."""
    low80, high80, low95, high95 = (row[quantile_column(level)] for level in (0.10, 0.90, 0.025, 0.975))
    target = day_of(row["target_session"]) or dt.date.min
    return StepValue(int(row["step"]), target, row["point"], low80, high80, low95, high95)
