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
    scores: Array, order: np.ndarray, lag: int, window: int, ranks: np.ndarray, out: Array
) -> None:
    """Fill `out` of the last places i: the quantiles of the finite scores[i - lag - window + 1 : i - lag +
    1].

    Each quantile is a mark on the line of all scores in their order, of which the window's are lit: one that
    comes or leaves moves it to the next one lit.

    Args:
        order: places of the scores, from the smallest to the largest.
    """
    length, levels = len(scores), ranks.shape[1]
    start, count = length - len(out), 0
    place, lit = np.empty(length, np.int64), np.zeros(length, np.bool_)
    for rank in range(length):
        place[order[rank]] = rank
    for i in range(max(start - lag - window, 0), max(start - lag, 0)):
        if np.isfinite(scores[i]):
            lit[place[i]] = True
            count += 1
    marks, below = np.zeros(levels, np.int64), np.zeros(levels, np.int64)  # `below`: how many lit before it
    for i in range(start, length):
        old, new = i - lag - window, i - lag
        if old >= 0 and np.isfinite(scores[old]):
            lit[place[old]] = False
            count -= 1
            for at in range(levels):
                below[at] -= place[old] < marks[at]
        if new >= 0 and np.isfinite(scores[new]):
            lit[place[new]] = True
            count += 1
            for at in range(levels):
                below[at] += place[new] < marks[at]
        for at in range(levels):
            if not count:
                out[i - start, at] = 0.0
                continue
            mark, before, wanted = marks[at], below[at], ranks[count, at]
            while before > wanted:
                mark -= 1
                before -= lit[mark]
            while before < wanted or not lit[mark]:
                before += lit[mark]
                mark += 1
            marks[at], below[at] = mark, before
            out[i - start, at] = scores[order[mark]]


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


@numba.njit(cache=True, nogil=True)
def _forgetting_sums(weights: Array, values: Array, largest: Array) -> Array:
    """(places,) at each of the last places k: the sum of weights[ago] * min(values[k - ago], largest), the
    newest first.

    Place by place inside, four values in turn, so that each sum has its order, and the processor adds up
    several at once.

    Args:
        weights: a multiple of four; as many values stand before those of the first place.
        largest: (places,).
    """
    sums, first = np.zeros(len(largest)), len(values) - len(largest)
    for ago in range(0, len(weights), 4):
        w0, w1, w2, w3 = weights[ago], weights[ago + 1], weights[ago + 2], weights[ago + 3]
        at = first - ago
        v0, v1, v2, v3 = values[at:], values[at - 1 :], values[at - 2 :], values[at - 3 :]
        for k in range(len(sums)):
            most, total = largest[k], sums[k]
            total += w0 * (v0[k] if v0[k] < most else most)
            total += w1 * (v1[k] if v1[k] < most else most)
            total += w2 * (v2[k] if v2[k] < most else most)
            total += w3 * (v3[k] if v3[k] < most else most)
            sums[k] = total
    return sums


@numba.njit(cache=True, nogil=True)
def _forgetting_means(
    scores: Array, lag: int, window: int, half_life: float, largest: Array, out: Array, counts: Array
) -> None:
    """Fill `out` and `counts` of the last places i: the mean of the finite ones of the last `window`
    scores[: i - lag + 1], at most `largest`, that forgets, and the number of scores without weights whose
    mean is as sure.
    """
    length, wanted = len(scores), len(out)
    keeps, weights = 0.5 ** (1 / half_life), np.ones(window)
    for ago in range(1, window):
        weights[ago] = weights[ago - 1] * keeps
    known, there = np.zeros(window + length), np.zeros(window + length)  # what no place has known is zero
    missing, first = 0, length - wanted - lag  # the newest score of the first place
    for i in range(max(first - window + 1, 0), length - lag):
        finite = np.isfinite(scores[i])
        known[window + lag + i] = scores[i] if finite else 0.0
        there[window + lag + i] = finite
        missing += not finite
    # Where nothing is missing, all places count what the first one does.
    counted = min(wanted, 1) if first >= window - 1 and not missing else wanted
    end, one = window + length - wanted + counted, np.ones(counted)
    totals = _forgetting_sums(weights, known, largest)
    sums, squares = (
        _forgetting_sums(weights, there[:end], one),
        _forgetting_sums(weights * weights, there[:end], one),
    )
    for k in range(wanted):
        all_weights, all_squares = sums[min(k, counted - 1)], squares[min(k, counted - 1)]
        out[k] = totals[k] / all_weights if all_weights > 0 else np.nan
        counts[k] = all_weights * all_weights / all_squares if all_squares > 0 else 0.0


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
    columns = np.ascontiguousarray(scores.T)
    orders = np.argsort(
        np.where(np.isfinite(columns), columns, np.inf), axis=1
    )  # NaN would take ten times as long
    for step in range(1, horizon + 1):  # at cutoff c the outcome of cutoff c - step has just become known
        column, at = columns[step - 1], step - 1
        _rolling_quantiles(column, orders[at], step, CALIBRATION_SESSIONS, _RANKS, conformal[at])
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
