"""What is known at each close about the variance of the sessions to come: the inputs of a model's volatility
scale.

Besides the variances of the last 1, 5, 22 and 66 sessions: returns, as volatility rises more after falls;
the day of the week; the variance of 3 and of 250 sessions; what happened at the same time in the quarters
before and a year before, as companies report their results on much the same days; how much of the last
session's variance came while the exchange was open, for a gap before its open is mostly one piece of news,
and sooner over; and what all tickers have in common (`windows.common`). Where they pay, covariates and
events come on top (`covariates`). Everything is causal: row t uses sessions up to t, and of later ones what
was expected at t.
"""

import functools

import numba
import numpy as np
from numpy.typing import NDArray

from forecast_lib.covariates.inputs import is_ahead
from forecast_lib.windows.common import COMMON
from forecast_lib.windows.features import FEATURES, SessionFeatures, log_mean_variance, session_features
from forecast_lib.windows.series import Array, TickerSeries
from forecast_lib.windows.trailing import trailing_sum

__all__ = ["VOLATILITY_INPUTS", "common_inputs", "inputs_beside", "scale_inputs", "volatility_inputs"]

_QUARTERS = (91, 182, 273, 364)  # days: whole weeks, so that it is the same day of the week
VOLATILITY_INPUTS = (
    *(f"log_var_{sessions}" for sessions in (1, 5, 22, 66)),
    *("return_z", "fall_z", "returns_z_5", "returns_z_22"),
    *("monday", "tuesday", "wednesday", "thursday"),
    *("log_var_250", "log_var_3"),
    *(f"shock_{days}_days_ago" for days in _QUARTERS),
    *("largest_shock_quarter_ago", "largest_shock_year_ago"),
    "intraday_share",
    *COMMON,
)
_LOWEST_SHOCK, _HIGHEST_SHOCK = -2.0, 5.0  # log units
_SMALLEST_SHARE = 0.05
_RETURN_Z = FEATURES.index("return_z")


def _shocks(features: SessionFeatures) -> Array:
    """(sessions,): how far each session's variance stands above that of the 22 before it, in log units."""
    usual = features.log_variances[:, 2]
    return np.clip(
        np.log(features.variance) - np.concatenate([usual[:1], usual[:-1]]), _LOWEST_SHOCK, _HIGHEST_SHOCK
    )


def _intraday_share(features: SessionFeatures) -> Array:
    """(sessions,): log share of each session's variance that came after its open."""
    share = 1 - features.overnight_variance / features.variance
    return np.log(np.clip(share, _SMALLEST_SHARE, 1.0))


@numba.njit(cache=True, nogil=True)
def _place(days: NDArray[np.int64], day: int, near: int) -> int:
    """How many of the days come before `day`; sought from a place near by."""
    while near < len(days) and days[near] < day:
        near += 1
    while near > 0 and days[near - 1] >= day:
        near -= 1
    return near


@numba.njit(cache=True, nogil=True)
def _mean_around(
    days: NDArray[np.int64], totals: Array, centre: NDArray[np.int64], ago: int, reach: int
) -> Array:
    """(n,): mean of the values dated within `reach` days of so many days before each centre; zero where there
    are none.

    Args:
        totals: (n + 1,) sums of the values before each.
    """
    found, low, high = np.empty(len(centre)), 0, 0
    for i in range(len(centre)):
        low = _place(days, centre[i] - ago - reach, low)
        high = _place(days, centre[i] - ago + reach + 1, high)
        found[i] = (totals[high] - totals[low]) / max(high - low, 1)
    return found


@numba.njit(cache=True, nogil=True)
def _largest_around(
    days: NDArray[np.int64], values: Array, centre: NDArray[np.int64], ago: int, reach: int
) -> Array:
    """As `_mean_around`, the largest of them."""
    found, low = np.zeros(len(centre)), 0
    for i in range(len(centre)):
        at = low = _place(days, centre[i] - ago - reach, low)
        largest = -np.inf
        while at < len(days) and days[at] <= centre[i] - ago + reach:
            largest = max(largest, values[at])
            at += 1
        found[i] = largest if at > low else 0.0
    return found


@functools.lru_cache(maxsize=16)  # as `session_features`
def volatility_inputs(series: TickerSeries) -> Array:
    """(sessions, len(VOLATILITY_INPUTS)); the first `WARM_UP` rows are not fit for use."""
    features = session_features(series)
    z = features.values[:, _RETURN_Z].astype(np.float64)
    days = series.sessions.astype("datetime64[D]").astype(np.int64)
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    # The next weekday: whether it is a holiday is no matter here.
    following = days + np.where(weekday == 4, 3, 1)
    shocks = _shocks(features)
    totals = np.concatenate([[0.0], np.cumsum(shocks)])
    columns = [
        *features.log_variances.T,
        z,
        np.minimum(z, 0.0),
        trailing_sum(z, 5),
        trailing_sum(z, 22),
        *(weekday[None] == np.arange(4)[:, None]).astype(np.float64),
        log_mean_variance(features.variance, 250),
        log_mean_variance(features.variance, 3),
        *(_mean_around(days, totals, following, ago, 1) for ago in _QUARTERS),
        _largest_around(days, shocks, following, _QUARTERS[0], 3),
        _largest_around(days, shocks, following, _QUARTERS[-1], 3),
        _intraday_share(features),
        *common_inputs(series).T,
    ]
    return np.stack(columns, axis=1)


def common_inputs(series: TickerSeries) -> Array:
    """(sessions, len(COMMON)): the last of `VOLATILITY_INPUTS`; zero where one is not known."""
    if series.inputs is None:
        return np.zeros((len(series), len(COMMON)))
    beside = series.inputs.known(COMMON, series.sessions)
    return np.where(np.isnan(beside), 0.0, beside)


def inputs_beside(series: TickerSeries, names: tuple[str, ...], horizon: int) -> tuple[Array, Array | None]:
    """What a volatility scale reads beside VOLATILITY_INPUTS: (sessions, inputs) the same for all steps, NaN
    where one is not known, and (sessions, events, horizon); None where no event is among the names.

    Args:
        names: of the inputs, events last.
    """
    ahead = tuple(name for name in names if is_ahead(name))
    at_close = names[: len(names) - len(ahead)]
    if series.inputs is None:
        falling = np.zeros((len(series), len(ahead), horizon))
        return np.full((len(series), len(at_close)), np.nan), falling if ahead else None
    more = series.inputs.known(at_close, series.sessions)
    return more, series.inputs.falling(ahead, series.sessions, horizon) if ahead else None


@functools.lru_cache(maxsize=16)
def scale_inputs(series: TickerSeries, names: tuple[str, ...], horizon: int) -> tuple[Array, Array | None]:
    """What a volatility scale reads: (sessions, inputs) the same for all steps, and (sessions, events,
    horizon); None where no event is among the names.

    Args:
        names: of the inputs beside VOLATILITY_INPUTS, events last; NaN where one is not known.
    """
    usual = volatility_inputs(series)
    more, falling = inputs_beside(series, names, horizon)
    return (np.concatenate([usual, more], axis=1) if more.shape[1] else usual), falling
