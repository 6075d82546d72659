"""An LSTM layer (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000), as Keras
has it.
"""

import numba
import numpy as np

from forecast_lib.models.variant import Float32, Layer, Variant
from forecast_lib.models.weights import Weights

__all__ = ["LSTM", "VARIANT"]


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
def _lstm_states(x: Float32, kernel: Float32, recurrent: Float32, bias: Float32) -> Float32:
    """(time, windows, units): the states of an LSTM layer whose input is (time, windows, inputs).

    The inputs meet the gates session by session: those of all sessions at once are a megabyte that leaves the
    cache, and that the system takes back and gives again, page by page, for every ticker.
    """
    half, one = np.float32(0.5), np.float32(1.0)
    length, windows, units = x.shape[0], x.shape[1], recurrent.shape[0]
    states = np.zeros((length + 1, windows, units), np.float32)
    cell = np.zeros((windows, units), np.float32)
    on_gates, z = np.empty((windows, 4 * units), np.float32), np.empty((windows, 4 * units), np.float32)
    for t in range(length):
        np.dot(x[t], kernel, on_gates)
        np.dot(states[t], recurrent, z)
        for w in range(windows):
            for k in range(4 * units):
                y = z[w, k] + (on_gates[w, k] + bias[k])
                gate = k < 2 * units or k >= 3 * units  # a sigmoid is a tanh of half the argument
                y = _rational_tanh(half * y if gate else y)
                z[w, k] = half * (y + one) if gate else y
            for k in range(units):
                cell[w, k] = z[w, units + k] * cell[w, k] + z[w, k] * z[w, 2 * units + k]
                states[t + 1, w, k] = z[w, 3 * units + k] * _rational_tanh(cell[w, k])
    return states[1:]


class LSTM(Variant):
    """Gates in Keras's order: input, forget, cell, output. A forecast runs a compiled loop."""

    gates = 4
    bias = "forget_one"
    computed_by = "Numba"

    def layer(self, units: int, sequences: bool, name: str) -> Layer:
        """Keras's LSTM."""
        import keras

        # use_cudnn=False: on a GPU, XLA cannot compile cuDNN's own operations.
        return keras.layers.LSTM(units, return_sequences=sequences, use_cudnn=False, name=name)

    def states(self, weights: Weights, prefix: str, x: Float32, last: bool) -> Float32:
        """By the loop above."""
        parts = (weights[f"{prefix}/{part}"] for part in ("kernel", "recurrent_kernel", "bias"))
        return _lstm_states(np.ascontiguousarray(x), *(np.ascontiguousarray(part) for part in parts))


VARIANT = LSTM()
