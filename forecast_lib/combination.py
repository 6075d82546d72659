"""What answers: the network and the baselines together, each with the weight that its past losses have
earned.

The quantiles of the parts are averaged level by level (Vincent 1912; Lichtendahl, Grushka-Cockayne and
Winkler 2013). The weights are exponential (Vovk 1990; Berrisch and Ziel 2023 for quantiles): at each cutoff
and step a part counts

    prior * exp(-rate / step * sum of its excess losses / mean loss)

where the losses are those of the last 250 cutoffs whose outcome is known there, and excess is what a part
lost more than the mean of all parts from the same cutoff. Outcomes `step` sessions ahead overlap, so that so
many count as one. A part without a forecast counts nothing; one without a past counts its prior. Nothing is
switched off by a verdict.
"""

import numpy as np

from forecast_lib.windows.series import Array

__all__ = ["WEIGHT_SESSIONS", "averaged", "part_weights", "prior_weights"]

WEIGHT_SESSIONS = 250
"""As long as the validation that no model was fitted on: a network's losses on sessions it learned from say
nothing.
"""
_RATE = 0.3  # between 0.1 and 0.4 the loss of the combination hardly changes
_NETWORKS = 0.7  # of the prior; the baselines share the rest


def prior_weights(networks: int, baselines: int) -> Array:
    """(networks + baselines,) what each part counts before anything is known of it; sums to one.

    >>> prior_weights(1, 3).round(2).tolist()
    [0.7, 0.1, 0.1, 0.1]
    """
    if not (networks and baselines):
        return np.full(networks + baselines, 1 / (networks + baselines))
    return np.repeat([_NETWORKS / networks, (1 - _NETWORKS) / baselines], [networks, baselines])


def _window_sums(values: Array, step: int, wanted: int) -> Array:
    """(..., wanted): at each of the last `wanted` places i the sum of values[i - WEIGHT_SESSIONS : i - step +
    1].
    """
    totals = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    places = np.arange(values.shape[-1] - wanted, values.shape[-1])
    ends = np.maximum(places - step + 1, 0)
    starts = np.minimum(np.maximum(places - WEIGHT_SESSIONS, 0), ends)
    return totals[..., ends] - totals[..., starts]


def part_weights(losses: Array, present: np.ndarray, prior: Array) -> Array:
    """(parts, wanted, horizon): the weights at the last `wanted` cutoffs; at each cutoff and step they sum to
    one.

    Args:
        losses: (parts, cutoffs, horizon) of consecutive cutoffs, NaN where the outcome is not known or the
            part had no forecast; at a cutoff only those are used whose outcome is known there.
        present: (parts, wanted, horizon) whether the part has a forecast from the cutoff; one has.
        prior: (parts,) positive.
    """
    wanted, horizon = present.shape[1:]
    known = np.isfinite(losses)
    count = known.sum(axis=0)
    mean = np.where(known, losses, 0.0).sum(axis=0) / np.maximum(count, 1)
    excess = np.where(known, losses - mean, 0.0)
    weights = np.empty(present.shape)
    for step in range(1, horizon + 1):
        total = _window_sums(mean[:, step - 1], step, wanted)
        number = _window_sums((count[:, step - 1] > 0).astype(np.float64), step, wanted)
        usual = np.where(total > 0, total / np.maximum(number, 1), 1.0)
        score = (
            np.log(prior)[:, None] - _RATE / step * _window_sums(excess[:, :, step - 1], step, wanted) / usual
        )
        score = np.where(present[:, :, step - 1], score, -np.inf)
        weights[:, :, step - 1] = np.exp(score - score.max(axis=0))
    return weights / weights.sum(axis=0)


def averaged(values: Array, weights: Array) -> Array:
    """The mean over the first axis with these weights; what has no weight may be NaN.

    Args:
        values: (parts, ...). weights: (parts, ...), as `part_weights` gives them.
    """
    return (weights * np.where(weights > 0, values, 0.0)).sum(axis=0)
