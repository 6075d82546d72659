"""Scale-free features of each session, from prices up to and including that session.

A network that reads price levels learns the level of its training years; these features look the same for a
price of 3 and of 3,000, in a calm year and in a crash. Everything is causal: row t uses sessions up to t only
(a test scrambles the future and compares). What the source does not have (open, high, low, volume) is zero,
which is each feature's typical value.

Variance of a session is measured from its range where open, high and low exist: squared overnight return plus
the estimator of Garman and Klass (1980), about seven times less noisy than the squared close-to-close
return; otherwise the squared return.
"""

import functools
from dataclasses import dataclass

import numpy as np

from forecast_lib.windows.series import Array, TickerSeries
from forecast_lib.windows.trailing import expanding_mean, fading_mean, trailing_deviation, trailing_mean

__all__ = ["FEATURES", "WARM_UP", "SessionFeatures", "log_mean_variance", "rises", "session_features"]

FEATURES = tuple(
    "return_z overnight_z intraday_z abs_return_z log_var_1_22 log_var_5_22 log_var_22_66 log_var_66_long"
    " close_in_range log_volume_22 log_var_66_250 log_var_1_5 log_var_spread_22".split()
)
WARM_UP = 22
"""Sessions at the start whose features are not used: their averages stand on too little."""

_SMALLEST_VARIANCE = 1e-8  # one basis point a session, squared: keeps logarithms of frozen prices finite
_EWMA_DECAY = 0.94  # RiskMetrics (J.P. Morgan 1996), daily
_USUAL_SPREAD = 0.8  # of the log variance of one session, in a month
# weekdays: the longest closures of exchanges (Lunar New Year of 2001, Tokyo's golden week of 2019) are
# shorter
_LONGEST_CLOSURE = 10
_CLIP = 6.0  # standard deviations, or log units: what is beyond carries no more information for a network


@dataclass(frozen=True)
class SessionFeatures:
    """What is known about each session at its close.

    Attributes:
        values: (sessions, len(FEATURES)) float32.
        log_close: (sessions,), with steps over missing sessions made as small as those of one session: only
            differences of it mean anything.
        variance: (sessions,) estimate of the session's own variance of the log return, positive.
        overnight_variance: (sessions,) the part of it that came before the open; zero where open or range is
            not known.
        log_variances: (sessions, 4) logarithms of the mean variance over the last 1, 5, 22 and 66 sessions.
        ewma_sigma: (sessions,) daily volatility known at the close, exponentially weighted.
    """

    values: np.ndarray
    log_close: Array
    variance: Array
    overnight_variance: Array
    log_variances: Array
    ewma_sigma: Array


def log_mean_variance(variance: Array, sessions: int) -> Array:
    """(sessions,): logarithm of the mean variance over the last so many sessions, of fewer at the start."""
    return np.log(np.maximum(trailing_mean(variance, sessions), _SMALLEST_VARIANCE))


def rises(log_variances: Array) -> Array:
    """(sessions, 3): how far the variance of the last 1 and 5 sessions stands above that of the last 22, and
    that of the last 22 above that of the last 66, in log units.

    Args:
        log_variances: of `SessionFeatures`.
    """
    last, week, month, quarter = log_variances.T
    return np.stack([last - month, week - month, month - quarter], axis=1)


