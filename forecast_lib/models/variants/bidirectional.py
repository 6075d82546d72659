"""Two LSTMs, one of which reads the window backwards (Schuster and Paliwal 1997; Graves and Schmidhuber
2005).
"""

from typing import Any

import numpy as np

from forecast_lib.models.variant import Float32, Layer
from forecast_lib.models.variants.lstm import LSTM
from forecast_lib.models.weights import Weights, WeightSpec
from forecast_lib.windows.sequences import Framing

_WAYS = ("forward", "backward")


class Bidirectional(LSTM):
    """Its last layer hands on what each direction knows when it has read the whole window."""

    reads_backwards = True
    one_window_a_cutoff = True

    def weights(self, prefix: str, inputs: int, units: int) -> list[WeightSpec]:
        """Of both directions."""
        ahead, back = (super(Bidirectional, self).weights(f"{prefix}/{way}", inputs, units) for way in _WAYS)
        return [*ahead, *back]

    def width(self, units: int) -> int:
        """Both states."""
        return 2 * units

    def layer(self, units: int, sequences: bool, name: str) -> Layer:
        """Keras's wrapper around an LSTM."""
        import keras

        return keras.layers.Bidirectional(
            super().layer(units, sequences, "lstm"), merge_mode="concat", name=name
        )

    def positions(self, states: Any, lookback: int, framing: Framing) -> Any:
        """The window's end alone."""
        import keras

        return keras.layers.Reshape((1, states.shape[-1]), name="position")(states)

    def states(self, weights: Weights, prefix: str, x: Float32, last: bool) -> Float32:
        """Both directions beside each other."""
        ahead = super().states(weights, f"{prefix}/{_WAYS[0]}", x, last)
        back = super().states(weights, f"{prefix}/{_WAYS[1]}", x[::-1], last)
        if last:
            return np.concatenate([ahead[-1:], back[-1:]], axis=2)
        return np.concatenate([ahead, back[::-1]], axis=2)

    def head_inputs(self, weights: Weights, states: Float32) -> Float32:
        """A row a window."""
        return states[-1]


VARIANT = Bidirectional()
