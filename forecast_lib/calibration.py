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
def _rolling_quantiles(
    scores: Array, lag: int, window: int, ranks: np.ndarray, start: int, out: Array, counts: np.ndarray
) -> None:
    """Fill `out` and `counts` from `start` on: at i the quantiles and the number of finite scores[i - lag -
    window + 1 : i - lag + 1].
    """
    ordered = np.empty(window)
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
        counts[i - start] = count
        for at in range(ranks.shape[1]):
            out[i - start, at] = ordered[ranks[count, at]] if count else 0.0


def _rolling_mean(values: Array, lag: int, window: int, wanted: int) -> tuple[Array, np.ndarray]:
    """For the last `wanted` places i: mean and number of the finite values[i - lag - window + 1 : i - lag +
    1].
    """
    known = np.isfinite(values)
    totals = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    ends = np.maximum(np.arange(len(values) - wanted, len(values)) - lag + 1, 0)
    starts = np.maximum(ends - window, 0)
    number = counts[ends] - counts[starts]
    return (totals[ends] - totals[starts]) / np.maximum(number, 1), number


@numba.njit(cache=True, nogil=True)
def _forgetting_means(
    scores: Array, lag: int, half_life: float, largest: Array, out: Array, counts: Array
) -> None:
    """Fill `out` and `counts` of the last places i: the mean of the finite scores[: i - lag + 1], at most
    `largest`, that forgets, and the number of scores without weights whose mean is as sure.
    """
    keeps = 0.5 ** (1 / half_life)
    for k in range(len(out)):
        newest = len(scores) - len(out) + k - lag
        total, weights, squares, weight = 0.0, 0.0, 0.0, 1.0
        for j in range(newest, max(newest - CALIBRATION_SESSIONS, -1), -1):
            if np.isfinite(scores[j]):
                total += weight * min(scores[j], largest[k])
                weights += weight
                squares += weight * weight
            weight *= keeps
        out[k] = total / weights if weights > 0 else np.nan
        counts[k] = weights * weights / squares if squares > 0 else 0.0


def _lately(scores: Array, step: int, wanted: int) -> Array:
    """(wanted,): by how much scores are larger lately than over the last 500 cutoffs, as far as it is not
    chance.
    """
    usual, number = _rolling_mean(scores, step, CALIBRATION_SESSIONS, wanted)
    recent, counts = np.empty(wanted), np.empty(wanted)
    _forgetting_means(scores, step, _HALF_LIFE * np.sqrt(step), _LARGEST_SCORE * usual, recent, counts)
    told = (number >= _MIN_SCORES) & (usual > 0) & (recent > 0)
    log = np.log(np.clip(np.where(told, recent, 1.0) / np.where(told, usual, 1.0), 0.2, 5.0))
    chance = _NOISE**2 * step / np.maximum(counts, 1.0)
    shrunk: Array = np.exp(log**3 / (log**2 + chance))
    return shrunk


def _righted(own: Shape, scores: Array, step: int, wanted: int) -> Array:
    """(wanted, coverages): the shape's reach of a step, with its scale put right where the scores contradict
    it.
    """
    mean, number = _rolling_mean(scores, step, CALIBRATION_SESSIONS, wanted)
    factor = np.where(mean > 0, mean, 1.0) / own.mean[:, step - 1]
    wrong = (
        (number >= _MIN_SCORES) & (mean > 0) & (np.abs(np.log(factor)) > _WRONG_SCALE * np.sqrt(min(step, 5)))
    )
    return own.reach[:, step - 1] * np.where(wrong, factor, 1.0)[:, None]


def multipliers(scores: Array, wanted: int, own: Shape | None = None) -> Array:
    """(wanted, horizon, coverages): how many scales an interval reaches, for the last `wanted` cutoffs of
    `scores`.

    Args:
        scores: (cutoffs, horizon) of consecutive cutoffs, NaN where the outcome is not known; at a cutoff
            only those are used whose outcome is known there.
        own: of the last `wanted` cutoffs, (wanted, horizon, ...); None: conformal alone.
    """
    horizon = scores.shape[1]
    reach = np.tile(_PRIOR, (wanted, horizon, 1)) if own is None else own.reach.copy()
    found, counts = np.empty((wanted, len(COVERAGES))), np.empty(wanted, np.int64)
    for step in range(1, horizon + 1):  # at cutoff c the outcome of cutoff c - step has just become known
        column = np.ascontiguousarray(scores[:, step - 1])
        _rolling_quantiles(column, step, CALIBRATION_SESSIONS, _RANKS, len(column) - wanted, found, counts)
        enough = counts >= _MIN_SCORES
        conformal = np.maximum(found[enough], _NARROWEST * _PRIOR)
        if own is None:
            reach[enough, step - 1] = conformal
        else:
            reach[enough, step - 1] = np.sqrt(_righted(own, column, step, wanted)[enough] * conformal)
            reach[:, step - 1] *= _lately(column, step, wanted)[:, None]
    return reach


def variance_factor(ratios: Array, wanted: int) -> Array:
    """(wanted, horizon): by how much the variance that came was larger than the one forecast, over the last
    500 known cutoffs.

    Args:
        ratios: (cutoffs, horizon) realised over forecast variance, NaN where not known.
    """
    factors = np.ones((wanted, ratios.shape[1]))
    for step in range(1, ratios.shape[1] + 1):
        mean, number = _rolling_mean(
            np.minimum(ratios[:, step - 1], _LARGEST_RATIO), step, CALIBRATION_SESSIONS, wanted
        )
        enough = (number >= _MIN_SCORES) & (mean > 0)
        factors[enough, step - 1] = mean[enough]
    return factors


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