def _session_variance(series: TickerSeries, overnight: Array, returns: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        up, down, body = (np.log(part / series.open) for part in (series.high, series.low, series.close))
        garman_klass = 0.5 * (up - down) ** 2 - (2 * np.log(2) - 1) * body**2
        ranged = overnight**2 + np.maximum(garman_klass, 0.0)
    variance = np.where(np.isfinite(ranged), ranged, returns**2)
    # A source that repeats the close as open, high and low has no range: then the return is all there is.
    return np.maximum(
        np.maximum(variance, np.where(garman_klass == 0.0, returns**2, 0.0)), _SMALLEST_VARIANCE
    )


def _spliced(series: TickerSeries) -> tuple[Array, np.ndarray, Array]:
    """Log closes as if the price had moved from one row to the next as it does in one session; which rows
    come after missing sessions, and the share of their step that is left.

    Over n missing sessions a price moves sqrt(n + 1) times as far as in one: no volatility is to be measured
    from that, and nobody is to learn it. What it did in weeks without prices is left out.
    """
    log_close = np.log(series.close)
    if series.missing is None:
        weekdays = np.busday_count(series.sessions[:-1], series.sessions[1:]) - 1
        missing = np.where(weekdays > _LONGEST_CLOSURE, weekdays, 0)
    else:
        missing = series.missing[1:]
    after = np.flatnonzero(missing) + 1
    share = np.where(missing > _LONGEST_CLOSURE, 0.0, 1 / np.sqrt(missing + 1))[after - 1]
    if not len(after):
        return log_close, after, share
    steps = np.zeros(len(log_close))
    steps[after] = (1 - share) * (log_close[after] - log_close[after - 1])
    return log_close - steps.cumsum(), after, share


class _Prices:
    """The prices of a series: the same for all that were made of it with other common inputs."""

    def __init__(self, series: TickerSeries) -> None:
        self.series = series

    def __hash__(self) -> int:
        return id(self.series.close)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Prices) and all(
            getattr(self.series, name) is getattr(other.series, name)
            for name in ("sessions", "open", "high", "low", "close", "volume", "missing")
        )


def session_features(series: TickerSeries) -> SessionFeatures:
    """The features of every session of `series`; the first `WARM_UP` rows are not fit for use."""
    return _features(_Prices(series))


# Several stages of a night ask for the same; 512 times some 0.15 MB.
@functools.lru_cache(maxsize=512)
def _features(prices: _Prices) -> SessionFeatures:
    series = prices.series
    log_close, after_missing, share = _spliced(series)
    returns = np.diff(log_close, prepend=log_close[:1])
    with np.errstate(invalid="ignore", divide="ignore"):
        # The first session has no close before it: no overnight return.
        overnight = np.log(series.open) - np.log(np.concatenate([series.open[:1], series.close[:-1]]))
        overnight[after_missing] *= share
        intraday = np.log(series.close) - np.log(series.open)
        in_range = (series.close - series.low) / (series.high - series.low) - 0.5
        volume = np.log(series.volume)
    variance = _session_variance(series, overnight, returns)
    ewma = fading_mean(variance, _EWMA_DECAY)
    means = np.stack([trailing_mean(variance, n) for n in (1, 5, 22, 66)], axis=1)
    # A frozen session's tiny variance would be an outlier of many log units: floor it by 2 % of its last 66
    # sessions' mean.
    logs = np.log(np.maximum(means, 0.02 * means[:, 3:]))
    long_run = expanding_mean(logs[:, 3])
    sigma_before = np.sqrt(np.concatenate([ewma[:1], ewma[:-1]]))
    volume = np.where(np.isfinite(volume), volume, np.nan)
    log_volume = volume - trailing_mean(volume, 22, fewest=5)
    columns = [
        returns / sigma_before,
        overnight / sigma_before,
        intraday / sigma_before,
        np.abs(returns) / sigma_before - 0.8,  # 0.8: mean of |z| for a normal z
        logs[:, 0] - logs[:, 2],
        logs[:, 1] - logs[:, 2],
        logs[:, 2] - logs[:, 3],
        logs[:, 3] - long_run,
        in_range,
        log_volume,
        logs[:, 3] - log_mean_variance(variance, 250),
        logs[:, 0] - logs[:, 1],
        trailing_deviation(np.log(variance), 22, fewest=5) - _USUAL_SPREAD,
    ]
    values = np.clip(np.stack(columns, axis=1), -_CLIP, _CLIP)
    values[np.isnan(values)] = 0.0
    before_open = np.where(np.isfinite(overnight) & (series.high > series.low), overnight**2, 0.0)
    return SessionFeatures(values.astype(np.float32), log_close, variance, before_open, logs, np.sqrt(ewma))
