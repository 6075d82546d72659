"""The five recipes as frozen values: everything that decides a walkthrough's figures, its quirks included.

A quirk is a named field here, never a special case in the code that runs it, so that what flatters a figure
can be read off in one place.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

from forecast_lib.config import ModelConfig
from forecast_lib.errors import UsageError
from forecast_lib.models.network import Network

__all__ = ["RECIPES", "Asked", "Recipe", "RecipeName", "Scaled", "Split", "recipe_named", "with_asked"]

RecipeName = Literal["tsla-stacked", "aapl-stacked", "google-deep", "sine-small", "sine-unit"]
Column = Literal["close", "open", "sine"]
Scaled = Literal["whole", "training", "no"]
Split = Literal["none", "parts", "files", "windows"]


@dataclass(frozen=True)
class Recipe:
    """One walkthrough.

    Attributes:
        ticker: whose prices it takes; None for a sine.
        column: the price that is forecast.
        lookback: values that a window sees.
        scaled: on which values the min-max scaler is fitted: the `whole` series (the future included), the
            `training` part, or `no`.
        layers, units, dropout: of the network; dropout follows each recurrent layer.
        split: `none`: scored on the data it was trained on; `parts`: first 80 % and last 20 % of the values,
            windows cut inside each part; `files`: by file; `windows`: first 80 % and last 20 % of the
            windows.
        drops_last: the walkthrough's loop ends one too early, so that the last window of each part is never
            used.
        published: figures of the walkthrough's own page, by name.
        flattery: what makes the walkthrough's figures look better than the forecasts are, one sentence each.
    """

    name: RecipeName
    title: str
    ticker: str | None
    column: Column
    lookback: int
    scaled: Scaled
    variant: str
    layers: int
    units: int
    dropout: float
    epochs: int
    batch: int
    split: Split
    drops_last: bool
    published: tuple[tuple[str, float], ...] = ()
    flattery: tuple[str, ...] = ()

    @property
    def network(self) -> Network:
        """The recipe's network: one value in, one value out, Keras's own first weights in the head too."""
        return Network(
            self.variant, self.layers, self.units, 1, 1, self.lookback, self.dropout, zero_head=False
        )


_FUTURE_SCALER = (
    "The scaler is fitted on the whole series, so every training value already tells where the price will be"
    " in the test years."
)
_LAG = (
    "The plot shows one-day-ahead predictions, each made from true prices up to the day before: a line that"
    " merely repeats yesterday's price looks just as close."
)
_NO_BASELINE = "No baseline stands beside the error; 'tomorrow's price is today's' is the one to beat."
_LOST_WINDOW = (
    "An off-by-one in the loop leaves out the last complete window of each part: the newest price is never"
    " forecast."
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="tsla-stacked",
            title="Two stacked LSTM layers on Tesla's closes",
            ticker="TSLA",
            column="close",
            lookback=60,
            scaled="whole",
            variant="stacked",
            layers=2,
            units=50,
            dropout=0.0,
            epochs=10,
            batch=32,
            split="none",
            drops_last=False,
            flattery=(
                (
                    "The error is measured on the very data that the network was trained on: it says nothing"
                    " about forecasts."
                ),
                "The scaler is fitted on the whole series.",
                _LAG,
                _NO_BASELINE,
            ),
        ),
        Recipe(
            name="aapl-stacked",
            title="Two stacked LSTM layers on Apple's closes, first 80 % against last 20 %",
            ticker="AAPL",
            column="close",
            lookback=60,
            scaled="whole",
            variant="stacked",
            layers=2,
            units=50,
            dropout=0.0,
            epochs=10,
            batch=32,
            split="parts",
            drops_last=True,
            flattery=(_FUTURE_SCALER, _LOST_WINDOW, _LAG, _NO_BASELINE),
        ),
        Recipe(
            name="google-deep",
            title="Four LSTM layers with dropout on Google's opens, tested on January 2017",
            ticker="GOOGL",
            column="open",
            lookback=60,
            scaled="training",
            variant="stacked",
            layers=4,
            units=50,
            dropout=0.2,
            epochs=100,
            batch=32,
            split="files",
            drops_last=False,
            flattery=("Twenty test days of one calm month decide nothing.", _LAG, _NO_BASELINE),
        ),
        Recipe(
            name="sine-small",
            title="Four LSTM units on a sine of period 50",
            ticker=None,
            column="sine",
            lookback=10,
            scaled="no",
            variant="lstm",
            layers=1,
            units=4,
            dropout=0.0,
            epochs=100,
            batch=1,
            split="none",
            drops_last=True,
            flattery=(
                (
                    "One next value is no test; the sine repeats itself every 50 values, so even unseen"
                    " windows have been seen."
                ),
                "An off-by-one in the loop leaves out the last complete window.",
                "No baseline is shown; a linear rule on the last two values continues a sine exactly.",
            ),
        ),
        Recipe(
            name="sine-unit",
            title="Fifty LSTM units on a sine over 0..100",
            ticker=None,
            column="sine",
            lookback=10,
            scaled="whole",
            variant="lstm",
            layers=1,
            units=50,
            dropout=0.0,
            epochs=50,
            batch=1,
            split="windows",
            drops_last=True,
            published=(("test_mse_scaled", 0.0008), ("forecast_last_window", 0.992)),
            flattery=(
                (
                    "The published test MSE of 0.0008 looks small, but 'the next value is the last one'"
                    " nearly reaches it."
                ),
                "The scaler is fitted on the whole series; on a sine that changes next to nothing.",
                (
                    "Each test forecast is made from true values: left to run on its own output, an error can"
                    " grow."
                ),
                "An off-by-one in the loop leaves out the last complete window.",
            ),
        ),
    )
}
"""Every recipe by name, in the order of the list of features."""


def recipe_named(name: str) -> Recipe:
    """The recipe of that name.

    >>> recipe_named("sine-small").units
    4

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    if name not in RECIPES:
        raise UsageError(
            f"recipe {name[:60]!a} is not known: expected one of {', '.join(get_args(RecipeName))}"
        )
    return RECIPES[name]


