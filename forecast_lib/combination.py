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

import numba
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


@numba.njit(cache=True, nogil=True)
def _scores(losses: Array, logs: Array, wanted: int) -> Array:
    """(parts, wanted, horizon): the logarithms of the weights at the last `wanted` cutoffs, but for what they
    have in common.

    Args:
        losses: as of `part_weights`. logs: (parts,) of what each part counts before.
    """
    parts, length, horizon = losses.shape
    scores = np.empty((parts, wanted, horizon))
    # Sums up to each cutoff: of the mean losses, of how many there are, and of each part's excess.
    mean, number, excess = np.zeros(length + 1), np.zeros(length + 1), np.zeros((parts, length + 1))
    for at in range(horizon):
        for i in range(length):
            total, known = 0.0, 0
            for part in range(parts):
                if np.isfinite(losses[part, i, at]):
                    total += losses[part, i, at]
                    known += 1
            usual = total / max(known, 1)
            mean[i + 1], number[i + 1] = mean[i] + usual, number[i] + (known > 0)
            for part in range(parts):
                loss = losses[part, i, at]
                excess[part, i + 1] = excess[part, i] + (loss - usual if np.isfinite(loss) else 0.0)
        for k in range(wanted):
            place = length - wanted + k
            end = max(place - at, 0)
            start = min(max(place - WEIGHT_SESSIONS, 0), end)
            total, known = mean[end] - mean[start], number[end] - number[start]
            usual = total / max(known, 1.0) if total > 0 else 1.0
            for part in range(parts):
                lost = excess[part, end] - excess[part, start]
                scores[part, k, at] = logs[part] - _RATE / (at + 1) * lost / usual
    return scores


def part_weights(losses: Array, present: np.ndarray, prior: Array) -> Array:
    """(parts, wanted, horizon): the weights at the last `wanted` cutoffs; at each cutoff and step they sum to
    one.

    Args:
        losses: (parts, cutoffs, horizon) of consecutive cutoffs, NaN where the outcome is not known or the
            part had no forecast; at a cutoff only those are used whose outcome is known there.
        present: (parts, wanted, horizon) whether the part has a forecast from the cutoff; one has.
        prior: (parts,) positive.
    """
    scores = _scores(np.ascontiguousarray(losses), np.log(prior), present.shape[1])
    scores = np.where(present, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=0))
    return weights / weights.sum(axis=0)


def averaged(values: Array, weights: Array) -> Array:
    """The mean over the first axis with these weights; what has no weight may be NaN.

    Args:
        values: (parts, ...). weights: (parts, ...), as `part_weights` gives them.
    """
    return (weights * np.where(weights > 0, values, 0.0)).sum(axis=0)
