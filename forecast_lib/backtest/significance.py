"""Is a difference to the naive forecast more than chance?

Diebold and Mariano (1995) with the correction of Harvey, Leybourne and Newbold (1997), as in statsmodels. For all tickers together the
loss differences are averaged by date first (tickers move together, so a date counts once), each in units of its ticker's mean
naive loss.
"""

import math

import numpy as np
from statsmodels.tsa.stattools import diebold_mariano_test

from forecast_lib.windows.series import Array

__all__ = ["compare_losses"]

_FEWEST = 30


def compare_losses(losses: Array, baseline_losses: Array, horizon: int) -> tuple[float, float]:
    """Statistic and two-sided p-value of the test that both losses have the same mean; NaN, NaN where it cannot be tested.

    The statistic is negative where `losses` are smaller than the baseline's.

    Args:
        losses, baseline_losses: (n,) in the order of time.
        horizon: steps ahead; outcomes of neighbouring cutoffs overlap by one less.
    """
    difference = losses - baseline_losses
    if len(difference) < max(_FEWEST, 3 * horizon) or np.ptp(difference) == 0.0:
        return math.nan, math.nan
    result = diebold_mariano_test(
        np.zeros_like(difference), losses, baseline_losses, criterion=_given_loss, lags=horizon - 1, harvey_adj=True, horizon=horizon
    )
    return float(result.statistic), float(result.pvalue)


def _given_loss(_actual: Array, losses: Array) -> Array:
    return losses
