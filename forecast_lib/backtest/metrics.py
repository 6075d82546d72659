"""Losses and scores of forecasts. All take arrays of the same shape and refuse others; sums never broadcast
by accident.

Winkler (interval) score: Winkler (1972), Gneiting and Raftery (2007). MASE: Hyndman and
Koehler (2006), scaled by the naive forecast's error on the same cutoffs. QLIKE: Patton (2011).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogorov

from forecast_lib.domain import QUANTILES
from forecast_lib.windows.series import Array

__all__ = ["inside", "qlike", "thirds", "uniform_pvalue", "winkler"]

_AT = {level: at for at, level in enumerate(QUANTILES)}
_SMALLEST_VARIANCE = 1e-12
_FEWEST = 30


def _check(actual: Array, quantiles: Array) -> None:
    if quantiles.shape != (*actual.shape, len(QUANTILES)):
        raise ValueError(
            f"quantiles have shape {quantiles.shape}, expected {(*actual.shape, len(QUANTILES))}"
        )


def _check_same(name: str, values: NDArray[np.generic], expected: tuple[int, ...]) -> None:
    if values.shape != expected:
        raise ValueError(f"{name} has shape {values.shape}, expected {expected}")


def _bounds(quantiles: Array, coverage: float) -> tuple[Array, Array]:
    low, high = (1 - coverage) / 2, (1 + coverage) / 2
    return quantiles[..., _AT[round(low, 3)]], quantiles[..., _AT[round(high, 3)]]


def inside(actual: Array, quantiles: Array, coverage: float) -> np.ndarray:
    """Whether each actual lies in the central interval of this coverage (0.5, 0.8, 0.9, 0.95, 0.98 or 0.99),
    borders included.
    """
    _check(actual, quantiles)
    low, high = _bounds(quantiles, coverage)
    return (actual >= low) & (actual <= high)


def winkler(actual: Array, quantiles: Array, coverage: float) -> Array:
    """Width of the central interval plus a penalty for missing it, in price units; lower is better."""
    _check(actual, quantiles)
    low, high = _bounds(quantiles, coverage)
    penalty = 2 / (1 - coverage)
    return (high - low) + penalty * (np.maximum(low - actual, 0) + np.maximum(actual - high, 0))


def qlike(sigma: Array, realised_variance: Array) -> Array:
    """Loss of a variance forecast: ratio of realised to forecast variance, less its logarithm, less one. 0
    where they are the same.

    It ranks forecasts rightly though the realised variance is only measured with noise, as long as that is
    not biased (Patton 2011).

    Args:
        sigma: (...,) forecast standard deviations. realised_variance: (...,) measured variances over the same
            sessions, positive.

    >>> qlike(np.array([0.01, 0.02]), np.array([0.0001, 0.0001])).round(6).tolist()
    [0.0, 0.636294]
    """
    _check_same("realised_variance", realised_variance, sigma.shape)
    ratio = realised_variance / np.maximum(sigma**2, _SMALLEST_VARIANCE)
    return ratio - np.log(ratio) - 1


def uniform_pvalue(values: Array) -> Array:
    """(...,) p-value of the Kolmogorov-Smirnov test that independent `values` (..., n) are uniform on 0 to 1;
    NaN for fewer than thirty.

    The limit distribution with Stephens' (1970) correction for n, good to the second digit from ten values
    on.
    """
    count = values.shape[-1]
    if count < _FEWEST:
        return np.full(values.shape[:-1], np.nan)
    ordered, steps = np.sort(values, axis=-1), np.arange(count + 1) / count
    distance = np.maximum((steps[1:] - ordered).max(axis=-1), (ordered - steps[:-1]).max(axis=-1))
    pvalue: Array = kolmogorov((np.sqrt(count) + 0.12 + 0.11 / np.sqrt(count)) * distance)
    return pvalue


def thirds(values: Array) -> NDArray[np.int64]:
    """(..., n) 0, 1 or 2: the lowest, the middle and the highest third of `values` (..., n), of the same size
    but for one.

    >>> thirds(np.array([5.0, 1.0, 3.0, 2.0, 9.0, 8.0])).tolist()
    [1, 0, 1, 0, 2, 2]
    """
    place, count = np.empty(values.shape, dtype=np.int64), values.shape[-1]
    third = np.broadcast_to(np.arange(count) * 3 // max(count, 1), values.shape)
    np.put_along_axis(place, np.argsort(values, axis=-1, kind="stable"), third, axis=-1)
    return place
