"""Training: one compiled program a shape serves every ticker; weights go in and come out as arrays.

A Keras model is built once a shape and traced once into a program that runs a whole epoch (`steps` optimiser steps) without
returning to Python; weights, optimiser state and batches are its arguments, so nothing is kept from one ticker to the next,
memory does not grow with their number, and a ticker's result depends on its own data and seed only. XLA compiles it for one
thread: several tickers train side by side in several threads.

The optimiser is Adam (Kingma and Ba 2015) with Keras's defaults, its gradient clipped to a global norm where asked for. It is written
out here because Keras's own has no stateless form on TensorFlow.
"""

import functools
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from forecast_lib.models.tensorflow_quietly import tf  # isort: skip  # first: sets TensorFlow up before Keras imports it
from forecast_lib.errors import TrainingDiverged
from forecast_lib.models.architectures import build
from forecast_lib.models.heads import DF_OFFSET, LOG_SCALE_OFFSET, MIN_DF
from forecast_lib.models.network import Network, Weights, weight_specs
from forecast_lib.windows.sequences import Batches, Framing

__all__ = ["Fit", "Loss", "Schedule", "fit"]

Loss = Literal["student_t", "mse"]
Tensors = list[tf.Tensor]

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # keras.optimizers.Adam's defaults
_TRACING = threading.Lock()  # Keras builds and traces models through process-wide state


@dataclass(frozen=True)
class Schedule:
    """How long to train, and how fast.

    Attributes:
        epochs: at most so many.
        patience: epochs without a better validation loss before stopping; None trains all epochs and keeps the last weights.
        clip_norm: largest global norm of the gradient; None does not clip.
        final_learning_rate: where given, the rate falls to it along half a cosine, epoch by epoch (Loshchilov and Hutter 2017).
    """

    epochs: int
    learning_rate: float
    patience: int | None = None
    clip_norm: float | None = None
    final_learning_rate: float | None = None

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch (0, 1, ...).

        >>> [round(Schedule(4, 0.1, final_learning_rate=0.0).rate(epoch), 4) for epoch in range(4)]
        [0.1, 0.0854, 0.05, 0.0146]
        """
        if self.final_learning_rate is None:
            return self.learning_rate
        share = (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        return self.final_learning_rate + (self.learning_rate - self.final_learning_rate) * share


@dataclass(frozen=True)
class Fit:
    """A trained network. Losses have one entry an epoch; `validation_loss[0]` is the untrained network's."""

    weights: Weights
    best_epoch: int
    epochs: int
    training_loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    seconds: float


def _student_t(outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    # Negative log likelihood of a Student-t, up to nothing; parameters as in heads.standardised.
    raw_location, raw_log_scale, raw_df = tf.split(outputs, 3, axis=-1)
    log_scale = 2.0 * tf.tanh(raw_log_scale / 2.0) + LOG_SCALE_OFFSET
    df = MIN_DF + tf.nn.softplus(raw_df + DF_OFFSET)
    score = (targets - tf.tanh(raw_location)) * tf.exp(-log_scale)
    constant = tf.math.lgamma(df / 2) - tf.math.lgamma((df + 1) / 2) + 0.5 * tf.math.log(np.float32(np.pi) * df)
    return constant + log_scale + (df + 1) / 2 * tf.math.log1p(score * score / df)


def _squared_error(outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    return tf.square(outputs - targets)


_LOSSES: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {"student_t": _student_t, "mse": _squared_error}


def _adam(weights: Tensors, state: Tensors, gradients: Tensors, rate: tf.Tensor, clip_norm: float | None) -> tuple[Tensors, Tensors]:
    count = len(weights)
    if clip_norm is not None:
        norm = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(g)) for g in gradients]))
        gradients = [g * (clip_norm / tf.maximum(norm, clip_norm)) for g in gradients]
    step = state[0] + 1.0
    first = [_BETA_1 * m + (1 - _BETA_1) * g for m, g in zip(state[1 : count + 1], gradients, strict=True)]
    second = [_BETA_2 * v + (1 - _BETA_2) * tf.square(g) for v, g in zip(state[count + 1 :], gradients, strict=True)]
    rate = rate * tf.sqrt(1.0 - tf.pow(_BETA_2, step)) / (1.0 - tf.pow(_BETA_1, step))
    moved = [w - rate * m / (tf.sqrt(v) + _EPSILON) for w, m, v in zip(weights, first, second, strict=True)]
    return moved, [step, *first, *second]


