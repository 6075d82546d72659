"""Training as Keras does it: the same batches give the same weights, the smaller last batch included."""

import numpy as np
import pytest

from forecast_lib.models.network import Network, first_weights
from forecast_lib.recipes.learning import Learned, Pace, attention_of, batches_of, learn, predict, run_free

NETWORK = Network("lstm", 1, 4, 1, 1, 10, zero_head=False)
VALUES = np.sin(np.arange(60) / 4) + 0.1 * np.random.default_rng(1).standard_normal(60)
TARGETS = range(10, 60)
BATCH = 12  # 50 windows: four batches of 12 and one of 2
SEED = 7


def windows_in_order(order):
    inputs = np.stack([VALUES[target - 10 : target] for target in TARGETS])[order, :, None]
    return inputs.astype("float32"), VALUES[10:][order, None].astype("float32")


def by_keras(epochs: int) -> list[list[np.ndarray]]:
    """The weights after each epoch."""
    from forecast_lib.models.tensorflow_quietly import tf  # which takes seconds, where nothing else here does

    model = tf.keras.Sequential([tf.keras.Input((10, 1)), tf.keras.layers.LSTM(4), tf.keras.layers.Dense(1)])
    model.set_weights(list(first_weights(NETWORK, SEED).values()))
    model.compile(optimizer="adam", loss="mse", jit_compile=False)
    after = []
    for epoch in range(epochs):
        inputs, targets = windows_in_order(np.random.default_rng([SEED, epoch]).permutation(50))
        model.fit(inputs, targets, epochs=1, batch_size=BATCH, shuffle=False, verbose=0)
        after.append(model.get_weights())
    return after


@pytest.mark.slow
def test_each_epoch_ends_where_keras_fit_ends():
    for epochs, expected in enumerate(by_keras(3), start=1):
        learned = learn(NETWORK, VALUES, TARGETS, Pace(epochs, BATCH), seed=SEED, name="ACME")
        for (name, found), wanted in zip(learned.weights.items(), expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-4, err_msg=f"{name} after epoch {epochs}")


def test_training_moves_far_more_than_that():
    """Or the comparison above would prove nothing."""
    learned = learn(NETWORK, VALUES, TARGETS, Pace(1, BATCH), seed=SEED, name="ACME")
    start = first_weights(NETWORK, SEED)
    assert max(np.abs(learned.weights[name] - start[name]).max() for name in start) > 3e-3


def test_each_epoch_has_every_window_once_and_the_filling_no_weight():
    batches = batches_of(np.arange(60.0), TARGETS, 10, BATCH, np.random.default_rng(0).permutation(50))
    assert batches.inputs.shape == (5, 12, 10, 1)
    seen = batches.targets[batches.weights == 1.0]
    assert sorted(seen.tolist()) == list(range(10, 60))
    assert batches.weights[-1].sum() == 2
    assert (batches.inputs[..., -1, 0] == batches.targets[..., 0, 0] - 1).all()


def test_epochs_are_shuffled_anew():
    first, second = (np.random.default_rng([SEED, epoch]).permutation(50) for epoch in (0, 1))
    assert first.tolist() != second.tolist()


def test_prediction_of_many_windows_is_that_of_each():
    learned = Learned(NETWORK, first_weights(NETWORK, SEED), (), 0.0)
    long = np.sin(np.arange(5000) / 9)
    every = predict(learned, long, range(10, 5000))
    np.testing.assert_allclose(
        every[[0, 2048, 4989]],
        [predict(learned, long, range(at, at + 1))[0] for at in (10, 2058, 4999)],
        atol=1e-7,
    )


def test_free_run_feeds_on_its_own_answers():
    learned = Learned(NETWORK, first_weights(NETWORK, SEED), (), 0.0)
    path = run_free(learned, VALUES, 3)
    again = np.concatenate([VALUES, path[:2]])
    assert path[0] == predict(learned, np.append(VALUES, 0.0), range(60, 61))[0]
    assert path[2] == predict(learned, np.append(again, 0.0), range(62, 63))[0]


def test_attention_weighs_each_value_of_the_window():
    network = Network("attention", 1, 4, 1, 1, 10, zero_head=False)
    shares = attention_of(Learned(network, first_weights(network, SEED), (), 0.0), VALUES, TARGETS)
    assert shares is not None and shares.shape == (10,)
    assert shares.sum() == pytest.approx(1.0, abs=1e-6)
    assert attention_of(Learned(NETWORK, first_weights(NETWORK, SEED), (), 0.0), VALUES, TARGETS) is None
