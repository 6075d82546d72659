"""The scale of a forecast: volatility known at the cutoff, per step.

A heterogeneous autoregression (HAR, Corsi 2009): logarithms of mean variances over 1, 5, 22 and 66 sessions,
and whatever else is known (`volatility_inputs`), one regression a step for the mean variance of the sessions
up to that step, fitted by ridge least squares on the training part only. Where events lie ahead, each
step has inputs of its own: how they fall on its sessions. Slopes of many tickers are alike, so
a ticker's are drawn to those of all. Targets are log returns divided by this scale, so an untrained network
(whose head is zero) *is* the random walk with this volatility.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.series import Array
from forecast_lib.windows.threads import use_one_thread

__all__ = [
    "LAST_22",
    "RIDGE",
    "Sample",
    "VolatilityScale",
    "fit_volatility_scale",
    "future_log_returns",
    "panel_slopes",
    "with_units",
]

RIDGE = 10.0
"""In sessions: what a handful of outliers may not overrule."""

_PANEL_RIDGE = (
    2000.0  # in sessions: what many tickers agree on yields to one only where it has years of evidence
)
_CORRECTIONS = 3  # where the first is large, scores are cut at the wrong place in it
_LARGEST_SCORE = 25.0  # squared standard score; one crash must not blow up the scale of all other sessions
_CONSTANT = 1e-12  # mean square below which an input says nothing
LAST_22 = 2
"""Column of the log variance over 22 sessions."""


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
        coefficients: (1 + inputs + events, horizon), the first row the intercept.
        usual: (inputs + events, horizon) their means over the cutoffs that it was fitted on; they stand for
            an input that is not known.
    """

    coefficients: Array
    usual: Array

    def sigma(self, inputs: Array, ahead: Array | None = None) -> Array:
        """(sessions, horizon): standard deviation of the log return up to each step, as known at each
        session's close.

        Args:
            inputs: (sessions, inputs), NaN where one is not known.
            ahead: (sessions, events, horizon) of the inputs that differ by step.
        """
        split = 1 + inputs.shape[1]
        if np.isnan(inputs).any():
            inputs = np.where(np.isnan(inputs), self.usual[: split - 1, 0], inputs)
        # Not a matrix product: its last bits depend on how many rows there are.
        log_variance = self.coefficients[0] + np.einsum("si,ih->sh", inputs, self.coefficients[1:split])
        if ahead is not None:
            log_variance = log_variance + np.einsum("seh,eh->sh", ahead, self.coefficients[split:])
        steps = np.arange(1, self.coefficients.shape[1] + 1)
        return np.sqrt(np.exp(np.clip(log_variance, -20.0, 4.0)) * steps)


@dataclass(frozen=True)
class Sample:
    """What a regression of one ticker learns from: the cutoffs `first` to `last` (exclusive); the variances
    they are compared with lie up to `last - 1 + horizon`. The caller leaves that much room before anything it
    wants unseen.

    Attributes:
        inputs: (sessions, inputs), the first four the log variances over 1, 5, 22 and 66 sessions; NaN where
            one is not known.
        features: of the same sessions.
        ahead: (sessions, events, horizon) inputs that differ by step.
    """

    inputs: Array
    features: SessionFeatures
    first: int
    last: int
    ahead: Array | None = None

    def realised(self, horizon: int) -> Array:
        """(cutoffs, horizon): log of the mean variance of the sessions up to each step."""
        total = np.concatenate([[0.0], np.cumsum(self.features.variance)])
        steps = np.arange(1, horizon + 1)
        starts = np.arange(self.first, self.last)[:, None] + 1
        return np.log((total[starts + steps] - total[starts]) / steps)

    def usual(self) -> Array:
        """(inputs,): the mean of each input where it is known, zero where it never is."""
        inputs = self.inputs[self.first : self.last]
        known = (~np.isnan(inputs)).sum(axis=0)
        return np.asarray(np.nansum(inputs, axis=0) / np.maximum(known, 1))

    def designs(self, horizon: int) -> list[tuple[slice, Array]]:
        """Steps, and the (cutoffs, inputs + events) that all of them are regressed on; what is not known is
        usual.
        """
        part = slice(self.first, self.last)
        inputs = self.inputs[part]
        if np.isnan(inputs).any():
            inputs = np.where(np.isnan(inputs), self.usual(), inputs)
        if self.ahead is None:
            return [(slice(horizon), inputs)]
        ahead = self.ahead[part]
        return [
            (slice(step, step + 1), np.concatenate([inputs, ahead[..., step]], axis=1))
            for step in range(horizon)
        ]


