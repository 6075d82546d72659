"""*naive*: the price stays. *drift*: it goes on rising or falling at the mean rate of the last five years.

Both take exponentially weighted volatility (RiskMetrics 1996, on the variance measured from ranges) growing
with the square root of the step; their intervals are calibrated by what came true.
"""

import numpy as np
import pandas as pd

from forecast_lib.models.baselines.prediction import Prediction, ewma_scale, steps_to
from forecast_lib.windows.features import SessionFeatures

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
    returns = pd.Series(np.diff(features.log_close, prepend=np.nan))
    mean = returns.rolling(_DRIFT_SESSIONS, min_periods=20).mean().fillna(0.0).to_numpy()
    return Prediction(mean[cutoffs, None] * steps_to(horizon), ewma_scale(features, cutoffs, horizon))
