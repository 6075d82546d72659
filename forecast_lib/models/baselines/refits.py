"""When a baseline's parameters are estimated anew: at fixed sessions of the series, whichever cutoffs are
asked for.

::

    session   0        60      125         250              500              750
              | none   | fit 1 | fit 2     | fit 3          | fit 4          | ...      each on sessions up to its own first cutoff

So the night, the validation and the backtest use the same parameters at the same cutoff.
"""

from collections.abc import Iterator

import numpy as np

__all__ = ["FIT_SESSIONS", "refits"]

FIT_SESSIONS = 2500
"""A fit sees at most so many of the newest sessions: ten years."""

_EVERY = 250
_EARLY = (60, 125)


def refits(cutoffs: np.ndarray) -> Iterator[tuple[int | None, slice]]:
    """The newest session that each fit may use, and the part of `cutoffs` (ascending) it serves; None where
    no fit is possible yet.

    >>> [(known, part.start, part.stop) for known, part in refits(np.arange(248, 503))]
    [(125, 0, 2), (250, 2, 252), (500, 252, 255)]
    """
    last = int(cutoffs[-1]) if len(cutoffs) else -1
    starts = [0, *_EARLY, *range(_EVERY, last + 1, _EVERY)]
    edges = np.searchsorted(cutoffs, [*starts, last + 1])
    for start, first, end in zip(starts, edges[:-1], edges[1:], strict=True):
        if end > first:
            yield (start or None), slice(int(first), int(end))
