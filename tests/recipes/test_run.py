"""Recipes run small: what an attempt may know, and the sines brought to the floor."""

import dataclasses

import numpy as np
import pytest

from forecast_lib.recipes.catalogue import Asked, recipe_named, with_asked
from forecast_lib.recipes.run import (
    Scaler,
    as_published,
    free_running,
    improved_pace,
    improved_sine,
    naive,
    next_value,
    our_model,
    rmse,
    scaler_on_training_only,
)
from forecast_lib.recipes.series import RecipeSeries, sine_series
from forecast_lib.recipes.splits import Parts, parts_of
from tests import made_up

SMALL = Asked(variant="lstm", units=4, lookback=10, epochs=1)
PRICES = made_up.noisy(220, seed=5)


def of(prices) -> RecipeSeries:
    return RecipeSeries("ACME", prices.close, tuple(map(str, prices.sessions)), None, prices)


@pytest.fixture(scope="module")
def small():
    return with_asked(recipe_named("aapl-stacked"), SMALL)


def test_published_scaler_sees_the_future_and_the_honest_one_does_not(small):
    series = of(PRICES)
    known = parts_of(small, series).known
    other = of(made_up.scrambled(PRICES, known - 1))
    published = [as_published(small, each, seed=1).learned.weights for each in (series, other)]
    honest = [scaler_on_training_only(small, each, seed=1).learned.weights for each in (series, other)]
    assert any((published[0][name] != published[1][name]).any() for name in published[0])
    assert all(np.array_equal(honest[0][name], honest[1][name]) for name in honest[0])


def test_our_model_is_trained_before_the_test_part(small):
    """Another future after the first test cutoff changes no answer at that cutoff."""
    parts = Parts(range(10, 170), range(170, 219), 170)
    first, second = (
        our_model(of(prices), parts, seed=1, model=made_up.MODEL, train_config=made_up.TRAIN)
        for prices in (PRICES, made_up.scrambled(PRICES, 169))
    )
    assert (len(first), first[0]) == (49, second[0])


def test_naive_answers_with_the_value_before():
    assert naive(of(PRICES), range(5, 7)).tolist() == PRICES.close[[4, 5]].tolist()


def test_google_needs_no_second_run_because_its_scaler_is_honest():
    recipe = recipe_named("google-deep")
    assert scaler_on_training_only(recipe, dataclasses.replace(of(PRICES), first_file=200), seed=0) is None


def test_rmse_never_broadcasts():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        rmse(np.zeros(2), np.zeros(1))


def test_the_scaler_knows_what_it_was_fitted_on_and_gives_values_back(small):
    values = PRICES.close
    scaler = Scaler.fitted(small, values[:50])
    scaled = scaler.scale(values)
    assert (scaled[:50].min(), scaled[:50].max()) == pytest.approx((0.0, 1.0))
    np.testing.assert_allclose(scaler.unscale(scaled), values, rtol=1e-12)
    unscaled = Scaler.fitted(dataclasses.replace(small, scaled="no"), values)
    assert unscaled.unscale(unscaled.scale(values)).tobytes() == values.tobytes()


def test_same_seed_gives_the_same_answers(small):
    first, second, other = (as_published(small, of(PRICES), seed=seed) for seed in (1, 1, 2))
    assert first.tested.tobytes() == second.tested.tobytes()
    assert first.tested.tobytes() != other.tested.tobytes()


@pytest.mark.parametrize(("name", "mse"), [("sine-unit", 1e-6), ("sine-small", 1e-5)])
def test_improved_setting_brings_the_sine_to_the_floor(name, mse):
    recipe = recipe_named(name)
    series = sine_series(recipe)
    attempt = improved_sine(recipe, series, seed=0)
    actual = series.values[np.asarray(attempt.parts.test)]
    assert np.mean((attempt.scaler.scale(attempt.tested) - attempt.scaler.scale(actual)) ** 2) <= mse
    assert rmse(*free_running(attempt, recipe, series)) <= 0.05
    if name == "sine-small":
        assert next_value(attempt, series) == pytest.approx(0.0, abs=0.01)  # sin(2 pi 1000 / 50)


def test_improved_setting_takes_fewer_steps_than_the_walkthrough():
    """791 windows: one a step for 50 epochs, or sixteen a step for twice as many."""
    pace = improved_pace(recipe_named("sine-unit"))
    assert pace.epochs * -(-791 // pace.batch) * 7 < 50 * 791
