"""Losses and scores of forecasts. All take arrays of the same shape and refuse others; sums never broadcast by accident.

Pinball loss: Koenker and Bassett (1978). Winkler (interval) score: Winkler (1972), Gneiting and Raftery (2007). MASE: Hyndman and
Koehler (2006), scaled by the naive forecast's error on the same cutoffs.
"""

import numpy as np

from forecast_lib.domain import QUANTILES
from forecast_lib.windows.series import Array

__all__ = ["inside", "pinball", "winkler"]

_LEVELS = np.array(QUANTILES)
_AT = {level: at for at, level in enumerate(QUANTILES)}


def _check(actual: Array, quantiles: Array) -> None:
    if quantiles.shape != (*actual.shape, len(QUANTILES)):
        raise ValueError(f"quantiles have shape {quantiles.shape}, expected {(*actual.shape, len(QUANTILES))}")


def pinball(actual: Array, quantiles: Array) -> Array:
    """Mean pinball loss over the published levels, in price units, one a forecast.

    Args:
        actual: (...,) prices. quantiles: (..., 9) prices.

    >>> pinball(np.array([10.0]), np.full((1, 9), 10.0)).tolist()
    [0.0]
    """
    _check(actual, quantiles)
    error = actual[..., None] - quantiles
    return np.maximum(_LEVELS * error, (_LEVELS - 1) * error).mean(axis=-1)


def _bounds(quantiles: Array, coverage: float) -> tuple[Array, Array]:
    low, high = (1 - coverage) / 2, (1 + coverage) / 2
    return quantiles[..., _AT[round(low, 3)]], quantiles[..., _AT[round(high, 3)]]


def inside(actual: Array, quantiles: Array, coverage: float) -> np.ndarray:
    """Whether each actual lies in the central interval of this coverage (0.5, 0.8, 0.9 or 0.95), borders included."""
    _check(actual, quantiles)
    low, high = _bounds(quantiles, coverage)
    return (actual >= low) & (actual <= high)


def winkler(actual: Array, quantiles: Array, coverage: float) -> Array:
    """Width of the central interval plus a penalty for missing it, in price units; lower is better."""
    _check(actual, quantiles)
    low, high = _bounds(quantiles, coverage)
    penalty = 2 / (1 - coverage)
    return (high - low) + penalty * (np.maximum(low - actual, 0) + np.maximum(actual - high, 0))
