"""Was the tail what it was said to be: how often it was passed, whether in a row, and how good value at risk
and shortfall were together.

Joint loss of a quantile and the mean below it: Fissler and Ziegel (2016), in the form of Patton, Ziegel and
Chen (2019), which ranks forecasts alike in any currency. How often: Kupiec (1995). How often and whether one
passing follows another: Christoffersen (1998).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, xlogy

from forecast_lib.windows.series import Array

__all__ = ["christoffersen", "joint_loss", "kupiec"]

_SMALLEST = 1e-6  # of a loss: a shortfall above the last close says "no risk", which has no logarithm


def joint_loss(returns: Array, value_at_risk: Array, shortfall: Array, level: float) -> Array:
    """(n,) loss of a quantile and the mean below it, of simple returns; lower is better.

    Args:
        returns: (n,) what came true. value_at_risk, shortfall: (n,) forecast quantile of this level, and mean
            below it.

    >>> joint_loss(np.array([0.0, -0.03]), np.full(2, -0.02), np.full(2, -0.025), 0.025).round(4).tolist()
    [-3.8889, 12.1111]
    """
    mean = np.minimum(shortfall, -_SMALLEST)
    quantile = np.maximum(np.minimum(value_at_risk, -_SMALLEST), mean)
    return (
        np.where(returns <= quantile, quantile - returns, 0.0) / (-level * mean)
        + quantile / mean
        + np.log(-mean)
        - 1
    )


def _log_likelihood(ones: Array, count: Array, level: float | Array | None = None) -> Array:
    """Of so many ones among so many; with the rate at which they came where no other is given."""
    rate = ones / np.maximum(count, 1) if level is None else level
    likelihood: Array = xlogy(ones, rate) + xlogy(count - ones, 1 - rate)
    return likelihood


def _pvalue(own: Array, expected: Array, freedom: int, count: int) -> Array:
    """Of a likelihood ratio; NaN where nothing is counted."""
    ratio = np.maximum(2 * (own - expected), 0.0)
    return np.where(count > 0, chdtrc(freedom, ratio), np.nan)


def kupiec(passed: NDArray[np.bool_], level: float | Array) -> Array:
    """(...,) p-value of the test that the forecasts were passed with the probability that they gave.

    Args:
        passed: (..., n) whether the actual lay below, of outcomes that do not overlap.
        level: that probability; one, or (...,).

    >>> kupiec(np.arange(1000) < 20, 0.01).round(4).item()
    0.0051
    """
    count, ones = passed.shape[-1], passed.sum(axis=-1).astype(float)
    every = np.asarray(float(count))
    return _pvalue(_log_likelihood(ones, every), _log_likelihood(ones, every, level), 1, count)


def christoffersen(passed: NDArray[np.bool_], level: float | Array) -> Array:
    """(...,) p-value of the test that they were, and independently of whether the one before was.

    Args:
        passed, level: as of `kupiec`, in the order of time.

    >>> in_a_row = np.arange(1000) % 500 < 5
    >>> kupiec(in_a_row, 0.01).item(), (christoffersen(in_a_row, 0.01) < 1e-9).item()
    (1.0, True)
    """
    before, after = passed[..., :-1], passed[..., 1:]
    own = sum(
        _log_likelihood((after & state).sum(axis=-1).astype(float), state.sum(axis=-1).astype(float))
        for state in (~before, before)
    )
    ones, count = after.sum(axis=-1).astype(float), after.shape[-1]
    return _pvalue(np.asarray(own), _log_likelihood(ones, np.asarray(float(count)), level), 2, count)
