"""A run without Prefect: the same work in the same order, with what follows every run; no server, no page, no
record of it but the workspace's own.
"""

import dataclasses
import traceback

from flows.running.aftermath import follow
from flows.running.interruption import noted
from flows.running.jobs import done
from flows.running.run_log import run_logger
from flows.running.stages import SideBySide
from flows.settings.layers import Settings, without_secrets
from forecast_lib.config import RunConfig
from forecast_lib.errors import TickercastError
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["plain"]


def plain(kind: str, config: RunConfig, settings: Settings) -> RunSummary:
    """Do a run, and what follows it.

    Args:
        kind: nightly, ingest or backtest.
        settings: those that `config` was resolved from.

    Raises:
        TickercastError: the one that ended the run; whatever else it raised is our own mistake.
    """
    hidden = settings.hidden
    try:
        with noted():
            summary = done(kind, config, settings, SideBySide)
    except TickercastError as error:
        follow(kind, settings, error, without_secrets(str(error), hidden))
        raise
    except Exception as error:
        run_logger().info("unexpected %s", without_secrets(traceback.format_exc(), hidden))
        follow(kind, settings, error, without_secrets(f"unexpected {type(error).__name__}: {error}", hidden))
        raise
    return dataclasses.replace(summary, notices=follow(kind, settings, summary, summary.message))
