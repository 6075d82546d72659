"""A trained network's answer, computed in NumPy and a compiled loop for the LSTMs: no framework is loaded to
make a forecast. Each variant's step is in its own file; a test compares it with Keras.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast_lib.models.network import Network
from forecast_lib.models.variant import Float32
from forecast_lib.models.variants.attention import attended
from forecast_lib.models.weights import Weights
from forecast_lib.windows.sequences import cut_windows
from forecast_lib.windows.threads import use_one_thread

__all__ = ["answered_by", "attention_weights", "chunk_outputs", "chunks_at", "forward", "outputs"]


def answered_by(network: Network) -> str:
    """What does the arithmetic of this network's answers, in words; the same on every machine, wherever it
    was trained.

    >>> from forecast_lib.config import ModelConfig
    >>> from forecast_lib.models.training import network_of
    >>> answered_by(network_of(ModelConfig("lstm"))), answered_by(network_of(ModelConfig("gru")))
    ('Numba CPU', 'NumPy CPU')
    """
    return f"{network.kind.computed_by} CPU"


def _states(network: Network, weights: Weights, x: Float32) -> Float32:
    # (time, windows, inputs) -> (time, windows, width)
    for layer in range(network.layers):
        x = network.kind.states(weights, f"rnn{layer}", x, last=layer == network.layers - 1)
    return x


def _by_time(windows: Float32) -> Float32:
    return np.ascontiguousarray(windows.transpose(1, 0, 2), dtype=np.float32)


def forward(network: Network, weights: Weights, windows: Float32) -> Float32:
    """The head's raw outputs (windows, outputs) at the last session of each window.

    Args:
        windows: (windows, lookback, inputs).
    """
    use_one_thread()
    head = network.kind.head_inputs(weights, _states(network, weights, _by_time(windows)))
    return head @ weights["head/kernel"] + weights["head/bias"]


def outputs(
    network: Network,
    members: Sequence[Weights],
    values: Float32,
    cutoffs: NDArray[np.integer],
    *,
    first: int,
) -> list[Float32]:
    """The raw outputs of each member's head (cutoffs, outputs) along one ticker's sessions; each uses
    sessions up to its own cutoff only.

    A network that runs forward in time reads the sessions as it was trained: in chunks of twice its lookback
    less one, of which the second half answers, so that each answer has seen at least `lookback` sessions.
    Others read one window a cutoff.

    Args:
        members: weights of the network.
        values: (sessions, inputs).
        first: the first cutoff that has a whole lookback; chunks are counted from it, so that the answer at a
            cutoff is the same whichever others are asked for.
    """
    if network.kind.one_window_a_cutoff:
        windows = cut_windows(values, cutoffs, network.lookback)
        return [forward(network, weights, windows) for weights in members]
    chunks = chunks_at(network, values, cutoffs, first=first)
    return [answers[chunks.of, chunks.place] for answers in chunk_outputs(network, members, chunks.x)]


@dataclass(frozen=True)
class Chunks:
    """The chunks that answer at some cutoffs.

    Attributes:
        x: (chunks, 2 * lookback - 1, inputs); sessions that are still to come are the last one there is.
        whole: (chunks,) whether all of its sessions are there.
        of: (cutoffs,) which chunk answers.
        place: (cutoffs,) at which of its `lookback` places.
    """

    x: Float32
    whole: NDArray[np.bool_]
    of: NDArray[np.intp]
    place: NDArray[np.integer]


def chunks_at(network: Network, values: Float32, cutoffs: NDArray[np.integer], *, first: int) -> Chunks:
    """Of a network that runs forward in time; arguments as of `outputs`."""
    lookback = network.lookback
    chunks, of = np.unique((cutoffs - first) // lookback, return_inverse=True)
    starts = first + chunks * lookback - lookback + 1
    at = starts[:, None] + np.arange(2 * lookback - 1)
    # A causal network is not disturbed by what follows.
    x = values[np.minimum(at, len(values) - 1)].astype(np.float32, copy=False)
    return Chunks(x, at[:, -1] < len(values), of, cutoffs - starts[of] - lookback + 1)


def chunk_outputs(network: Network, members: Sequence[Weights], x: Float32) -> list[Float32]:
    """The raw outputs of each member's head (chunks, lookback, outputs) on the second half of each chunk.

    Args:
        x: as of `Chunks`; where it ends earlier, nothing is said of the sessions that it lacks.
    """
    use_one_thread()
    by_time, answers = _by_time(x), []
    for weights in members:
        states = _states(network, weights, by_time)
        # As many rows for every chunk: how many they are may decide a product's last bits.
        last = np.zeros((len(x), network.lookback, states.shape[2]), np.float32)
        last[:, : len(states) - network.lookback + 1] = states[network.lookback - 1 :].transpose(1, 0, 2)
        answers.append(last @ weights["head/kernel"] + weights["head/bias"])
    return answers


def attention_weights(network: Network, weights: Weights, windows: Float32) -> Float32:
    """(windows, lookback): how much the decoder weighs each session of the window; each row sums to one.

    Raises:
        ValueError: the network has no attention.
    """
    if network.variant != "attention":
        raise ValueError(f"model {network.variant!r} has no attention weights: only 'attention' has")
    use_one_thread()
    return attended(weights, _states(network, weights, _by_time(windows)))[1]
