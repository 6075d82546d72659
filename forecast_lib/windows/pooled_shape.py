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


def _scores(members: Sequence[TickerSeries], step: int) -> _Scores:
    parts = []
    for series in members:
        features = session_features(series)
        weekday = _weekday(series.sessions[:-step])
        at = np.flatnonzero(weekday % min(step, _MOST_OVERLAP) == 0)
        at = at[np.searchsorted(at, WARM_UP) :]
        moves = features.log_close[at + step] - features.log_close[at]
        parts.append(
            (weekday[at], series.sessions[at + step], moves / (features.ewma_sigma[at] * np.sqrt(step)))
        )
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
            if lying := _lying(scores, day, step):
                middle[place, step - 1], reach[place, step - 1], count = lying
                share[place, step - 1] = count / (count + _PRIOR_DAYS)
    return PooledShape(days, middle, reach, share)


def _lying(scores: _Scores, day: np.datetime64, step: int) -> tuple[Array, Array, float] | None:
    """Middle and reach of the quantiles as known on that day, in half widths of the 95 % interval, and how
    many independent days they are from; None where those are too few.
    """
    window = (scores.known < day) & (scores.known >= day - _YEARS)
    weekdays = scores.weekday[window]
    if not len(weekdays):
        return None
    count = np.count_nonzero(np.bincount(weekdays - weekdays.min())) * min(step, _MOST_OVERLAP)
    if count < _FEWEST_DAYS:
        return None
    quantiles = _quantiles(scores.values[window])
    half = (quantiles - quantiles[::-1]) / 2
    if not half[_OUTER] > 0:
        return None
    return (quantiles + quantiles[::-1]) / 2 / half[_OUTER], half / half[_OUTER], count / step


def _quantiles(values: Array) -> Array:
    """(len(QUANTILES),) as `np.quantile` has them, by sorting once."""
    ordered = np.sort(values)
    place = _LEVELS * (len(ordered) - 1)
    below = place.astype(np.int64)
    low, high = ordered[below], ordered[np.minimum(below + 1, len(ordered) - 1)]
    share, apart = place - below, high - low
    return np.where(share < 0.5, low + apart * share, high - apart * (1 - share))


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
    for step in range(1, lean.shape[1] + 1):
        own = _scores([series], step)
        for at, day in enumerate(shape.days[used]):
            if lying := _lying(own, day, step):
                middle, _, count = lying
                lean[at, step - 1] += (middle - lean[at, step - 1]) * count / (count + _OWN_PRIOR_DAYS)
    return lean[of], shape.reach[place], (place >= 0)[:, None] & (shape.share[place] > 0)
