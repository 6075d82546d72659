"""The record of one ticker: every earlier forecast that is shown, what came, and how often the ranges
held.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forecast_lib.report.drawing import Drawing
from forecast_lib.report.frames import Past
from forecast_lib.report.sections.charts import coverage_drawing
from forecast_lib.report.sections.coverage import Coverage

__all__ = ["Came", "StepRecord", "TickerRecord", "ticker_record"]

_LISTED = 12
_WINDOW = 60


class Came(NamedTuple):
    """One earlier forecast one session ahead, and the close that came."""

    session: dt.date
    made_by: str
    low95: float
    high95: float
    low80: float
    high80: float
    actual: float

    @property
    def verdict(self) -> str:
        """Where the close came: `inside`, `outside 80 %` or `outside 95 %`."""
        if self.low80 <= self.actual <= self.high80:
            return "inside"
        return "outside 80 %" if self.low95 <= self.actual <= self.high95 else "outside 95 %"


class StepRecord(NamedTuple):
    """How often the ranges of one step held, of the forecasts that are shown."""

    step: int
    n: int
    cov80: float
    cov95: float
    first: dt.date
    last: dt.date


@dataclass(frozen=True)
class TickerRecord:
    """Earlier forecasts and what came.

    Attributes:
        held: coverage over time one session ahead; None where fewer than two outcomes are known.
        newest: the last forecasts one session ahead with an outcome, the newest first.
        coverage: the limits of the ticker's last 250 forecasts, by step.
    """

    steps: tuple[StepRecord, ...]
    held: Drawing | None
    newest: tuple[Came, ...]
    coverage: tuple[Coverage, ...]


def ticker_record(ticker: str, past: Mapping[int, Past], coverage: Sequence[Coverage]) -> TickerRecord:
    """The ticker's record in plain values."""
    one = past.get(1)
    return TickerRecord(
        steps=tuple(_step(own) for _, own in sorted(past.items()) if len(own.known)),
        held=_held(ticker, one) if one else None,
        newest=_newest(one) if one else (),
        coverage=tuple(coverage),
    )


def _step(past: Past) -> StepRecord:
    n, first, last = len(past.known), past.known[0], past.known[-1]
    cov80, cov95 = (int(past.held[percent].sum()) / n for percent in (80, 95))
    return StepRecord(past.step, n, cov80, cov95, past.sessions[first].item(), past.sessions[last].item())


def _held(ticker: str, past: Past) -> Drawing | None:
    known = past.known
    title = f"{ticker}: share of closes inside their 95 % and 80 % ranges over the last {_WINDOW} forecasts"
    inside = {percent: held[known].astype(float) for percent, held in past.held.items()}
    return coverage_drawing(title, past.sessions[known], inside, np.ones(len(known)), _WINDOW, wide=True)


def _newest(past: Past) -> tuple[Came, ...]:
    places = past.known[::-1][:_LISTED]
    columns = (past.sessions, past.made_by, *past.bounds.reshape(-1, len(past.sessions)), past.actual)
    return tuple(map(Came._make, zip(*(column[places].tolist() for column in columns), strict=True)))
