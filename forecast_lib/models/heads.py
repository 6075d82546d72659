"""From a head's raw outputs to a distribution, and how much of its location is believed.

The head gives three numbers a step: location, log scale and degrees of freedom of a Student-t for the
standard score of the log return (the return divided by the volatility known at the cutoff). A head of
zeros is the random walk: location 0, unit variance, six degrees of freedom.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from forecast_lib.windows.series import Array

__all__ = [
    "DF_OFFSET",
    "LOG_SCALE_OFFSET",
    "MIN_DF",
    "OUTPUTS_PER_STEP",
    "Standardised",
    "combined",
    "negative_log_likelihood",
    "shrinkage_of",
    "standardised",
]

OUTPUTS_PER_STEP = 3
MIN_DF = 2.5  # above 2, so that the variance exists
_SURE = 3.0  # standard errors
DF_OFFSET = 3.47  # softplus(3.47) + 2.5 = 6: what daily returns look like before anything is learned
LOG_SCALE_OFFSET = -0.2027  # log(sqrt(4/6)): gives a Student-t with 6 degrees of freedom unit variance


@dataclass(frozen=True)
class Standardised:
    """Student-t parameters of standard scores, each (..., horizon)."""

    location: Array
    scale: Array
    df: Array

    def part(self, chosen: slice | NDArray[np.integer]) -> "Standardised":
        """Those of some of the windows."""
        return Standardised(self.location[chosen], self.scale[chosen], self.df[chosen])


def standardised(raw: NDArray[np.floating], horizon: int) -> Standardised:
    """Parameters of raw outputs (..., 3 * horizon): locations, then log scales, then degrees of freedom.

    Locations stay within one standard deviation, scales within a factor of e squared.

    >>> values = standardised(np.zeros((1, 6)), 2)
    >>> (values.scale**2 * values.df / (values.df - 2)).round(2).tolist()
    [[1.0, 1.0]]
    """
    location, log_scale, df = (
        raw[..., part * horizon : (part + 1) * horizon].astype(np.float64) for part in range(3)
    )
    return Standardised(
        np.tanh(location),
        np.exp(2 * np.tanh(log_scale / 2) + LOG_SCALE_OFFSET),
        MIN_DF + np.logaddexp(0.0, df + DF_OFFSET),
    )


def combined(raws: Sequence[NDArray[np.floating]], horizon: int) -> Standardised:
    """The members of an ensemble as one distribution: means of their locations, scales and degrees of
    freedom.

    For members of one shape that is the average of their quantiles (Vincent 1912; Lichtendahl et al. 2013).
    """
    every = standardised(np.stack(raws), horizon)
    return Standardised(*(part.mean(axis=0) for part in (every.location, every.scale, every.df)))


def negative_log_likelihood(head: Standardised, score: Array) -> Array:
    """(windows, horizon): of standard scores under the Student-t; NaN where the score is."""
    z, df = (score - head.location) / head.scale, head.df
    norm = np.log(special.poch(0.5 * df, 0.5)) - 0.5 * (np.log(df) + np.log(np.pi))
    # As scipy.stats has it, which takes half a second to import.
    return np.log(head.scale) - (norm - (df + 1) / 2 * np.log1p(z * z / df))


def shrinkage_of(location: Array, score: Array) -> Array:
    """(horizon,) how much of each step's location to believe, 0 to 1, from held-out standard scores.

    The least-squares factor of the scores on the locations, less three standard errors: of hundreds of
    tickers and several steps, some meet two by luck. What is not clearly there is not used, and 0, the usual
    answer, makes the point forecast the last price.

    Args:
        location, score: (windows, horizon); windows whose score is NaN are left out.
    """
    factors = np.zeros(location.shape[1])
    for step in range(location.shape[1]):
        known = np.isfinite(score[:, step])
        x, y = location[known, step], score[known, step]
        if len(x) < 20 or not np.any(x):
            continue
        slope = (x @ y) / (x @ x)
        # Overlapping returns repeat each other: `step + 1` of them count as one.
        error = np.sqrt(((y - slope * x) ** 2).mean() / (x @ x) * (step + 1))
        factors[step] = np.clip(slope - _SURE * error, 0.0, 1.0)
    return factors
