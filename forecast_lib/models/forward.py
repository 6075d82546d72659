"""A trained network's answer, computed in NumPy and a compiled loop for the LSTMs: no framework is loaded to
make a forecast. Each variant's step is in its own file; a test compares it with Keras.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forecast_lib.models.network import Network
from forecast_lib.models.variant import Float32
from forecast_lib.models.variants.attention import attended
from forecast_lib.models.weights import Weights
from forecast_lib.windows.sequences import cut_windows
from forecast_lib.windows.threads import use_one_thread

__all__ = ["answered_by", "attention_weights", "forward", "outputs"]


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
    use_one_thread()
    chunks, chunk = np.unique((cutoffs - first) // network.lookback, return_inverse=True)
    starts = first + chunks * network.lookback - network.lookback + 1
    at = np.arange(2 * network.lookback - 1)[:, None] + starts
    # A causal network is not disturbed by what follows.
    x = values[np.minimum(at, len(values) - 1)].astype(np.float32, copy=False)
    answers = []
    for weights in members:
        last = _states(network, weights, x)[cutoffs - starts[chunk], chunk]
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
