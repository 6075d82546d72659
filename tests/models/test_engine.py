"""Training by either program: the loss against SciPy, first steps by hand, the same bits again, divergence,
and what is kept.
"""

import ctypes
import dataclasses
import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from forecast_lib.errors import TrainingDiverged
from forecast_lib.models import engine, program
from forecast_lib.models.network import first_weights
from forecast_lib.models.training import network_of
from forecast_lib.windows.sequences import Batches, framing_for
from tests import made_up

pytestmark = pytest.mark.slow

NETWORK = network_of(made_up.MODEL)
FRAMING = framing_for(made_up.MODEL.lookback, looks_back=False)
STEPS, BATCH = made_up.TRAIN.steps_per_epoch, made_up.TRAIN.batch_size
HELD_OUT_CHUNKS = 6  # 60 validation sessions in chunks of 11: the shape in which `training.train` asks


def batches(seed: int, steps: int = STEPS, batch: int = BATCH) -> Batches:
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((steps, batch, FRAMING.length, NETWORK.inputs)).astype(np.float32)
    targets = random.standard_normal((steps, batch, FRAMING.positions, made_up.MODEL.horizon)).astype(
        np.float32
    )
    return Batches(inputs, targets, np.ones_like(targets))


@pytest.fixture(params=["kernel", "tensorflow-cpu"], autouse=True)
def path(request, monkeypatch):
    monkeypatch.setattr(engine, "path_of", lambda network: request.param)
    return request.param


def fit(
    training=batches,
    *,
    validation=batches(99, 1, HELD_OUT_CHUNKS),
    epochs=2,
    rate=0.01,
    patience=2,
    seed=1,
    ticker="ACME",
    **more,
):
    schedule = engine.Schedule(epochs=epochs, learning_rate=rate, patience=patience, clip_norm=1.0)
    start = first_weights(NETWORK, seed)
    more |= {"loss": "student_t", "seed": seed, "ticker": ticker}
    return engine.fit(NETWORK, FRAMING, start, training, validation, schedule, **more)


def bits(fitted: engine.Fit) -> bytes:
    return b"".join(array.tobytes() for array in fitted.weights.values())


def test_loss_of_the_untrained_network_is_scipys():
    held_out = batches(99, 1, HELD_OUT_CHUNKS)
    # Six degrees of freedom and unit variance, so scale sqrt(4/6)
    expected = -stats.t(6, scale=np.sqrt(4 / 6)).logpdf(held_out.targets.astype(float)).mean()
    assert fit(validation=held_out).validation_loss[0] == pytest.approx(expected, rel=1e-4)


def test_targets_without_weight_do_not_count():
    held_out = batches(99, 1, HELD_OUT_CHUNKS)
    held_out.weights[0, 1:] = 0.0
    expected = -stats.t(6, scale=np.sqrt(4 / 6)).logpdf(held_out.targets[0, 0].astype(float)).mean()
    assert fit(validation=held_out).validation_loss[0] == pytest.approx(expected, rel=1e-4)


def test_steps_of_adam_by_hand():
    """Kingma and Ba (2015): the first step is the rate against the sign of the gradient, and momentum then
    carries on.

    The head starts at zero, so that a first gradient reaches the head only; the epoch's two other steps have
    no targets, so no gradient.
    """
    one = batches(5)
    one.weights[1:] = 0.0
    start, fitted = first_weights(NETWORK, 1), fit(lambda epoch: one, epochs=1, patience=None, rate=1e-3)
    moved = (fitted.weights["head/bias"] - start["head/bias"]) / 1e-3
    # By hand, g the gradient: step t is m / (1 - 0.9^t) / sqrt(v / (1 - 0.999^t)), m = 0.1 * 0.9^(t-1) g, v =
    # 0.001 * 0.999^(t-1) g^2: 1; 0.47368 / sqrt(0.49975) = 0.67006; 0.29889 / sqrt(0.33300) = 0.51795;
    # together 2.18801
    # Adam's epsilon takes a little where a gradient is small.
    np.testing.assert_allclose(np.abs(moved), 2.18801, rtol=5e-3)
    assert all(
        fitted.weights[name].tobytes() == start[name].tobytes() for name in start if name.startswith("rnn")
    )


def test_same_arguments_give_the_same_bits():
    assert bits(fit()) == bits(fit())


def test_tells_which_program_trained(path):
    assert fit().path == path
    assert fit().trained_by == {"kernel": "Numba CPU", "tensorflow-cpu": "TensorFlow CPU"}[path]


def test_tells_which_gpu_trained():
    assert (
        dataclasses.replace(fit(), path="tensorflow-gpu", gpu="NVIDIA H100").trained_by
        == "TensorFlow GPU NVIDIA H100"
    )


