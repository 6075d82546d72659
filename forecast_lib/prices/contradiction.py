"""Bars that contradict themselves: is it the close that is wrong, or the open, high and low?

Usually the latter: Yahoo takes those of currency pairs from another feed, and fills in flat bars for days
that opened late. But the closes
of a file may be unsplit among split bars. The sessions beside the bar decide: whichever side lies nearer to
them is right.
"""

import numpy as np
from numpy.typing import NDArray

from forecast_lib.prices.evidence import Bars

__all__ = ["doubts_close"]

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]

_NOTICEABLE = 0.02
"""In logs: below, a contradiction is a matter of feeds and rounding, never of the close."""

_USUAL_DAYS = 4.0
"""By so many usual days must the close lie farther from its neighbours than the bar does."""


def doubts_close(bars: Bars, contradicted: Flags) -> Flags:
    """(n,) contradicted rows whose close is what is wrong.

    Args:
        contradicted: (n,) rows of which not all of open, high, low and close can be right.

    >>> nan, ten = np.full(3, np.nan), np.full(3, 10.0)
    >>> bars = Bars(np.arange(3).astype("M8[D]"), ten, ten + 1, ten - 1, np.array([10, 20.0, 10]), nan, nan)
    >>> doubts_close(bars, np.array([False, True, False])).tolist()
    [False, True, False]
    """
    doubted = np.zeros(len(bars), dtype=bool)
    if not contradicted.any():
        return doubted
    with np.errstate(all="ignore"):
        close, adjusted = np.log(bars.close), np.log(bars.adj_close)
        bar = np.log(np.nanmean(np.stack([bars.open, bars.high, bars.low]), axis=0))
    level = np.where(contradicted, np.nan, close)  # what each row is worth, once that is known
    usual = _usual_move(level)
    resolved = _outwards(np.flatnonzero(contradicted), level)
    for at, before, after in resolved:
        near = np.array([each for each in (before, after) if each >= 0], dtype=np.intp)
        of_close = _distance(close[at], level[near])
        if (
            len(near) and np.isfinite(adjusted[[at, *near]]).all()
        ):  # a close that left its adjusted one behind is doubted
            of_close = max(of_close, _distance((close - adjusted)[at], (close - adjusted)[near]))
        farther = of_close - _distance(bar[at], level[near])
        doubted[at] = farther > max(_NOTICEABLE, _USUAL_DAYS * usual)
        level[at] = bar[at] if doubted[at] else close[at]
    return doubted


def _outwards(rows: NDArray[np.intp], level: Values) -> list[tuple[int, int, int]]:
    """The rows in an order in which each has a neighbour that is known before it, with the nearest known rows
    on both sides, -1 for none.

    A run of contradicted rows at the very beginning is walked backwards, all others forwards.
    """
    first = int(np.flatnonzero(np.isfinite(level))[:1].sum()) if np.isfinite(level).any() else len(level)
    known = np.isfinite(level)
    ahead = np.append(np.where(known, np.arange(len(level)), len(level))[::-1], len(level))
    nearest_after = np.minimum.accumulate(np.append(len(level), ahead[:-1]))[::-1]
    early, later = rows[rows < first][::-1].tolist(), rows[rows >= first].tolist()
    backwards = [(at, -1, at + 1 if at + 1 < len(level) else -1) for at in early]
    forwards = [
        (at, at - 1, int(nearest_after[at]) if nearest_after[at] < len(level) else -1) for at in later
    ]
    return backwards + forwards


def _distance(value: float, others: Values) -> float:
    known = others[np.isfinite(others)]
    return float(np.abs(value - known).mean()) if len(known) else 0.0


def _usual_move(level: Values) -> float:
    known = level[np.isfinite(level)]
    return 1.4826 * float(np.median(np.abs(np.diff(known)))) if len(known) > 1 else 0.0
