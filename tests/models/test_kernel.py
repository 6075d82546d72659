"""The compiled training of LSTM networks: equal to plain Keras, its functions to SciPy's, and chosen where it
can run.
"""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from forecast_lib.models import engine, kernel
from forecast_lib.models.architectures import from_keras
from forecast_lib.models.forward import forward
from forecast_lib.models.network import Network, first_weights, weight_specs
from forecast_lib.models.tensorflow_quietly import tf
from forecast_lib.windows.sequences import Batches, Framing
from tests.models.keras_side import lively, textbook_loss, to_keras

import keras  # isort: skip  # after TensorFlow is set up

pytestmark = pytest.mark.slow

WINDOW, SEQUENCE = Framing(5, 1), Framing(10, 6)
RATE, CLIP, STEPS = 1e-3, 0.1, 4


def network_with(layers: int = 1, outputs: int = 6, **more) -> Network:
    return Network(variant="lstm", layers=layers, units=7, inputs=3, outputs=outputs, lookback=5, **more)


def batches_for(network: Network, framing: Framing, columns: int, batch: int, steps: int = STEPS) -> Batches:
    random = np.random.default_rng(13)
    inputs = random.standard_normal((steps, batch, framing.length, network.inputs)).astype(np.float32)
    targets = random.standard_normal((steps, batch, framing.positions, columns)).astype(np.float32)
    return Batches(inputs, targets, np.ones_like(targets))


CASES = [
    (layers, framing, loss, batch)
    for layers in (1, 2, 3)
    for framing in (WINDOW, SEQUENCE)
    for loss, batch in (("student_t", 5), ("mse", 37))  # 37 windows are worked on in two parts
]


@pytest.mark.parametrize(("layers", "framing", "loss", "batch"), CASES)
def test_losses_gradients_and_weights_are_those_of_plain_keras(layers, framing, loss, batch):
    """Four steps of Keras's Adam with its own clipping by the global norm; 1e-5 is some hundred roundings of
    32 bits.
    """
    network = network_with(layers, outputs=6 if loss == "student_t" else 2)
    data, start = batches_for(network, framing, 2, batch), lively(network)
    ours = kernel.Kernel(network, framing, start, loss=loss, clip_norm=CLIP)
    model, keras_loss = (
        to_keras(network, framing, start),
        textbook_loss if loss == "student_t" else keras.losses.MeanSquaredError(),
    )
    optimizer = keras.optimizers.Adam(RATE, global_clipnorm=CLIP)
    for step in range(STEPS):
        with tf.GradientTape() as tape:
            arguments = model(data.inputs[step]), tf.constant(data.targets[step])
            value = keras_loss(*arguments) if loss == "student_t" else keras_loss(*arguments[::-1])
        gradients = tape.gradient(value, [variable.value for variable in model.trainable_variables])
        assert float(tf.linalg.global_norm(gradients)) > CLIP  # so that clipping is part of the test
        optimizer.apply(gradients, model.trainable_variables)
        one = Batches(*(array[step : step + 1] for array in (data.inputs, data.targets, data.weights)))
        assert ours.evaluate(one) == pytest.approx(float(value), abs=1e-5)
        assert ours.epoch(RATE, one) == pytest.approx(float(value), abs=1e-5)
        for (name, gradient), expected in zip(ours.gradients().items(), gradients, strict=True):
            np.testing.assert_allclose(gradient, expected.numpy(), atol=1e-5, err_msg=name)
    for (name, weight), expected in zip(
        ours.weights().items(), from_keras(network, model).values(), strict=True
    ):
        np.testing.assert_allclose(weight, expected, atol=1e-5, err_msg=name)


def test_steps_of_one_call_are_those_of_several():
    network = network_with(2)
    data = batches_for(network, SEQUENCE, 2, 5)
    once, stepwise = (
        kernel.Kernel(network, SEQUENCE, lively(network), loss="student_t", clip_norm=None) for _ in range(2)
    )
    loss = once.epoch(RATE, data)
    parts = [
        Batches(*(each[step : step + 1] for each in (data.inputs, data.targets, data.weights)))
        for step in range(STEPS)
    ]
    assert loss == pytest.approx(np.mean([stepwise.epoch(RATE, part) for part in parts]), rel=1e-12)
    assert all(np.array_equal(array, stepwise.weights()[name]) for name, array in once.weights().items())


