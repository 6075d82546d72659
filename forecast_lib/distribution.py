"""The distribution that published quantiles stand for: between them, beyond them, and below them.

Between two levels the logarithm of the price is a straight line in the log odds ln(p / (1 - p)), beyond the
outermost two the line goes on, so the log return's tails are exponential. Both ways are closed formulas: the
SQL macros say the same.
"""

import numba
import numpy as np

from forecast_lib.domain import QUANTILES
from forecast_lib.windows.series import Array

__all__ = ["expected_shortfalls", "pinball", "pinball_at", "price_at", "probability_below"]

_LEVELS = np.array(QUANTILES)
_LOG_ODDS = np.log(_LEVELS / (1 - _LEVELS))
_SCORED = slice(QUANTILES.index(0.025), QUANTILES.index(0.975) + 1)
_NARROWEST = 1e-12  # log units: a forecast without width says 0 and 1
_FARTHEST = 700.0  # log odds that exp() can still take


def _pair(quantiles: Array, right: np.ndarray) -> tuple[Array, Array]:
    """Log prices at the two levels around each place; `right` is the index of the upper one."""
    low, high = (np.take_along_axis(quantiles, right[..., None] - shift, axis=-1)[..., 0] for shift in (1, 0))
    return np.log(low), np.log(high)


def probability_below(quantiles: Array, prices: Array) -> Array:
    """(...,) the probability of a price up to each of `prices`: the probability integral transform, where
    these are what came true.

    In a forecast without width everything above its one price is 1, everything up to it 0.

    Args:
        quantiles: (..., len(QUANTILES)) prices, positive, ascending. prices: (...,) positive.
    """
    right = np.clip((quantiles < prices[..., None]).sum(axis=-1), 1, len(_LEVELS) - 1)
    low, high = _pair(quantiles, right)
    share = (np.log(prices) - low) / np.maximum(high - low, _NARROWEST)
    score = _LOG_ODDS[right - 1] + (_LOG_ODDS[right] - _LOG_ODDS[right - 1]) * share
    return 1 / (1 + np.exp(np.clip(-score, -_FARTHEST, _FARTHEST)))


def price_at(quantiles: Array, probabilities: Array) -> Array:
    """(...,) the price below which the forecast puts each of `probabilities`, between 0 and 1, both excluded.

    Args:
        quantiles: (..., len(QUANTILES)) prices, positive, ascending. probabilities: (...,).
    """
    right = np.clip(np.searchsorted(_LEVELS, probabilities), 1, len(_LEVELS) - 1)
    low, high = _pair(quantiles, right)
    score = np.log(probabilities / (1 - probabilities))
    share = (score - _LOG_ODDS[right - 1]) / (_LOG_ODDS[right] - _LOG_ODDS[right - 1])
    return np.exp(low + (high - low) * share)


def expected_shortfalls(quantiles: Array) -> tuple[Array, Array]:
    """(...,) mean price below the 1 % quantile, and below the 2.5 % quantile.

    The integrals of the distribution below them, with odds taken for probabilities: below 2.5 % they are the
    same to a fortieth.

    Args:
        quantiles: (..., len(QUANTILES)) prices, positive, ascending.

    >>> shortfall = expected_shortfalls(np.exp(0.01 * _LOG_ODDS))
    >>> np.round(shortfall, 4).tolist()
    [0.9456, 0.9544]
    """
    q005, q01, q025 = (quantiles[..., at] for at in range(3))
    es01 = q01 / (1 + np.log(q01 / q005) / np.log(2))
    between = (0.025 * q025 - 0.01 * q01) / (1 + np.log(q025 / q01) / np.log(2.5))
    return es01, (0.01 * es01 + between) / 0.025


def pinball_at(actual: Array, quantiles: Array, levels: Array) -> Array:
    """(..., levels) pinball loss of each quantile, in price units (Koenker and Bassett 1978).

    Args:
        actual: (...,) prices. quantiles: (..., levels) prices.

    >>> pinball_at(np.array([10.0]), np.array([[8.0, 14.0]]), np.array([0.25, 0.75])).tolist()
    [[0.5, 1.0]]
    """
    error = actual[..., None] - quantiles
    return np.maximum(levels * error, (levels - 1) * error)


def pinball(actual: Array, quantiles: Array) -> Array:
    """Mean of `pinball_at` over the nine levels from 2.5 to 97.5 %, one a forecast.

    The tails beyond have scores of their own: a loss of the middle would hardly see them.

    Args:
        actual: (...,) prices. quantiles: (..., len(QUANTILES)) prices.

    >>> pinball(np.array([10.0]), np.full((1, 13), 10.0)).tolist()
    [0.0]
    """
    if quantiles.shape != (*actual.shape, len(QUANTILES)):
        raise ValueError(
            f"quantiles have shape {quantiles.shape}, expected {(*actual.shape, len(QUANTILES))}"
        )
    scored = quantiles.reshape(-1, len(QUANTILES))[:, _SCORED]
    return _mean_pinball(np.ravel(actual), scored, _LEVELS[_SCORED]).reshape(actual.shape)


@numba.njit(cache=True, nogil=True)
def _mean_pinball(actual: Array, quantiles: Array, levels: Array) -> Array:
    found = np.empty(len(actual))
    for i in range(len(actual)):
        total = 0.0
        for at in range(len(levels)):
            error = actual[i] - quantiles[i, at]
            above, below = levels[at] * error, (levels[at] - 1) * error
            total += above if above >= below else below
        found[i] = total / len(levels)
    return found
