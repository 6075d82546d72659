"""Tonight's distribution of one ticker: its intervals at every step, drawn and in figures."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from forecast_lib.report.drawing import Drawing
from forecast_lib.report.frames import BANDS, Record
from forecast_lib.report.plots import Range, draw_ranges
from forecast_lib.report.sections.tickers import StepValue, step_value
from forecast_lib.report.words import short_day

__all__ = ["Tonight", "tonight"]

_WORST = (("q05", "20"), ("q01", "100"), ("q005", "200"))


@dataclass(frozen=True)
class Tonight:
    """The forecast of one ticker.

    Attributes:
        steps: each step's point and intervals, as prices.
        falls: for one in so many, the price that the first and the last step fall below, and that as a share
            of the last close.
        announced: what dividends and splits do to the figures, in sentences.
    """

    made_by: str
    model_id: str | None
    currency: str | None
    last_close: float
    steps: tuple[StepValue, ...]
    drawing: Drawing
    falls: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]
    announced: tuple[str, ...]


def tonight(ticker: str, rows: Sequence[Record]) -> Tonight | None:
    """The forecast in plain values, from its rows by step; None where there is none."""
    if not rows:
        return None
    steps = tuple(step_value(row) for row in rows)
    head, ends = rows[0], [rows[0], *rows[1:][-1:]]
    close = head["last_close"]
    ranges = [_range(step, row) for step, row in zip(steps, rows, strict=True)]
    falls = [
        (odds, tuple((float(row[name]), float(row[name]) / close - 1) for row in ends))
        for name, odds in _WORST
        if all(row.get(name) is not None for row in ends)
    ]
    return Tonight(
        made_by=head["made_by"],
        model_id=head.get("model_id"),
        currency=head.get("currency"),
        last_close=close,
        steps=steps,
        drawing=draw_ranges(
            f"{ticker}: tonight's distribution by target session", ranges, width=720, css="wide"
        ),
        falls=tuple(falls),
        announced=tuple(_announced(steps, rows)),
    )


def _announced(steps: Sequence[StepValue], rows: Sequence[Record]) -> Iterator[str]:
    """A sentence for each step at which an announced dividend is paid or an announced split counts."""
    paid, shares = 0.0, 1.0
    for step, row in zip(steps, rows, strict=True):
        by_then, become = row.get("dividend") or 0.0, row.get("split") or 1.0
        if by_then > paid:
            day = _in_full(step.target_session)
            yield f"On {day} a dividend of {by_then - paid:,.4g} goes off the price: it is off these figures."
        if become != shares:
            day = _in_full(step.target_session)
            yield (
                f"By an announced split one share becomes {become / shares:,.4g} up to {day}: these figures"
                " stay for one share of tonight."
            )
        paid, shares = by_then, become


def _in_full(day: dt.date) -> str:
    return f"{day:%A}, {day.day} {day:%B}"


def _range(step: StepValue, row: Record) -> Range:
    bands = tuple([(percent, row[low], row[high]) for percent, low, high in BANDS])
    text = (
        f"{step.target_session}: median {row['q50']:,.6g}, 80 % range {step.low80:,.6g} to {step.high80:,.6g}"
    )
    return Range(short_day(step.target_session), bands, row["q50"], text)
