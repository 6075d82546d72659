"""Bars that contradict themselves: is it the close that is wrong, or the open, high and low?

Usually the latter: Yahoo takes those of currency pairs from another feed, and fills in flat bars for days
that opened late. But the closes of a file may be unsplit among split bars. The sessions beside the bar
decide: whichever side lies nearer to them is right.
"""

import numpy as np
from numpy.typing import NDArray

from forecast_lib.prices.seen import Bars

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
    with np.errstate(all="ignore"):
        close, adjusted = np.log(bars.close), np.log(bars.adj_close)
        bar = (
            np.log(np.nanmean(np.stack([bars.open, bars.high, bars.low]), axis=0))
            if contradicted.any()
            else close
        )
    level = np.where(contradicted, np.nan, close)  # what each row is worth, once that is known
    known = np.flatnonzero(np.isfinite(level))
    moves = np.abs(np.diff(level[known]))
    least = max(_NOTICEABLE, _USUAL_DAYS * 1.4826 * float(np.median(moves)) if len(moves) else 0.0)
    rows, first = np.flatnonzero(contradicted), int(known[0]) if len(known) else len(level)
    # a run at the very beginning is walked backwards, all others forwards
    for at in [*rows[rows > first], *rows[rows < first][::-1]]:
        beside = [at - 1, *known[known.searchsorted(at) :][:1]] if at > first else [at + 1]
        near = [each for each in beside if each < len(level) and np.isfinite(level[each])]
        of_close = _distance(close[at], level[near])
        # A close that left its adjusted one behind is doubted.
        if near and np.isfinite(adjusted[[at, *near]]).all():
            of_close = max(of_close, _distance((close - adjusted)[at], (close - adjusted)[near]))
        doubted[at] = of_close - _distance(bar[at], level[near]) > least
        level[at] = bar[at] if doubted[at] else close[at]
    return doubted


def _distance(value: float, others: Values) -> float:
    return float(np.abs(value - others).mean()) if len(others) else 0.0
