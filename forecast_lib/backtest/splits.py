"""Rolling origins: where along a history the model is fitted, and which cutoffs it then answers for.

::

    |<---------- known to fold 1 ---------->| c c c c c c |
    |<---------------- known to fold 2 ---------------->| c c c c c c |      expanding, one fold after the other

A fold's model is fitted on the series cut off at its first cutoff, by the same function as at night, so nothing later exists for it.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast_lib.errors import TooFewSessions
from forecast_lib.windows.series import TickerSeries

__all__ = ["Fold", "fold_days", "rolling_folds"]


@dataclass(frozen=True)
class Fold:
    """`fit_sessions`: sessions known when fitting; `cutoffs`: half-open range of indices, the first is `fit_sessions - 1`."""

    fit_sessions: int
    cutoffs: tuple[int, int]


def rolling_folds(sessions: int, test_share: float, folds: int, ticker: str) -> tuple[Fold, ...]:
    """Folds over the last `test_share` of the cutoffs that have an outcome, in order, as equal as can be.

    >>> rolling_folds(100, 0.2, 2, "A")
    (Fold(fit_sessions=80, cutoffs=(79, 89)), Fold(fit_sessions=90, cutoffs=(89, 99)))

    Raises:
        TooFewSessions: fewer cutoffs than folds.
    """
    last = sessions - 1  # the last session has no outcome yet
    count = max(round(sessions * test_share), 1)
    if count < folds or count >= last:
        raise TooFewSessions(ticker, f"{sessions} sessions give {count} test cutoffs; {folds} folds need more", rule="too_short")
    edges = [last - count + count * fold // folds for fold in range(folds + 1)]
    return tuple(Fold(first + 1, (first, end)) for first, end in itertools.pairwise(edges))


def fold_days(series: Sequence[TickerSeries], test_share: float, folds: int) -> tuple[np.datetime64, ...]:
    """For each fold the first session on which one of the tickers is fitted: a pooled network may know nothing later.

    Tickers too short for a test part are left out; no days where that leaves none.
    """
    starts = []
    for each in series:
        try:
            own = rolling_folds(len(each), test_share, folds, each.ticker)
        except TooFewSessions:
            continue
        starts.append([each.sessions[fold.fit_sessions - 1] for fold in own])
    return tuple(min(days) for days in zip(*starts, strict=True))
