"""Every ticker of the run with its forecast: the table that sorts, searches and filters, one line a
ticker.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from forecast_lib.report.drawing import Shape
from forecast_lib.report.frames import NO_CLOSES, Closes, Past, Record, ReportInput, day_of, records
from forecast_lib.report.plots import draw_spark
from forecast_lib.report.words import severity

__all__ = ["StepValue", "TickerLine", "TickerState", "states", "status_counts", "ticker_lines"]

_SPARK = 40
"""Closes in the small line."""


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


class StepValue(NamedTuple):
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


def ticker_lines(
    found: Sequence[TickerState],
    forecasts: Mapping[str, Sequence[Record]],
    closes: Mapping[str, Closes],
    past: Mapping[str, Mapping[int, Past]],
) -> tuple[TickerLine, ...]:
    """One line for each ticker asked for, by name."""
    lines = (
        _line(
            each,
            forecasts.get(each.ticker, ()),
            closes.get(each.ticker, NO_CLOSES),
            past.get(each.ticker, {}),
        )
        for each in found
    )
    return tuple(sorted(lines, key=lambda line: line.state.ticker))


def _line(
    state: TickerState, forecast: Sequence[Record], closes: Closes, past: Mapping[int, Past]
) -> TickerLine:
    first = step_value(forecast[0]) if forecast else None
    last_close = forecast[0]["last_close"] if forecast else closes.prices[-1].item() if closes else None
    own = past.get(1)
    spark = closes.prices[-_SPARK:].tolist()
    return TickerLine(
        state=state,
        currency=forecast[0].get("currency") if forecast else None,
        last_close=last_close,
        first=first,
        last=step_value(forecast[-1]) if len(forecast) > 1 else None,
        width=(first.high80 - first.low80) / last_close if first and last_close else None,
        held=int(own.held[80].sum()) if own else 0,
        settled=len(own.known) if own else 0,
        spark=draw_spark(spark, (first.low80, first.high80) if first else None) if len(spark) > 1 else (),
    )


def step_value(row: Record) -> StepValue:
    """One row of `forecasts` in plain values."""
    target = day_of(row["target_session"]) or dt.date.min
    return StepValue(int(row["step"]), target, row["point"], row["q10"], row["q90"], row["q025"], row["q975"])
