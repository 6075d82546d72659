"""What a baseline says, and the pieces that several of them share."""

from dataclasses import dataclass

import numba
import numpy as np

from forecast_lib.domain import QUANTILES
from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.series import Array

__all__ = ["LEVELS", "Prediction", "ewma_scale", "running_sum", "session_returns", "steps_to"]

LEVELS = np.array(QUANTILES)

# log units, a factor of e: what moves farther in a session is an unrecorded split or a change of unit
_LARGEST_RETURN = 1.0


@dataclass(frozen=True)
class Prediction:
    """The log return from each cutoff to each step.

    Attributes:
        centre: (cutoffs, horizon), the point forecast.
        scale: (cutoffs, horizon), its standard deviation, positive.
        returns: (cutoffs, horizon, len(QUANTILES)) quantiles of its own, ascending; None: intervals are
            calibrated by what came true.
    """

    centre: Array
    scale: Array
    returns: Array | None = None


@numba.njit(cache=True, nogil=True)
def running_sum(values: Array, share: float, before: float) -> Array:
    """(n,): each value plus `share` of the sum before it; `before` stands before the first.

    >>> running_sum(np.array([1.0, 1.0]), 0.5, 4.0).tolist()
    [3.0, 2.5]
    """
    sums = np.empty_like(values)
    for at in range(len(values)):
        before = values[at] + share * before
        sums[at] = before
    return sums


def steps_to(horizon: int) -> Array:
    """(horizon,): 1, 2, ... as floats."""
    return np.arange(1.0, horizon + 1)


def session_returns(features: SessionFeatures) -> Array:
    """(sessions - 1,) log returns; entry t leads to session t + 1. One beyond a factor of e counts as a
    factor of e.
    """
    return np.clip(np.diff(features.log_close), -_LARGEST_RETURN, _LARGEST_RETURN)


def ewma_scale(features: SessionFeatures, cutoffs: np.ndarray, horizon: int) -> Array:
    """(cutoffs, horizon): exponentially weighted volatility known at the cutoff, growing with the square root
    of the step.
    """
    return features.ewma_sigma[cutoffs, None] * np.sqrt(steps_to(horizon))
