"""Rolling origins: where along a history the model is fitted, and which cutoffs it then answers for.

::

    |<---------- known to fold 1 ---------->| c c c c c c |
    |<---------------- known to fold 2 ---------------->| c c c c c c |      expanding, one fold after the other
           |<-------- known to fold 2 ----------------->| c c c c c c |      rolling, the newest `window_sessions` only

A fold's model is fitted on the series cut off at its first cutoff, by the same function as at night, so
nothing later exists for it.
No session is both learned from and tested, whatever the embargo:

::

    training targets | horizon + validation | ... t is the first tested cutoff: its close is the last thing known
    ... end before   | validation targets   t |<- tested targets ->|
                                              t + 1 ... t + horizon

The targets of training end more than a horizon before the first tested cutoff `t`, as the validation lies
between. Those of the
validation end with `t` itself, as at night: that close is known there, and every tested return begins with
it. With an embargo of `n` sessions the fold knows nothing of the last `n` sessions up to `t`, so that every
target ends at `t - n` at the latest.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast_lib.config import BacktestConfig
from forecast_lib.errors import TooFewSessions
from forecast_lib.windows.series import TickerSeries

__all__ = ["Fold", "fold_days", "folds_of", "known_at", "rolling_folds"]


@dataclass(frozen=True)
class Fold:
    """`fit_sessions`: sessions known when fitting; `cutoffs`: half-open range of indices, the first is
    `fit_sessions - 1 + embargo`.
    """

    fit_sessions: int
    cutoffs: tuple[int, int]


def rolling_folds(
    sessions: int, test_share: float, folds: int, ticker: str, embargo: int = 0
) -> tuple[Fold, ...]:
    """Folds over the last `test_share` of the cutoffs that have an outcome, in order, as equal as can be.

    >>> rolling_folds(100, 0.2, 2, "A")
    (Fold(fit_sessions=80, cutoffs=(79, 89)), Fold(fit_sessions=90, cutoffs=(89, 99)))
    >>> rolling_folds(100, 0.2, 1, "A", embargo=5)
    (Fold(fit_sessions=75, cutoffs=(79, 99)),)

    Raises:
        TooFewSessions: fewer cutoffs than folds, or nothing is known before the first.
    """
    last = sessions - 1  # the last session has no outcome yet
    count = max(round(sessions * test_share), 1)
    if count < folds or count + embargo >= last:
        raise TooFewSessions(
            ticker,
            f"{sessions} sessions give {count} test cutoffs; {folds} folds need more",
            rule="too_short",
        )
    edges = [last - count + count * fold // folds for fold in range(folds + 1)]
    return tuple(Fold(first + 1 - embargo, (first, end)) for first, end in itertools.pairwise(edges))


def folds_of(series: TickerSeries, config: BacktestConfig) -> tuple[Fold, ...]:
    """The folds of a ticker's history; where arms are replayed a single one, the test part.

    Raises:
        TooFewSessions: the history is too short for a test part.
    """
    return rolling_folds(len(series), config.test_share, config.folds, series.ticker, config.embargo)


def fold_days(series: Sequence[TickerSeries], config: BacktestConfig) -> tuple[np.datetime64, ...]:
    """For each fold the newest session on which one of the tickers is fitted: a pooled network may know
    nothing later.

    Of the tickers the earliest counts. Those too short for a test part are left out; no days where that
    leaves none.
    """
    starts = []
    for each in series:
        try:
            own = folds_of(each, config)
        except TooFewSessions:
            continue
        starts.append([each.sessions[fold.fit_sessions - 1] for fold in own])
    return tuple(min(days) for days in zip(*starts, strict=True))


def known_at(series: TickerSeries, sessions: int, config: BacktestConfig) -> tuple[TickerSeries, int]:
    """What a model is fitted on when so many sessions are known, and the index of its first session in the
    whole series.
    """
    first = max(sessions - config.window_sessions, 0) if config.window_sessions else 0
    known = series.until(sessions)
    return (known.since(first) if first else known), first
