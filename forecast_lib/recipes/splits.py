"""Which values of a series a recipe trains on and which it is scored on, by the index of the window's target.

::

    parts     |<- window ->| t t t t t t (x)||<- window ->| t t t (x)|      windows cut inside each part
    files     |<- window ->| t t t t t t t t|| t t t t t t t t t t t |      test windows reach back into the training file
    windows   |<- window ->| t t t t t t t t|| t t t t t t t t t t(x)|
    none      |<- window ->| t t t t t t t t t t t t t t t t t t t(x)|

(x): the target that is lost where the walkthrough's loop ends one too early (`drops_last`). A window is the
`lookback` values before its target.
"""

from dataclasses import dataclass

from forecast_lib.errors import UsageError
from forecast_lib.recipes.catalogue import Recipe
from forecast_lib.recipes.series import RecipeSeries

__all__ = ["Parts", "held_out_parts", "parts_of"]

TRAINING_SHARE = 0.8


@dataclass(frozen=True)
class Parts:
    """Targets as ranges of indices into the series.

    Attributes:
        test: None where the walkthrough scores on what it was trained on.
        known: how many values, from the first, belong to the training part.
    """

    train: range
    test: range | None
    known: int

    @property
    def scored(self) -> range:
        """The targets that the walkthrough scores: the test part, or, without one, what it was trained on."""
        return self.train if self.test is None else self.test


def _split(recipe: Recipe, count: int, first_file: int | None) -> Parts:
    lookback, lost = recipe.lookback, int(recipe.drops_last)
    if recipe.split == "files" and first_file is not None:
        return Parts(range(lookback, first_file - lost), range(first_file, count - lost), first_file)
    if recipe.split == "parts":
        known = int(count * TRAINING_SHARE)
        return Parts(range(lookback, known - lost), range(known + lookback, count - lost), known)
    every = range(lookback, count - lost)
    if recipe.split == "windows":
        cut = int(TRAINING_SHARE * len(every))
        return Parts(every[:cut], every[cut:], every[:cut].stop)
    return Parts(every, None, count)


def _checked(parts: Parts, recipe: Recipe, count: int) -> Parts:
    if min(len(parts.train), len(parts.scored)) < 1:
        needed = recipe.lookback + 1 + int(recipe.drops_last)
        where = "in each part" if parts.test is not None else "in all"
        raise UsageError(
            f"recipe {recipe.name}: {count} rows are too few: a window of {recipe.lookback} needs {needed} or"
            f" more {where}"
        )
    return parts


def parts_of(recipe: Recipe, series: RecipeSeries) -> Parts:
    """The walkthrough's own split.

    Raises:
        UsageError: the series is too short for one window in each part.
    """
    count = len(series.values)
    return _checked(_split(recipe, count, series.first_file), recipe, count)


def held_out_parts(recipe: Recipe, series: RecipeSeries) -> Parts:
    """The walkthrough's split, or, where it has none, the last 20 % of the values held out.

    Raises:
        UsageError: the series is too short for one window in each part.
    """
    parts = parts_of(recipe, series)
    if parts.test is not None:
        return parts
    count = len(series.values)
    known = int(count * TRAINING_SHARE)
    return _checked(
        Parts(range(recipe.lookback, known), range(known, count - int(recipe.drops_last)), known),
        recipe,
        count,
    )
