"""Intervals that hold what they say: recalibrated at each cutoff on what has come true by then.

Around a centre and a scale of the log return, a central interval reaches so many scales to both sides. How
many is learned from the scores |return - centre| / scale of the last 500 cutoffs whose outcome is known:
their conformal quantile (Vovk et al. 2005; Lei et al. 2018). A distribution that brings a shape of its own (a
network's Student-t) is met half way: the geometric mean of its multiplier and the conformal one, which is
less noisy in the tails than either 12 exceedances or a fitted tail alone. Where its scale is clearly wrong,
it is put right first.

Then the reach follows what is true lately: the mean of the scores in which each counts half as much as one 30
cutoffs later, over that of the 500. The logarithm x of this ratio counts x^2 / (x^2 + e^2) of itself, e the
standard error of such a mean: what chance explains moves next to nothing, a break in the market nearly all,
and no evening is a cliff.
"""

from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
from scipy import special

from forecast_lib.windows.series import Array

__all__ = ["CALIBRATION_SESSIONS", "COVERAGES", "Shape", "multipliers", "student_t_shape", "variance_factor"]

CALIBRATION_SESSIONS = 500
COVERAGES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
_HALF_LIFE = 30.0
"""Cutoffs, times the square root of the step, for outcomes of several sessions overlap; chosen on 2006 to
2012, where 20 to 40 hardly differ.
"""
_NOISE = 0.84
"""Of |t| with 6 degrees of freedom, standard deviation over mean: that of a mean of n is 0.84 / sqrt(n)."""
_LARGEST_SCORE = 5.0  # of the mean of 500: one crash is no new normal
# log units, times the square root of the step: beyond that a mean of 500 scores contradicts the distribution
_WRONG_SCALE = 0.15
_MIN_SCORES = 40
# Of |t| with 6 degrees of freedom and unit variance, until there are scores enough.
_PRIOR = np.array([0.586, 1.176, 1.587, 1.998, 2.566, 3.027])
# of the prior: after a standstill every score is zero, and an interval without width says "certainly"
_NARROWEST = 0.1
_LARGEST_RATIO = 25.0  # of a session's variance to its forecast: one crash must not stand for 500 sessions


@dataclass(frozen=True)
class Shape:
    """What a distribution itself says of its scores.

    Attributes:
        reach: (..., coverages) how many scales its central intervals reach.
        mean: (...,) mean of |score|.
    """

    reach: Array
    mean: Array


def _ranks() -> Array:
    # Row n: ranks (from 0) of the conformal quantiles among n scores.
    counts = np.arange(CALIBRATION_SESSIONS + 1)[:, None]
    return np.maximum(np.minimum(np.ceil((counts + 1) * np.array(COVERAGES)), counts) - 1, 0).astype(np.int64)


_RANKS = _ranks()


@numba.njit(cache=True, nogil=True)
def _rolling_quantiles(scores: Array, lag: int, window: int, ranks: np.ndarray, out: Array) -> None:
    """Fill `out` of the last places i: the quantiles of the finite scores[i - lag - window + 1 : i - lag +
    1].
    """
    ordered, start = np.empty(window), len(scores) - len(out)
    before = scores[max(start - lag - window, 0) : max(start - lag, 0)]
    count = int(np.isfinite(before).sum())
    ordered[:count] = np.sort(before[np.isfinite(before)])
    for i in range(start, len(scores)):
        old, new = i - lag - window, i - lag
        leaves, comes = old >= 0 and np.isfinite(scores[old]), new >= 0 and np.isfinite(scores[new])
        hole = (
            count  # behind the last, or where one leaves; what lies between it and the new one's place moves
        )
        if leaves:
            hole = np.searchsorted(ordered[:count], scores[old])
            count -= 1
        if comes:
            while hole > 0 and ordered[hole - 1] >= scores[new]:
                ordered[hole] = ordered[hole - 1]
                hole -= 1
            while hole < count and ordered[hole + 1] < scores[new]:
                ordered[hole] = ordered[hole + 1]
                hole += 1
            ordered[hole] = scores[new]
            count += 1
        else:
            for place in range(hole, count):
                ordered[place] = ordered[place + 1]
        for at in range(ranks.shape[1]):
            out[i - start, at] = ordered[ranks[count, at]] if count else 0.0


