"""What the first page shows first: how far prices may move, whether earlier ranges held, and the pictures of
the tickers.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecast_lib.report.frames import BANDS, Past
from forecast_lib.report.plots import Drawing, Range, draw_ranges, draw_shares
from forecast_lib.report.sections.lately import Picture
from forecast_lib.report.sections.tickers import TickerLine

__all__ = ["Charts", "charts", "coverage_drawing"]

_WIDEST = 12
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
    days, inside = _by_session([own[1] for own in past.values() if 1 in own])
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
            "Share of closes inside the ranges that had been forecast for them", days, inside, _WINDOW
        ),
        outcomes=int(inside[80][:, 1].sum()),
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


def _by_session(past: Sequence[Past]) -> tuple[list[dt.date], dict[int, np.ndarray]]:
    """The sessions with an outcome, and by interval (sessions, 2): outcomes inside it, and all outcomes."""
    days = (
        np.concatenate([each.sessions[each.known] for each in past])
        if past
        else np.array([], "datetime64[D]")
    )
    sessions, place = np.unique(days, return_inverse=True)
    inside = {}
    for percent, low, high in BANDS[:2]:
        held = (
            np.concatenate([each.inside(low, high)[each.known] for each in past])
            if past
            else np.array([], bool)
        )
        inside[percent] = np.stack(
            [np.bincount(place, held, len(sessions)), np.bincount(place, minlength=len(sessions))], axis=1
        )
    return sessions.tolist(), inside


def coverage_drawing(
    title: str, days: Sequence[dt.date], inside: Mapping[int, np.ndarray], window: int, *, wide: bool = False
) -> Drawing | None:
    """The share inside each interval over the last `window` sessions, at each of them.

    Args:
        inside: by per cent, (sessions, 2): outcomes inside the interval, and all outcomes.

    Limits are drawn for the 80 % interval alone, at three standard errors. Tickers move together, so their
    outcomes of one session are
    counted as one: with many tickers the limits are wider than need be, never narrower.
    """
    shares = []
    for percent, counts in inside.items():
        sums = np.cumsum(counts, axis=0)
        rolled = sums - np.concatenate([np.zeros((min(window, len(sums)), 2)), sums[:-window]])
        level, sessions = percent / 100, np.minimum(np.arange(1, len(sums) + 1), window)
        limits = (3 * np.sqrt(level * (1 - level) / sessions)).tolist() if percent == 80 else []
        shares.append((percent, (rolled[:, 0] / rolled[:, 1]).tolist(), limits))
    first = min(window, len(days)) // 2  # a share of a handful of sessions says nothing
    trimmed = [(percent, own[first:], limits[first:]) for percent, own, limits in shares]
    if wide:
        return draw_shares(title, days[first:], trimmed, width=720, height=200, css="wide")
    return draw_shares(title, days[first:], trimmed)
