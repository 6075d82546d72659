"""The scale of a forecast: volatility known at the cutoff, per step.

A heterogeneous autoregression (HAR, Corsi 2009) on logarithms of mean variances over 1, 5, 22 and 66 sessions, one regression a
step for the mean variance of the sessions up to that step, fitted by ridge least squares on the training part only. Targets are
log returns divided by this scale, so an untrained network (whose head is zero) *is* the random walk with HAR volatility.
"""

from dataclasses import dataclass

import numpy as np

from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.series import Array
from forecast_lib.windows.threads import use_one_thread

__all__ = ["VolatilityScale", "fit_volatility_scale", "future_log_returns"]

_RIDGE = 10.0  # in sessions: what a handful of outliers may not overrule
_CORRECTIONS = 3  # where the first is large, scores are cut at the wrong place in it
_LARGEST_SCORE = 25.0  # squared standard score; one crash must not blow up the scale of all other sessions


def future_log_returns(log_close: Array, horizon: int) -> Array:
    """(sessions, horizon): log return from each session to the step-th after it; NaN where not known yet.

    >>> future_log_returns(np.log([1.0, 2.0, 8.0]), 2).round(4).tolist()
    [[0.6931, 2.0794], [1.3863, nan], [nan, nan]]
    """
    future = np.full((len(log_close), horizon), np.nan)
    for step in range(1, horizon + 1):
        future[:-step, step - 1] = log_close[step:] - log_close[:-step]
    return future


@dataclass(frozen=True)
class VolatilityScale:
    """Fitted regressions: coefficients (5, horizon), rows: intercept, log variance over 1, 5, 22, 66 sessions."""

    coefficients: Array

    def sigma(self, features: SessionFeatures) -> Array:
        """(sessions, horizon): standard deviation of the log return up to each step, as known at each session's close."""
        log_variance = self.coefficients[0] + features.log_variances @ self.coefficients[1:]
        steps = np.arange(1, self.coefficients.shape[1] + 1)
        return np.sqrt(np.exp(np.clip(log_variance, -20.0, 4.0)) * steps)


def fit_volatility_scale(features: SessionFeatures, horizon: int, first: int, last: int) -> VolatilityScale:
    """Fit on cutoffs `first` to `last` (exclusive); the variances they are compared with lie up to `last - 1 + horizon`.

    The caller leaves that much room before anything it wants unseen.
    """
    use_one_thread()
    logs = features.log_variances[first:last]
    total = np.concatenate([[0.0], np.cumsum(features.variance)])
    centre = logs.mean()
    centred = np.column_stack([np.ones(last - first), logs - centre])
    penalty = _RIDGE * np.diag([0.0, 1.0, 1.0, 1.0, 1.0])
    # Ridge towards "tomorrow is like the last 22 sessions", the sane answer when there are few sessions.
    prior = np.array([0.0, 0.0, 0.0, 1.0, 0.0])[:, None]
    steps = np.arange(1, horizon + 1)
    starts = np.arange(first, last)[:, None] + 1
    realised = np.log((total[starts + steps] - total[starts]) / steps) - centre  # (cutoffs, horizon)
    beta = prior + np.linalg.solve(centred.T @ centred + penalty, centred.T @ (realised - centred @ prior))
    # The mean of a logarithm is below the logarithm of the mean: rescale to unit mean squared score of the returns.
    scores = future_log_returns(features.log_close, horizon)[first:last] ** 2 / (np.exp(centred @ beta + centre) * steps)
    for _ in range(_CORRECTIONS):
        factor = np.maximum(np.minimum(scores, _LARGEST_SCORE).mean(axis=0), 1e-4)
        beta[0] += np.log(factor)
        scores /= factor
    beta[0] += centre - beta[1:].sum(axis=0) * centre
    return VolatilityScale(beta)
