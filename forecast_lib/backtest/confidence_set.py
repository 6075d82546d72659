"""Which of several models may be the best? The model confidence set of Hansen, Lunde and Nason (2011),
statistic T_max.

The worst model is dropped as long as its loss above the mean of those left is more than chance. Chance is
measured by the stationary bootstrap of Politis and Romano (1994), which keeps neighbouring times together.
"""

import functools

import numba
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


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _dropped(means: Array, centred: Array) -> Array:
    """(models,) p-values, the worst model dropped again and again.

    Args:
        centred: (draws, models) mean losses of the resampled histories less `means`.
    """
    draws, models = centred.shape
    same = 1e-9 * np.abs(centred).max()
    pvalues, left, highest = np.ones(models), np.ones(models, np.bool_), 0.0
    above, spread, chance = np.zeros(models), np.zeros(models), np.zeros((draws, models))
    for count in range(models, 1, -1):
        usual, spread[:] = means[left].mean(), 0.0
        for draw in range(draws):
            middle = 0.0
            for model in range(models):
                middle += centred[draw, model] if left[model] else 0.0
            for model in range(models):
                chance[draw, model] = centred[draw, model] - middle / count
                spread[model] += chance[draw, model] ** 2
        worst, largest = -1, -np.inf
        for model in range(models):
            spread[model] = np.sqrt(spread[model] / draws)
            # The same losses as the mean of all, but for rounding: neither better nor worse.
            if spread[model] <= same:
                spread[model] = np.inf
            above[model] = (means[model] - usual) / spread[model]
            if left[model] and above[model] > largest:
                worst, largest = model, above[model]
        reached = 0
        for draw in range(draws):
            farthest = -np.inf
            for model in range(models):
                if left[model]:
                    farthest = max(farthest, chance[draw, model] / spread[model])
            reached += farthest >= largest
        highest = max(highest, reached / draws)
        pvalues[worst], left[worst] = highest, False
    return pvalues


def confidence_set(losses: Array, *, seed: int = 0) -> Array:
    """(..., models) p-value of each model; those with 0.1 or more are the 90 % confidence set. The best model
    has 1.

    Args:
        losses: (..., times, models) in the order of time; the mean block is as long as the cube root of the
            number of times.

    >>> noise = np.random.default_rng(1).standard_normal((400, 3))
    >>> (confidence_set(noise + [0.0, 0.0, 1.0]) >= 0.1).tolist()
    [True, True, False]
    """
    use_one_thread()
    *several, times, models = losses.shape
    each = np.ascontiguousarray(losses).reshape(-1, times, models)
    weights = _weights(times, max(times ** (1 / 3), 1.0), seed)
    # One product for all: the weights are read once.
    sums = (weights @ each.swapaxes(0, 1).reshape(times, -1)).reshape(_DRAWS, *each.shape[::2])
    means = each.mean(axis=1)
    pvalues = [_dropped(mean, sums[:, place] / times - mean) for place, mean in enumerate(means)]
    return np.stack(pvalues).reshape(*several, models)