def test_another_seed_gives_others():
    assert bits(fit()) != bits(fit(seed=2))


def test_two_threads_side_by_side_give_the_same_bits_as_one():
    alone = [bits(fit(seed=seed, epochs=6)) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda seed: bits(fit(seed=seed, epochs=6)), [1, 2] * 5))
    assert together == alone * 5


def test_best_epoch_is_kept_and_patience_ends_it():
    # noise: every epoch makes the validation loss worse sooner or later.
    fitted = fit(epochs=40, rate=0.05, patience=2)
    assert fitted.epochs < 40
    assert fitted.validation_loss[fitted.best_epoch] == min(fitted.validation_loss)
    assert fitted.epochs - fitted.best_epoch == 2
    assert len(fitted.training_loss) == fitted.epochs == len(fitted.validation_loss) - 1


def test_training_that_only_harms_keeps_the_first_weights():
    held_out, start = batches(99, 1, HELD_OUT_CHUNKS), first_weights(NETWORK, 1)
    held_out.targets[:] = 0.0
    far = batches(0)
    far.targets[:] = 5.0
    fitted = fit(lambda epoch: far, validation=held_out, rate=0.05)
    assert fitted.best_epoch == 0
    assert all(np.array_equal(fitted.weights[name], start[name]) for name in start)


def test_without_patience_the_last_weights_count():
    assert fit(patience=None, epochs=3).best_epoch == 3


def test_who_is_asked_and_goes_on_is_trained_as_if_nobody_had_asked():
    assert bits(fit(goes_on=lambda weights: True)) == bits(fit())


def test_who_does_not_go_on_keeps_the_first_epoch_whatever_the_validation_says():
    asked = []
    ended = fit(rate=1.0, goes_on=lambda weights: asked.append(weights) or False)
    once = fit(rate=1.0, epochs=1, validation=None, patience=None)
    assert (ended.epochs, ended.best_epoch, ended.validation_loss, len(asked)) == (1, 1, (), 1)
    assert bits(ended) == bits(once) and bits(ended) != bits(fit(rate=1.0, epochs=0))


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_what_is_no_number_diverges_by_name(bad):
    poisoned = batches(0)
    poisoned.inputs[1, 0, 0, 0] = bad
    with pytest.raises(TrainingDiverged, match="ACME: training loss became nan in epoch 1") as caught:
        fit(lambda epoch: poisoned)
    assert caught.value.rule == "diverged"


def test_rate_beyond_all_measure_diverges_or_keeps_what_it_had():
    """Bounded heads cannot explode at a rate of 1e6, only go wrong; then the untrained weights stay. At 1e38
    numbers overflow.
    """
    assert fit(rate=1e6).best_epoch == 0
    with pytest.raises(TrainingDiverged):
        fit(rate=3e38, epochs=4, patience=4)


def test_one_that_diverges_leaves_its_neighbours_as_they_are():
    """Trained side by side: a ticker whose target is no number, one whose rate is beyond all measure, and two
    that are well.
    """
    poisoned = batches(0)
    poisoned.targets[1, 2, 3, 0] = np.nan
    ill = [lambda: fit(lambda epoch: poisoned, epochs=6), lambda: fit(rate=3e38, epochs=6, patience=6)]
    alone = [bits(fit(seed=seed, epochs=6)) for seed in (1, 2)]
    with ThreadPoolExecutor(4) as threads:
        failing = [threads.submit(each) for each in ill * 4]
        well = [threads.submit(lambda seed: bits(fit(seed=seed, epochs=6)), seed) for seed in (1, 2) * 4]
        assert all(isinstance(each.exception(), TrainingDiverged) for each in failing)
    assert [each.result() for each in well] == alone * 4


def test_divergence_leaves_nothing_behind():
    before = bits(fit())
    with pytest.raises(TrainingDiverged):
        fit(rate=3e38, epochs=4, patience=4)
    assert bits(fit()) == before


@pytest.mark.parametrize("path", ["tensorflow-cpu"], indirect=True)
def test_one_traced_program_serves_all():
    for seed in range(3):
        fit(seed=seed, epochs=seed + 1, rate=0.01 * (seed + 1), ticker=f"T{seed}")
    traced = program.program_of(NETWORK, FRAMING, "student_t", 1.0)
    assert traced.epoch.experimental_get_tracing_count() == 1
    assert traced.evaluate.experimental_get_tracing_count() == 1


def _resident_mib() -> float:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is freed but not given back is no growth
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_memory_does_not_grow_with_the_number_of_fits():
    """A Keras model built and compiled for each ticker would keep about 1 MiB a fit; so 100 fits must stay
    below a fifth of that.
    """
    for seed in range(10):
        fit(seed=seed)
    before = _resident_mib()
    for seed in range(100):
        fit(seed=seed)
    assert _resident_mib() - before < 20
