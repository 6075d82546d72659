"""An LSTM layer (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000), as Keras
has it.
"""

import numpy as np

from forecast_lib.models.kernel import layer_states
from forecast_lib.models.variant import Float32, Layer, Variant
from forecast_lib.models.weights import Weights

__all__ = ["LSTM", "VARIANT"]


class LSTM(Variant):
    """Gates in Keras's order: input, forget, cell, output. A forecast runs a compiled loop."""

    gates = 4
    bias = "forget_one"
    computed_by = "Numba"

    def layer(self, units: int, sequences: bool, name: str) -> Layer:
        """Keras's LSTM."""
        import keras

        # use_cudnn=False: on a GPU, XLA cannot compile cuDNN's own operations.
        return keras.layers.LSTM(units, return_sequences=sequences, use_cudnn=False, name=name)

    def states(self, weights: Weights, prefix: str, x: Float32, last: bool) -> Float32:
        """By the kernel's loop."""
        return layer_states(
            x, *(weights[f"{prefix}/{part}"] for part in ("kernel", "recurrent_kernel", "bias"))
        )

    def head_inputs(self, weights: Weights, states: Float32) -> Float32:
        """A column a window: how they lie decides in what order a single output is summed, and its last
        bit.
        """
        columns = np.empty((states.shape[2], states.shape[1] + 1), np.float32)[:, :-1]
        columns[...] = states[-1].T
        return columns.T


VARIANT = LSTM()
