"""*empirical*: the quantiles of the last 500 returns of the same length, as they were; no model at all
(historical simulation).
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import ndtri

from forecast_lib.models.baselines.prediction import LEVELS, Prediction, ewma_scale
from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.series import Array
from forecast_lib.windows.trailing import trailing_deviation

__all__ = ["empirical"]

_RETURNS = 500
_FEWEST = 40
_SMALLEST_SCALE = 1e-4  # one basis point


def _ordered(returns: Array, cutoffs: np.ndarray) -> Array:
    """(cutoffs, _RETURNS): the newest `returns` known at each cutoff, ascending, NaN last; entry t of
    `returns` ends at session t.
    """
    padded = np.concatenate([np.full(_RETURNS - 1, np.nan), returns])
    return np.sort(sliding_window_view(padded, _RETURNS)[cutoffs], axis=1)


def _quantiles(ordered: Array, count: np.ndarray) -> Array:
    """(cutoffs, levels): between the values of rank (count + 1) * level, so that a new value falls below with
    that probability.
    """
    place = np.clip((count[:, None] + 1) * LEVELS - 1, 0, np.maximum(count[:, None] - 1, 0))
    low = np.floor(place).astype(int)
    at = np.arange(len(ordered))[:, None]
    below, above = ordered[at, low], ordered[at, np.minimum(low + 1, np.maximum(count[:, None] - 1, 0))]
    return below + (above - below) * (place - low)


def empirical(features: SessionFeatures, cutoffs: np.ndarray, horizon: int) -> Prediction:
    """The median is the centre. Too few returns, or all the same: a normal distribution with EWMA volatility
    around the last price.
    """
    scale = ewma_scale(features, cutoffs, horizon)
    returns = scale[..., None] * ndtri(LEVELS)
    log_close = features.log_close
    for step in range(1, min(horizon, len(log_close) - 1) + 1):
        past = np.concatenate([np.full(step, np.nan), log_close[step:] - log_close[:-step]])
        ordered, count = _ordered(past, cutoffs), np.clip(cutoffs - step + 1, 0, _RETURNS)
        usable = (count >= _FEWEST) & (
            ordered[np.arange(len(cutoffs)), np.maximum(count - 1, 0)] > ordered[:, 0]
        )
        spread = trailing_deviation(past, _RETURNS, _FEWEST, apart=0)[cutoffs]
        returns[usable, step - 1] = _quantiles(ordered[usable], count[usable])
        scale[usable, step - 1] = np.maximum(spread[usable], _SMALLEST_SCALE)
    return Prediction(returns[..., len(LEVELS) // 2].copy(), scale, returns)
