"""Training a network on windows of one scaled series, as Keras's `fit` does: shuffled anew each epoch, the
last batch smaller.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast_lib.models.forward import attention_weights, forward
from forecast_lib.models.network import Network, Weights, first_weights
from forecast_lib.windows.sequences import Batches, Framing, cut_windows
from forecast_lib.windows.series import Array

__all__ = ["Learned", "Pace", "attention_of", "batches_of", "learn", "predict", "run_free"]

KERAS_LEARNING_RATE = 1e-3  # keras.optimizers.Adam's default, which every walkthrough takes
_AT_ONCE = 2048  # windows answered together: more would only need memory


@dataclass(frozen=True)
class Pace:
    """How long and how fast; `final_learning_rate` as in the training engine."""

    epochs: int
    batch: int
    learning_rate: float = KERAS_LEARNING_RATE
    final_learning_rate: float | None = None


@dataclass(frozen=True)
class Learned:
    """A network trained on a scaled series; `losses` has the mean training loss of each epoch, in scaled
    units.
    """

    network: Network
    weights: Weights
    losses: tuple[float, ...]
    seconds: float


def _windows(values: Array, targets: range, lookback: int) -> NDArray[np.float32]:
    return cut_windows(values[:, None], np.asarray(targets) - 1, lookback)


def batches_of(
    values: Array, targets: range, lookback: int, batch: int, order: NDArray[np.integer]
) -> Batches:
    """The windows of `targets` in the given order, `batch` a step; the last step is filled with windows of no
    weight.
    """
    steps = -(-len(order) // batch)
    filled = np.concatenate([order, np.zeros(steps * batch - len(order), order.dtype)])
    weights = (np.arange(len(filled)) < len(order)).astype(np.float32)
    wanted = values[np.asarray(targets)].astype(np.float32)
    return Batches(
        _windows(values, targets, lookback)[filled].reshape(steps, batch, lookback, 1),
        wanted[filled].reshape(steps, batch, 1, 1),
        weights.reshape(steps, batch, 1, 1),
    )


def learn(network: Network, values: Array, targets: range, pace: Pace, *, seed: int, name: str) -> Learned:
    """Train from the seed on the windows of `targets`: Adam, mean squared error, nothing clipped.

    Args:
        values: (n,) scaled.
        name: of the series, for errors.

    Raises:
        TrainingDiverged: the loss or a weight became NaN or infinite.
    """
    from forecast_lib.models import engine  # TensorFlow takes seconds to import

    def epoch_batches(epoch: int) -> Batches:
        order = np.random.default_rng([seed, epoch]).permutation(len(targets))
        return batches_of(values, targets, network.lookback, pace.batch, order)

    fitted = engine.fit(
        network,
        Framing(network.lookback, 1),
        first_weights(network, seed),
        epoch_batches,
        None,
        engine.Schedule(pace.epochs, pace.learning_rate, final_learning_rate=pace.final_learning_rate),
        loss="mse",
        seed=seed,
        ticker=name,
    )
    return Learned(network, fitted.weights, fitted.training_loss, fitted.seconds)


def predict(learned: Learned, values: Array, targets: range) -> Array:
    """(targets,): the scaled forecast of each target from the true values before it."""
    parts = [targets[at : at + _AT_ONCE] for at in range(0, len(targets), _AT_ONCE)]
    answers = [
        forward(learned.network, learned.weights, _windows(values, part, learned.network.lookback))[:, 0]
        for part in parts
    ]
    return np.concatenate(answers).astype(np.float64)


def run_free(learned: Learned, values: Array, count: int) -> Array:
    """(count,): scaled values after the series, each forecast from those before it, its own answers
    included.
    """
    history = list(values[-learned.network.lookback :])
    for _ in range(count):
        window = np.array(history[-learned.network.lookback :], np.float32)[None, :, None]
        history.append(float(forward(learned.network, learned.weights, window)[0, 0]))
    return np.array(history[learned.network.lookback :])


def attention_of(learned: Learned, values: Array, targets: range) -> Array | None:
    """(lookback,): mean weight of each value of the window, oldest first; None where the network has no
    attention.
    """
    if learned.network.variant != "attention":
        return None
    return attention_weights(
        learned.network, learned.weights, _windows(values, targets, learned.network.lookback)
    ).mean(axis=0)
