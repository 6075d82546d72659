"""Losses of a backtest averaged over tickers, cutoff by cutoff: tickers move together, so that all of them
are hardly more evidence than a date.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.windows.series import Array

__all__ = ["NO_LOSSES", "Losses", "Panels"]


@dataclass(frozen=True)
class Losses:
    """One ticker's, in units of what its price usually moves.

    Attributes:
        axes: (m,) models, (s,) steps and (n,) cutoffs, each ascending.
        values: (4, m, s, n) the squared loss, naive's squared loss, the pinball loss, and how many there are:
            one or, as from everywhere at a step where the price never moves, none, and zeros.
    """

    axes: tuple[NDArray[Any], ...]
    values: Array


NO_LOSSES = Losses(
    (np.empty(0, str), np.empty(0, np.int64), np.empty(0, "datetime64[us]")), np.empty((4, 0, 0, 0))
)


def _widened(losses: Losses, axes: tuple[NDArray[Any], ...]) -> Losses:
    """The same with room for all of these models, steps and cutoffs; itself where it has just that."""
    if all(map(np.array_equal, losses.axes, axes)):
        return losses
    values = np.zeros((4, *map(len, axes)))
    values[np.ix_(np.arange(4), *map(np.searchsorted, axes, losses.axes))] = losses.values
    return Losses(axes, values)


class Panels:
    """Losses by cutoff of each model and step, averaged over tickers: tickers are added as they come, so that
    never the losses of all are held at once, and are summed up in their own order, whoever comes first.
    """

    def __init__(self) -> None:
        self._sums = NO_LOSSES
        self._waiting, self._next = dict[int, Sequence[Losses]](), 0

    def add(self, place: int, tickers: Sequence[Losses]) -> None:
        """Those of some tickers. The places are 0, 1, 2 and so on, in any order, each given once."""
        self._waiting[place] = tickers
        while self._next in self._waiting:
            for losses in self._waiting.pop(self._next):
                self._add(losses)
            self._next += 1

    def _add(self, losses: Losses) -> None:
        axes = tuple(map(np.union1d, self._sums.axes, losses.axes))
        self._sums = _widened(self._sums, axes)
        np.add(self._sums.values, _widened(losses, axes).values, out=self._sums.values)

    def means(self) -> dict[tuple[str, int], pd.DataFrame]:
        """By model and step, ascending: columns squared, naive and pinball by cutoff."""
        found = dict[tuple[str, int], pd.DataFrame]()
        models, steps, cutoffs = self._sums.axes
        for (place, model), (at, step) in itertools.product(enumerate(models), enumerate(steps)):
            *sums, count = self._sums.values[:, place, at]
            means = {
                name: each[count > 0] / count[count > 0]
                for name, each in zip(("squared", "naive", "pinball"), sums, strict=True)
            }
            found[str(model), int(step)] = pd.DataFrame(means, cutoffs[count > 0])
        return found
