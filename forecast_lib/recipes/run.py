"""Running a recipe: as published, and honestly.

Each attempt answers the same question, the next value from the values before it, on the same targets; only
what the answerer was allowed to know differs. Everything here is in the series' own unit unless a name says
`scaled`.
"""

from dataclasses import dataclass

import numpy as np

from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.forecast import forecast_with_model
from forecast_lib.models.training import train_alone
from forecast_lib.recipes.catalogue import Recipe
from forecast_lib.recipes.learning import Learned, Pace, attention_of, learn, predict, run_free
from forecast_lib.recipes.scaling import NOT_SCALED, MinMax, fit_min_max
from forecast_lib.recipes.series import RecipeSeries, sine_beyond
from forecast_lib.recipes.splits import Parts, held_out_parts, parts_of
from forecast_lib.windows.series import Array

__all__ = [
    "FREE_STEPS",
    "Attempt",
    "as_published",
    "free_running",
    "improved_pace",
    "improved_sine",
    "naive",
    "next_value",
    "our_model",
    "rmse",
    "scaler_on_training_only",
]

FREE_STEPS = 200
OUR_MODEL, OUR_TRAINING = ModelConfig(horizon=1), TrainConfig()


@dataclass(frozen=True)
class Attempt:
    """One network trained once.

    Attributes:
        fitted: (train targets,) its answers where it was trained.
        tested: (test targets,) its answers where it was not; empty without a test part.
        attention: (lookback,) mean weights over the test windows (the training windows without a test part),
            or None.
    """

    learned: Learned
    parts: Parts
    scaler: MinMax
    fitted: Array
    tested: Array
    attention: Array | None

    @property
    def scored(self) -> Array:
        """Its answers on the targets that are scored."""
        return self.fitted if self.parts.test is None else self.tested


def rmse(predicted: Array, actual: Array) -> float:
    """Root of the mean squared error.

    >>> rmse(np.array([1.0, 2.0]), np.array([1.0, 4.0])) ** 2
    2.0000000000000004

    Raises:
        ValueError: the shapes differ.
    """
    if predicted.shape != actual.shape:
        raise ValueError(f"predictions have shape {predicted.shape}, actuals {actual.shape}")
    return float(np.sqrt(np.mean((predicted - actual) ** 2)))


def _attempt(
    recipe: Recipe, series: RecipeSeries, parts: Parts, scaler: MinMax, pace: Pace, seed: int
) -> Attempt:
    scaled = scaler.scale(series.values)
    learned = learn(recipe.network, scaled, parts.train, pace, seed=seed, name=series.name)
    tested = scaler.unscale(predict(learned, scaled, parts.test)) if parts.test is not None else np.empty(0)
    attention = attention_of(learned, scaled, parts.scored)
    return Attempt(
        learned, parts, scaler, scaler.unscale(predict(learned, scaled, parts.train)), tested, attention
    )


def _published_scaler(recipe: Recipe, series: RecipeSeries, parts: Parts) -> MinMax:
    if recipe.scaled == "no":
        return NOT_SCALED
    return fit_min_max(series.values if recipe.scaled == "whole" else series.values[: parts.known])


def as_published(recipe: Recipe, series: RecipeSeries, *, seed: int) -> Attempt:
    """The walkthrough, quirks and all.

    Raises:
        UsageError: the series is too short.
        TrainingDiverged: the loss became NaN or infinite.
    """
    parts = parts_of(recipe, series)
    return _attempt(
        recipe,
        series,
        parts,
        _published_scaler(recipe, series, parts),
        Pace(recipe.epochs, recipe.batch),
        seed,
    )


def scaler_on_training_only(recipe: Recipe, series: RecipeSeries, *, seed: int) -> Attempt | None:
    """The same network with a scaler that knows the training part only; without a split, the last 20 % are
    held out.

    None where that is what the walkthrough does.
    """
    if recipe.split != "none" and recipe.scaled != "whole":
        return None
    parts = held_out_parts(recipe, series)
    scaler = NOT_SCALED if recipe.scaled == "no" else fit_min_max(series.values[: parts.known])
    return _attempt(recipe, series, parts, scaler, Pace(recipe.epochs, recipe.batch), seed)


def naive(series: RecipeSeries, targets: range) -> Array:
    """(targets,): the value before each target."""
    return series.values[np.asarray(targets) - 1]


def our_model(
    series: RecipeSeries,
    parts: Parts,
    *,
    seed: int,
    model: ModelConfig = OUR_MODEL,
    train_config: TrainConfig = OUR_TRAINING,
) -> Array | None:
    """(test targets,): our default model, trained on the training part by the night's own functions; None for
    a sine.

    Raises:
        TickerError: it cannot be trained on this series.
    """
    if series.prices is None or parts.test is None:
        return None
    trained = train_alone(series.prices.until(parts.known), model, train_config, seed=seed)
    return forecast_with_model(
        trained.bundle, series.prices, (parts.test.start - 1, parts.test.stop - 1)
    ).point[:, 0]


# --- sines


def next_value(attempt: Attempt, series: RecipeSeries) -> float:
    """The forecast of the value after the series."""
    return float(attempt.scaler.unscale(run_free(attempt.learned, attempt.scaler.scale(series.values), 1))[0])


def free_running(attempt: Attempt, recipe: Recipe, series: RecipeSeries) -> tuple[Array, Array]:
    """The forecast of the `FREE_STEPS` values after a sine, fed with nothing but its own answers, and the
    sine's true values.
    """
    answers = attempt.scaler.unscale(
        run_free(attempt.learned, attempt.scaler.scale(series.values), FREE_STEPS)
    )
    return answers, sine_beyond(recipe, FREE_STEPS)


def improved_pace(recipe: Recipe) -> Pace:
    """The same network trained better: sixteen windows a step, a learning rate that starts ten or twenty
    times higher and falls to zero.

    Fewer steps than the walkthrough's take less time; the falling rate is what brings the error to the floor.
    """
    fast = recipe.units < 16  # a small network stands, and needs, larger steps and more of them
    return Pace(4 * recipe.epochs if fast else 2 * recipe.epochs, 16, 2e-2 if fast else 1e-2, 0.0)


def improved_sine(recipe: Recipe, series: RecipeSeries, *, seed: int) -> Attempt:
    """A sine recipe's network, better trained, scored on windows it was not trained on, its scaler fitted on
    the training part.
    """
    parts = held_out_parts(recipe, series)
    scaler = NOT_SCALED if recipe.scaled == "no" else fit_min_max(series.values[: parts.known])
    return _attempt(recipe, series, parts, scaler, improved_pace(recipe), seed)
