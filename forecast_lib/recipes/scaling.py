"""The walkthroughs' scaler: the smallest value becomes 0, the largest 1.

What it is fitted on decides whether the future leaks: fitted on the whole series it tells the training years
how high the price will go.
"""

from dataclasses import dataclass

from forecast_lib.windows.series import Array

__all__ = ["NOT_SCALED", "MinMax", "fit_min_max"]


@dataclass(frozen=True)
class MinMax:
    """A linear map of `low` to 0 and `low + width` to 1; values beyond go beyond."""

    low: float
    width: float

    def scale(self, values: Array) -> Array:
        """From the series' own unit to 0..1."""
        return (values - self.low) / self.width

    def unscale(self, values: Array) -> Array:
        """The inverse of `scale`.

        >>> import numpy as np
        >>> fit_min_max(np.array([2.0, 6.0])).unscale(np.array([0.0, 0.5, 1.5])).tolist()
        [2.0, 4.0, 8.0]
        """
        return values * self.width + self.low


NOT_SCALED = MinMax(0.0, 1.0)
"""Leaves values as they are, to the last bit."""


def fit_min_max(values: Array) -> MinMax:
    """The scaler of these values; a constant series is only moved, as scikit-learn does it."""
    low, high = float(values.min()), float(values.max())
    return MinMax(low, high - low if high > low else 1.0)
