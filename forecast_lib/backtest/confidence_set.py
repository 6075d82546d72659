"""Which of several models may be the best? The model confidence set of Hansen, Lunde and Nason (2011),
statistic T_max.

The worst model is dropped as long as its loss above the mean of those left is more than chance. Chance is
measured by the stationary bootstrap of Politis and Romano (1994), which keeps neighbouring times together.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from forecast_lib.windows.series import Array
from forecast_lib.windows.threads import use_one_thread

__all__ = ["confidence_set"]

_DRAWS = 1000


@functools.lru_cache(maxsize=2)
def _weights(count: int, block: float, seed: int) -> Array:
    """(draws, times): how often each of `count` times comes up in `_DRAWS` resampled histories of blocks of
    `block` times on average.

    The same for every ticker with as many times, and most of the cost.
    """
    random = np.random.default_rng(seed)
    at: NDArray[np.int64] = random.integers(count, size=(_DRAWS, count))
    goes_on = random.random((_DRAWS, count)) >= 1 / block
    for time in range(1, count):
        at[:, time] = np.where(goes_on[:, time], (at[:, time - 1] + 1) % count, at[:, time])
    cell = at + np.arange(_DRAWS)[:, None] * count
    return np.bincount(cell.ravel(), minlength=_DRAWS * count).reshape(_DRAWS, count).astype(float)


def confidence_set(losses: Array, *, seed: int = 0) -> Array:
    """(models,) p-value of each model; those with 0.1 or more are the 90 % confidence set. The best model has
    1.

    Args:
        losses: (times, models) in the order of time; the mean block is as long as the cube root of the number
            of times.

    >>> noise = np.random.default_rng(1).standard_normal((400, 3))
    >>> (confidence_set(noise + [0.0, 0.0, 1.0]) >= 0.1).tolist()
    [True, True, False]
    """
    use_one_thread()
    means = losses.mean(axis=0)
    centred = _weights(len(losses), max(len(losses) ** (1 / 3), 1.0), seed) @ losses / len(losses) - means
    same = 1e-9 * float(np.abs(centred).max())
    pvalues, left, highest = np.ones(losses.shape[1]), list(range(losses.shape[1])), 0.0
    while len(left) > 1:
        above = means[left] - means[left].mean()
        chance = centred[:, left] - centred[:, left].mean(axis=1, keepdims=True)
        spread = np.sqrt((chance**2).mean(axis=0))
        # The same losses as the mean of all, but for rounding: neither better nor worse.
        spread[spread <= same] = np.inf
        statistic = above / spread
        highest = max(highest, float(((chance / spread).max(axis=1) >= statistic.max()).mean()))
        worst = left[int(statistic.argmax())]
        pvalues[worst] = highest
        left.remove(worst)
    return pvalues
