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
        centred: (models, draws) mean losses of the resampled histories less `means`.
    """
    models, draws = centred.shape
    same = 1e-9 * np.abs(centred).max()
    pvalues, left, highest = np.ones(models), np.arange(models), 0.0
    chance, spread = np.empty((models, draws)), np.empty(models)
    middle, farthest = np.empty(draws), np.empty(draws)
    for count in range(models, 1, -1):
        usual, middle[:], farthest[:] = means[left].mean(), 0.0, -np.inf
        worst, largest = left[0], -np.inf
        for model in left:
            for draw in range(draws):
                middle[draw] += centred[model, draw]
        for model in left:
            total = 0.0
            for draw in range(draws):
                chance[model, draw] = centred[model, draw] - middle[draw] / count
                total += chance[model, draw] ** 2
            spread[model] = np.sqrt(total / draws)
            # The same losses as the mean of all, but for rounding: neither better nor worse.
            if spread[model] <= same:
                spread[model] = np.inf
            above = (means[model] - usual) / spread[model]
            if above > largest:
                worst, largest = model, above
        for model in left:
            for draw in range(draws):
                farthest[draw] = max(farthest[draw], chance[model, draw] / spread[model])
        highest = max(highest, (farthest >= largest).sum() / draws)
        pvalues[worst], left = highest, left[left != worst]
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
    means, weights = each.mean(axis=1), _weights(times, max(times ** (1 / 3), 1.0), seed)
    # One product for all: the weights are read once.
    drawn = np.ascontiguousarray((weights @ each.swapaxes(0, 1).reshape(times, -1)).T) / times
    centred = drawn.reshape(*means.shape, -1) - means[..., None]
    return np.stack([_dropped(*own) for own in zip(means, centred, strict=True)]).reshape(*several, models)
