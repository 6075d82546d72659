"""Networks against plain twins written from the papers: what they answer, how they learn, and what attention
weighs.
"""

import numpy as np
import pytest

from forecast_lib.config import VARIANTS
from forecast_lib.models.forward import attention_weights, forward, outputs
from forecast_lib.models.network import Network
from forecast_lib.models.tensorflow_quietly import tf
from forecast_lib.windows.sequences import Framing
from tests.models import twins
from tests.models.keras_side import lively, to_keras

pytestmark = pytest.mark.slow

WINDOWS = np.random.default_rng(2).standard_normal((3, 5, 2))
TOWARDS = np.random.default_rng(4).standard_normal((3, 2))
"""The loss is the sum of outputs times these."""


def network_of(variant: str) -> Network:
    return Network(variant, 2, 3, 2, 2, 5, zero_head=False)


def exact(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: value.astype(np.float64) for name, value in weights.items()}


def twin_loss(network: Network, weights: dict[str, np.ndarray]) -> float:
    return sum(
        float(twins.answer(network, weights, window) @ towards)
        for window, towards in zip(WINDOWS, TOWARDS, strict=True)
    )


def differences(network: Network, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    """The gradient by central differences; 64 bits leave about ten digits at this width."""
    gradient, width = np.zeros_like(weights[name]), 1e-5
    for at in np.ndindex(gradient.shape):
        sides = []
        for sign in (1, -1):
            moved = weights[name].copy()
            moved[at] += sign * width
            sides.append(twin_loss(network, {**weights, name: moved}))
        gradient[at] = (sides[0] - sides[1]) / (2 * width)
    return gradient


@pytest.mark.parametrize("variant", VARIANTS)
def test_forecast_is_the_twins(variant):
    network = network_of(variant)
    weights = lively(network)
    expected = [twins.answer(network, exact(weights), window) for window in WINDOWS]
    np.testing.assert_allclose(forward(network, weights, WINDOWS.astype(np.float32)), expected, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_keras_gradient_is_the_twins(variant):
    network = network_of(variant)
    weights = lively(network)
    model = to_keras(network, Framing(5, 1), weights)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(WINDOWS.astype(np.float32))[:, 0] * TOWARDS.astype(np.float32))
    assert float(loss) == pytest.approx(twin_loss(network, exact(weights)), abs=1e-5)
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    for name, gradient in zip(weights, gradients, strict=True):
        np.testing.assert_allclose(
            gradient.numpy(), differences(network, exact(weights), name), atol=1e-5, err_msg=name
        )


def test_attention_weights_are_the_twins_and_sum_to_one():
    network = network_of("attention")
    weights = lively(network)
    found = attention_weights(network, weights, WINDOWS.astype(np.float32))
    np.testing.assert_allclose(
        found, [twins.shares(network, exact(weights), window) for window in WINDOWS], atol=1e-6
    )
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-6)


def test_network_without_attention_has_no_weights_to_show():
    network = network_of("gru")
    with pytest.raises(ValueError, match="model 'gru' has no attention weights: only 'attention' has"):
        attention_weights(network, lively(network), WINDOWS.astype(np.float32))


def test_peepholes_at_zero_leave_a_plain_lstm():
    peephole, plain = network_of("peephole"), network_of("stacked")
    weights = lively(peephole)
    for layer in range(2):
        weights[f"rnn{layer}/peepholes"][:] = 0.0
    windows = WINDOWS.astype(np.float32)
    same = {name: value for name, value in weights.items() if not name.endswith("peepholes")}
    np.testing.assert_allclose(forward(peephole, weights, windows), forward(plain, same, windows), atol=1e-7)


def test_attention_of_a_sequence_sees_its_own_window_only():
    """Trained on chunks twice as long as a window, the last position answers as on its window alone; none
    sees a later one.
    """
    network = Network("attention", 1, 3, 2, 2, 5, zero_head=False)
    weights, random = lively(network), np.random.default_rng(6)
    chunk = random.standard_normal((1, 10, 2)).astype(np.float32)
    model = to_keras(network, Framing(10, 6), weights)
    whole = model(chunk).numpy()
    later = chunk.copy()
    later[:, 7:] += 1.0
    # Positions of sessions 4, 5 and 6.
    np.testing.assert_allclose(model(later).numpy()[:, :3], whole[:, :3], atol=1e-6)
    states = twins.hidden(network, exact(weights), chunk[0].astype(np.float64))
    scores = states[9] @ weights["attention/kernel"].astype(np.float64) @ states[5:].T
    share = np.exp(scores) / np.exp(scores).sum()
    seen = np.concatenate([share @ states[5:], states[9]])
    np.testing.assert_allclose(whole[0, -1], seen @ weights["head/kernel"] + weights["head/bias"], atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_answers_along_a_series_are_those_of_each_cutoffs_own_window(variant):
    """Read in chunks or window by window, a cutoff's answer is that of the sessions from its chunk's start up
    to itself.
    """
    network = network_of(variant)
    weights, values = (
        lively(network),
        np.random.default_rng(5).standard_normal((40, network.inputs)).astype(np.float32),
    )
    first, cutoffs = 7, np.arange(7, 40)
    (answers,) = outputs(network, [weights], values, cutoffs, first=first)
    for at, answer in zip(cutoffs, answers, strict=True):
        seen = (
            network.lookback
            if variant in ("bidirectional", "attention")
            else network.lookback + (at - first) % network.lookback
        )
        window = values[None, at + 1 - seen : at + 1]
        np.testing.assert_allclose(answer, forward(network, weights, window)[0], atol=1e-5)
