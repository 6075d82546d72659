"""The training program in TensorFlow: every variant, on a processor or a GPU, and the reference for `kernel`.

A Keras model is built once a shape and traced once into a program that runs a whole epoch (`steps` optimiser
steps) without returning to Python; weights, optimiser state and batches are its arguments, so nothing is kept
from one ticker to the next, memory does not grow with their number, and a ticker's result depends on its own
data and seed only. XLA compiles it for one
thread: several tickers train side by side in several threads. Where TensorFlow sees a GPU, the same program
runs there.

The optimiser is Adam (Kingma and Ba 2015) with Keras's defaults, its gradient clipped to a global norm where
asked for. It is written out here because Keras's own has no stateless form on TensorFlow.
"""

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forecast_lib.models.architectures import build, from_keras
from forecast_lib.models.heads import DF_OFFSET, LOG_SCALE_OFFSET, MIN_DF
from forecast_lib.models.network import Network, Weights, weight_specs

# isort: skip  # first: sets TensorFlow up before Keras imports it
from forecast_lib.models.tensorflow_quietly import tf
from forecast_lib.windows.sequences import Batches, Framing

__all__ = ["Program", "Trainer", "program_of"]

Tensors = list[tf.Tensor]

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # keras.optimizers.Adam's defaults
_TRACING = threading.Lock()  # Keras builds and traces models through process-wide state


def _student_t(outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    # Negative log likelihood of a Student-t, up to nothing; parameters as in heads.standardised.
    raw_location, raw_log_scale, raw_df = tf.split(outputs, 3, axis=-1)
    log_scale = 2.0 * tf.tanh(raw_log_scale / 2.0) + LOG_SCALE_OFFSET
    df = MIN_DF + tf.nn.softplus(raw_df + DF_OFFSET)
    score = (targets - tf.tanh(raw_location)) * tf.exp(-log_scale)
    constant = (
        tf.math.lgamma(df / 2) - tf.math.lgamma((df + 1) / 2) + 0.5 * tf.math.log(np.float32(np.pi) * df)
    )
    return constant + log_scale + (df + 1) / 2 * tf.math.log1p(score * score / df)


def _squared_error(outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    return tf.square(outputs - targets)


_LOSSES: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "student_t": _student_t,
    "mse": _squared_error,
}


def _adam(
    weights: Tensors, state: Tensors, gradients: Tensors, rate: tf.Tensor, clip_norm: float | None
) -> tuple[Tensors, Tensors]:
    count = len(weights)
    if clip_norm is not None:
        norm = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(g)) for g in gradients]))
        gradients = [g * (clip_norm / tf.maximum(norm, clip_norm)) for g in gradients]
    step = state[0] + 1.0
    first = [_BETA_1 * m + (1 - _BETA_1) * g for m, g in zip(state[1 : count + 1], gradients, strict=True)]
    second = [
        _BETA_2 * v + (1 - _BETA_2) * tf.square(g) for v, g in zip(state[count + 1 :], gradients, strict=True)
    ]
    rate = rate * tf.sqrt(1.0 - tf.pow(_BETA_2, step)) / (1.0 - tf.pow(_BETA_1, step))
    moved = [w - rate * m / (tf.sqrt(v) + _EPSILON) for w, m, v in zip(weights, first, second, strict=True)]
    return moved, [step, *first, *second]


@dataclass(frozen=True)
class Program:
    """`epoch(weights, state, adam, rate, inputs, targets, weights)` and `evaluate(weights, state, inputs,
    ...)`.
    """

    epoch: Any
    evaluate: Any
    random_states: tuple[tf.DType, ...]
    traced: set[tuple[Any, ...]] = field(default_factory=set)

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Call `epoch` or `evaluate`; the first call with arguments of a shape traces it, and only that one
        waits for its turn.
        """
        key = (name, *(tuple(argument.shape) for argument in arguments[-3:]))
        if key in self.traced:
            return getattr(self, name)(*arguments)
        with _TRACING:
            result = getattr(self, name)(*arguments)
            self.traced.add(key)
            return result


@functools.lru_cache(maxsize=32)
def program_of(network: Network, framing: Framing, loss: str, clip_norm: float | None) -> Program:
    """The traced program of a shape.

    Args:
        loss: "student_t" or "mse".
        clip_norm: largest global norm of the gradient; None does not clip.

    Raises:
        ValueError: Keras built other weights than `network` lists.
    """
    model = build(network, framing)
    from_keras(network, model)  # refuses a model whose weights are not those that `network` lists
    mean_loss = _weighted_mean(_LOSSES[loss])

    def epoch(
        weights: Tensors, state: Tensors, adam: Tensors, rate: Any, inputs: Any, targets: Any, shares: Any
    ) -> Any:
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

    return Program(
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


class Trainer:
    """One network in training: its weights, its optimiser's state and its dropout's, around the program of
    its shape.

    Args:
        start: the weights to begin at.
        loss, clip_norm: as in `program_of`.
        seed: of the dropout.
    """

    def __init__(
        self,
        network: Network,
        framing: Framing,
        start: Weights,
        *,
        loss: str,
        clip_norm: float | None,
        seed: int,
    ) -> None:
        with _TRACING:
            self._program = program_of(network, framing, loss, clip_norm)
        self._names = [spec.name for spec in weight_specs(network)]
        self._weights = [tf.constant(start[name]) for name in self._names]
        self._state = [
            tf.constant([seed, layer], dtype) for layer, dtype in enumerate(self._program.random_states)
        ]
        self._adam = [tf.constant(0.0)] + [tf.zeros_like(weight) for weight in self._weights] * 2

    def epoch(self, rate: float, batches: Batches) -> float:
        """Take the optimiser's steps; the mean of their losses."""
        arguments = self._weights, self._state, self._adam, tf.constant(rate), *_tensors(batches)
        self._weights, self._state, self._adam, loss = self._program("epoch", *arguments)
        return float(loss)

    def evaluate(self, batches: Batches) -> float:
        """The loss of the first step's batch, nothing dropped out."""
        return float(self._program("evaluate", self._weights, self._state, *_tensors(batches)))

    def weights(self) -> Weights:
        """A copy of the weights, by name."""
        return {name: weight.numpy() for name, weight in zip(self._names, self._weights, strict=True)}
