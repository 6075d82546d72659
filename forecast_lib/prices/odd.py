"""Which moves of a close are odd: many times what is usual for the share, the market's part taken out."""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ABS_TO_STD",
    "CLIPPED",
    "FEWEST",
    "LIVELY",
    "ODD",
    "SMALLEST_SCALE",
    "WINDOW",
    "Days",
    "Flags",
    "Values",
    "market_moves",
    "odd_rows",
    "usual_moves",
]

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Days = NDArray[np.datetime64]

ODD = 4.5
"""A move of so many usual days is looked at: 46 in 10,000 moves (2006 to 2013). A wrong price of a tenth is
no larger in most shares.
"""

WINDOW = 60
"""Sessions, three months: what is usual is taken from those before the move."""

FEWEST = 20
"""Moves; with fewer the scale of a lively share is assumed."""

LIVELY = 0.03

SMALLEST_SCALE = 0.005
"""A currency peg or a bond fund hardly moves: its ordinary days are no measure of what an odd one is."""

CLIPPED = 0.15
"""One odd move among sixty must not make the next one look usual."""

ABS_TO_STD = float(np.sqrt(np.pi / 2))
"""Standard deviation of a normal variable by its mean absolute value."""

_FEWEST_OTHERS = 5
"""Tickers whose mean says what the market did."""


def odd_rows(of: NDArray[np.integer], close: Values) -> Flags:
    """Which rows of many tickers follow a move that is to be judged.

    Args:
        of: (rows,) ascending, the ticker of each row; within a ticker oldest first.
        close: (rows,) on the basis of the splits that are recorded.

    >>> close = np.append(100 * 1.01 ** (np.arange(40) % 2), 50.0)
    >>> np.flatnonzero(odd_rows(np.zeros(41, dtype=int), close)).tolist()
    [40]
    """
    moves = _moves(of, close)
    noticeable = np.flatnonzero(np.abs(moves) > ODD * SMALLEST_SCALE)
    flags = np.zeros(len(of), dtype=bool)
    flags[noticeable] = np.abs(moves[noticeable]) > ODD * usual_moves(of, moves, noticeable)
    return flags


def market_moves(
    exchange: NDArray[np.integer], of: NDArray[np.integer], sessions: Days, close: Values
) -> Values:
    """What the other tickers of the exchange did on each session: their mean move, moves beyond CLIPPED
    counted as that.

    Args:
        exchange, of, sessions, close: (rows,) ordered by ticker, then session.

    Returns:
        (rows,) NaN where fewer than five other tickers have a move.
    """
    moves = _moves(of, close)
    known = np.isfinite(moves)
    clipped = np.clip(np.where(known, moves, 0.0), -CLIPPED, CLIPPED)
    days = sessions.astype("datetime64[D]").astype(np.int64)
    first = int(days.min(initial=0))
    cell = exchange * (int(days.max(initial=0)) - first + 1) + (days - first)
    others = np.bincount(cell, known)[cell] - known
    with np.errstate(all="ignore"):
        mean = (np.bincount(cell, clipped)[cell] - clipped) / others
    return np.where(others >= _FEWEST_OTHERS, mean, np.nan)


def usual_moves(of: NDArray[np.integer], moves: Values, places: NDArray[np.intp]) -> Values:
    """Standard deviation of a usual day at some rows, by the mean absolute move of the WINDOW rows before
    each.
    """
    sizes = np.abs(moves)
    np.minimum(sizes, CLIPPED, out=sizes)
    sizes[np.isnan(sizes)] = 0.0
    sizes = np.append(0.0, sizes.cumsum())
    # The first row of a ticker has no move.
    first = np.maximum(np.searchsorted(of, of[places]) + 1, places - WINDOW)
    number = places - first
    with np.errstate(all="ignore"):
        scale = ABS_TO_STD * (sizes[places] - sizes[np.minimum(first, places)]) / number
    return np.where(number < FEWEST, LIVELY, np.maximum(scale, SMALLEST_SCALE))


def _moves(of: NDArray[np.integer], close: Values) -> Values:
    """Log returns; NaN where a ticker begins."""
    moves = np.empty(len(close))
    with np.errstate(all="ignore"):
        logs = np.log(close)
        np.subtract(logs[1:], logs[:-1], out=moves[1:])
    moves[:1] = np.nan
    moves[np.flatnonzero(of[1:] != of[:-1]) + 1] = np.nan
    return moves
