"""Settings of a run: ranges, defaults that depend on each other, and their hash."""

import dataclasses
import hashlib
import json
import math
from pathlib import Path

import pytest

from forecast_lib.config import (
    VARIANTS,
    BacktestConfig,
    ModelConfig,
    RunConfig,
    SourceConfig,
    SourceName,
    TrainConfig,
    config_hash,
    to_json,
)
from forecast_lib.errors import UsageError
from forecast_lib.setting import literals
from tests import made_up


@pytest.mark.parametrize("variant", VARIANTS)
def test_depth_follows_the_variant(variant):
    assert ModelConfig(variant=variant).layers == (2 if variant == "stacked" else 1)
    assert ModelConfig(variant=variant, layers=3).layers == 3


def test_default_is_two_layers_of_fifty():
    config = ModelConfig()
    assert (config.variant, config.layers, config.units, config.lookback) == ("stacked", 2, 50, 60)


def test_one_stacked_layer_is_refused_with_what_to_use():
    with pytest.raises(
        UsageError, match="layers 1 is too few for model 'stacked': expected 2 or more; use 'lstm' for one"
    ):
        ModelConfig(variant="stacked", layers=1)


@pytest.mark.parametrize(
    ("build", "low", "high"),
    [
        (lambda value: ModelConfig(units=value), 1, 1024),
        (lambda value: ModelConfig(lookback=value), 2, 500),
        (lambda value: ModelConfig(horizon=value), 1, 20),
        (lambda value: ModelConfig(dropout=value), 0.0, 0.9),
        (lambda value: ModelConfig(variant="lstm", layers=value), 1, 8),
        (lambda value: TrainConfig(epochs=value), 1, 100_000),
        (lambda value: TrainConfig(patience=value), 1, 100_000),
        (lambda value: TrainConfig(validation_sessions=value), 20, 5_000),
        (lambda value: TrainConfig(learning_rate=value), 1e-7, 1.0),
        (lambda value: TrainConfig(fine_tune_learning_rate=value), 1e-7, 1.0),
        (lambda value: BacktestConfig(test_share=value), 0.01, 0.9),
        (lambda value: BacktestConfig(folds=value), 1, 500),
        (lambda value: BacktestConfig(embargo=value), 0, 250),
        (lambda value: BacktestConfig(window_sessions=value), 100, 100_000),
        (lambda value: made_up.run_config(seed=value), 0, 2**31 - 1),
        (lambda value: made_up.run_config(workers=value), 1, 256),
        (lambda value: made_up.run_config(shard_size=value), 1, 10_000),
        (lambda value: made_up.run_config(keep_snapshots=value), 1, 10_000),
    ],
)
def test_ranges_include_their_ends_and_nothing_beyond(build, low, high):
    build(low), build(high)
    for beyond in (low - 1, high + 1, -math.inf, math.inf, math.nan):
        with pytest.raises(UsageError, match=f"is out of range: expected {low} to {high}"):
            build(beyond)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: ModelConfig(variant="transformer"),
            f"model 'transformer' is not known: expected one of {', '.join(VARIANTS)}",
        ),
        (
            lambda: SourceConfig(name="bloomberg"),
            f"source 'bloomberg' is not known: expected one of {', '.join(literals(SourceName))}",
        ),
        (lambda: SourceConfig(name="files"), "source 'files' needs a path"),
        (lambda: made_up.run_config(strategy="always"), "strategy 'always' is not known"),
        (lambda: made_up.run_config(runner="spark"), "runner 'spark' is not known"),
        (lambda: dataclasses.replace(made_up.run_config(), tickers=()), "the universe is empty"),
    ],
)
def test_wrong_words_are_refused_by_name(build, message):
    with pytest.raises(UsageError, match=message):
        build()


def test_unknown_field_is_refused():
    with pytest.raises(TypeError, match="colour"):
        ModelConfig(colour="red")


def test_settings_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig().units = 5


def test_json_is_sorted_and_reads_back():
    text = to_json(BacktestConfig(0.3, 2))
    assert text == '{"arms": [], "embargo": 0, "folds": 2, "test_share": 0.3, "window_sessions": null}'
    assert json.loads(to_json(SourceConfig("files", Path("prices"))))["path"] == "prices"


def test_hash_is_the_first_half_of_a_sha256_of_the_json():
    # printf '{"arms": [], "embargo": 0, "folds": 1, "test_share": 0.2, "window_sessions": null}' | sha256sum
    assert config_hash(BacktestConfig()) == "f1717f8b8d1caa21"
    assert config_hash(BacktestConfig(folds=2)) != config_hash(BacktestConfig())


def test_run_of_the_same_settings_reads_the_same():
    first, second = made_up.run_config("AAPL"), made_up.run_config("AAPL")
    assert isinstance(first, RunConfig) and first == second
    assert (
        hashlib.sha256(to_json(first).encode()).hexdigest()
        == hashlib.sha256(to_json(second).encode()).hexdigest()
    )


def test_two_nights_of_the_same_settings_have_the_same_hash():
    first = made_up.run_config("AAPL")
    other = dataclasses.replace(first, run_id="another", workspace=first.workspace / "elsewhere")
    assert config_hash(other) == config_hash(first)
    assert config_hash(dataclasses.replace(first, seed=first.seed + 1)) != config_hash(first)
