"""What every network variant must do. A new variant subclasses `ModelVariantContract` and gives the facts.

    class TestMyVariant(ModelVariantContract):
        variant = "mine"
        default_layers = 1

No test may be overridden: a network that cannot pass one cannot be trained every night. The sizes are those
of `made_up`, so that each variant is compiled once.
"""

import dataclasses
import json
from typing import Any, ClassVar

import numpy as np
import pytest

from forecast_lib.config import ModelConfig
from forecast_lib.errors import TickerError
from forecast_lib.forecast import forecast_with_model
from forecast_lib.models import engine
from forecast_lib.models.architectures import from_keras
from forecast_lib.models.bundle import load_bundle, save
from forecast_lib.models.forward import forward
from forecast_lib.models.network import Network, first_weights, weight_specs
from forecast_lib.models.program import program_of
from forecast_lib.models.tensorflow_quietly import tf
from forecast_lib.models.training import Trained, network_of, train, train_alone
from forecast_lib.models.weights import Weights
from forecast_lib.windows.sequences import Batches, Framing, framing_for
from tests import made_up
from tests.models.keras_side import lively, textbook_loss, to_keras

__all__ = ["ModelVariantContract"]

SEED = 3
SERIES = made_up.noisy(220, seed=5)
CLIP = 1.0  # as the night trains, so that its compiled program is the one tested


def inputs_of(network: Network, framing: Framing, batch: int) -> np.ndarray:
    return (
        np.random.default_rng(7).standard_normal((batch, framing.length, network.inputs)).astype(np.float32)
    )


def bits(weights: Weights) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in weights.items()}


