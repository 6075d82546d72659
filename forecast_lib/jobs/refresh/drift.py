"""Whether a model's published forecasts have become worse than the naive ones: a trigger for training it
anew.

One-sided CUSUM (Page 1954) of the standardised difference of the two pinball losses, one step ahead, since
the model was fitted. With an allowance of a quarter of a standard deviation and a limit of eight, forecasts
as good as the naive ones raise the alarm about once in 700 sessions, and forecasts worse by half a standard
deviation within some 30 (means of 4,000 simulated charts of normal scores).
"""

import numpy as np

from forecast_lib.windows.series import Array

__all__ = ["has_drifted"]

_ALLOWANCE, _LIMIT = 0.25, 8.0
_FEWEST = 20


def has_drifted(losses: Array, baseline: Array) -> bool:
    """Whether the alarm is on after the last of these settled forecasts.

    Args:
        losses, baseline: (forecasts,) pinball losses in the order of their sessions; pairs with a NaN are
            left out.

    >>> has_drifted(np.full(60, 1.0), np.full(60, 1.0))
    False
    >>> has_drifted(np.linspace(1.0, 3.0, 60), np.full(60, 1.0))
    True
    """
    excess = losses / np.where(baseline > 0, baseline, np.nan) - 1.0
    excess = excess[np.isfinite(excess)]
    spread = float(excess.std()) if len(excess) >= _FEWEST else 0.0
    if spread == 0.0:
        return False
    total = 0.0
    for each in excess / spread:
        total = max(0.0, total + each - _ALLOWANCE)
    return bool(total > _LIMIT)
