"""The record of one ticker: every earlier forecast that is shown, what came, and how often the ranges
held.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecast_lib.report.frames import BANDS, Past
from forecast_lib.report.plots import Drawing
from forecast_lib.report.sections.charts import coverage_drawing
from forecast_lib.report.sections.coverage import Coverage

__all__ = ["Came", "StepRecord", "TickerRecord", "ticker_record"]

_LISTED = 12
_WINDOW = 60


@dataclass(frozen=True)
class Came:
    """One earlier forecast one session ahead, and the close that came."""

    session: dt.date
    made_by: str
    low80: float
    high80: float
    low95: float
    high95: float
    actual: float

    @property
    def verdict(self) -> str:
        """Where the close came: `inside`, `outside 80 %` or `outside 95 %`."""
        if self.low80 <= self.actual <= self.high80:
            return "inside"
        return "outside 80 %" if self.low95 <= self.actual <= self.high95 else "outside 95 %"


@dataclass(frozen=True)
class StepRecord:
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
        steps=tuple(_step(own) for _, own in sorted(past.items()) if own.known.any()),
        held=_held(ticker, one) if one else None,
        newest=_newest(one) if one else (),
        coverage=tuple(coverage),
    )


def _step(past: Past) -> StepRecord:
    known = past.known
    sessions = past.sessions[known]
    cov80, cov95 = (
        float(past.inside(low, high)[known].mean()) for low, high in ((0.10, 0.90), (0.025, 0.975))
    )
    return StepRecord(past.step, int(known.sum()), cov80, cov95, sessions[0].item(), sessions[-1].item())


def _held(ticker: str, past: Past) -> Drawing | None:
    known = past.known
    inside = {
        percent: np.stack([past.inside(low, high)[known].astype(float), np.ones(int(known.sum()))], axis=1)
        for percent, low, high in BANDS[:2]
    }
    title = f"{ticker}: share of closes inside their 95 % and 80 % ranges over the last {_WINDOW} forecasts"
    return coverage_drawing(title, past.sessions[known].tolist(), inside, _WINDOW, wide=True)


def _newest(past: Past) -> tuple[Came, ...]:
    places = past.known.nonzero()[0][::-1][:_LISTED]
    levels = (("low80", 0.10), ("high80", 0.90), ("low95", 0.025), ("high95", 0.975))
    bounds = {name: past.quantiles[level] for name, level in levels}
    return tuple(
        Came(
            session=past.sessions[at].item(),
            made_by=past.made_by[at],
            actual=float(past.actual[at]),
            **{name: float(values[at]) for name, values in bounds.items()},
        )
        for at in places
    )
