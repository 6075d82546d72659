"""Are a file's prices as they were traded, or has its maker already divided them by later splits? The prices
tell.

On the first session of a 4:1 split the traded price falls to about a quarter; in a split-adjusted file it
hardly moves. A small ratio tells where it stands out from the share's own daily moves (5:4 does, for most);
where it does not (spin-offs such as 1.046), it follows what the others say.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["LARGE_SPLIT", "Basis", "share_basis"]

Basis = Literal["as_traded", "split_adjusted", "contradictory", "no_evidence"]

LARGE_SPLIT = 1.5
"""From this ratio on (or its inverse) a split stands out from an ordinary day of any share."""

_CLEAR_SPLIT = 6.0
"""A smaller one stands out where its logarithm is so many times the share's usual daily move: then chance
would need moves of four times the usual one to be taken for the other case.
"""

# Share of the split that the price went along with: 0 for adjusted prices, 1 for traded ones. In between lies
# no verdict: at 3:2 the band begins at a day's move of 15 %, at 4:1 at one of 38 %.
_ADJUSTED_BELOW, _TRADED_ABOVE = 0.35, 0.65
# Across a longer hole in the rows the price says too little about one day.
_LONGEST_HOLE = np.timedelta64(10, "D")
_FEWEST_MOVES = 20


def share_basis(prices: pd.DataFrame, actions: pd.DataFrame) -> Basis:
    """What the closes around the splits that stand out say, all together.

    Args:
        prices: `session` and `close` of one ticker, in any order; rows without a positive close are passed
            over.
        actions: ACTION_COLUMNS of the same ticker.

    Returns:
        `contradictory` if two splits speak against each other, or all of them speak unclearly; `no_evidence`
        if no split between two rows stands out.

    >>> days = pd.to_datetime(["2020-08-28", "2020-08-31"])
    >>> split = pd.DataFrame({"session": days[1:], "kind": "split", "value": 4.0})
    >>> share_basis(pd.DataFrame({"session": days, "close": [499.23, 129.04]}), split)
    'as_traded'
    >>> share_basis(pd.DataFrame({"session": days, "close": [124.81, 129.04]}), split)
    'split_adjusted'
    """
    verdicts = list(_verdicts(prices, actions))
    clear = set(verdicts) - {"contradictory"}
    if not verdicts:
        return "no_evidence"
    return clear.pop() if len(clear) == 1 else "contradictory"


def _verdicts(prices: pd.DataFrame, actions: pd.DataFrame) -> Iterator[Basis]:
    is_split = actions["kind"].to_numpy() == "split"
    if not is_split.any():
        return
    days, closes = prices["session"].to_numpy(), prices["close"].to_numpy()
    usable = (closes > 0) & np.isfinite(closes)
    order = np.argsort(days[usable])
    days, logs = days[usable][order], np.log(closes[usable][order])
    least = min(_CLEAR_SPLIT * _usual_move(logs), float(np.log(LARGE_SPLIT)))
    for session, ratio in zip(
        actions["session"].to_numpy()[is_split], np.log(actions["value"].to_numpy()[is_split]), strict=True
    ):
        at = int(np.searchsorted(days, session))
        if abs(ratio) >= least and 0 < at < len(days) and days[at] - days[at - 1] <= _LONGEST_HOLE:
            yield _verdict((logs[at - 1] - logs[at]) / float(ratio))


def _usual_move(logs: NDArray[np.float64]) -> float:
    """Standard deviation of a day's move, from the median of its size; infinite where there are too few to
    say.
    """
    moves = np.abs(np.diff(logs))
    return (
        1.4826 * float(np.median(moves)) if len(moves) >= _FEWEST_MOVES and np.median(moves) > 0 else np.inf
    )


def _verdict(followed: float) -> Basis:
    if followed < _ADJUSTED_BELOW:
        return "split_adjusted"
    return "as_traded" if followed > _TRADED_ABOVE else "contradictory"
