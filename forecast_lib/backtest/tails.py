"""Was the tail what it was said to be: how often it was passed, whether in a row, and how good value at risk
and shortfall were together.

Joint loss of a quantile and the mean below it: Fissler and Ziegel (2016), in the form of Patton, Ziegel and
Chen (2019), which ranks
forecasts alike in any currency. How often: Kupiec (1995). How often and whether one passing follows another:
Christoffersen (1998).
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


def _log_likelihood(ones: float, count: float, rate: float) -> float:
    return float(xlogy(ones, rate) + xlogy(count - ones, 1 - rate))


def kupiec(passed: NDArray[np.bool_], level: float) -> float:
    """p-value of the test that the forecasts were passed with the probability that they gave.

    Args:
        passed: (n,) whether the actual lay below, of outcomes that do not overlap.

    >>> round(kupiec(np.arange(1000) < 20, 0.01), 4)
    0.0051
    """
    count, ones = len(passed), float(passed.sum())
    if not count:
        return float("nan")
    ratio = 2 * (_log_likelihood(ones, count, ones / count) - _log_likelihood(ones, count, level))
    return float(chdtrc(1, max(ratio, 0.0)))


def christoffersen(passed: NDArray[np.bool_], level: float) -> float:
    """p-value of the test that they were, and independently of whether the one before was.

    Args:
        passed: (n,) in the order of time.

    >>> in_a_row = np.arange(1000) % 500 < 5
    >>> kupiec(in_a_row, 0.01), christoffersen(in_a_row, 0.01) < 1e-9
    (1.0, True)
    """
    before, after = passed[:-1], passed[1:]
    if not len(after):
        return float("nan")
    own = 0.0
    for state in (False, True):
        following = after[before == state]
        own += _log_likelihood(
            float(following.sum()), len(following), float(following.mean()) if len(following) else 0.0
        )
    ratio = 2 * (own - _log_likelihood(float(after.sum()), len(after), level))
    return float(chdtrc(2, max(ratio, 0.0)))
