"""A gated recurrent unit (Cho et al. 2014), as Keras has it: "reset after", with biases of input and state
apart.
"""

import numpy as np

from forecast_lib.models.variant import Float32, Layer, Variant, sigmoid
from forecast_lib.models.weights import Weights, WeightSpec


class GRU(Variant):
    """Gates in Keras's order: update, reset, candidate."""

    gates = 3

    def weights(self, prefix: str, inputs: int, units: int) -> list[WeightSpec]:
        """A row of biases for the input and one for the state."""
        kernel, recurrent, bias = super().weights(prefix, inputs, units)
        return [kernel, recurrent, WeightSpec(bias.name, (2, *bias.shape), bias.start)]

    def layer(self, units: int, sequences: bool, name: str) -> Layer:
        """Keras's GRU."""
        import keras

        return keras.layers.GRU(
            units, return_sequences=sequences, reset_after=True, use_cudnn=False, name=name
        )

    def states(self, weights: Weights, prefix: str, x: Float32, last: bool) -> Float32:
        """Session after session."""
        kernel, recurrent, bias = (
            weights[f"{prefix}/{part}"] for part in ("kernel", "recurrent_kernel", "bias")
        )
        state = np.zeros((x.shape[1], recurrent.shape[0]), np.float32)
        states = np.empty((len(x), *state.shape), np.float32)
        for t, z in enumerate(x @ kernel + bias[0]):
            update_x, reset_x, new_x = np.split(z, 3, axis=1)
            update_h, reset_h, new_h = np.split(state @ recurrent + bias[1], 3, axis=1)
            update = sigmoid(update_x + update_h)
            candidate = np.tanh(new_x + sigmoid(reset_x + reset_h) * new_h)
            state = states[t] = update * state + (1 - update) * candidate
        return states


VARIANT = GRU()
