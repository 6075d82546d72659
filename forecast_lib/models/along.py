"""What a model's networks say along a ticker's sessions, and what they have said before.

A night asks at hundreds of past cutoffs, whose outcomes calibrate and weigh, and gets what it got the night
before: the sessions of a chunk (`forward.Chunks`) change no more once they are all there. So what was said of
a whole chunk can be remembered, under a digest of all that it follows from.
"""

import functools
import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from forecast_lib.models.bundle import Bundle
from forecast_lib.models.forward import chunk_outputs, chunks_at, outputs
from forecast_lib.models.heads import Standardised, combined
from forecast_lib.models.variant import Float32
from forecast_lib.windows.series import Array

__all__ = ["DIGEST_BYTES", "Remembered", "said_along"]

DIGEST_BYTES = 16


@dataclass(frozen=True)
class Remembered:
    """What one model has said of whole chunks: by digest (lookback, 3 * horizon), of each step location, then
    scale, then degrees of freedom.

    Attributes:
        model: its id.
        before: said at earlier times.
        asked: all that is asked this time, from `before` or anew; `said_along` fills it.
    """

    model: str
    before: Mapping[bytes, Array] = field(default_factory=dict)
    asked: dict[bytes, Array] = field(default_factory=dict)


def said_along(
    bundle: Bundle,
    values: Float32,
    cutoffs: NDArray[np.integer],
    *,
    first: int,
    remembered: Remembered | None = None,
) -> Standardised:
    """What the networks say at these cutoffs.

    Args:
        values: (sessions, inputs).
        first: the first cutoff that has a whole lookback.
        remembered: by the kernel alone, which says the same to the bit whatever else it is asked; others are
            asked anew.
    """
    network, kind = bundle.network, bundle.network.kind
    if remembered is None or kind.one_window_a_cutoff or kind.computed_by != "Numba":
        return combined(outputs(network, bundle.members, values, cutoffs, first=first), bundle.horizon)
    chunks = chunks_at(network, values, cutoffs, first=first)
    key = hashlib.sha256(_arithmetic() + remembered.model.encode()).digest()
    names = [hashlib.blake2b(x, digest_size=DIGEST_BYTES, key=key).digest() for x in chunks.x]
    said = {name: remembered.before[name] for name in names if name in remembered.before}
    anew = [at for at, name in enumerate(names) if name not in said]
    if anew:
        # Of a chunk by itself no more sessions than are asked for.
        end = network.lookback + int(chunks.place[-1]) if anew == [len(names) - 1] else None
        head = combined(chunk_outputs(network, bundle.members, chunks.x[anew, :end]), bundle.horizon)
        made = np.concatenate([head.location, head.scale, head.df], axis=2)
        said |= {names[at]: part for at, part in zip(anew, made, strict=True)}
    for name, whole in zip(names, chunks.whole, strict=True):
        if whole:
            remembered.asked[name] = said[name]
    every = np.stack([said[name] for name in names])[chunks.of, chunks.place]
    return Standardised(*np.split(every, 3, axis=1))


@functools.cache
def _arithmetic() -> bytes:
    """What the last bits of an answer may follow from beside the weights and the sessions: our code, the
    libraries, the processor.
    """
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    libraries = [f"{name} {version(name)}" for name in ("numba", "numpy", "scipy")]
    processor = [llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    digest.update("\0".join([platform.python_version(), *libraries, *processor]).encode())
    return digest.digest()