@pytest.mark.parametrize("units", [1, 2, 3, 4, 16, 33])
def test_widths_that_no_tile_divides_train_as_keras_does(units):
    """What fills up the last tile must not reach the answer, nor what lies behind it in memory."""
    network = Network(variant="stacked", layers=2, units=units, inputs=2, outputs=1, lookback=5)
    data = batches_for(network, WINDOW, 1, 3)
    ours, model = (
        kernel.Kernel(network, WINDOW, lively(network), loss="mse", clip_norm=CLIP),
        to_keras(network, WINDOW, lively(network)),
    )
    model.compile(optimizer=keras.optimizers.Adam(RATE, global_clipnorm=CLIP), loss="mse", run_eagerly=True)
    for step in range(STEPS):
        model.train_on_batch(data.inputs[step], data.targets[step])
    ours.epoch(RATE, data)
    for (name, weight), expected in zip(
        ours.weights().items(), from_keras(network, model).values(), strict=True
    ):
        np.testing.assert_allclose(weight, expected, atol=1e-5, err_msg=name)


def test_a_trained_network_moves_to_keras_and_back():
    network = network_with(2)
    data = batches_for(network, SEQUENCE, 2, 5)

    def trained(start, rate):
        schedule = engine.Schedule(1, rate)
        return engine.fit(
            network,
            SEQUENCE,
            start,
            lambda epoch: data,
            None,
            schedule,
            loss="student_t",
            seed=0,
            ticker="ACME",
        ).weights

    weights, windows = trained(first_weights(network, 1), 0.01), data.inputs[0, :, -5:]
    model = to_keras(network, WINDOW, weights)
    np.testing.assert_allclose(model(windows)[:, 0].numpy(), forward(network, weights, windows), atol=1e-6)
    model.layers[-1].bias.assign_add(np.ones(6))  # anything done to it in Keras
    back = trained(from_keras(network, model), 0.0)
    np.testing.assert_array_equal(back["head/bias"], weights["head/bias"] + np.float32(1.0))
    np.testing.assert_array_equal(back["rnn1/kernel"], weights["rnn1/kernel"])


def test_tanh_is_numpys():
    x = np.linspace(-12, 12, 20_001, dtype=np.float32)
    answer = np.array([kernel._tanh(value) for value in x])
    np.testing.assert_allclose(answer, np.tanh(x.astype(np.float64)), atol=2e-7)
    assert np.isnan(kernel._tanh(np.float32(np.nan)))


def test_likelihood_and_its_gradient_are_scipys():
    """Each parameter from one end of its range to the other; degrees of freedom from 2.5 to 60. The slopes
    are differences of SciPy's.
    """
    random = np.random.default_rng(3)
    raw = np.stack([random.uniform(-3, 3, 400), random.uniform(-8, 8, 400), random.uniform(-15, 55, 400)])
    targets = 4 * random.standard_normal(400)

    def expected(raw):
        location, scale = np.tanh(raw[0]), np.exp(2 * np.tanh(raw[1] / 2) - 0.2027)  # heads.LOG_SCALE_OFFSET
        # heads.MIN_DF, heads.DF_OFFSET.
        return -stats.t.logpdf(targets, 2.5 + np.logaddexp(0, raw[2] + 3.47), location, scale)

    network = network_with()
    shape = kernel.Kernel(network, WINDOW, lively(network), loss="student_t", clip_norm=None)._shape
    parts, losses = [row.astype(np.float32) for row in raw], targets.astype(np.float32)
    kernel._student_t(shape, *parts, losses)
    np.testing.assert_allclose(losses, expected(raw), rtol=2e-5, atol=2e-6)
    for row in range(3):
        step = 1e-5 * np.eye(3)[row][:, None]
        np.testing.assert_allclose(
            parts[row], (expected(raw + step) - expected(raw - step)) / 2e-5, rtol=2e-4, atol=2e-6
        )


