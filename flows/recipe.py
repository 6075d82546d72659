"""The flow of a named walkthrough recipe: its series in, the walkthrough and the honest figures beside it
out, on one page.

It reads no published table and writes none; it holds the workspace, because its page is written there.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.states import State

from flows.running.artifacts import leave_artifacts
from flows.running.ending import ended, summary_of
from flows.running.stages import Stages
from flows.service.parameters import NightlyParameters
from flows.service.served_reports import report_link
from flows.settings.layers import gather
from flows.settings.recipe import asked_of, recipe_config
from forecast_lib.config import RunConfig
from forecast_lib.jobs.recipe import run as job
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.recipes.catalogue import RecipeName, recipe_named, with_asked
from forecast_lib.store.disk.lock import hold_workspace

__all__ = ["recipe", "run_recipe"]


def _recipe(name: str, overrides: Mapping[str, object]) -> RunSummary:
    settings, config = gather(overrides), recipe_config(name, overrides)
    asked = asked_of(settings)
    test_file = settings["test_file"]
    stages = Stages(config)
    with hold_workspace(config.workspace, config.run_id, started=config.as_of.now):
        summary = job.run_recipe(
            with_asked(recipe_named(name), asked),
            asked.changes,
            config,
            Path(test_file).expanduser().absolute() if test_file else None,
            stages.single,
        )
    summary = dataclasses.replace(summary, seconds=stages.seconds)
    leave_artifacts(summary, report_link(summary.report, settings["reports_url"], settings["profile"]))
    create_table_artifact(
        key="recipe-figures", table=list(summary.figures), description=f"Figures of recipe {name}"
    )
    return summary


@flow(name="recipe", flow_run_name="recipe-{name}", retries=0)
def recipe(name: RecipeName, parameters: NightlyParameters = NightlyParameters()) -> State:
    """One of the walkthrough recipes, with its report."""
    return ended(lambda: _recipe(name, parameters.overrides()))


def run_recipe(name: str, config: RunConfig) -> RunSummary:
    """The flow in this process, with the settings that `config` was resolved from and exported."""
    return summary_of(recipe(name, return_state=True))
