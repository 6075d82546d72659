"""A trained network's answer, computed in NumPy: no framework is loaded to make a forecast.

Gates are in Keras's order: LSTM input, forget, cell, output; GRU update, reset, candidate ("reset after"). The same equations
are in `cells` for training; a test compares both with Keras.
"""

import numpy as np
from numpy.typing import NDArray

from forecast_lib.models.network import Network, Weights
from forecast_lib.windows.sequences import cut_windows
from forecast_lib.windows.threads import use_one_thread

__all__ = ["attention_weights", "forward", "outputs"]

Float32 = NDArray[np.float32]


def _sigmoid(x: Float32) -> Float32:
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1.0))


def _lstm_step(z: Float32, cell: Float32) -> tuple[Float32, Float32]:
    i, f, g, o = np.split(z, 4, axis=1)
    cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(cell), cell


def _coupled_step(z: Float32, cell: Float32) -> tuple[Float32, Float32]:
    i, g, o = np.split(z, 3, axis=1)
    gate = _sigmoid(i)
    cell = (1 - gate) * cell + gate * np.tanh(g)
    return _sigmoid(o) * np.tanh(cell), cell


def _peephole_step(z: Float32, cell: Float32, peepholes: Float32) -> tuple[Float32, Float32]:
    i, f, g, o = np.split(z, 4, axis=1)
    new = _sigmoid(f + peepholes[1] * cell) * cell + _sigmoid(i + peepholes[0] * cell) * np.tanh(g)
    return _sigmoid(o + peepholes[2] * new) * np.tanh(new), new


def _gru_step(z: Float32, inner: Float32, state: Float32) -> Float32:
    update_x, reset_x, new_x = np.split(z, 3, axis=1)
    update_h, reset_h, new_h = np.split(inner, 3, axis=1)
    update = _sigmoid(update_x + update_h)
    candidate = np.tanh(new_x + _sigmoid(reset_x + reset_h) * new_h)
    return update * state + (1 - update) * candidate


def _run_layer(variant: str, weights: Weights, prefix: str, x: Float32) -> Float32:
    # x: (time, windows, inputs) -> (time, windows, units)
    kernel, recurrent, bias = (weights[f"{prefix}/{part}"] for part in ("kernel", "recurrent_kernel", "bias"))
    projected = x @ kernel + (bias[0] if variant == "gru" else bias)
    state = cell = np.zeros((x.shape[1], recurrent.shape[0]), np.float32)
    states = np.empty((len(x), *state.shape), np.float32)
    for t, z in enumerate(projected):
        inner = state @ recurrent
        if variant == "gru":
            state = _gru_step(z, inner + bias[1], state)
        elif variant == "coupled":
            state, cell = _coupled_step(z + inner, cell)
        elif variant == "peephole":
            state, cell = _peephole_step(z + inner, cell, weights[f"{prefix}/peepholes"])
        else:
            state, cell = _lstm_step(z + inner, cell)
        states[t] = state
    return states


def _recurrent_layers(network: Network, weights: Weights, windows: Float32) -> Float32:
    x = np.ascontiguousarray(windows.transpose(1, 0, 2), dtype=np.float32)
    for layer in range(network.layers):
        if network.reads_backwards:
            ahead = _run_layer(network.variant, weights, f"rnn{layer}/forward", x)
            back = _run_layer(network.variant, weights, f"rnn{layer}/backward", x[::-1])
            # The last layer hands on what each direction knows when it has read the whole window.
            x = (
                np.concatenate([ahead[-1:], back[-1:]], axis=2)
                if layer == network.layers - 1
                else np.concatenate([ahead, back[::-1]], axis=2)
            )
        else:
            x = _run_layer(network.variant, weights, f"rnn{layer}", x)
    return x


def _attention(states: Float32, kernel: Float32) -> tuple[Float32, Float32]:
    # states: (time, windows, units); scores of Luong et al. (2015), "general": last state against each state.
    query = states[-1] @ kernel
    scores = np.einsum("wu,twu->wt", query, states)
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares = scores / scores.sum(axis=1, keepdims=True)
    return np.einsum("wt,twu->wu", shares, states), shares


def forward(network: Network, weights: Weights, windows: Float32) -> Float32:
    """The head's raw outputs (windows, outputs) at the last session of each window.

    Args:
        windows: (windows, lookback, inputs).
    """
    use_one_thread()
    states = _recurrent_layers(network, weights, windows)
    last = states[-1]
    if network.variant == "attention":
        context, _ = _attention(states, weights["attention/kernel"])
        last = np.concatenate([context, last], axis=1)
    return last @ weights["head/kernel"] + weights["head/bias"]


def outputs(network: Network, weights: Weights, values: Float32, cutoffs: NDArray[np.integer], *, first: int) -> Float32:
    """The head's raw outputs (cutoffs, outputs) along one ticker's sessions; each uses sessions up to its own cutoff only.

    A network that runs forward in time reads the sessions as it was trained: in chunks of twice its lookback less one, of which the
    second half answers, so that each answer has seen at least `lookback` sessions. Others read one window a cutoff.

    Args:
        values: (sessions, inputs).
        first: the first cutoff that has a whole lookback; chunks are counted from it, so that the answer at a cutoff is the same
            whichever others are asked for.
    """
    if network.variant in ("bidirectional", "attention"):
        return forward(network, weights, cut_windows(values, cutoffs, network.lookback))
    use_one_thread()
    chunks, chunk = np.unique((cutoffs - first) // network.lookback, return_inverse=True)
    starts = first + chunks * network.lookback - network.lookback + 1
    at = starts[:, None] + np.arange(2 * network.lookback - 1)
    states = _recurrent_layers(network, weights, values[np.minimum(at, len(values) - 1)])  # a causal network is not disturbed by what follows
    last = states[cutoffs - starts[chunk], chunk]
    return last @ weights["head/kernel"] + weights["head/bias"]


def attention_weights(network: Network, weights: Weights, windows: Float32) -> Float32:
    """(windows, lookback): how much the decoder weighs each session of the window; each row sums to one.

    Raises:
        ValueError: the network has no attention.
    """
    if network.variant != "attention":
        raise ValueError(f"model {network.variant!r} has no attention weights: only 'attention' has")
    use_one_thread()
    return _attention(_recurrent_layers(network, weights, windows), weights["attention/kernel"])[1]