@pytest.mark.parametrize("windows", [1, 5, 6, 9, 32, 70])
def test_a_windows_states_are_the_same_bits_whoever_stands_beside_it(windows):
    """Keras's own are compared in `ModelVariantContract`, those of a few windows."""
    random, weights = np.random.default_rng(windows), lively(network_with())
    own = [weights[f"rnn0/{part}"] for part in ("kernel", "recurrent_kernel", "bias")]
    x = random.standard_normal((10, windows, 3)).astype(np.float32)
    together = kernel.layer_states(x, *own)
    assert together.shape == (10, windows, 7)
    for window in {0, windows // 2, windows - 1}:
        alone = kernel.layer_states(x[:, window : window + 1], *own)
        assert together[:, window].tobytes() == alone[:, 0].tobytes()


@pytest.mark.parametrize("windows", [1, 5, 8, 14, 32])
@pytest.mark.parametrize("units", [1, 7, 33])
def test_a_network_answers_with_the_very_states_it_is_trained_with(windows, units):
    """The one has windows as columns, the other as rows; each sum is taken in the same order."""
    network = Network(variant="lstm", layers=2, units=units, inputs=3, outputs=6, lookback=5)
    data, weights = batches_for(network, SEQUENCE, 2, windows, steps=1), lively(network)
    trained = kernel.Kernel(network, SEQUENCE, weights, loss="student_t", clip_norm=None)
    trained.evaluate(data)
    x = data.inputs[0].transpose(1, 0, 2)
    for layer, read in enumerate(trained._workspace(windows).read):
        own = [weights[f"rnn{layer}/{part}"] for part in ("kernel", "recurrent_kernel", "bias")]
        x = kernel.layer_states(x, *own)
        assert read[1:, 1 : 1 + units, :windows].transpose(0, 2, 1).tobytes() == x.tobytes()


def test_batches_of_another_shape_are_refused():
    network = network_with()
    data = batches_for(network, SEQUENCE, 2, 5)
    with pytest.raises(ValueError, match=r"batches of shapes .*expected \[\(4, 5, 5, 3\)"):
        kernel.Kernel(network, WINDOW, lively(network), loss="student_t", clip_norm=None).epoch(RATE, data)


def test_path_is_the_networks_and_the_machines(monkeypatch):
    gru = Network(variant="gru", layers=1, units=7, inputs=3, outputs=6, lookback=5)
    assert [engine.path_of(each) for each in (network_with(), network_with(dropout=0.1), gru)] == [
        "kernel"
    ] + ["tensorflow-cpu"] * 2
    monkeypatch.setitem(sys.modules, "forecast_lib.models.kernel", None)  # as where Numba cannot be imported
    monkeypatch.delattr("forecast_lib.models.kernel")
    assert engine.path_of(network_with()) == "tensorflow-cpu"
    monkeypatch.setattr(engine, "_sees_gpu", lambda: True)
    assert engine.path_of(network_with()) == "tensorflow-gpu"


SCRIPT = """
import sys
import numpy as np
from forecast_lib.models import engine
from forecast_lib.models.network import Network, first_weights
from forecast_lib.windows.sequences import Batches, Framing

network = Network(variant="lstm", layers=1, units=4, inputs=1, outputs=3, lookback=5)
ones = np.ones((1, 2, 5, 1), np.float32)
data = Batches(ones, ones[:, :, -1:], ones[:, :, -1:])
schedule, start = engine.Schedule(1, 0.01), first_weights(network, 1)
engine.fit(
    network, Framing(5, 1), start, lambda epoch: data, None, schedule, loss="student_t", seed=1, ticker="ACME"
)
from forecast_lib.models import kernel
heavy = [name for name in ("tensorflow", "keras") if name in sys.modules]
print(heavy, sum(kernel._epoch.stats.cache_hits.values()))
"""


def test_another_process_loads_what_is_compiled_and_no_tensorflow():
    network = network_with()
    kernel.Kernel(network, WINDOW, lively(network), loss="student_t", clip_norm=None).evaluate(
        batches_for(network, WINDOW, 2, 5)
    )
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["[]", "1"], ended.stderr


def test_weights_that_fill_up_tiles_stay_zero():
    network = network_with(2)
    trained = kernel.Kernel(network, SEQUENCE, lively(network), loss="student_t", clip_norm=None)
    trained.epoch(RATE, batches_for(network, SEQUENCE, 2, 5))
    in_use = sum(int(np.prod(spec.shape)) for spec in weight_specs(network))
    assert np.count_nonzero(trained._state.weights) == in_use


def test_a_small_batch_is_the_same_bits_beside_windows_that_do_not_count():
    """Half a tile holds eight windows at most; ten of which five count take whole ones."""
    network = network_with(2)
    few, more = batches_for(network, SEQUENCE, 2, 5), batches_for(network, SEQUENCE, 2, 10)
    padded = Batches(
        *(
            np.concatenate([own, factor * other[:, 5:]], axis=1)
            for own, other, factor in zip(
                (few.inputs, few.targets, few.weights),
                (more.inputs, more.targets, more.weights),
                (np.float32(1), np.float32(1), np.float32(0)),
                strict=True,
            )
        )
    )
    small, large = (
        kernel.Kernel(network, SEQUENCE, lively(network), loss="student_t", clip_norm=CLIP) for _ in range(2)
    )
    assert small.evaluate(few) == large.evaluate(padded)
    assert small.epoch(RATE, few) == large.epoch(RATE, padded)
    assert all(np.array_equal(array, large.weights()[name]) for name, array in small.weights().items())
