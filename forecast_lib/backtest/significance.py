"""Is a difference between two forecasts more than chance?

Diebold and Mariano (1995) with the correction of Harvey, Leybourne and Newbold (1997) and a variance that
allows for the overlap of neighbouring outcomes (Newey and West 1987): the figures of statsmodels, without the
cost of its regression (a test compares). For all tickers together the loss differences are averaged by date
first: tickers move together, so a date counts once. Of many tickers a twentieth looks significant by chance;
q-values allow for that (Benjamini and Hochberg 1995).
"""

import math

import numpy as np
from scipy.special import stdtr

from forecast_lib.windows.series import Array

__all__ = ["compare_losses", "false_discovery_rates"]

_FEWEST = 30


def compare_losses(losses: Array, baseline_losses: Array, horizon: int) -> tuple[Array, Array]:
    """(...,) statistic and two-sided p-value of the test that both losses have the same mean; NaN, NaN where
    it cannot be tested.

    The statistic is negative where `losses` are smaller than the baseline's.

    Args:
        losses, baseline_losses: (..., n) in the order of time.
        horizon: steps ahead; outcomes of neighbouring cutoffs overlap by one less.
    """
    difference = losses - baseline_losses
    count = difference.shape[-1]
    if count < max(_FEWEST, 3 * horizon):
        return np.full(difference.shape[:-1], math.nan), np.full(difference.shape[:-1], math.nan)
    mean = difference.mean(axis=-1)
    deviation = difference - mean[..., None]
    variance = np.where(np.ptp(difference, axis=-1) == 0.0, math.nan, (deviation**2).sum(axis=-1))
    for lag in range(1, horizon):
        variance += 2 * (1 - lag / horizon) * (deviation[..., lag:] * deviation[..., :-lag]).sum(axis=-1)
    small_sample = math.sqrt((count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count)
    statistic = small_sample * mean * count / np.sqrt(variance)
    return statistic, 2 * stdtr(count - 1, -np.abs(statistic))


def false_discovery_rates(pvalues: Array) -> Array:
    """(n,) q-value of each p-value: rejecting all with q up to 5 %, at most 5 % of the rejections are
    expected to be wrong. NaN stays.

    >>> false_discovery_rates(np.array([0.01, np.nan, 0.04])).tolist()
    [0.02, nan, 0.04]
    """
    rates, known = np.full(len(pvalues), math.nan), np.flatnonzero(np.isfinite(pvalues))
    from_largest = known[np.argsort(pvalues[known], kind="stable")][::-1]
    # Each p-value times the number of tests over its rank from below, at most what the next larger one has.
    adjusted = pvalues[from_largest] * (len(known) / np.arange(len(known), 0, -1))
    rates[from_largest] = np.minimum(np.minimum.accumulate(adjusted), 1.0)
    return rates
