"""The settings of a recipe's run: its own ticker where none is named, its own network where none is asked
for.
"""

from collections.abc import Mapping

from flows.settings.layers import Settings, gather, resolve
from forecast_lib.config import RunConfig
from forecast_lib.errors import UsageError
from forecast_lib.jobs.recipe.series import refuse_without_prices
from forecast_lib.recipes.catalogue import Asked, recipe_named, with_asked

__all__ = ["asked_of", "recipe_config"]

_NO_TICKER = "SINE"


def asked_of(settings: Settings) -> Asked:
    """What the user changes in the recipe: options that were given; their defaults belong to the night's
    model, not to a recipe.
    """
    if len(settings["model"]) > 1:
        raise UsageError(
            f"{settings.given['model']} names {len(settings['model'])} variants: recipe takes one"
        )
    values = {
        name: settings[name]
        for name in ("layers", "units", "lookback", "dropout", "epochs")
        if name in settings.given
    }
    return Asked(variant=settings["model"][0] if "model" in settings.given else None, **values)


def recipe_config(name: str, overrides: Mapping[str, object]) -> RunConfig:
    """The config of one run of the recipe `name`.

    Args:
        overrides: as for `settings.gather`.

    Raises:
        UsageError: an unknown recipe, sizes out of range, or no source for a recipe that needs prices.
    """
    own = recipe_named(name)
    changed = with_asked(own, asked_of(gather(overrides)))
    network = {
        "model": changed.variant,
        "layers": changed.layers,
        "units": changed.units,
        "lookback": changed.lookback,
        "dropout": changed.dropout,
        "epochs": changed.epochs,
    }
    config = resolve(
        {**overrides, **network}, default_tickers=lambda _source, _as_of: (own.ticker or _NO_TICKER,)
    )
    refuse_without_prices(own, config.source)
    return config