def _like_the_last_22(inputs: int) -> Array:
    """(inputs, 1): "tomorrow is like the last 22 sessions", the sane answer when there are few sessions."""
    return np.eye(inputs)[:, [LAST_22]]


def with_units(gram: Array, ridge: float, cutoffs: int, in_logs: int) -> Array:
    """A Gram matrix on whose diagonal the ridge already lies, with the ridge of all inputs after the first
    `in_logs` ones in their own units; those are in log units.
    """
    spread = (np.diag(gram)[in_logs:] - ridge) / cutoffs
    units = np.where(spread > _CONSTANT, spread, 1.0)
    return gram + np.diag(np.concatenate([np.zeros(in_logs), ridge * (units - 1.0)])) if len(units) else gram


def panel_slopes(samples: Sequence[Sample], horizon: int, in_logs: int | None = None) -> Array:
    """(inputs + events, horizon): slopes that many tickers share, each with an intercept of its own (a panel
    regression with fixed effects).

    Args:
        in_logs: so many inputs are in log units, the others in units of their own; None: all.
    """
    use_one_thread()
    designs = samples[0].designs(horizon)
    priors = [_like_the_last_22(inputs.shape[1]) for _, inputs in designs]
    grams = [RIDGE * np.eye(len(prior)) for prior in priors]
    moments = [
        np.zeros((len(prior), steps.stop - (steps.start or 0)))
        for prior, (steps, _) in zip(priors, designs, strict=True)
    ]
    for sample in samples:
        realised = sample.realised(horizon)
        realised = realised - realised.mean(axis=0)
        for place, (steps, inputs) in enumerate(sample.designs(horizon)):
            inputs = inputs - inputs.mean(axis=0)
            grams[place] += inputs.T @ inputs
            moments[place] += inputs.T @ (realised[:, steps] - inputs @ priors[place])
    cutoffs = sum(sample.last - sample.first for sample in samples)
    slopes = [
        prior + np.linalg.solve(with_units(gram, RIDGE, cutoffs, in_logs or len(gram)), moment)
        for prior, gram, moment in zip(priors, grams, moments, strict=True)
    ]
    return np.concatenate(slopes, axis=1)


def fit_volatility_scale(
    sample: Sample, horizon: int, panel: Array | None = None, in_logs: int | None = None
) -> VolatilityScale:
    """One ticker's regressions.

    Args:
        panel: (inputs + events, horizon) slopes that they are drawn to; None: the ticker stands alone.
        in_logs: as of `panel_slopes`.
    """
    use_one_thread()
    realised = sample.realised(horizon)
    realised_mean, cutoffs = realised.mean(axis=0), sample.last - sample.first
    ridge = RIDGE if panel is None else _PANEL_RIDGE
    slopes, means, fitted = [], [], []
    for own, design in sample.designs(horizon):
        mean = design.mean(axis=0)
        inputs, wanted = design - mean, (realised - realised_mean)[:, own]
        means.append(np.broadcast_to(mean[:, None], (len(mean), wanted.shape[1])))
        prior = _like_the_last_22(inputs.shape[1]) if panel is None else panel[:, own]
        gram = with_units(
            inputs.T @ inputs + ridge * np.eye(len(prior)), ridge, cutoffs, in_logs or len(prior)
        )
        slopes.append(prior + np.linalg.solve(gram, inputs.T @ (wanted - inputs @ prior)))
        level = realised_mean[own] - mean @ slopes[-1]
        fitted.append((level, design @ slopes[-1] + level))
    level = np.concatenate([each for each, _ in fitted])
    # The mean of a logarithm is below the logarithm of the mean: rescale to unit mean squared score of the
    # returns.
    steps, part = np.arange(1, horizon + 1), slice(sample.first, sample.last)
    scores = future_log_returns(sample.features.log_close, horizon)[part] ** 2 / (
        np.exp(np.concatenate([each for _, each in fitted], axis=1)) * steps
    )
    for _ in range(_CORRECTIONS):
        factor = np.maximum(np.minimum(scores, _LARGEST_SCORE).mean(axis=0), 1e-4)
        level = level + np.log(factor)
        scores /= factor
    return VolatilityScale(
        np.concatenate([level[None], np.concatenate(slopes, axis=1)]), np.concatenate(means, axis=1)
    )
