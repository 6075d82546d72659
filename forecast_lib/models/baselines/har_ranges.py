"""*har*: a heterogeneous autoregression (Corsi 2009) of the variance measured from ranges.

The price stays; the volatility is `windows.scaling.VolatilityScale` on the variances of 1, 5, 22 and 66
sessions alone, estimated at fixed sessions (`refits`); the intervals are calibrated by what came true. It
sees open, high and low, and so is the fair rival of a network that does.
"""

import numpy as np

from forecast_lib.models.baselines.prediction import Prediction, ewma_scale
from forecast_lib.models.baselines.refits import FIT_SESSIONS, refits
from forecast_lib.windows.features import WARM_UP, SessionFeatures
from forecast_lib.windows.scaling import Sample, fit_volatility_scale
from forecast_lib.windows.series import Array

__all__ = ["har"]

_FEWEST = 20


def _scale(features: SessionFeatures, known: int | None, cutoffs: np.ndarray, horizon: int) -> Array:
    last = (known or 0) - horizon + 1  # the variances it is compared with lie up to session `known`
    first = max(last - FIT_SESSIONS, WARM_UP)
    if last - first < _FEWEST:
        return ewma_scale(features, cutoffs, horizon)
    inputs = features.log_variances
    return fit_volatility_scale(Sample(inputs, features, first, last), horizon).sigma(inputs[cutoffs])


def har(features: SessionFeatures, cutoffs: np.ndarray, horizon: int) -> Prediction:
    """A centre of zero and the regression's scale; EWMA volatility while too little is known."""
    scale = np.concatenate(
        [_scale(features, known, cutoffs[part], horizon) for known, part in refits(cutoffs)]
    )
    return Prediction(np.zeros_like(scale), scale)
