"""Recurrent cells and the attention layer that Keras lacks, as Keras layers with a configuration
round trip.
"""

from typing import Any

import keras
from keras import ops

__all__ = ["CoupledLSTMCell", "PeepholeLSTMCell", "WindowAttention"]


class _LSTMCell(keras.layers.Layer):
    """What both cells share: weights named and started as in Keras's own LSTM cell."""

    gates: int

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = [units, units]
        self.output_size = units

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        wide = self.gates * self.units
        self.kernel = self.add_weight(
            shape=(input_shape[-1], wide), initializer="glorot_uniform", name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, wide), initializer="orthogonal", name="recurrent_kernel"
        )
        self.bias = self.add_weight(shape=(wide,), initializer="zeros", name="bias")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("tickercast")
class PeepholeLSTMCell(_LSTMCell):
    """LSTM whose gates also see the cell state (Gers and Schmidhuber 2000; Gers, Schraudolph and Schmidhuber
    2002).

    With h the state, c the cell, * elementwise::

        i = sigmoid(x Wi + h Ri + p_i * c_before + bi)
        f = sigmoid(x Wf + h Rf + p_f * c_before + bf)
        c = f * c_before + i * tanh(x Wg + h Rg + bg)
        o = sigmoid(x Wo + h Ro + p_o * c + bo)
        h = o * tanh(c)

    Weights: those of Keras's LSTM cell, and `peepholes` (3, units): rows p_i, p_f, p_o.
    """

    gates = 4

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self.peepholes = self.add_weight(shape=(3, self.units), initializer="zeros", name="peepholes")

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        state, cell = states
        z = ops.matmul(inputs, self.kernel) + ops.matmul(state, self.recurrent_kernel) + self.bias
        i, f, g, o = ops.split(z, 4, axis=-1)
        peep = self.peepholes
        new = ops.sigmoid(f + peep[1] * cell) * cell + ops.sigmoid(i + peep[0] * cell) * ops.tanh(g)
        state = ops.sigmoid(o + peep[2] * new) * ops.tanh(new)
        return state, [state, new]


@keras.saving.register_keras_serializable("tickercast")
class CoupledLSTMCell(_LSTMCell):
    """LSTM with one gate for both input and forgetting (CIFG in Greff et al. 2017)::

    i = sigmoid(x Wi + h Ri + bi)
    c = (1 - i) * c_before + i * tanh(x Wg + h Rg + bg)
    h = sigmoid(x Wo + h Ro + bo) * tanh(c)
    """

    gates = 3

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        state, cell = states
        z = ops.matmul(inputs, self.kernel) + ops.matmul(state, self.recurrent_kernel) + self.bias
        i, g, o = ops.split(z, 3, axis=-1)
        gate = ops.sigmoid(i)
        new = (1 - gate) * cell + gate * ops.tanh(g)
        state = ops.sigmoid(o) * ops.tanh(new)
        return state, [state, new]


@keras.saving.register_keras_serializable("tickercast")
class WindowAttention(keras.layers.Layer):
    """Weighs the states of the last `lookback` time steps for each of the last `positions` time steps.

    Multiplicative ("general") attention of Luong, Pham and Manning (2015): the score of an earlier state s
    for the state h is h W s; shares are the softmax of the scores; the layer returns [sum of shares * s, h].

    Input (batch, time, units), output (batch, positions, 2 * units). A position never sees a later one.
    """

    def __init__(self, lookback: int, positions: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lookback = lookback
        self.positions = positions

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        units = input_shape[-1]
        self.kernel = self.add_weight(shape=(units, units), initializer="glorot_uniform", name="kernel")

    def call(self, inputs: Any) -> Any:
        length = inputs.shape[1]
        last = inputs[:, length - self.positions :]
        scores = ops.matmul(ops.matmul(last, self.kernel), ops.transpose(inputs, (0, 2, 1)))
        age = ops.expand_dims(ops.arange(length - self.positions, length), 1) - ops.expand_dims(
            ops.arange(length), 0
        )
        outside = ops.cast(ops.logical_or(age < 0, age >= self.lookback), scores.dtype)
        shares = ops.softmax(scores - 1e9 * outside, axis=-1)
        return ops.concatenate([ops.matmul(shares, inputs), last], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "lookback": self.lookback, "positions": self.positions}