@dataclass(frozen=True)
class _Program:
    """`epoch(weights, state, adam, rate, inputs, targets, weights)` and `evaluate(weights, state, inputs, ...)`."""

    epoch: Any
    evaluate: Any
    random_states: tuple[tf.DType, ...]
    traced: set[tuple[Any, ...]] = field(default_factory=set)

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Call `epoch` or `evaluate`; the first call with arguments of a shape traces it, and only that one waits for its turn."""
        key = (name, *(tuple(argument.shape) for argument in arguments[-3:]))
        if key in self.traced:
            return getattr(self, name)(*arguments)
        with _TRACING:
            result = getattr(self, name)(*arguments)
            self.traced.add(key)
            return result


@functools.lru_cache(maxsize=32)
def _program(network: Network, framing: Framing, loss: Loss, clip_norm: float | None) -> _Program:
    model = build(network, framing)
    shapes = [tuple(variable.shape) for variable in model.trainable_variables]
    expected = [spec.shape for spec in weight_specs(network)]
    if shapes != expected:
        raise ValueError(f"{network.variant}: Keras built weights {shapes}, expected {expected}")
    mean_loss = _weighted_mean(_LOSSES[loss])

    def epoch(weights: Tensors, state: Tensors, adam: Tensors, rate: Any, inputs: Any, targets: Any, shares: Any) -> Any:
        total = tf.constant(0.0)
        for step in tf.range(tf.shape(inputs)[0]):
            with tf.GradientTape() as tape:
                tape.watch(weights)
                outputs, state = model.stateless_call(weights, state, inputs[step], training=True)
                value = mean_loss(outputs, targets[step], shares[step])
            gradients = tape.gradient(value, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            weights, adam = _adam(weights, adam, gradients, rate, clip_norm)
            total += value
        return weights, state, adam, total / tf.cast(tf.shape(inputs)[0], tf.float32)

    def evaluate(weights: Tensors, state: Tensors, inputs: Any, targets: Any, shares: Any) -> Any:
        outputs, _ = model.stateless_call(weights, state, inputs[0], training=False)
        return mean_loss(outputs, targets[0], shares[0])

    return _Program(
        tf.function(epoch, jit_compile=True),
        tf.function(evaluate, jit_compile=True),
        tuple(tf.as_dtype(variable.dtype) for variable in model.non_trainable_variables),
    )


def _weighted_mean(loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> Callable[[Any, Any, Any], tf.Tensor]:
    def mean_loss(outputs: Any, targets: Any, shares: Any) -> tf.Tensor:
        return tf.reduce_sum(loss(outputs, targets) * shares) / tf.maximum(tf.reduce_sum(shares), 1.0)

    return mean_loss


def _tensors(batches: Batches) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    return tf.constant(batches.inputs), tf.constant(batches.targets), tf.constant(batches.weights)


def fit(
    network: Network,
    framing: Framing,
    start: Weights,
    training: Callable[[int], Batches],
    validation: Batches | None,
    schedule: Schedule,
    *,
    loss: Loss,
    seed: int,
    ticker: str,
) -> Fit:
    """Train from the weights `start`; the same arguments give the same bits.

    Args:
        training: batches of an epoch (0, 1, ...); always of one shape.
        validation: one step of batches on which the best epoch is chosen; None with `patience=None` only.
        seed: of the dropout.
        ticker: named in errors.

    Raises:
        TrainingDiverged: the loss or a weight became NaN or infinite.
    """
    began = time.perf_counter()
    with _TRACING:
        program = _program(network, framing, loss, schedule.clip_norm)
    names = [spec.name for spec in weight_specs(network)]
    weights = [tf.constant(start[name]) for name in names]
    state = [tf.constant([seed, layer], dtype) for layer, dtype in enumerate(program.random_states)]
    adam = [tf.constant(0.0)] + [tf.zeros_like(weight) for weight in weights] * 2
    held_out = _tensors(validation) if validation is not None else None
    training_losses: list[float] = []
    losses = [_evaluate(program, weights, state, held_out)] if held_out is not None else []
    best, best_epoch = weights, 0
    for epoch in range(schedule.epochs):
        weights, state, adam, value = program("epoch", weights, state, adam, tf.constant(schedule.rate(epoch)), *_tensors(training(epoch)))
        training_losses.append(float(value))
        if not np.isfinite(training_losses[-1]):
            raise TrainingDiverged(ticker, f"training loss became {training_losses[-1]} in epoch {epoch + 1}", rule="diverged")
        if held_out is None or schedule.patience is None:
            best, best_epoch = weights, epoch + 1
            continue
        losses.append(_evaluate(program, weights, state, held_out))
        if losses[-1] < min(losses[:-1]):
            best, best_epoch = weights, epoch + 1
        elif epoch + 1 - best_epoch >= schedule.patience:
            break
    arrays = {name: weight.numpy() for name, weight in zip(names, best, strict=True)}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise TrainingDiverged(ticker, "a weight became NaN or infinite", rule="diverged")
    seconds = time.perf_counter() - began
    return Fit(arrays, best_epoch, len(training_losses), tuple(training_losses), tuple(losses), seconds)


def _evaluate(program: _Program, weights: Tensors, state: Tensors, held_out: tuple[Any, Any, Any]) -> float:
    return float(program("evaluate", weights, state, *held_out))
