"""Plain twins of the networks, one window at a time in 64-bit NumPy, written from the papers' equations, gate
by gate.

Every variant has one. Nothing here is shared with the code under test, except the names of the weights. Gates
in the order in which the weights hold them: input, forget, cell candidate, output (coupled: without forget;
GRU: update, reset, candidate).
"""

import numpy as np

__all__ = ["answer", "shares"]


def sigma(x):
    return 1.0 / (1.0 + np.exp(-x))


def gate(weights, prefix, which, units):
    """Kernel, recurrent kernel and bias of the gate at place `which`."""
    columns = slice(which * units, (which + 1) * units)
    return (
        weights[f"{prefix}/kernel"][:, columns],
        weights[f"{prefix}/recurrent_kernel"][:, columns],
        weights[f"{prefix}/bias"][..., columns],
    )


def lstm(weights, prefix, window, units):
    """Hochreiter and Schmidhuber (1997) with the forget gate of Gers, Schmidhuber and Cummins (2000)."""
    (wi, ri, bi), (wf, rf, bf), (wg, rg, bg), (wo, ro, bo) = (
        gate(weights, prefix, which, units) for which in range(4)
    )
    h, c, states = np.zeros(units), np.zeros(units), []
    for x in window:
        i, f, o = sigma(x @ wi + h @ ri + bi), sigma(x @ wf + h @ rf + bf), sigma(x @ wo + h @ ro + bo)
        c = f * c + i * np.tanh(x @ wg + h @ rg + bg)
        h = o * np.tanh(c)
        states.append(h)
    return np.array(states)


def peephole(weights, prefix, window, units):
    """Gers and Schmidhuber (2000): input and forget gate see the old cell, the output gate the new one."""
    (wi, ri, bi), (wf, rf, bf), (wg, rg, bg), (wo, ro, bo) = (
        gate(weights, prefix, which, units) for which in range(4)
    )
    pi, pf, po = weights[f"{prefix}/peepholes"]
    h, c, states = np.zeros(units), np.zeros(units), []
    for x in window:
        i = sigma(x @ wi + h @ ri + pi * c + bi)
        f = sigma(x @ wf + h @ rf + pf * c + bf)
        c = f * c + i * np.tanh(x @ wg + h @ rg + bg)
        o = sigma(x @ wo + h @ ro + po * c + bo)
        h = o * np.tanh(c)
        states.append(h)
    return np.array(states)


def coupled(weights, prefix, window, units):
    """CIFG of Greff et al. (2017): forget = 1 - input."""
    (wi, ri, bi), (wg, rg, bg), (wo, ro, bo) = (gate(weights, prefix, which, units) for which in range(3))
    h, c, states = np.zeros(units), np.zeros(units), []
    for x in window:
        i = sigma(x @ wi + h @ ri + bi)
        c = (1 - i) * c + i * np.tanh(x @ wg + h @ rg + bg)
        h = sigma(x @ wo + h @ ro + bo) * np.tanh(c)
        states.append(h)
    return np.array(states)


def gru(weights, prefix, window, units):
    """Cho et al. (2014) in the "reset after" form of cuDNN: the reset gate acts on the product, not on the
    state.
    """
    (wz, rz, bz), (wr, rr, br), (wn, rn, bn) = (gate(weights, prefix, which, units) for which in range(3))
    h, states = np.zeros(units), []
    for x in window:
        z = sigma(x @ wz + bz[0] + h @ rz + bz[1])
        r = sigma(x @ wr + br[0] + h @ rr + br[1])
        n = np.tanh(x @ wn + bn[0] + r * (h @ rn + bn[1]))
        h = z * h + (1 - z) * n
        states.append(h)
    return np.array(states)


LAYERS = {
    "lstm": lstm,
    "stacked": lstm,
    "attention": lstm,
    "peephole": peephole,
    "coupled": coupled,
    "gru": gru,
}


def both_ways(weights, prefix, window, units, last):
    """Schuster and Paliwal (1997): one pass in each direction, side by side."""
    ahead = lstm(weights, f"{prefix}/forward", window, units)
    back = lstm(weights, f"{prefix}/backward", window[::-1], units)
    if last:  # each direction's knowledge of the whole window
        return np.concatenate([ahead[-1], back[-1]])[None]
    return np.array([np.concatenate([a, b]) for a, b in zip(ahead, back[::-1], strict=True)])


def hidden(network, weights, window):
    """(time, units): the last recurrent layer's states."""
    x = window
    for layer in range(network.layers):
        if network.variant == "bidirectional":
            x = both_ways(weights, f"rnn{layer}", x, network.units, layer == network.layers - 1)
        else:
            x = LAYERS[network.variant](weights, f"rnn{layer}", x, network.units)
    return x


def shares(network, weights, window):
    """(time,): softmax of h W s over the states s, h the last of them (Luong, Pham and Manning 2015)."""
    states = hidden(network, weights, window)
    scores = [float(states[-1] @ weights["attention/kernel"] @ state) for state in states]
    powers = [np.exp(score) for score in scores]
    return np.array(powers) / sum(powers)


def answer(network, weights, window):
    """(outputs,): the head's outputs for one window (time, inputs)."""
    states = hidden(network, weights, window)
    seen = states[-1]
    if network.variant == "attention":
        context = sum(
            share * state for share, state in zip(shares(network, weights, window), states, strict=True)
        )
        seen = np.concatenate([context, seen])
    return seen @ weights["head/kernel"] + weights["head/bias"]