@numba.njit(cache=True, nogil=True)
def _rolling_means(values: Array, window: int, wanted: int) -> tuple[Array, np.ndarray]:
    """(wanted, steps) at each of the last `wanted` places i, of the column of step s: mean and number of the
    finite values[i - s - window + 1 : i - s + 1].
    """
    length, steps = values.shape
    means, numbers = np.empty((wanted, steps)), np.empty((wanted, steps), np.int64)
    totals, counts = np.zeros(length + 1), np.zeros(length + 1, np.int64)
    for column in range(steps):
        for i in range(length):
            known = np.isfinite(values[i, column])
            totals[i + 1] = totals[i] + (values[i, column] if known else 0.0)
            counts[i + 1] = counts[i] + known
        for k in range(wanted):
            end = max(length - wanted + k - column, 0)
            start = max(end - window, 0)
            number = counts[end] - counts[start]
            means[k, column] = (totals[end] - totals[start]) / max(number, 1)
            numbers[k, column] = number
    return means, numbers


# Loops from zero over few arrays: what LLVM turns into vector code.


@numba.njit(cache=True, nogil=True)
def _add(totals: Array, weight: float, values: Array) -> None:
    for n in range(len(totals)):
        totals[n] += weight * values[n]


@numba.njit(cache=True, nogil=True)
def _add_up(totals: Array, weight: float, values: Array, largest: Array) -> None:
    for n in range(len(totals)):
        totals[n] += weight * (values[n] if values[n] < largest[n] else largest[n])


@numba.njit(cache=True, nogil=True)
def _forgetting_means(
    scores: Array, lag: int, window: int, half_life: float, largest: Array, out: Array, counts: Array
) -> None:
    """Fill `out` and `counts` of the last places i: the mean of the finite ones of the last `window`
    scores[: i - lag + 1], at most `largest`, that forgets, and the number of scores without weights whose
    mean is as sure.

    Place by place inside, so that each sum has its order, and the processor adds up several at once.
    """
    wanted, keeps, weight = len(out), 0.5 ** (1 / half_life), 1.0
    finite = np.isfinite(scores)
    there, known = np.where(finite, 1.0, 0.0), np.where(finite, scores, 0.0)
    totals, weights, squares = np.zeros(wanted), np.zeros(wanted), np.zeros(wanted)
    first = len(scores) - wanted - lag  # the newest score of the first place
    for ago in range(window):
        begin = min(max(ago - first, 0), wanted)
        places, newest = slice(begin, wanted), slice(first + begin - ago, first + wanted - ago)
        _add_up(totals[places], weight, known[newest], largest[places])
        _add(weights[places], weight, there[newest])
        _add(squares[places], weight * weight, there[newest])
        weight *= keeps
    for k in range(wanted):
        out[k] = totals[k] / weights[k] if weights[k] > 0 else np.nan
        counts[k] = weights[k] * weights[k] / squares[k] if squares[k] > 0 else 0.0


def _lately(recent: Array, usual: Array, sure: Array) -> Array:
    """(wanted, horizon): by how much scores are larger lately than over the last 500 cutoffs, as far as it is
    not chance; one where nothing is told.

    Args:
        recent, usual: means of scores. sure: how many scores `recent` is as good as.
    """
    told = (usual > 0) & (recent > 0)
    log = np.log(np.clip(np.where(told, recent, 1.0) / np.where(told, usual, 1.0), 0.2, 5.0))
    steps = np.arange(1, log.shape[1] + 1)
    shrunk: Array = np.exp(log**3 / (log**2 + _NOISE**2 * steps / np.maximum(sure, 1.0)))
    return shrunk


