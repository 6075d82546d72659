"""*garch*: GARCH(1,1) with Student-t innovations (Bollerslev 1987), by maximum likelihood, with quantiles of
its own.

The price stays: a mean return estimated from the past does harm at twenty sessions in one decade what it does
good in another. Parameters are estimated at fixed sessions (`refits`) and the variance is filtered
forward in between. Over several steps the variances add up by their own recursion, and the quantiles are
those of a Student-t with the same degrees of freedom: exact for one step, a convention for more.

The estimates are those of the library `arch`, whose first variance this takes over; a test compares. `arch`
differentiates by trial, which takes ten times as long and keeps other threads waiting, and a night fits some
1,500 of these.
"""

import functools
from dataclasses import dataclass

import numba
import numpy as np
from scipy.special import digamma, gammaln, stdtrit

from forecast_lib.models.baselines.prediction import (
    LEVELS,
    Prediction,
    running_sum,
    session_returns,
    steps_to,
)
from forecast_lib.models.baselines.refits import FIT_SESSIONS, refits
from forecast_lib.models.baselines.riskmetrics import ewma_variance
from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.series import Array
from forecast_lib.windows.threads import use_one_thread

__all__ = ["garch"]

_FLAT = 1e-5  # root mean square of returns below which there is no volatility to model
_START = np.array([0.02, 0.07, 0.91, 6.0])  # where daily stocks usually end up
_BOUNDS = [(1e-6, 10.0), (0.0, 1.0), (0.0, 1.0), (2.05, 500.0)]
_SMALLEST_VARIANCE = 1e-8
_BACKCAST = 0.94 ** np.arange(75)  # weights of the first squares in the variance before the first session


@dataclass(frozen=True)
class _Process:
    """`variance` (cutoffs,) of the next return; each later one is `constant` plus `persistence` times the one
    before.
    """

    variance: Array
    constant: float
    persistence: float
    df: float


@numba.njit(cache=True, nogil=True)
def _sums(
    squares: Array, first: float, constant: float, square: float, before: float, df: float
) -> tuple[float, Array]:
    """What of the negative log likelihood depends on the data, and its derivatives by the four parameters."""
    loss, slopes = 0.0, np.zeros(4)
    variance, by_constant, by_square, by_before = first, 0.0, 0.0, 0.0
    for at in range(len(squares)):
        if at > 0:
            by_constant = 1.0 + before * by_constant
            by_square = squares[at - 1] + before * by_square
            by_before = variance + before * by_before
            variance = constant + square * squares[at - 1] + before * variance
        ratio = squares[at] / (variance * (df - 2.0))
        share, log = ratio / (1.0 + ratio), np.log1p(ratio)
        loss += 0.5 * np.log(variance) + 0.5 * (df + 1.0) * log
        by_variance = (0.5 - 0.5 * (df + 1.0) * share) / variance
        slopes[0] += by_variance * by_constant
        slopes[1] += by_variance * by_square
        slopes[2] += by_variance * by_before
        slopes[3] += 0.5 * log - 0.5 * (df + 1.0) * share / (df - 2.0)
    return loss, slopes


def _likelihood(parameters: Array, squares: Array, first: float) -> tuple[float, Array]:
    """Negative log likelihood and its gradient, each by return."""
    count, df = len(squares), parameters[3]
    loss, slopes = _sums(squares, first, *parameters)
    norm = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(np.pi * (df - 2))
    slopes[3] -= count * (0.5 * digamma((df + 1) / 2) - 0.5 * digamma(df / 2) - 0.5 / (df - 2))
    return loss / count - norm, slopes / count


def _first_variance(squares: Array) -> float:
    weights = _BACKCAST[: len(squares)]
    return float(weights @ squares[: len(weights)] / weights.sum())


def _fit(squares: Array) -> tuple[float, float, float, float] | None:
    """Constant, weight of the last square, weight of the last variance, degrees of freedom, for squares of
    mean 1; None if it fails.
    """
    from scipy.optimize import fmin_slsqp  # a third of a second that only a fit waits for

    use_one_thread("SciPy")
    first = max(_first_variance(squares), 1e-3)
    at = functools.cache(lambda parameters: _likelihood(np.frombuffer(parameters), squares, first))
    with np.errstate(all="ignore"):
        fitted, loss, *_ = fmin_slsqp(
            lambda p: at(p.tobytes())[0],
            _START,
            fprime=lambda p: at(p.tobytes())[1],
            f_ieqcons=lambda p: 1.0 - p[1] - p[2],  # stationary
            fprime_ieqcons=lambda _: np.array([0.0, -1.0, -1.0, 0.0]),
            bounds=_BOUNDS,
            acc=1e-8,
            iprint=0,
            full_output=True,
        )
    constant, square, before, df = fitted.tolist()
    usable = np.isfinite(loss) and constant > 0 and square + before <= 1.001 and df > 2
    return (constant, square, before, df) if usable else None


def _fitted(returns: Array, known: int, cutoffs: np.ndarray) -> _Process | None:
    """The process fitted on returns up to session `known`, filtered to the cutoffs; None where there is
    nothing to fit.
    """
    start = max(known - FIT_SESSIONS, 0)  # returns[start:known] lead to sessions start + 1 to known
    squares = returns[start : cutoffs[-1]] ** 2
    unit = float(squares[: known - start].mean())
    parameters = _fit(squares[: known - start] / unit) if unit > _FLAT**2 else None
    if parameters is None:
        return None
    constant, square, before, df = parameters
    scaled = squares / unit
    variance = running_sum(constant + square * scaled, before, _first_variance(scaled[: known - start]))
    return _Process(variance[cutoffs - start - 1] * unit, constant * unit, square + before, df)


def _cumulated(process: _Process, horizon: int) -> Array:
    """(cutoffs, horizon): variance of the return to each step."""
    variances = [process.variance]
    for _ in range(1, horizon):
        variances.append(process.constant + process.persistence * variances[-1])
    return np.cumsum(np.stack(variances, axis=1), axis=1)


def garch(features: SessionFeatures, cutoffs: np.ndarray, horizon: int) -> Prediction:
    """Where too little is known, or nothing moves, or the fit fails: EWMA variance with a Student-t of six
    degrees of freedom.
    """
    returns, steps = session_returns(features), steps_to(horizon)
    parts = []
    for known, part in refits(cutoffs):
        process = _fitted(returns, known, cutoffs[part]) if known else None
        process = process or _Process(ewma_variance(features)[cutoffs[part]], 0.0, 1.0, 6.0)
        scale = np.sqrt(np.maximum(_cumulated(process, horizon), _SMALLEST_VARIANCE * steps))
        unit = stdtrit(process.df, LEVELS) * np.sqrt((process.df - 2) / process.df)
        parts.append((scale, scale[..., None] * unit))
    scale, quantiles = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Prediction(np.zeros_like(scale), scale, quantiles)