class ModelVariantContract:
    """Facts: the variant's name, and how many layers it has where nobody says."""

    variant: ClassVar[str]
    default_layers: ClassVar[int]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        loosened = [
            name for name in vars(cls) if name.startswith("test_") and hasattr(ModelVariantContract, name)
        ]
        if loosened:
            raise TypeError(
                f"{cls.__name__} overrides {', '.join(loosened)}: the contract's tests stay as they are"
            )

    @pytest.fixture(scope="class")
    def config(self) -> ModelConfig:
        return dataclasses.replace(made_up.MODEL, variant=self.variant, layers=None)

    @pytest.fixture(scope="class")
    def network(self, config: ModelConfig) -> Network:
        return network_of(config)

    @pytest.fixture(scope="class")
    def framing(self, network: Network) -> Framing:
        return framing_for(network.lookback, looks_back=network.reads_backwards)

    @pytest.fixture(scope="class")
    def trained(self, config: ModelConfig) -> Trained:
        return train_alone(SERIES, config, made_up.TRAIN, seed=SEED)

    def test_has_its_own_depth_where_nobody_says(self, config: ModelConfig) -> None:
        assert config.layers == self.default_layers

    def test_answers_each_window_with_each_output(self, network: Network) -> None:
        windows = inputs_of(network, Framing(network.lookback, 1), 5)
        outputs = forward(network, first_weights(network, SEED), windows)
        assert (outputs.shape, outputs.dtype) == ((5, network.outputs), np.float32)

    def test_untrained_head_says_nothing_yet(self, network: Network) -> None:
        windows = inputs_of(network, Framing(network.lookback, 1), 5)
        assert not forward(network, first_weights(network, SEED), windows).any()

    @pytest.mark.parametrize(("layers", "units"), [(1, 1), (2, 5), (3, 2)])
    def test_any_depth_and_width_answers_as_keras_does(
        self, network: Network, layers: int, units: int
    ) -> None:
        other = dataclasses.replace(network, layers=layers, units=units)
        windows, weights = inputs_of(other, Framing(other.lookback, 1), 4), lively(other)
        expected = to_keras(other, Framing(other.lookback, 1), weights)(windows, training=False)[:, 0].numpy()
        np.testing.assert_allclose(forward(other, weights, windows), expected, atol=1e-5)

    def test_dropout_follows_each_layer_and_is_off_in_forecasts(self, network: Network) -> None:
        dropping = dataclasses.replace(network, layers=3, dropout=0.4)
        windows, weights = inputs_of(network, Framing(network.lookback, 1), 4), lively(dropping)
        model = to_keras(dropping, Framing(network.lookback, 1), weights)
        assert [layer.rate for layer in model.layers if "dropout" in layer.name] == [0.4] * 3
        np.testing.assert_allclose(
            model(windows, training=False)[:, 0].numpy(), forward(dropping, weights, windows), atol=1e-5
        )
        assert (
            np.abs(model(windows, training=True)[:, 0].numpy() - forward(dropping, weights, windows)).max()
            > 1e-3
        )

    def test_same_seed_gives_the_same_bits_and_another_seed_others(
        self, config: ModelConfig, trained: Trained
    ) -> None:
        again, other = (train_alone(SERIES, config, made_up.TRAIN, seed=seed) for seed in (SEED, SEED + 1))
        assert [bits(member) for member in again.bundle.members] == [
            bits(member) for member in trained.bundle.members
        ]
        assert [bits(member) for member in other.bundle.members] != [
            bits(member) for member in trained.bundle.members
        ]

    def test_engine_computes_keras_loss_and_gradients(self, network: Network, framing: Framing) -> None:
        """The program's first moments after one step are a tenth of its gradient (Adam, beta_1 = 0.9)."""
        steps, batch = (
            made_up.TRAIN.steps_per_epoch,
            64 if network.reads_backwards else made_up.TRAIN.batch_size,
        )
        weights, random = lively(network), np.random.default_rng(13)
        inputs = np.stack([inputs_of(network, framing, batch)] * steps)
        targets = random.standard_normal((steps, batch, framing.positions, made_up.MODEL.horizon)).astype(
            np.float32
        )
        shares = np.ones_like(targets)
        shares[1:] = 0.0  # steps without targets have no gradient: the moments only fade, by 0.9 a step
        program = program_of(network, framing, "student_t", CLIP)
        start = [tf.constant(weights[spec.name]) for spec in weight_specs(network)]
        state = [tf.constant([SEED, layer], dtype) for layer, dtype in enumerate(program.random_states)]
        adam = [tf.constant(0.0)] + [tf.zeros_like(weight) for weight in start] * 2
        _, _, adam, loss = program.epoch(start, state, adam, tf.constant(0.0), inputs, targets, shares)
        gradients = [moment.numpy() / (0.1 * 0.9 ** (steps - 1)) for moment in adam[1 : len(start) + 1]]

        model = to_keras(network, framing, weights)
        with tf.GradientTape() as tape:
            expected_loss = textbook_loss(model(inputs[0], training=True), tf.constant(targets[0]))
        raw = tape.gradient(expected_loss, [variable.value for variable in model.trainable_variables])
        expected, _ = tf.clip_by_global_norm(raw, CLIP)
        assert float(loss) * steps == pytest.approx(float(expected_loss), abs=1e-5)
        for spec, gradient, wanted in zip(weight_specs(network), gradients, expected, strict=True):
            np.testing.assert_allclose(gradient, wanted.numpy(), atol=1e-5, err_msg=spec.name)

    def test_an_epoch_lowers_the_loss_it_was_trained_on(self, network: Network, framing: Framing) -> None:
        steps, batch = (
            made_up.TRAIN.steps_per_epoch,
            64 if network.reads_backwards else made_up.TRAIN.batch_size,
        )
        one = inputs_of(network, framing, batch)
        # What the window's last session shows.
        targets = np.repeat(one[:, -framing.positions :, :1], made_up.MODEL.horizon, axis=-1)
        repeated = Batches(
            np.stack([one] * steps), np.stack([targets] * steps), np.ones((steps, *targets.shape), np.float32)
        )
        fitted = engine.fit(
            network, framing, first_weights(network, SEED), lambda epoch: repeated, None,
            engine.Schedule(epochs=2, learning_rate=0.01, clip_norm=CLIP), loss="student_t", seed=SEED,
            ticker="ACME",
        )  # fmt: skip
        assert fitted.training_loss[1] < fitted.training_loss[0]

    def test_saved_and_loaded_it_forecasts_the_same(self, trained: Trained, tmp_path: Any) -> None:
        loaded = load_bundle(tmp_path, save(trained.bundle, tmp_path), "ACME")
        assert loaded.network == trained.bundle.network
        before, after = (
            forecast_with_model(bundle, SERIES, (215, 220)) for bundle in (trained.bundle, loaded)
        )
        assert after.quantiles.tobytes() == before.quantiles.tobytes()

    def test_fine_tuning_begins_at_its_parent(self, config: ModelConfig, trained: Trained) -> None:
        child = train(SERIES, config, made_up.TRAIN, start=trained.bundle, seed=SEED)
        # Same series, same split: the child's loss before its first step is its parent's, as it was before
        # or after its own fine-tuning.
        assert any(
            child.validation_loss[0] == pytest.approx(loss, abs=1e-6) for loss in trained.validation_loss
        )
        assert child.epochs == made_up.TRAIN.fine_tune_epochs == 1

    def test_parent_of_another_shape_is_refused(self, config: ModelConfig, trained: Trained) -> None:
        with pytest.raises(TickerError, match="another shape"):
            train(
                SERIES,
                dataclasses.replace(config, units=config.units + 1),
                made_up.TRAIN,
                start=trained.bundle,
                seed=SEED,
            )

    def test_weights_move_to_keras_and_back(self, network: Network, framing: Framing) -> None:
        model, there = to_keras(network, framing, lively(network)), lively(network)
        assert bits(from_keras(network, model)) == bits(there)
        with pytest.raises(ValueError, match="other weights"):
            from_keras(dataclasses.replace(network, units=network.units + 1), model)

    def test_keras_rebuilds_it_from_its_configuration(self, network: Network, framing: Framing) -> None:
        weights, windows = lively(network), inputs_of(network, framing, 3)
        model = to_keras(network, framing, weights)
        rebuilt = type(model).from_config(json.loads(json.dumps(model.get_config())))
        rebuilt.set_weights(model.get_weights())
        assert np.array_equal(
            rebuilt(windows, training=False).numpy(), model(windows, training=False).numpy()
        )
