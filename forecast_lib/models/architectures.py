"""A network's shape in, a Keras model out. No data, no paths, no training in here."""

import keras

from forecast_lib.models.network import Network, weight_specs
from forecast_lib.models.weights import Weights
from forecast_lib.windows.sequences import Framing

__all__ = ["build", "from_keras"]


def build(network: Network, framing: Framing) -> keras.Model:
    """The Keras model of `network`: (batch, framing.length, inputs) to (batch, framing.positions, outputs).

    Its trainable variables are in the order of `network.weight_specs`.

    Raises:
        ValueError: a network that reads its window backwards has one position only, the window's last
            session.
    """
    variant = network.kind
    if variant.reads_backwards and framing.positions != 1:
        raise ValueError(f"model {network.variant!r} needs one position a window; got {framing.positions}")
    inputs = x = keras.Input((framing.length, network.inputs))
    for layer in range(network.layers):
        sequences = not (variant.reads_backwards and layer == network.layers - 1)
        x = variant.layer(network.units, sequences, f"rnn{layer}")(x)
        if network.dropout:
            x = keras.layers.Dropout(network.dropout, name=f"dropout{layer}")(x)
    x = variant.positions(x, network.lookback, framing)
    return keras.Model(inputs, keras.layers.Dense(network.outputs, name="head")(x), name=network.variant)


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
