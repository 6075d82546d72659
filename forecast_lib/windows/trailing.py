"""Trailing means, sums and deviations of a series, and means that fade: what pandas' `rolling` and `ewm` say,
to the last bit (a test compares), in a twentieth of the time of their calls, of which a night makes twenty a
ticker.

A sum loses what leaves the window and gains what comes, each with its own compensation (Kahan 1965); so do a
mean and the squares around it (Welford 1962), which are made anew where next to nothing of them is left. What
is not finite does not count; a window of equal values has exactly their mean.
"""

import numba
import numpy as np

from forecast_lib.windows.series import Array

__all__ = ["expanding_mean", "fading_mean", "trailing_deviation", "trailing_mean", "trailing_sum"]

_CANCELLED = 1e3 * np.finfo(np.float64).eps
"""Of a sum of squares: what is left of it has three digits."""


def trailing_mean(values: Array, sessions: int, fewest: int = 1) -> Array:
    """(n,): mean of the last so many values that are there; NaN where they are fewer than `fewest`.

    >>> trailing_mean(np.array([1.0, np.nan, 3.0, 5.0]), 2).tolist()
    [1.0, 1.0, 3.0, 4.0]
    """
    return _windows(np.ascontiguousarray(values), sessions, fewest, True)


def expanding_mean(values: Array) -> Array:
    """(n,): mean of all values up to each.

    >>> expanding_mean(np.array([1.0, 3.0, 5.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    return trailing_mean(values, max(len(values), 1))


def trailing_sum(values: Array, sessions: int) -> Array:
    """(n,): sum of the last so many values that are there; NaN where there is none.

    >>> trailing_sum(np.array([1.0, 2.0, 3.0]), 2).tolist()
    [1.0, 3.0, 5.0]
    """
    return _windows(np.ascontiguousarray(values), sessions, 1, False)


def trailing_deviation(values: Array, sessions: int, fewest: int, apart: int = 1) -> Array:
    """(n,): standard deviation of the last so many values, two at least, that are there; NaN where they are
    fewer than `fewest`.

    Args:
        apart: by how much the divisor is smaller than their number.

    >>> trailing_deviation(np.array([1.0, 2.0, 4.0]), 2, 2, apart=0).tolist()
    [nan, 0.5, 1.0]
    """
    return _deviations(np.ascontiguousarray(values), sessions, max(fewest, apart + 1), apart)


def fading_mean(values: Array, decay: float) -> Array:
    """(n,): mean of all values up to each, in which one counts `decay` times as much as the one after it; NaN
    before the first.

    >>> fading_mean(np.array([0.0, 3.0]), 0.5).tolist()
    [0.0, 2.0]
    """
    share = 1 - decay
    # The way of pandas through the centre of mass, for the same last bit.
    return _fading(np.ascontiguousarray(values), 1 - 1 / (1 + (1 - share) / share))


@numba.njit(cache=True, nogil=True)
def _windows(values: Array, window: int, fewest: int, mean: bool) -> Array:
    found = np.empty(len(values))
    total, down, up, before = 0.0, 0.0, 0.0, 0.0
    number, negative, equal = 0, 0, 0
    for i in range(len(values)):
        if i >= window and np.isfinite(values[i - window]):
            old = values[i - window]
            number -= 1
            negative -= np.signbit(old)
            y = -old - down
            t = total + y
            down = t - total - y
            total = t
        new = values[i]
        if np.isfinite(new):
            number += 1
            negative += np.signbit(new)
            y = new - up
            t = total + y
            up = t - total - y
            total = t
            equal = equal + 1 if equal and new == before else 1
            before = new
        if number < max(fewest, 1):
            found[i] = np.nan
        elif not mean:
            found[i] = before * number if equal >= number else total
        elif equal >= number:
            found[i] = before
        else:  # what is rounded away changes no sign
            of_all = total / number
            wrong = (negative == 0 and of_all < 0) or (negative == number and of_all > 0)
            found[i] = 0.0 if wrong else of_all
    return found


@numba.njit(cache=True, nogil=True)
def _joined(new: float, number: int, mean: float, squares: float, lost: float) -> tuple[float, float, float]:
    """Mean, squares around it and compensation with one more value, the `number`-th."""
    y = new - lost
    t = y - mean
    moved = mean + t / number
    return moved, squares + (new - (mean - lost)) * (new - moved), t + mean - y


@numba.njit(cache=True, nogil=True)
def _deviations(values: Array, window: int, fewest: int, apart: int) -> Array:
    found = np.empty(len(values))
    number, mean, squares, down, up = 0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(values)):
        cancelled = False
        if i >= window and np.isfinite(values[i - window]):
            old, before, was = values[i - window], squares, mean - down
            number -= 1
            y = old - down
            t = y - mean
            down = t + mean - y
            if number:
                mean -= t / number
                squares -= (old - was) * (old - mean)
                cancelled = bool(before * _CANCELLED > squares)
            else:
                mean, squares = 0.0, 0.0
        if np.isfinite(values[i]):
            number, before = number + 1, squares
            mean, squares, up = _joined(values[i], number, mean, squares, up)
            cancelled = bool(cancelled or before * _CANCELLED > squares)
        if cancelled:
            number, mean, squares, down, up = 0, 0.0, 0.0, 0.0, 0.0
            for at in range(max(i - window + 1, 0), i + 1):
                if np.isfinite(values[at]):
                    number += 1
                    mean, squares, up = _joined(values[at], number, mean, squares, up)
        found[i] = np.sqrt(max(squares, 0.0) / (number - apart)) if number >= fewest else np.nan
    return found


@numba.njit(cache=True, nogil=True)
def _fading(values: Array, keeps: float) -> Array:
    found = np.empty(len(values))
    mean, weight = np.nan, 1.0
    for i in range(len(values)):
        new = values[i]
        if np.isfinite(mean):
            weight *= keeps
            if np.isfinite(new):
                if mean != new:  # equal values have exactly their mean
                    mean = (weight * mean + new) / (weight + 1.0)
                weight += 1.0
        elif np.isfinite(new):
            mean = new
        found[i] = mean
    return found
