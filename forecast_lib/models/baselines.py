"""The baselines that stand beside every figure, in the same form as a network's prediction: a centre and a scale.

*naive*: the price stays. *drift*: it goes on rising or falling at the mean rate of the last five years. Both take exponentially
weighted volatility (RiskMetrics 1996) growing with the square root of the step; their intervals are calibrated like a network's.
"""

import numpy as np
import pandas as pd

from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.series import Array

__all__ = ["BASELINES", "drift", "naive"]

BASELINES = ("naive", "drift")
_DRIFT_SESSIONS = 1250


def _scale(features: SessionFeatures, cutoffs: np.ndarray, horizon: int) -> Array:
    return features.ewma_sigma[cutoffs, None] * np.sqrt(np.arange(1, horizon + 1))


def naive(features: SessionFeatures, cutoffs: np.ndarray, horizon: int) -> tuple[Array, Array]:
    """Centre (all zero) and scale, each (cutoffs, horizon), of the log return."""
    scale = _scale(features, cutoffs, horizon)
    return np.zeros_like(scale), scale


def drift(features: SessionFeatures, cutoffs: np.ndarray, horizon: int) -> tuple[Array, Array]:
    """Centre and scale, each (cutoffs, horizon); the mean log return uses sessions up to the cutoff only."""
    returns = pd.Series(np.diff(features.log_close, prepend=np.nan))
    mean = returns.rolling(_DRIFT_SESSIONS, min_periods=20).mean().fillna(0.0).to_numpy()
    return mean[cutoffs, None] * np.arange(1, horizon + 1), _scale(features, cutoffs, horizon)
