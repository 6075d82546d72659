"""Cutting a series into what one optimiser step reads.

Two framings of the same targets::

    window    |<----- lookback ----->|  one target, at the window's last session
    sequence  |<----- burn-in ------>|  a target at every session after it: t t t t t t t t t t t t t
              |<------- lookback ------- - ------------------ chunk: 2 x lookback sessions ----->|

A network that runs forward in time can be trained on sequences, about thirty times less work per target than on windows
(truncated back-propagation; each target still sees at least `lookback` sessions). One that looks at the window backwards cannot.
Forecasts are always made from windows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Batches", "Framing", "cut_windows", "framing_for", "sample", "tile"]

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Framing:
    """`length` sessions go in, the last `positions` of them carry a target."""

    length: int
    positions: int


@dataclass(frozen=True)
class Batches:
    """Inputs and targets of some optimiser steps.

    Attributes:
        inputs: (steps, batch, length, features).
        targets: (steps, batch, positions, target columns).
        weights: (steps, batch, positions, target columns), 0 where there is no target, else 1.
    """

    inputs: Float32
    targets: Float32
    weights: Float32


def framing_for(lookback: int, *, looks_back: bool) -> Framing:
    """The framing a network is trained in; `looks_back`: it reads its window from the end too.

    >>> framing_for(60, looks_back=False)
    Framing(length=120, positions=61)
    """
    return Framing(lookback, 1) if looks_back else Framing(2 * lookback, lookback + 1)


def cut_windows(values: NDArray[np.floating], cutoffs: NDArray[np.integer], lookback: int) -> Float32:
    """(cutoffs, lookback, features): for each cutoff the sessions up to and including it, oldest first.

    Raises:
        ValueError: a cutoff has fewer than `lookback` sessions.
    """
    if len(cutoffs) and cutoffs.min() < lookback - 1:
        raise ValueError(f"cutoff {cutoffs.min()} has {cutoffs.min() + 1} sessions; a window needs {lookback}")
    return values[cutoffs[:, None] + np.arange(1 - lookback, 1)].astype(np.float32)


def _between(sessions: int, cutoffs: tuple[int, int]) -> NDArray[np.bool_]:
    at = np.arange(sessions)
    return (at >= cutoffs[0]) & (at < cutoffs[1])


def _cut(
    values: NDArray[np.floating],
    targets: NDArray[np.floating],
    usable: NDArray[np.bool_],
    ends: NDArray[np.integer],
    framing: Framing,
) -> Batches:
    at = ends[..., None] + np.arange(1 - framing.length, 1)
    inputs = np.where((at >= 0)[..., None], values[np.maximum(at, 0)], 0.0).astype(np.float32)
    placed = at[..., -framing.positions :]
    wanted = targets[np.maximum(placed, 0)]
    known = (usable[np.maximum(placed, 0)] & (placed >= 0))[..., None] & np.isfinite(wanted)
    return Batches(inputs, np.where(known, wanted, 0.0).astype(np.float32), known.astype(np.float32))


def sample(
    values: NDArray[np.floating],
    targets: NDArray[np.floating],
    cutoffs: tuple[int, int],
    framing: Framing,
    shape: tuple[int, int],
    random: np.random.Generator,
) -> Batches:
    """Random chunks, `shape` (steps, batch), whose targets belong to cutoffs first to last (exclusive).

    Targets outside carry no weight. Chunks are drawn by their middle and moved to end inside, so that even the earliest and the
    latest cutoffs are drawn half as often as those between, or more.
    """
    first, last = cutoffs
    half = framing.positions // 2
    ends = random.integers(first + half, last + half, shape)
    return _cut(values, targets, _between(len(values), cutoffs), np.clip(ends, first, last - 1), framing)


def tile(values: NDArray[np.floating], targets: NDArray[np.floating], cutoffs: tuple[int, int], framing: Framing, chunks: int) -> Batches:
    """Every cutoff from first to last (exclusive) exactly once, as one step of `chunks` chunks; spare chunks carry no weight.

    Raises:
        ValueError: so many cutoffs do not fit into so many chunks.
    """
    first, last = cutoffs
    ends = last - 1 - framing.positions * np.arange(chunks)[::-1]
    if first < ends[0] - framing.positions + 1:
        raise ValueError(f"{chunks} chunks of {framing.positions} targets cannot hold {last - first} cutoffs")
    return _cut(values, targets, _between(len(values), cutoffs), ends[None, :], framing)
