"""What a network is made of: names, shapes and first values of its weights, without any framework.

The same list of weights is what `architectures` builds in Keras, what `forward` computes with in NumPy and
what `bundle` stores. First values follow Keras's own defaults: Glorot uniform kernels (Glorot and Bengio
2010), orthogonal recurrent kernels (Saxe et al. 2014), zero biases with one in the forget gate (Jozefowicz et
al. 2015), drawn from our seed, so that a ticker's weights do not depend on what was built before. The head
starts at zero.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forecast_lib.config import Variant

__all__ = ["Network", "WeightSpec", "Weights", "first_weights", "weight_specs"]

Weights = dict[str, NDArray[np.float32]]
Start = Literal["glorot", "orthogonal", "zeros", "forget_one"]


@dataclass(frozen=True)
class Network:
    """A network's shape: everything that decides which numbers it computes, given its weights."""

    variant: Variant
    layers: int
    units: int
    inputs: int
    outputs: int
    lookback: int
    dropout: float = 0.0
    zero_head: bool = True

    @property
    def reads_backwards(self) -> bool:
        """Whether its state at a session depends on later sessions of the window."""
        return self.variant == "bidirectional"


@dataclass(frozen=True)
class WeightSpec:
    """One weight: its name, its shape, and how its first value is drawn."""

    name: str
    shape: tuple[int, ...]
    start: Start


_GATES = {"lstm": 4, "stacked": 4, "bidirectional": 4, "attention": 4, "peephole": 4, "coupled": 3, "gru": 3}


def _recurrent(prefix: str, variant: Variant, inputs: int, units: int) -> list[WeightSpec]:
    wide = _GATES[variant] * units
    forget: Start = "zeros" if variant in ("gru", "coupled") else "forget_one"
    specs = [
        WeightSpec(f"{prefix}/kernel", (inputs, wide), "glorot"),
        WeightSpec(f"{prefix}/recurrent_kernel", (units, wide), "orthogonal"),
        # Keras's GRU keeps separate biases for input and state ("reset after"), one row each.
        WeightSpec(f"{prefix}/bias", (2, wide) if variant == "gru" else (wide,), forget),
    ]
    if variant == "peephole":
        specs.append(WeightSpec(f"{prefix}/peepholes", (3, units), "zeros"))
    return specs


def weight_specs(network: Network) -> tuple[WeightSpec, ...]:
    """Every weight of the network, in the order in which Keras lists them."""
    specs: list[WeightSpec] = []
    inputs = network.inputs
    for layer in range(network.layers):
        prefixes = (
            (f"rnn{layer}/forward", f"rnn{layer}/backward") if network.reads_backwards else (f"rnn{layer}",)
        )
        for prefix in prefixes:
            specs += _recurrent(prefix, network.variant, inputs, network.units)
        inputs = network.units * len(prefixes)
    if network.variant == "attention":
        specs.append(WeightSpec("attention/kernel", (inputs, inputs), "glorot"))
        inputs *= 2
    specs.append(
        WeightSpec("head/kernel", (inputs, network.outputs), "zeros" if network.zero_head else "glorot")
    )
    specs.append(WeightSpec("head/bias", (network.outputs,), "zeros"))
    return tuple(specs)


def _draw(spec: WeightSpec, random: np.random.Generator) -> NDArray[np.float32]:
    if spec.start == "glorot":
        limit = math.sqrt(6.0 / sum(spec.shape))
        return random.uniform(-limit, limit, spec.shape).astype(np.float32)
    if spec.start == "orthogonal":
        q, r = np.linalg.qr(random.standard_normal((max(spec.shape), min(spec.shape))))
        q *= np.sign(np.diag(r))
        return (q if spec.shape[0] >= spec.shape[1] else q.T).astype(np.float32)
    value = np.zeros(spec.shape, np.float32)
    if spec.start == "forget_one":
        units = spec.shape[0] // 4
        value[units : 2 * units] = 1.0
    return value


def first_weights(network: Network, seed: int) -> Weights:
    """The untrained network's weights; the same for the same shape and seed, on every machine."""
    random = np.random.default_rng(seed)
    return {spec.name: _draw(spec, random) for spec in weight_specs(network)}
