"""One recipe from its series to its page: run as published, run honestly, and both said side by side."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

from forecast_lib.config import RunConfig
from forecast_lib.errors import TickerError
from forecast_lib.jobs.recipe.page import Answers, Ours, recipe_page
from forecast_lib.jobs.recipe.series import ReadSeries, read_series
from forecast_lib.jobs.record.status_rows import code_version
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.recipes.catalogue import Recipe
from forecast_lib.recipes.run import as_published, improved_sine, our_model, scaler_on_training_only
from forecast_lib.recipes.splits import held_out_parts
from forecast_lib.report import INDEX, render_recipe, write_report

__all__ = ["run_recipe"]

Stage = Callable[[str], AbstractContextManager[None]]


def _ours(recipe: Recipe, read: ReadSeries, seed: int) -> Ours:
    try:
        return Ours(our_model(read.series, held_out_parts(recipe, read.series), seed=seed))
    except TickerError as error:
        return Ours(None, error.reason)


def _answers(recipe: Recipe, read: ReadSeries, seed: int, stage: Stage) -> Answers:
    with stage("walkthrough"):
        published = as_published(recipe, read.series, seed=seed)
    if recipe.ticker is None:
        with stage("improved"):
            return Answers(published, None, Ours(None), improved_sine(recipe, read.series, seed=seed))
    with stage("scaler"):
        honest = scaler_on_training_only(recipe, read.series, seed=seed)
    with stage("our model"):
        return Answers(published, honest, _ours(recipe, read, seed))


def run_recipe(
    recipe: Recipe, changes: dict[str, object], config: RunConfig, test_file: Path | None, stage: Stage
) -> RunSummary:
    """Run the recipe and write its page; stores and publishes nothing.

    Args:
        recipe: with the user's changes.
        changes: what the user changed, for the page.
        test_file: second file of a recipe that takes two.
        stage: shows and times a named part of the work.

    Raises:
        TickercastError: there is no series, it is too short, or the walkthrough's training diverged.
    """
    with stage("prices"):
        read = read_series(recipe, config, test_file)
    answers = _answers(recipe, read, config.seed, stage)
    origin = (
        ("run", str(config.run_id)),
        ("series", read.origin),
        ("seed", str(config.seed)),
        ("tickercast", code_version()),
    )
    page = recipe_page(recipe, changes, read, answers, origin)
    path = write_report(config.workspace, config.run_id, [(INDEX, render_recipe(page))])
    figures = (*page.figures, *page.honest)
    return RunSummary(
        run_id=config.run_id,
        kind="recipe",
        status="fresh",
        as_of=config.as_of.day,
        message=f"recipe {recipe.name}: "
        + "; ".join(f"{each.label} {_short(each.value)}" for each in figures[:4]),
        report=str(path),
        figures=tuple(asdict(each) for each in figures),
    )


def _short(value: float | int | str | None) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
