"""What a network is made of: names, shapes and first values of its weights, without any framework.

The same list of weights is what `architectures` builds in Keras, what `forward` computes with in NumPy and
what `bundle` stores. First values are drawn from our seed, so that a ticker's weights do not depend on what
was built before. The head starts at zero.
"""

from dataclasses import dataclass

import numpy as np

from forecast_lib.models.variant import Variant, variant_named
from forecast_lib.models.weights import Weights, WeightSpec, draw

__all__ = ["Network", "first_weights", "weight_specs"]


@dataclass(frozen=True)
class Network:
    """A network's shape: everything that decides which numbers it computes, given its weights."""

    variant: str
    layers: int
    units: int
    inputs: int
    outputs: int
    lookback: int
    dropout: float = 0.0
    zero_head: bool = True

    @property
    def kind(self) -> Variant:
        """What its variant says of itself."""
        return variant_named(self.variant)

    @property
    def reads_backwards(self) -> bool:
        """Whether its state at a session depends on later sessions of the window."""
        return self.kind.reads_backwards


def weight_specs(network: Network) -> tuple[WeightSpec, ...]:
    """Every weight of the network, in the order in which Keras lists them."""
    specs: list[WeightSpec] = []
    inputs = network.inputs
    for layer in range(network.layers):
        specs += network.kind.weights(f"rnn{layer}", inputs, network.units)
        inputs = network.kind.width(network.units)
    more, inputs = network.kind.on_top(inputs)
    head = WeightSpec("head/kernel", (inputs, network.outputs), "zeros" if network.zero_head else "glorot")
    return (*specs, *more, head, WeightSpec("head/bias", (network.outputs,), "zeros"))


def first_weights(network: Network, seed: int) -> Weights:
    """The untrained network's weights; the same for the same shape and seed, on every machine."""
    random = np.random.default_rng(seed)
    return {spec.name: draw(spec, random) for spec in weight_specs(network)}
