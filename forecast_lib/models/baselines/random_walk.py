"""*naive*: the price stays. *drift*: it goes on rising or falling at the mean rate of the last five years.

Both take exponentially weighted volatility (RiskMetrics 1996, on the variance measured from ranges) growing
with the square root of the step; their intervals are calibrated by what came true.
"""

import numpy as np

from forecast_lib.models.baselines.prediction import Prediction, ewma_scale, steps_to
from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.trailing import trailing_mean

__all__ = ["drift", "naive"]

_DRIFT_SESSIONS = 1250


def naive(features: SessionFeatures, cutoffs: np.ndarray, horizon: int) -> Prediction:
    """A centre of zero: the random walk."""
    scale = ewma_scale(features, cutoffs, horizon)
    return Prediction(np.zeros_like(scale), scale)


def drift(features: SessionFeatures, cutoffs: np.ndarray, horizon: int) -> Prediction:
    """The random walk with the mean log return of the sessions up to the cutoff; zero while fewer than twenty
    are known.
    """
    returns = np.diff(features.log_close, prepend=np.nan)
    mean = np.nan_to_num(trailing_mean(returns, _DRIFT_SESSIONS, fewest=20), nan=0.0)
    return Prediction(mean[cutoffs, None] * steps_to(horizon), ewma_scale(features, cutoffs, horizon))
