"""What a recipe is run on: one column of prices, or a sine."""

from dataclasses import dataclass

import numpy as np

from forecast_lib.recipes.catalogue import Recipe
from forecast_lib.windows.series import Array, TickerSeries

__all__ = ["RecipeSeries", "sine_beyond", "sine_series"]

_POINTS = 1000


@dataclass(frozen=True)
class RecipeSeries:
    """One series, oldest value first.

    Attributes:
        name: the ticker, or `sine`.
        values: (n,) in the series' own unit.
        labels: (n,) ISO dates, or numbers.
        first_file: how many values come from the training file; None where there is one file.
        prices: the same sessions for our own model, split-adjusted, its `close` the recipe's column; None for
            a sine.
    """

    name: str
    values: Array
    labels: tuple[str, ...]
    first_file: int | None = None
    prices: TickerSeries | None = None


def _sine_at(recipe: Recipe, at: np.ndarray) -> Array:
    if recipe.name == "sine-small":
        return np.sin(2 * np.pi * at / 50)
    return np.sin(np.linspace(0, 100, _POINTS)[1] * at)


def sine_series(recipe: Recipe) -> RecipeSeries:
    """The 1000 values of a sine recipe.

    >>> from forecast_lib.recipes.catalogue import recipe_named
    >>> sine_series(recipe_named("sine-small")).values[[0, 25, 999]].round(4).tolist()
    [0.0, 0.0, -0.1253]
    """
    at = np.arange(_POINTS)
    return RecipeSeries("sine", _sine_at(recipe, at), tuple(map(str, at)))


def sine_beyond(recipe: Recipe, count: int) -> Array:
    """The `count` values that follow the series: what a free-running forecast is compared with."""
    return _sine_at(recipe, np.arange(_POINTS, _POINTS + count))
