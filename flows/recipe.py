"""The flow of a named walkthrough recipe: its series in, the walkthrough and the honest figures beside it
out, on one page.

It reads no published table and writes none; it holds the workspace, because its page is written there.
"""

import dataclasses

from prefect.artifacts import create_table_artifact

from flows.running.artifacts import leave_artifacts
from flows.running.ending import ended, here
from flows.running.stages import ShownInOrder
from flows.service.served_reports import report_link
from flows.settings.layers import Settings
from flows.settings.recipe import asked_of, without_effect
from forecast_lib.config import RunConfig
from forecast_lib.jobs.recipe.run import run_recipe
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.recipes.catalogue import recipe_named, with_asked
from forecast_lib.store.disk.lock import hold_workspace

__all__ = ["recipe_here"]


def _recipe(config: RunConfig, settings: Settings, name: str) -> RunSummary:
    asked, test_file = asked_of(settings), settings["test_file"]
    stages = ShownInOrder(config)
    with hold_workspace(config.workspace, config.run_id, started=config.as_of.now):
        summary = run_recipe(
            with_asked(recipe_named(name), asked),
            asked.changes,
            config,
            test_file and test_file.absolute(),
            stages.single,
        )
    summary = dataclasses.replace(summary, seconds=stages.seconds, notices=without_effect(settings))
    leave_artifacts(summary, report_link(summary.report, settings["reports_url"], settings["profile"]))
    create_table_artifact(
        key="recipe-figures", table=list(summary.figures), description=f"Figures of recipe {name}"
    )
    return summary


def recipe_here(config: RunConfig, settings: Settings, name: str) -> RunSummary:
    """One of the walkthrough recipes, with its report, as a flow in this process."""
    return here(
        "recipe", lambda: ended(lambda: _recipe(config, settings, name), settings.hidden), f"recipe-{name}"
    )
