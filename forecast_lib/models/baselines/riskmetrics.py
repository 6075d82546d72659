"""*ewma*: RiskMetrics (J.P. Morgan 1996): exponentially weighted squared returns, decay 0.94, Gaussian
quantiles around the last price.
"""

import numpy as np
from scipy.special import ndtri

from forecast_lib.models.baselines.prediction import LEVELS, Prediction, session_returns, steps_to
from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.series import Array
from forecast_lib.windows.trailing import fading_mean

__all__ = ["ewma", "ewma_variance"]

_DECAY = 0.94
_SMALLEST_VARIANCE = 1e-8  # one basis point a session, squared
_GAUSSIAN = ndtri(LEVELS)


def ewma_variance(features: SessionFeatures) -> Array:
    """(sessions,) variance of the next log return as known at each close."""
    squares = np.concatenate([[np.nan], session_returns(features) ** 2])
    return np.maximum(np.nan_to_num(fading_mean(squares, _DECAY), nan=0.0), _SMALLEST_VARIANCE)


def ewma(features: SessionFeatures, cutoffs: np.ndarray, horizon: int) -> Prediction:
    """A normal distribution around the last price whose variance grows with the step."""
    scale = np.sqrt(ewma_variance(features)[cutoffs, None] * steps_to(horizon))
    return Prediction(np.zeros_like(scale), scale, scale[..., None] * _GAUSSIAN)
