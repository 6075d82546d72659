"""How returns lie around the last close, for all tickers together: what one ticker's few outcomes cannot say.

The middle of a pair of quantiles (25 and 75 %, say) is not the last close: shares rise a little more often
than they fall, and fall farther. And beyond 2.5 % a ticker has a dozen outcomes in two years, all tickers
have thousands. Both are measured on standard scores (return divided by the volatility known at the cutoff,
times the square root of the step) of the last four years, at the start of each quarter, from outcomes before
it. Tickers move together, so that a day's outcomes are little more than one: what is measured counts n / (n +
250), with n the number of days, of which as many as there are steps overlap and count as one. A ticker leans
as all do, and as its own outcomes did as far as n / (n + 1000), chosen on 2006 to 2012: there the whole
distribution then passes as uniform (PIT at 5 %) for 31 of 31 tickers, not 27, at the same pinball loss
(`tests.bench goals`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from forecast_lib.domain import QUANTILES
from forecast_lib.windows.features import WARM_UP, session_features
from forecast_lib.windows.series import Array, PooledShape, TickerSeries

__all__ = ["leaning", "pooled_shape"]

_YEARS = np.timedelta64(4 * 365 + 1, "D")
_FEWEST_DAYS = 250
_PRIOR_DAYS = 250
_OWN_PRIOR_DAYS = 1000
_MOST_OVERLAP = 5  # of neighbouring cutoffs every fifth at most is left in: the others hardly say more
_OUTER = QUANTILES.index(0.975)
_LEVELS = np.array(QUANTILES)


@dataclass(frozen=True)
class _Scores:
    """Standard scores of all members at one step, with the number of each cutoff's weekday and the session of
    its outcome.
    """

    weekday: NDArray[np.int64]
    known: NDArray[np.datetime64]
    values: Array


def _weekday(sessions: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """(n,) number of the weekday since 1970, the same for all tickers; a day at the weekend counts as the
    Friday before.
    """
    # 1970-01-01 was a Thursday.
    weeks, day = np.divmod(sessions.astype("datetime64[D]").astype(np.int64) + 3, 7)
    return weeks * 5 + np.minimum(day, 4)


@numba.njit(cache=True, nogil=True)
def _standardised(
    log_close: Array, sigma: Array, weekday: NDArray[np.int64], first: int, last: int, step: int
) -> tuple[NDArray[np.int64], Array, int]:
    """Of the cutoffs first to last (exclusive) those that are left in, their standard scores, and how many
    different weekdays they are.
    """
    at, scores = np.empty(max(last - first, 0), np.int64), np.empty(max(last - first, 0))
    count, days, root = 0, 0, np.sqrt(step)
    for cutoff in range(first, last):
        if weekday[cutoff] % min(step, _MOST_OVERLAP) == 0:
            days += count == 0 or weekday[cutoff] != weekday[at[count - 1]]
            at[count] = cutoff
            scores[count] = (log_close[cutoff + step] - log_close[cutoff]) / (sigma[cutoff] * root)
            count += 1
    return at[:count], scores[:count], days


def _scores(members: Sequence[TickerSeries], step: int) -> _Scores:
    parts = []
    for series in members:
        features, weekday = session_features(series), _weekday(series.sessions)
        moves = features.log_close, features.ewma_sigma, weekday
        at, values, _ = _standardised(*moves, WARM_UP, len(series) - step, step)
        parts.append((weekday[at], series.sessions[at + step], values))
    return _Scores(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _quarters(first: np.datetime64, last: np.datetime64) -> NDArray[np.datetime64]:
    """First days of the quarters from that of `first` to that of `last`."""
    months = np.arange(first.astype("datetime64[M]"), last.astype("datetime64[M]") + 1)
    starts = months[(months.astype(int) % 3 == 0) | (months == months[0])]
    return (starts - starts.astype(int) % 3).astype("datetime64[D]")


def pooled_shape(members: Sequence[TickerSeries], horizon: int, since: np.datetime64) -> PooledShape | None:
    """The shape of these tickers' returns, for cutoffs from `since` on; None without members."""
    if not members:
        return None
    ordered = sorted(members, key=lambda each: each.ticker)  # in whatever order they came, the same
    days = _quarters(since, max(each.sessions[-1] for each in ordered))
    middle, reach = (np.zeros((len(days), horizon, len(QUANTILES))) for _ in range(2))
    share = np.zeros((len(days), horizon))
    for step in range(1, horizon + 1):
        scores = _scores(ordered, step)
        for place, day in enumerate(days):
            window = (scores.known < day) & (scores.known >= day - _YEARS)
            weekdays = len(np.unique(scores.weekday[window]))
            if lying := _lying(scores.values[window], weekdays, step):
                middle[place, step - 1], reach[place, step - 1], count = lying
                share[place, step - 1] = count / (count + _PRIOR_DAYS)
    return PooledShape(days, middle, reach, share)


def _lying(values: Array, weekdays: int, step: int) -> tuple[Array, Array, float] | None:
    """Middle and reach of the quantiles of these scores, in half widths of the 95 % interval, and how many
    independent days they are from; None where those are too few.

    Args:
        weekdays: how many different ones the scores' cutoffs are.
    """
    count = weekdays * min(step, _MOST_OVERLAP)
    if count < _FEWEST_DAYS:
        return None
    middle, reach, half = _around(np.sort(values), _LEVELS, _OUTER)
    return (middle, reach, count / step) if half > 0 else None


@numba.njit(cache=True, nogil=True)
def _around(ordered: Array, levels: Array, outer: int) -> tuple[Array, Array, float]:
    """Of the quantiles as `np.quantile` has them the middle of each and its opposite, and its distance from
    that, in half widths of the interval up to the quantile `outer`, and that half width.
    """
    quantiles = np.empty(len(levels))
    for at in range(len(levels)):
        place = levels[at] * (len(ordered) - 1)
        below = int(place)
        low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
        share, apart = place - below, high - low
        quantiles[at] = low + apart * share if share < 0.5 else high - apart * (1 - share)
    half = (quantiles - quantiles[::-1]) / 2
    return (quantiles + quantiles[::-1]) / 2 / half[outer], half / half[outer], half[outer]


def leaning(
    shape: PooledShape, series: TickerSeries, cutoffs: np.ndarray
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Where a ticker's quantiles lie, each of the first two (cutoffs, horizon, len(QUANTILES)), in half
    widths of the 95 % interval.

    Returns:
        By how much the middle of each quantile and its opposite lies above the last close, as far as it is
            believed; how far each lies from that middle; and (cutoffs, horizon) whether that is known.
    """
    place = shape.place(series.sessions[cutoffs])
    used, of = np.unique(np.maximum(place, 0), return_inverse=True)
    lean = shape.share[used, :, None] * shape.middle[used]
    features, days = session_features(series), shape.days[used]
    moves = features.log_close, features.ewma_sigma, _weekday(series.sessions)
    begins, ends = np.searchsorted(series.sessions, [days - _YEARS, days]).tolist()
    for step in range(1, lean.shape[1] + 1):
        for at in range(len(days)):  # outcomes of the four years before the day
            first, last = max(begins[at] - step, WARM_UP), ends[at] - step
            _, values, weekdays = _standardised(*moves, first, last, step)
            if lying := _lying(values, weekdays, step):
                middle, _, count = lying
                lean[at, step - 1] += (middle - lean[at, step - 1]) * count / (count + _OWN_PRIOR_DAYS)
    return lean[of], shape.reach[place], (place >= 0)[:, None] & (shape.share[place] > 0)
