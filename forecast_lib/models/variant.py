"""What a network variant is: the weights of its recurrent layer, its Keras layer, and its step in NumPy.

Each is a file in `variants/`, whose name is the variant's. Keras is imported inside the methods that need it:
a forecast loads no framework. A variant must pass `tests/contracts/model_variant.py`.
"""

import abc
import functools
import importlib
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from forecast_lib.models.weights import Start, Weights, WeightSpec
from forecast_lib.windows.sequences import Framing

__all__ = ["Float32", "Layer", "Variant", "projected", "sigmoid", "variant_named"]

Float32 = NDArray[np.float32]
Layer = Any  # Keras ships no types


def sigmoid(x: Float32) -> Float32:
    """By tanh, which never overflows."""
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1.0))


class Variant(abc.ABC):
    """A variant with one recurrent layer's weights in Keras's usual form, reading forward in time.

    Attributes:
        gates: how many the layer has; its kernels are so many times as wide as its state.
        bias: how the bias starts.
        computed_by: what does its arithmetic in a forecast.
        reads_backwards: its state at a session depends on later sessions of the window.
        one_window_a_cutoff: its answer at a cutoff needs a window that ends there.
    """

    gates: ClassVar[int]
    bias: ClassVar[Start] = "zeros"
    computed_by: ClassVar[Literal["NumPy", "Numba"]] = "NumPy"
    reads_backwards: ClassVar[bool] = False
    one_window_a_cutoff: ClassVar[bool] = False

    def weights(self, prefix: str, inputs: int, units: int) -> list[WeightSpec]:
        """Those of one layer, in the order in which Keras lists them."""
        wide = self.gates * units
        return [
            WeightSpec(f"{prefix}/kernel", (inputs, wide), "glorot"),
            WeightSpec(f"{prefix}/recurrent_kernel", (units, wide), "orthogonal"),
            WeightSpec(f"{prefix}/bias", (wide,), self.bias),
        ]

    def width(self, units: int) -> int:
        """Of a layer's output."""
        return units

    def on_top(self, inputs: int) -> tuple[list[WeightSpec], int]:
        """Weights between the layers and the head, and how wide the head's input is."""
        return [], inputs

    @abc.abstractmethod
    def layer(self, units: int, sequences: bool, name: str) -> Layer:
        """The Keras layer."""

    def positions(self, states: Any, lookback: int, framing: Framing) -> Any:
        """Keras's (batch, positions, head inputs) of the last layer's output."""
        return states[:, framing.length - framing.positions :]

    @abc.abstractmethod
    def states(self, weights: Weights, prefix: str, x: Float32, last: bool) -> Float32:
        """(time, windows, width): a layer's states of (time, windows, inputs).

        Args:
            last: no layer follows.
        """

    def head_inputs(self, weights: Weights, states: Float32) -> Float32:
        """(windows, head inputs) at each window's end, of the last layer's states."""
        return states[-1]


def projected(weights: Weights, prefix: str, x: Float32) -> tuple[Float32, Float32]:
    """The inputs of all times on the gates, and the recurrent kernel."""
    kernel, recurrent, bias = (weights[f"{prefix}/{part}"] for part in ("kernel", "recurrent_kernel", "bias"))
    return x @ kernel + bias, recurrent


@functools.cache
def variant_named(name: str) -> Variant:
    """The variant of the file of that name."""
    found: Variant = importlib.import_module(f"forecast_lib.models.variants.{name}").VARIANT
    return found
