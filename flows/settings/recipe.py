"""The settings of a recipe's run: its own ticker where none is named, its own network where none is asked
for.
"""

import dataclasses

from flows.settings.layers import Settings
from flows.settings.run_config import resolve
from forecast_lib.config import RunConfig
from forecast_lib.errors import UsageError
from forecast_lib.jobs.recipe.series import refuse_without_prices
from forecast_lib.recipes.catalogue import Asked, recipe_named, with_asked

__all__ = ["asked_of", "recipe_config", "without_effect"]

_NO_TICKER = "SINE"
_NETWORK = ("layers", "units", "lookback", "dropout", "epochs")
_OF_NIGHTS = (
    "horizon",
    "strategy",
    "runner",
    "workers",
    "dask_scheduler",
    "shard_size",
    "keep_snapshots",
    "rules",
)
"""Settings of every run that a recipe has no use for."""


def asked_of(settings: Settings) -> Asked:
    """What the user changes in the recipe: options that were given; their defaults belong to the night's
    model, not to a recipe.
    """
    if len(settings["model"]) > 1:
        raise UsageError(
            f"{settings.given['model']} names {len(settings['model'])} variants: recipe takes one"
        )
    values = {name: settings[name] for name in _NETWORK if name in settings.given}
    return Asked(variant=settings["model"][0] if "model" in settings.given else None, **values)


def recipe_config(name: str, settings: Settings) -> RunConfig:
    """The config of one run of the recipe `name`.

    Raises:
        UsageError: an unknown recipe, sizes out of range, or no source for a recipe that needs prices.
    """
    own = recipe_named(name)
    changed = with_asked(own, asked_of(settings))
    network = {"model": (changed.variant,)} | {name: getattr(changed, name) for name in _NETWORK}
    config = resolve(
        dataclasses.replace(settings, values={**settings.values, **network}),
        default_tickers=lambda _source, _as_of: (own.ticker or _NO_TICKER,),
    )
    refuse_without_prices(own, config.source)
    return config


def without_effect(settings: Settings) -> tuple[str, ...]:
    """A sentence where options were given that change nothing in a recipe."""
    if not (given := [settings.given[name] for name in _OF_NIGHTS if settings.asked(name)]):
        return ()
    return (f"without effect in a recipe, which runs as its walkthrough does: {', '.join(given)}",)
