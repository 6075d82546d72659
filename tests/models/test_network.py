"""Weights of a network: how many, in which shape, and how they are first drawn."""

import dataclasses

import numpy as np
import pytest

from forecast_lib.models.network import Network, first_weights, weight_specs

LSTM = Network("lstm", layers=1, units=4, inputs=10, outputs=6, lookback=10)


def test_weights_of_one_layer():
    assert [(spec.name, spec.shape) for spec in weight_specs(LSTM)] == [
        ("rnn0/kernel", (10, 16)),
        ("rnn0/recurrent_kernel", (4, 16)),
        ("rnn0/bias", (16,)),
        ("head/kernel", (4, 6)),
        ("head/bias", (6,)),
    ]


@pytest.mark.parametrize(
    ("variant", "layers", "count"),
    [
        # By hand, head 4 * 6 + 6 = 30 where not said otherwise
        ("lstm", 1, 4 * (10 * 4 + 4 * 4 + 4) + 30),
        ("stacked", 2, 4 * (10 * 4 + 4 * 4 + 4) + 4 * (4 * 4 + 4 * 4 + 4) + 30),
        ("bidirectional", 1, 2 * 240 + 8 * 6 + 6),
        ("bidirectional", 2, 2 * 240 + 2 * 4 * (8 * 4 + 4 * 4 + 4) + 8 * 6 + 6),
        ("attention", 1, 240 + 4 * 4 + 8 * 6 + 6),
        ("peephole", 1, 240 + 3 * 4 + 30),
        ("coupled", 1, 3 * (10 * 4 + 4 * 4 + 4) + 30),
        ("gru", 1, 3 * (10 * 4 + 4 * 4 + 2 * 4) + 30),
    ],
)
def test_number_of_parameters(variant, layers, count):
    specs = weight_specs(dataclasses.replace(LSTM, variant=variant, layers=layers))
    assert sum(int(np.prod(spec.shape)) for spec in specs) == count


def test_kernel_is_glorot_uniform():
    kernel = first_weights(dataclasses.replace(LSTM, units=64), 0)["rnn0/kernel"]
    limit = np.sqrt(6 / (10 + 256))  # Glorot and Bengio (2010), equation 16
    assert 0.95 * limit < np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)


@pytest.mark.parametrize("variant", ["lstm", "gru"])
def test_recurrent_kernel_is_orthogonal(variant):
    kernel = first_weights(dataclasses.replace(LSTM, variant=variant), 3)["rnn0/recurrent_kernel"].astype(
        float
    )
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(4), atol=1e-6)


def test_only_the_forget_gate_starts_open():
    assert first_weights(LSTM, 0)["rnn0/bias"].tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8


def test_untrained_head_says_nothing():
    weights = first_weights(LSTM, 0)
    assert not weights["head/kernel"].any() and not weights["head/bias"].any()


def test_head_of_a_recipe_starts_like_any_layer():
    assert first_weights(dataclasses.replace(LSTM, zero_head=False), 0)["head/kernel"].any()


def test_seed_decides():
    first, again, other = (first_weights(LSTM, seed)["rnn0/kernel"].tobytes() for seed in (5, 5, 6))
    assert first == again != other
