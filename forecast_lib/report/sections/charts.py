"""What the first page shows first: how far prices may move, whether earlier ranges held, and the pictures of
the tickers.
"""

import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast_lib.report.drawing import Drawing
from forecast_lib.report.frames import PAST_BANDS, Array, Past
from forecast_lib.report.plots import Range, draw_ranges, draw_shares
from forecast_lib.report.sections.lately import Picture
from forecast_lib.report.sections.tickers import TickerLine

__all__ = ["Charts", "charts", "coverage_drawing"]

_WIDEST = 12
_NO_DAYS = np.array([], "datetime64[D]")
_WINDOW = 60
"""Sessions over which the share of held ranges is taken."""


@dataclass(frozen=True)
class Charts:
    """The drawings of the first page.

    Attributes:
        risk: tonight's widest ranges for the next session, in per cent of the last close; None without a
            forecast.
        drawn, forecasts: ranges that are drawn, of so many.
        target: the session that most of them are for.
        held: share of outcomes inside the intervals over time, all tickers together; None with fewer than two
            sessions.
        outcomes, sessions: what `held` is made of.
    """

    risk: Drawing | None
    drawn: int
    forecasts: int
    target: dt.date | None
    held: Drawing | None
    outcomes: int
    sessions: int
    pictures: tuple[Picture, ...]


def charts(
    lines: Sequence[TickerLine], past: Mapping[str, Mapping[int, Past]], pictures: Sequence[Picture]
) -> Charts:
    """The drawings, from the lines of the tickers and their earlier forecasts one session ahead."""
    forecasts = [line for line in lines if line.first and line.last_close]
    widest = sorted(forecasts, key=lambda line: -(line.width or 0.0))[:_WIDEST]
    targets = [line.first.target_session for line in forecasts if line.first]
    days, inside, outcomes = _by_session([own[1] for own in past.values() if 1 in own])
    return Charts(
        risk=(
            draw_ranges(
                "Ranges for the next session, in per cent of the last close",
                [_range(line) for line in widest],
                unit=" %",
                zero=True,
            )
            if widest
            else None
        ),
        drawn=len(widest),
        forecasts=len(forecasts),
        target=max(set(targets), key=targets.count) if targets else None,
        held=coverage_drawing(
            "Share of closes inside the ranges that had been forecast for them",
            days,
            inside,
            outcomes,
            _WINDOW,
        ),
        outcomes=int(outcomes.sum()),
        sessions=len(days),
        pictures=tuple(pictures),
    )


def _range(line: TickerLine) -> Range:
    first, close = line.first, line.last_close
    assert first is not None and close is not None

    def percent(price: float) -> float:
        return 100 * (price / close - 1)

    bands = (
        (95, percent(first.low95), percent(first.high95)),
        (80, percent(first.low80), percent(first.high80)),
    )
    text = (
        f"{line.state.ticker}: 80 % range {first.low80:,.6g} to {first.high80:,.6g}, 95 % range"
        f" {first.low95:,.6g} to {first.high95:,.6g}"
    )
    return Range(line.state.ticker, bands, percent(first.point), text)


def _by_session(past: Sequence[Past]) -> tuple[NDArray[np.datetime64], dict[int, Array], Array]:
    """The sessions with an outcome, the outcomes inside each interval by session, and all outcomes."""
    sessions, place = np.unique(
        np.concatenate([_NO_DAYS, *(each.sessions[each.known] for each in past)]), return_inverse=True
    )

    def by_session(counts: Sequence[NDArray[np.bool_]]) -> Array:
        return np.bincount(place, np.concatenate([[], *counts]), len(sessions)).astype(float)

    inside = {
        percent: by_session([each.held[percent][each.known] for each in past]) for percent, *_ in PAST_BANDS
    }
    return sessions, inside, by_session([np.ones(len(each.known), bool) for each in past])


def coverage_drawing(
    title: str,
    days: NDArray[np.datetime64],
    inside: Mapping[int, Array],
    outcomes: Array,
    window: int,
    *,
    wide: bool = False,
) -> Drawing | None:
    """The share inside each interval over the last `window` sessions, at each of them.

    Args:
        inside: by per cent, (sessions,) outcomes inside the interval, of all `outcomes`.

    Limits are drawn for the 80 % interval alone, at three standard errors. Tickers move together, so their
    outcomes of one session are counted as one: with many tickers the limits are wider than need be, never
    narrower.
    """
    first = min(window, len(days)) // 2  # a share of a handful of sessions says nothing
    of = _rolling(outcomes, window)
    shares = [
        (
            percent,
            (_rolling(counts, window) / of)[first:],
            _limits(percent / 100, len(days), window)[first:] if percent == 80 else None,
        )
        for percent, counts in inside.items()
    ]
    if wide:
        return draw_shares(title, days[first:], shares, width=720, height=200, css="wide")
    return draw_shares(title, days[first:], shares)


def _rolling(counts: Array, window: int) -> Array:
    """Sums over the last `window` of them."""
    sums = np.cumsum(counts)
    sums[window:] -= sums[:-window].copy()
    return sums


@functools.lru_cache
def _limits(level: float, sessions: int, window: int) -> Array:
    """Three standard errors of a share over the last `window` sessions, at each of them."""
    return 3 * np.sqrt(level * (1 - level) / np.minimum(np.arange(1, sessions + 1), window))
