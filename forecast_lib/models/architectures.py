"""Named builders: a network's shape in, a Keras model out. No data, no paths, no training in here.

To add a variant: a builder of its recurrent layer below, its weights in `network`, its step in `forward`, and
it must pass `tests/contracts/model_variant.py`.
"""

from collections.abc import Callable
from typing import Any

import keras

from forecast_lib.models.cells import CoupledLSTMCell, PeepholeLSTMCell, WindowAttention
from forecast_lib.models.network import Network, Weights, weight_specs
from forecast_lib.windows.sequences import Framing

__all__ = ["build", "from_keras", "to_keras"]

Layer = Any  # Keras ships no types


def _lstm(units: int, sequences: bool, name: str) -> Layer:
    # use_cudnn=False: on a GPU, XLA cannot compile cuDNN's own operations.
    return keras.layers.LSTM(units, return_sequences=sequences, use_cudnn=False, name=name)


def _gru(units: int, sequences: bool, name: str) -> Layer:
    return keras.layers.GRU(units, return_sequences=sequences, reset_after=True, use_cudnn=False, name=name)


def _bidirectional(units: int, sequences: bool, name: str) -> Layer:
    return keras.layers.Bidirectional(_lstm(units, sequences, "lstm"), merge_mode="concat", name=name)


def _peephole(units: int, sequences: bool, name: str) -> Layer:
    return keras.layers.RNN(PeepholeLSTMCell(units), return_sequences=sequences, name=name)


def _coupled(units: int, sequences: bool, name: str) -> Layer:
    return keras.layers.RNN(CoupledLSTMCell(units), return_sequences=sequences, name=name)


_RECURRENT: dict[str, Callable[[int, bool, str], Layer]] = {
    "lstm": _lstm,
    "stacked": _lstm,
    "bidirectional": _bidirectional,
    "attention": _lstm,
    "peephole": _peephole,
    "coupled": _coupled,
    "gru": _gru,
}


def build(network: Network, framing: Framing) -> keras.Model:
    """The Keras model of `network`: (batch, framing.length, inputs) to (batch, framing.positions, outputs).

    Its trainable variables are in the order of `network.weight_specs`.

    Raises:
        ValueError: a network that reads its window backwards has one position only, the window's last
            session.
    """
    if network.reads_backwards and framing.positions != 1:
        raise ValueError(f"model {network.variant!r} needs one position a window; got {framing.positions}")
    inputs = keras.Input((framing.length, network.inputs))
    x = inputs
    for layer in range(network.layers):
        sequences = not (network.reads_backwards and layer == network.layers - 1)
        x = _RECURRENT[network.variant](network.units, sequences, f"rnn{layer}")(x)
        if network.dropout:
            x = keras.layers.Dropout(network.dropout, name=f"dropout{layer}")(x)
    if network.variant == "attention":
        x = WindowAttention(network.lookback, framing.positions, name="attention")(x)
    elif network.reads_backwards:
        x = keras.layers.Reshape((1, 2 * network.units), name="position")(x)
    else:
        x = x[:, framing.length - framing.positions :]
    return keras.Model(inputs, keras.layers.Dense(network.outputs, name="head")(x), name=network.variant)


def to_keras(network: Network, framing: Framing, weights: Weights) -> keras.Model:
    """The Keras model of `network` that holds these weights."""
    model = build(network, framing)
    for variable, spec in zip(model.trainable_variables, weight_specs(network), strict=True):
        variable.assign(weights[spec.name])
    return model


def from_keras(network: Network, model: keras.Model) -> Weights:
    """The weights of a Keras model that `build` made for `network`, by their names in it.

    Raises:
        ValueError: the model was built for another network.
    """
    specs, arrays = weight_specs(network), [variable.numpy() for variable in model.trainable_variables]
    if [array.shape for array in arrays] != [spec.shape for spec in specs]:
        raise ValueError(
            f"the model {model.name!r} has other weights than {network}: {[array.shape for array in arrays]}"
        )
    return {spec.name: array for spec, array in zip(specs, arrays, strict=True)}
