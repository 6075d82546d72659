"""A named walkthrough recipe: its series in, the walkthrough and the honest figures beside it
out, on one page.

It reads no published table and writes none; it holds the workspace, because its page is written there.
"""

import dataclasses
import traceback

from flows.running.interruption import noted
from flows.running.run_log import run_logger
from flows.running.stages import ShownInOrder
from flows.service.served_reports import report_link
from flows.settings.layers import Settings, without_secrets
from flows.settings.recipe import asked_of, without_effect
from flows.shown.told import ToldPage
from forecast_lib.config import RunConfig
from forecast_lib.errors import TickercastError
from forecast_lib.jobs.recipe.run import run_recipe
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.recipes.catalogue import recipe_named, with_asked
from forecast_lib.store.disk.lock import hold_workspace

__all__ = ["recipe_by_hand"]


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
    return dataclasses.replace(summary, seconds=stages.seconds, notices=without_effect(settings))


def recipe_by_hand(config: RunConfig, settings: Settings, name: str, page: ToldPage) -> RunSummary:
    """One of the walkthrough recipes, with its report, shown on a page in Prefect."""
    try:
        with noted():
            summary = _recipe(config, settings, name)
        link = report_link(summary.report, settings["reports_url"], settings["profile"])
        page.leave(summary, link, f"Figures of recipe {name}")
    except TickercastError as error:
        page.failed(without_secrets(str(error), settings.hidden))
        raise
    except Exception as error:
        run_logger().info("unexpected %s", without_secrets(traceback.format_exc(), settings.hidden))
        page.failed(without_secrets(f"unexpected {type(error).__name__}: {error}", settings.hidden))
        raise
    page.ended(summary)
    return summary