@dataclass(frozen=True)
class Asked:
    """What the user wants changed in a recipe; None leaves the recipe's own."""

    variant: str | None = None
    layers: int | None = None
    units: int | None = None
    lookback: int | None = None
    dropout: float | None = None
    epochs: int | None = None

    @property
    def changes(self) -> dict[str, Any]:
        """What is changed, by name."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def _layers(recipe: Recipe, asked: Asked) -> int:
    if asked.layers is not None:
        return asked.layers
    if asked.variant == "lstm":
        return 1
    return max(recipe.layers, 2) if asked.variant == "stacked" else recipe.layers


def with_asked(recipe: Recipe, asked: Asked) -> Recipe:
    """The recipe with another network. Where only a variant is named the recipe's depth stays, but `lstm` has
    one layer and `stacked` two.

    >>> with_asked(recipe_named("google-deep"), Asked(variant="gru")).network.layers
    4

    Raises:
        UsageError: sizes that are not positive, or out of range.
    """
    own: dict[str, Any] = {**asked.changes, "layers": _layers(recipe, asked)}
    if own["layers"] == 1 and recipe.variant == "stacked":
        own.setdefault("variant", "lstm")
    if isinstance(asked.layers, int) and asked.layers > 1 and recipe.variant == "lstm":
        own.setdefault("variant", "stacked")
    changed = dataclasses.replace(recipe, **own)
    # Checks the ranges.
    ModelConfig(changed.variant, changed.layers, changed.units, changed.lookback, dropout=changed.dropout)
    if not 1 <= changed.epochs <= 100_000:
        raise UsageError(f"epochs {changed.epochs} is out of range: expected 1 to 100000")
    return changed
