"""A network's weights by their names, and how the first value of each is drawn, without any framework.

First values follow Keras's own defaults: Glorot uniform kernels (Glorot and Bengio 2010), orthogonal
recurrent kernels (Saxe et al. 2014), zero biases with one in the forget gate (Jozefowicz et al. 2015).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Start", "WeightSpec", "Weights", "draw"]

Weights = dict[str, NDArray[np.float32]]
Start = Literal["glorot", "orthogonal", "zeros", "forget_one"]


@dataclass(frozen=True)
class WeightSpec:
    """One weight: its name, its shape, and how its first value is drawn."""

    name: str
    shape: tuple[int, ...]
    start: Start


def draw(spec: WeightSpec, random: np.random.Generator) -> NDArray[np.float32]:
    """The first value."""
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