def _righted(own: Shape, usual: Array) -> Array:
    """(wanted, horizon, coverages): the shape's reach, with its scale put right where the scores contradict
    it.
    """
    factor = np.where(usual > 0, usual, 1.0) / own.mean
    steps = np.minimum(np.arange(1, factor.shape[1] + 1), 5)
    wrong = (usual > 0) & (np.abs(np.log(factor)) > _WRONG_SCALE * np.sqrt(steps))
    return own.reach * np.where(wrong, factor, 1.0)[..., None]


def multipliers(scores: Array, wanted: int, own: Shape | None = None) -> Array:
    """(wanted, horizon, coverages): how many scales an interval reaches, for the last `wanted` cutoffs of
    `scores`.

    Args:
        scores: (cutoffs, horizon) of consecutive cutoffs, NaN where the outcome is not known; at a cutoff
            only those are used whose outcome is known there.
        own: of the last `wanted` cutoffs, (wanted, horizon, ...); None: conformal alone.
    """
    horizon = scores.shape[1]
    usual, number = _rolling_means(scores, CALIBRATION_SESSIONS, wanted)
    enough = number >= _MIN_SCORES
    conformal, recent = np.empty((horizon, wanted, len(COVERAGES))), np.ones((horizon, wanted))
    sure = np.ones((horizon, wanted))
    for step in range(1, horizon + 1):  # at cutoff c the outcome of cutoff c - step has just become known
        column, at = np.ascontiguousarray(scores[:, step - 1]), step - 1
        _rolling_quantiles(column, step, CALIBRATION_SESSIONS, _RANKS, conformal[at])
        if own is not None:
            largest = _LARGEST_SCORE * usual[:, at]
            half_life = _HALF_LIFE * np.sqrt(step)
            _forgetting_means(column, step, CALIBRATION_SESSIONS, half_life, largest, recent[at], sure[at])
    reach = np.maximum(conformal.swapaxes(0, 1), _NARROWEST * _PRIOR)
    if own is None:
        return np.where(enough[..., None], reach, _PRIOR)
    told = np.where(enough, usual, 0.0)
    met = np.sqrt(_righted(own, told) * reach)
    return np.where(enough[..., None], met, own.reach) * _lately(recent.T, told, sure.T)[..., None]


def variance_factor(ratios: Array, wanted: int) -> Array:
    """(wanted, horizon): by how much the variance that came was larger than the one forecast, over the last
    500 known cutoffs.

    Args:
        ratios: (cutoffs, horizon) realised over forecast variance, NaN where not known.
    """
    mean, number = _rolling_means(np.minimum(ratios, _LARGEST_RATIO), CALIBRATION_SESSIONS, wanted)
    return np.where((number >= _MIN_SCORES) & (mean > 0), mean, 1.0)


@lru_cache(maxsize=1)
def _student_t_table() -> tuple[Array, Array]:
    inverse = np.linspace(0.0, 0.45, 226)  # of the degrees of freedom: the quantiles are smooth in it
    df = 1.0 / np.maximum(inverse, 1e-9)
    mean = (
        2
        * np.sqrt(df)
        / (df - 1)
        * np.exp(special.gammaln((df + 1) / 2) - special.gammaln(df / 2))
        / np.sqrt(np.pi)
    )
    mean[0] = np.sqrt(2 / np.pi)  # of a normal
    return inverse, np.stack([*(special.stdtrit(df, (1 + coverage) / 2) for coverage in COVERAGES), mean])


def student_t_shape(df: Array) -> Shape:
    """The shape of a Student-t; degrees of freedom above 2.3, interpolated to five digits.

    >>> student_t_shape(np.array([6.0])).reach.round(3).tolist()
    [[0.718, 1.44, 1.943, 2.447, 3.143, 3.707]]
    """
    inverse, table = _student_t_table()
    *reach, mean = (np.interp(1.0 / df, inverse, row) for row in table)
    return Shape(np.stack(reach, axis=-1), mean)
