"""*ets*: simple exponential smoothing of the log price, ETS(A,N,N) of Hyndman et al. (2008): the price
returns to a smoothed level.

The weight of the newest price is chosen by least squares at fixed sessions (`refits`). Where it is 1, and for
prices it usually nearly is, this is the naive forecast. Volatility is that of naive; intervals are calibrated
by what came true.
"""

import numpy as np

from forecast_lib.models.baselines.prediction import Prediction, running_sum, session_returns, steps_to
from forecast_lib.models.baselines.refits import FIT_SESSIONS, refits
from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.series import Array

__all__ = ["ets"]

_SMALLEST_WEIGHT = 0.05  # a level older than some twenty sessions is no forecast of a price


def smoothed(values: Array, weight: float) -> Array:
    """The level after each value, starting from the first: `weight` times the value plus the rest of the
    level before.

    >>> smoothed(np.array([0.0, 1.0, 1.0]), 0.5).tolist()
    [0.0, 0.5, 0.75]
    """
    return running_sum(weight * values, 1 - weight, values[0])


def best_weight(values: Array) -> float:
    """The weight whose level is nearest to the next value, in squares; 1 where the values never change."""
    if np.ptp(values) == 0.0:
        return 1.0
    from scipy.optimize import minimize_scalar  # as in `garch_t`

    def squares(weight: float) -> float:
        return float(((values[1:] - smoothed(values, weight)[:-1]) ** 2).sum())

    inside = minimize_scalar(
        squares, bounds=(_SMALLEST_WEIGHT, 1.0), method="bounded", options={"xatol": 1e-4}
    )
    return float(inside.x) if inside.fun < squares(1.0) else 1.0


def _gap(values: Array, known: int | None, cutoffs: np.ndarray) -> tuple[Array, float]:
    """Level less newest value at each cutoff, and the weight."""
    first = max((known or 0) - FIT_SESSIONS, 0)
    weight = best_weight(values[first : known + 1]) if known else 1.0
    level = smoothed(values[first : cutoffs[-1] + 1], weight)
    return level[cutoffs - first] - values[cutoffs], weight


def ets(features: SessionFeatures, cutoffs: np.ndarray, horizon: int) -> Prediction:
    """The level as forecast of every step; variances of the steps stand to each other as the model says
    (ibid., table 6.1).
    """
    values = np.concatenate([[0.0], np.cumsum(session_returns(features))])
    steps = steps_to(horizon)
    centres, growths = [], []
    for known, part in refits(cutoffs):
        gap, weight = _gap(values, known, cutoffs[part])
        centres.append(np.repeat(gap[:, None], horizon, axis=1))
        growths.append(np.tile(np.sqrt(1 + (steps - 1) * weight**2), (len(gap), 1)))
    return Prediction(np.concatenate(centres), features.ewma_sigma[cutoffs, None] * np.concatenate(growths))
