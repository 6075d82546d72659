"""A trained network's answer, computed in NumPy and a compiled loop for the LSTMs: no framework is loaded to
make a forecast.

Gates are in Keras's order: LSTM input, forget, cell, output; GRU update, reset, candidate ("reset after").
The same equations are in `cells` for training; a test compares both with Keras.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from forecast_lib.models.network import Network, Weights
from forecast_lib.windows.sequences import cut_windows
from forecast_lib.windows.threads import use_one_thread

__all__ = ["answered_by", "attention_weights", "forward", "outputs"]

Float32 = NDArray[np.float32]

_COMPILED = ("lstm", "stacked", "bidirectional", "attention")


def answered_by(network: Network) -> str:
    """What does the arithmetic of this network's answers, in words; the same on every machine, wherever it
    was trained.

    >>> from forecast_lib.config import ModelConfig
    >>> from forecast_lib.models.training import network_of
    >>> answered_by(network_of(ModelConfig("lstm"))), answered_by(network_of(ModelConfig("gru")))
    ('Numba CPU', 'NumPy CPU')
    """
    return "Numba CPU" if network.variant in _COMPILED else "NumPy CPU"


def _sigmoid(x: Float32) -> Float32:
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1.0))


# Division is NumPy's: with Python's check for zero before each, the loops below stay scalar and take three
# times as long.
@numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _rational_tanh(x: np.float32) -> np.float32:
    """tanh by Eigen's rational polynomial, exact to seven digits; what is no number stays none."""
    x = np.float32(7.90531110763549805) if x > np.float32(7.90531110763549805) else x
    x = np.float32(-7.90531110763549805) if x < np.float32(-7.90531110763549805) else x
    y = x * x
    p = np.float32(-2.76076847742355e-16) * y + np.float32(2.00018790482477e-13)
    p = p * y + np.float32(-8.60467152213735e-11)
    p = p * y + np.float32(5.12229709037114e-08)
    p = p * y + np.float32(1.48572235717979e-05)
    p = p * y + np.float32(6.37261928875436e-04)
    p = p * y + np.float32(4.89352455891786e-03)
    q = np.float32(1.19825839466702e-06) * y + np.float32(1.18534705686654e-04)
    q = q * y + np.float32(2.26843463243900e-03)
    q = q * y + np.float32(4.89352518554385e-03)
    return x * p / q


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _lstm_states(projected: Float32, recurrent: Float32) -> Float32:
    """(time, windows, units): the states of an LSTM layer whose input, projected on the gates, is (time,
    windows, 4 units).
    """
    half, one = np.float32(0.5), np.float32(1.0)
    length, windows, units = projected.shape[0], projected.shape[1], recurrent.shape[0]
    states = np.zeros((length + 1, windows, units), np.float32)
    cell = np.zeros((windows, units), np.float32)
    z = np.empty((windows, 4 * units), np.float32)
    for t in range(length):
        np.dot(states[t], recurrent, z)
        for w in range(windows):
            for k in range(4 * units):
                x = z[w, k] + projected[t, w, k]
                gate = k < 2 * units or k >= 3 * units  # a sigmoid is a tanh of half the argument
                y = _rational_tanh(half * x if gate else x)
                z[w, k] = half * (y + one) if gate else y
            for k in range(units):
                cell[w, k] = z[w, units + k] * cell[w, k] + z[w, k] * z[w, 2 * units + k]
                states[t + 1, w, k] = z[w, 3 * units + k] * _rational_tanh(cell[w, k])
    return states[1:]


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
    if variant in _COMPILED:
        return _lstm_states(np.ascontiguousarray(projected), np.ascontiguousarray(recurrent))
    state = cell = np.zeros((x.shape[1], recurrent.shape[0]), np.float32)
    states = np.empty((len(x), *state.shape), np.float32)
    for t, z in enumerate(projected):
        inner = state @ recurrent
        if variant == "gru":
            state = _gru_step(z, inner + bias[1], state)
        elif variant == "coupled":
            state, cell = _coupled_step(z + inner, cell)
        else:
            state, cell = _peephole_step(z + inner, cell, weights[f"{prefix}/peepholes"])
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


def outputs(
    network: Network, weights: Weights, values: Float32, cutoffs: NDArray[np.integer], *, first: int
) -> Float32:
    """The head's raw outputs (cutoffs, outputs) along one ticker's sessions; each uses sessions up to its own
    cutoff only.

    A network that runs forward in time reads the sessions as it was trained: in chunks of twice its lookback
    less one, of which the second half answers, so that each answer has seen at least `lookback` sessions.
    Others read one window a cutoff.

    Args:
        values: (sessions, inputs).
        first: the first cutoff that has a whole lookback; chunks are counted from it, so that the answer at a
            cutoff is the same
            whichever others are asked for.
    """
    if network.variant in ("bidirectional", "attention"):
        return forward(network, weights, cut_windows(values, cutoffs, network.lookback))
    use_one_thread()
    chunks, chunk = np.unique((cutoffs - first) // network.lookback, return_inverse=True)
    starts = first + chunks * network.lookback - network.lookback + 1
    at = starts[:, None] + np.arange(2 * network.lookback - 1)
    states = _recurrent_layers(
        network, weights, values[np.minimum(at, len(values) - 1)]
    )  # a causal network is not disturbed by what follows
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
