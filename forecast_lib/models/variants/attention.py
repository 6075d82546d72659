"""LSTM layers, and a look back at all states of the window: the "general" attention of Luong, Pham and
Manning (2015).

The score of an earlier state s for the state h is h W s; shares are the softmax of the scores; the head gets
[sum of shares * s, h].
"""

import functools
from typing import Any

import numpy as np

from forecast_lib.models.variant import Float32
from forecast_lib.models.variants.lstm import LSTM
from forecast_lib.models.weights import Weights, WeightSpec
from forecast_lib.windows.sequences import Framing

__all__ = ["VARIANT", "attended"]

_KERNEL = "attention/kernel"


class Attention(LSTM):
    """A position never sees a later one, nor one beyond its own lookback."""

    one_window_a_cutoff = True

    def on_top(self, inputs: int) -> tuple[list[WeightSpec], int]:
        """W; what was attended to stands beside the state."""
        return [WeightSpec(_KERNEL, (inputs, inputs), "glorot")], 2 * inputs

    def positions(self, states: Any, lookback: int, framing: Framing) -> Any:
        """For each of the last positions, the last `lookback` sessions weighed."""
        return _window_attention()(lookback, framing.positions, name="attention")(states)

    def head_inputs(self, weights: Weights, states: Float32) -> Float32:
        """At the window's end."""
        return np.concatenate([attended(weights, states)[0], states[-1]], axis=1)


def attended(weights: Weights, states: Float32) -> tuple[Float32, Float32]:
    """What the last of (time, windows, units) states looks back at, and (windows, time) shares."""
    query = states[-1] @ weights[_KERNEL]
    scores = np.einsum("wu,twu->wt", query, states)
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares = scores / scores.sum(axis=1, keepdims=True)
    return np.einsum("wt,twu->wu", shares, states), shares


@functools.cache
def _window_attention() -> Any:
    import keras
    from keras import ops

    @keras.saving.register_keras_serializable("tickercast")
    class WindowAttention(keras.layers.Layer):
        """Input (batch, time, units), output (batch, positions, 2 * units)."""

        def __init__(self, lookback: int, positions: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.lookback, self.positions = lookback, positions

        def build(self, input_shape: tuple[int | None, ...]) -> None:
            units = input_shape[-1]
            self.kernel = self.add_weight(shape=(units, units), initializer="zeros", name="kernel")

        def call(self, inputs: Any) -> Any:
            length = inputs.shape[1]
            last = inputs[:, length - self.positions :]
            scores = ops.matmul(ops.matmul(last, self.kernel), ops.transpose(inputs, (0, 2, 1)))
            places = ops.arange(length)
            age = ops.expand_dims(places[length - self.positions :], 1) - ops.expand_dims(places, 0)
            outside = ops.cast(ops.logical_or(age < 0, age >= self.lookback), scores.dtype)
            shares = ops.softmax(scores - 1e9 * outside, axis=-1)
            return ops.concatenate([ops.matmul(shares, inputs), last], axis=-1)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "lookback": self.lookback, "positions": self.positions}

    return WindowAttention


VARIANT = Attention()
