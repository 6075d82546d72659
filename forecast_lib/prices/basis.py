"""Are a file's prices as they were traded, or has its maker already divided them by later splits? The prices tell.

On the first session of a 4:1 split the traded price falls to about a quarter; in a split-adjusted file it hardly moves. Small
ratios (spin-offs such as 1.046) drown in the day's own move, so they follow what the large ones say.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd

__all__ = ["LARGE_SPLIT", "Basis", "share_basis"]

Basis = Literal["as_traded", "split_adjusted", "contradictory", "no_evidence"]

LARGE_SPLIT = 1.5
"""From this ratio on (or its inverse) a split stands out from an ordinary day."""

# Share of the split that the price went along with: 0 for adjusted prices, 1 for traded ones. In between lies no verdict: at
# 3:2 the band begins at a day's move of 15 %, at 4:1 at one of 38 %.
_ADJUSTED_BELOW, _TRADED_ABOVE = 0.35, 0.65
# Across a longer hole in the rows the price says too little about one day.
_LONGEST_HOLE = pd.Timedelta(days=10)


def share_basis(prices: pd.DataFrame, actions: pd.DataFrame) -> Basis:
    """What the closes around the large splits say, all together.

    Args:
        prices: `session` and `close` of one ticker, in any order; rows without a positive close are passed over.
        actions: ACTION_COLUMNS of the same ticker.

    Returns:
        `contradictory` if two large splits speak against each other, or all of them speak unclearly; `no_evidence` if there is no
        large split between two rows.

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
    usable = prices[(prices["close"] > 0) & np.isfinite(prices["close"])].sort_values("session")
    sessions, closes = usable["session"].reset_index(drop=True), usable["close"].to_numpy()
    splits = actions[actions["kind"] == "split"]
    for session, ratio in zip(splits["session"], splits["value"], strict=True):
        at = int(sessions.searchsorted(session))
        if max(ratio, 1 / ratio) < LARGE_SPLIT or at == 0 or at == len(sessions):
            continue
        if sessions[at] - sessions[at - 1] <= _LONGEST_HOLE:
            yield _verdict(float(np.log(closes[at - 1] / closes[at]) / np.log(ratio)))


def _verdict(followed: float) -> Basis:
    if followed < _ADJUSTED_BELOW:
        return "split_adjusted"
    return "as_traded" if followed > _TRADED_ABOVE else "contradictory"
