"""Recurrent cells that Keras lacks, their equations written once: for Keras, which trains them, and for
NumPy, which forecasts with them.
"""

import abc
import functools
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from forecast_lib.models.variant import Float32, Layer, Variant, projected, sigmoid, variant_named
from forecast_lib.models.weights import Weights, WeightSpec

__all__ = ["CellVariant"]

_NUMPY = SimpleNamespace(sigmoid=sigmoid, tanh=np.tanh, split=np.split)


class CellVariant(Variant):
    """A variant whose layer is a cell with a state and a memory; one without a memory of its own hands on its
    state as both. Input and state meet the gates together: a cell that gates the state before (GRU) is a
    `Variant` by itself.

    Attributes:
        own: further weights of a layer by name, and how many rows of its width each has; they start at zero.
    """

    own: ClassVar[Mapping[str, int]] = {}

    @abc.abstractmethod
    def step(self, m: Any, z: Any, memory: Any, own: Mapping[str, Any]) -> tuple[Any, Any]:
        """The state and the memory after a session.

        Args:
            m: sigmoid, tanh and split, of Keras's `ops` or of NumPy.
            z: (batch, gates * width): input and state on the gates, biases included.
            memory: before the session.
            own: the further weights.
        """

    def weights(self, prefix: str, inputs: int, units: int) -> list[WeightSpec]:
        """The usual ones, then its own."""
        own = [WeightSpec(f"{prefix}/{name}", (rows, units), "zeros") for name, rows in self.own.items()]
        return [*super().weights(prefix, inputs, units), *own]

    def states(self, weights: Weights, prefix: str, x: Float32, last: bool) -> Float32:
        """Session after session."""
        on_gates, recurrent = projected(weights, prefix, x)
        own = {name: weights[f"{prefix}/{name}"] for name in self.own}
        state = memory = np.zeros((x.shape[1], recurrent.shape[0]), np.float32)
        states = np.empty((len(x), *state.shape), np.float32)
        for t, z in enumerate(on_gates):
            state, memory = self.step(_NUMPY, z + state @ recurrent, memory, own)
            states[t] = state
        return states

    def layer(self, units: int, sequences: bool, name: str) -> Layer:
        """Keras's loop around the cell."""
        import keras

        named = type(self).__module__.rpartition(".")[2]
        return keras.layers.RNN(_cell()(named, units), return_sequences=sequences, name=name)


@functools.cache
def _cell() -> Any:
    import keras
    from keras import ops

    @keras.saving.register_keras_serializable("tickercast")
    class Cell(keras.layers.Layer):
        """A variant's step, as Keras wants it."""

        def __init__(self, variant: str, units: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.variant, self.units = variant, units
            self.state_size, self.output_size = [units, units], units

        def build(self, input_shape: tuple[int | None, ...]) -> None:
            for spec in variant_named(self.variant).weights("", int(input_shape[-1] or 0), self.units):
                named = spec.name.removeprefix("/")
                setattr(self, named, self.add_weight(shape=spec.shape, initializer="zeros", name=named))

        def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
            state, memory = states
            variant: Any = variant_named(self.variant)
            z = ops.matmul(inputs, self.kernel) + ops.matmul(state, self.recurrent_kernel) + self.bias
            own = {named: getattr(self, named) for named in variant.own}
            state, memory = variant.step(ops, z, memory, own)
            return state, [state, memory]

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "variant": self.variant, "units": self.units}

    return Cell
