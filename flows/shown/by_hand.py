"""A run that somebody asked for by hand: the same work in the same order with a page in Prefect or without,
and what follows every run.
"""

import dataclasses
import traceback

from flows.running.aftermath import follow
from flows.running.interruption import noted
from flows.running.jobs import done
from flows.running.run_log import run_logger
from flows.running.stages import SideBySide
from flows.service.served_reports import report_link
from flows.settings.layers import Settings, without_secrets
from flows.shown.stages import PrefectStages
from flows.shown.told import ToldPage
from forecast_lib.config import RunConfig
from forecast_lib.errors import TickercastError
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["by_hand"]


def by_hand(kind: str, config: RunConfig, settings: Settings, page: ToldPage | None = None) -> RunSummary:
    """Do a run, and what follows it.

    Args:
        kind: nightly, ingest or backtest.
        settings: those that `config` was resolved from.
        page: where it is shown; None without Prefect.

    Raises:
        TickercastError: the one that ended the run; whatever else it raised is our own mistake.
    """
    hidden = settings.hidden

    def leave(summary: RunSummary | None, message: str) -> None:
        if page is None:
            return
        if summary is None:
            page.leave_failure(kind, message)
        else:
            page.leave(summary, report_link(summary.report, settings["reports_url"], settings["profile"]))

    def failed(error: Exception, message: str) -> None:
        message = without_secrets(message, hidden)
        notices = follow(kind, settings, error, message, leave)
        if page is not None:
            page.failed("; ".join([message, *notices]))

    try:
        with noted():
            summary = done(
                kind,
                config,
                settings,
                SideBySide if page is None else lambda each: PrefectStages(each, page),
            )
    except TickercastError as error:
        failed(error, str(error))
        raise
    except Exception as error:
        run_logger().info("unexpected %s", without_secrets(traceback.format_exc(), hidden))
        failed(error, f"unexpected {type(error).__name__}: {error}")
        raise
    summary = dataclasses.replace(summary, notices=follow(kind, settings, summary, summary.message, leave))
    if page is not None:
        page.ended(summary)
    return summary
