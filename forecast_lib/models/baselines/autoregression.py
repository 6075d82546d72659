"""*ar1*: the next return is a constant plus a share of the last one, by least squares over the last five
years.

Volatility and intervals are those of naive.
"""

import numpy as np

from forecast_lib.models.baselines.prediction import Prediction, ewma_scale, session_returns, steps_to
from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.series import Array

__all__ = ["ar1"]

_PAIRS = 1250
_FEWEST = 20
_STEADY = 0.99  # beyond it the return would not die out


def _trailing_sums(values: Array) -> Array:
    """Sums of the last `_PAIRS` values up to each."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(1, len(total))
    return total[at] - total[np.maximum(at - _PAIRS, 0)]


def _coefficients(returns: Array) -> tuple[Array, Array]:
    """Mean return and share of the last one, as known at each session; zero while fewer than `_FEWEST` pairs
    are.
    """
    mean, share = np.zeros(len(returns) + 1), np.zeros(len(returns) + 1)
    before, after = returns[:-1], returns[1:]
    count = np.minimum(np.arange(1, len(after) + 1), _PAIRS)
    x, y, xx, xy = (_trailing_sums(values) / count for values in (before, after, before**2, before * after))
    spread = xx - x**2
    slope = np.where(spread > 1e-6 * xx, (xy - x * y) / np.where(spread > 0, spread, 1.0), 0.0)
    slope = np.clip(slope, -_STEADY, _STEADY)
    enough = count >= _FEWEST
    share[2:] = np.where(enough, slope, 0.0)
    mean[2:] = np.where(enough, (y - slope * x) / (1 - slope), 0.0)
    return mean, share


def ar1(features: SessionFeatures, cutoffs: np.ndarray, horizon: int) -> Prediction:
    """An autoregression of order one on log returns; its forecasts of later returns fall back to the mean
    geometrically.
    """
    returns = session_returns(features)
    mean, share = _coefficients(returns)
    newest = np.concatenate([[0.0], returns])
    steps = steps_to(horizon)
    excess, share = (newest - mean)[cutoffs, None], share[cutoffs, None]
    centre = mean[cutoffs, None] * steps + excess * share * (1 - share**steps) / (1 - share)
    return Prediction(centre, ewma_scale(features, cutoffs, horizon))
