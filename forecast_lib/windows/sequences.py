"""Cutting a series into what one optimiser step reads.

Two framings of the same targets::

    window    |<----- lookback ----->|  one target, at the window's last session
    sequence  |<----- burn-in ------>|  a target at every session after it: t t t t t t t t t t t t t
              |<------- lookback ------- - ------------------ chunk: 2 x lookback sessions ----->|

A network that runs forward in time can be trained on sequences, about thirty times less work per target than
on windows (truncated back-propagation; each target still sees at least `lookback` sessions). One that looks
at the window backwards cannot. Forecasts of such a network are made from sequences too
(`models.forward.outputs`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Batches", "Corpus", "Framing", "corpus", "cut_windows", "framing_for", "sample", "tile"]

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
        raise ValueError(
            f"cutoff {cutoffs.min()} has {cutoffs.min() + 1} sessions; a window needs {lookback}"
        )
    return values[cutoffs[:, None] + np.arange(1 - lookback, 1)].astype(np.float32)


@dataclass(frozen=True)
class Corpus:
    """The sessions of one or more tickers, one ticker after the other, and which of them carry a target.

    Attributes:
        values: (sessions, features).
        targets: (sessions, target columns), NaN where not known.
        usable: (sessions,) whether the session is one of the cutoffs.
        cutoffs: (cutoffs,) their indices, ascending.
        first, last: (sessions,) index of the ticker's own first session, and of its last cutoff.
    """

    values: Float32
    targets: NDArray[np.floating]
    usable: NDArray[np.bool_]
    cutoffs: NDArray[np.integer]
    first: NDArray[np.integer]
    last: NDArray[np.integer]


def corpus(parts: Sequence[tuple[Float32, NDArray[np.floating], tuple[int, int]]]) -> Corpus:
    """Of each ticker's features, targets and cutoffs first to last (exclusive)."""
    lengths = np.array([len(values) for values, _, _ in parts])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    usable = np.concatenate(
        [
            (np.arange(len(values)) >= low) & (np.arange(len(values)) < high)
            for values, _, (low, high) in parts
        ]
    )
    return Corpus(
        np.concatenate([values for values, _, _ in parts]).astype(np.float32),
        np.concatenate([targets for _, targets, _ in parts]),
        usable,
        np.flatnonzero(usable),
        np.repeat(starts, lengths),
        np.repeat(starts + np.array([high - 1 for _, _, (_, high) in parts]), lengths),
    )


def _cut(source: Corpus, ends: NDArray[np.integer], framing: Framing) -> Batches:
    at = ends[..., None] + np.arange(1 - framing.length, 1)
    own = at >= source.first[ends][..., None]
    inputs = np.where(own[..., None], source.values[np.maximum(at, 0)], np.float32(0.0))
    placed, own = np.maximum(at[..., -framing.positions :], 0), own[..., -framing.positions :]
    wanted = source.targets[placed]
    known = (source.usable[placed] & own)[..., None] & np.isfinite(wanted)
    return Batches(inputs, np.where(known, wanted, 0.0).astype(np.float32), known.astype(np.float32))


def sample(source: Corpus, framing: Framing, shape: tuple[int, int], random: np.random.Generator) -> Batches:
    """Random chunks, `shape` (steps, batch), of one ticker each; every cutoff of every ticker is as likely.

    Sessions that are no cutoff carry no weight. A chunk is drawn by its middle and moved to end inside, so
    that even a ticker's earliest and latest cutoffs are drawn half as often as those between, or more.
    """
    middle = source.cutoffs[random.integers(0, len(source.cutoffs), shape)]
    return _cut(source, np.minimum(middle + framing.positions // 2, source.last[middle]), framing)


def tile(source: Corpus, framing: Framing, *, most: int | None = None) -> Batches:
    """Every cutoff exactly once, as one step of chunks that end at each ticker's last cutoff; spare places
    carry no weight.

    Args:
        most: where there are more chunks, so many of them, evenly spread.
    """
    before = source.last[source.cutoffs] - source.cutoffs
    ends = source.cutoffs[before % framing.positions == 0]
    if most is not None and len(ends) > most:
        ends = ends[np.linspace(0, len(ends) - 1, most).astype(int)]
    return _cut(source, ends[None, :], framing)
