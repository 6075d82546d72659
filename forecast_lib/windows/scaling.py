"""The scale of a forecast: volatility known at the cutoff, per step.

A heterogeneous autoregression (HAR, Corsi 2009): logarithms of mean variances over 1, 5, 22 and 66 sessions,
and whatever else is known (`volatility_inputs`), one regression a step for the mean variance of the sessions
up to that step, fitted by ridge least squares on the training part only. Slopes of many tickers are alike, so
a ticker's are drawn to those of all. Targets are log returns divided by this scale, so an untrained network
(whose head is zero) *is* the random walk with this volatility.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.series import Array
from forecast_lib.windows.threads import use_one_thread

__all__ = ["Sample", "VolatilityScale", "fit_volatility_scale", "future_log_returns", "panel_slopes"]

_RIDGE = 10.0  # in sessions: what a handful of outliers may not overrule
_PANEL_RIDGE = (
    2000.0  # in sessions: what many tickers agree on yields to one only where it has years of evidence
)
_CORRECTIONS = 3  # where the first is large, scores are cut at the wrong place in it
_LARGEST_SCORE = 25.0  # squared standard score; one crash must not blow up the scale of all other sessions
_LAST_22 = 2  # column of the log variance over 22 sessions


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
    """Fitted regressions.

    Attributes:
        coefficients: (1 + inputs, horizon), the first row the intercept.
        usual: (inputs,) the inputs' means over the cutoffs that it was fitted on.
    """

    coefficients: Array
    usual: Array

    def sigma(self, inputs: Array) -> Array:
        """(sessions, horizon): standard deviation of the log return up to each step, as known at each
        session's close.

        Args:
            inputs: (sessions, inputs).
        """
        # Not a matrix product: its last bits depend on how many rows there are.
        log_variance = self.coefficients[0] + np.einsum("si,ih->sh", inputs, self.coefficients[1:])
        steps = np.arange(1, self.coefficients.shape[1] + 1)
        return np.sqrt(np.exp(np.clip(log_variance, -20.0, 4.0)) * steps)


@dataclass(frozen=True)
class Sample:
    """What a regression of one ticker learns from: the cutoffs `first` to `last` (exclusive); the variances
    they are compared with lie up to `last - 1 + horizon`. The caller leaves that much room before anything it
    wants unseen.

    Attributes:
        inputs: (sessions, inputs), the first four the log variances over 1, 5, 22 and 66 sessions.
        features: of the same sessions.
    """

    inputs: Array
    features: SessionFeatures
    first: int
    last: int

    def realised(self, horizon: int) -> Array:
        """(cutoffs, horizon): log of the mean variance of the sessions up to each step."""
        total = np.concatenate([[0.0], np.cumsum(self.features.variance)])
        steps = np.arange(1, horizon + 1)
        starts = np.arange(self.first, self.last)[:, None] + 1
        return np.log((total[starts + steps] - total[starts]) / steps)

    def centred(self, horizon: int) -> tuple[Array, Array, Array, Array]:
        """Inputs (cutoffs, inputs) and realised variances (cutoffs, horizon) less their means, and
        the means.
        """
        inputs, realised = self.inputs[self.first : self.last], self.realised(horizon)
        means = inputs.mean(axis=0), realised.mean(axis=0)
        return inputs - means[0], realised - means[1], *means


def _like_the_last_22(inputs: int) -> Array:
    """(inputs, 1): "tomorrow is like the last 22 sessions", the sane answer when there are few sessions."""
    return np.eye(inputs)[:, [_LAST_22]]


def panel_slopes(samples: Sequence[Sample], horizon: int) -> Array:
    """(inputs, horizon): slopes that many tickers share, each with an intercept of its own (a panel
    regression with fixed effects).
    """
    use_one_thread()
    prior = _like_the_last_22(samples[0].inputs.shape[1])
    gram, moments = _RIDGE * np.eye(len(prior)), np.zeros((len(prior), horizon))
    for sample in samples:
        inputs, realised, *_ = sample.centred(horizon)
        gram += inputs.T @ inputs
        moments += inputs.T @ (realised - inputs @ prior)
    return prior + np.linalg.solve(gram, moments)


def fit_volatility_scale(sample: Sample, horizon: int, panel: Array | None = None) -> VolatilityScale:
    """One ticker's regressions.

    Args:
        panel: (inputs, horizon) slopes that they are drawn to; None: the ticker stands alone.
    """
    use_one_thread()
    inputs, realised, input_mean, realised_mean = sample.centred(horizon)
    prior, ridge = (_like_the_last_22(inputs.shape[1]), _RIDGE) if panel is None else (panel, _PANEL_RIDGE)
    slopes = prior + np.linalg.solve(
        inputs.T @ inputs + ridge * np.eye(len(prior)), inputs.T @ (realised - inputs @ prior)
    )
    level = realised_mean - input_mean @ slopes
    # The mean of a logarithm is below the logarithm of the mean: rescale to unit mean squared score of the
    # returns.
    steps, part = np.arange(1, horizon + 1), slice(sample.first, sample.last)
    scores = future_log_returns(sample.features.log_close, horizon)[part] ** 2 / (
        np.exp(sample.inputs[part] @ slopes + level) * steps
    )
    for _ in range(_CORRECTIONS):
        factor = np.maximum(np.minimum(scores, _LARGEST_SCORE).mean(axis=0), 1e-4)
        level = level + np.log(factor)
        scores /= factor
    return VolatilityScale(np.concatenate([level[None], slopes]), input_mean)
