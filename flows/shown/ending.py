"""How a flow ends: a decision made here, not an accident of what was raised."""

import atexit
import dataclasses
import logging
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefect import State, get_run_logger
from prefect.states import Failed

from flows.running.aftermath import follow
from flows.running.interruption import mute, noted
from flows.service.served_reports import report_link
from flows.settings.layers import Settings, gather, secret_texts, without_secrets
from flows.shown.artifacts import leave_artifacts, leave_failure
from flows.shown.states import state_of
from forecast_lib.errors import TickercastError
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["ended", "followed", "from_parameters"]


class _SaidAlready(logging.Filter):
    """A run that said how it failed needs no traceback after its last line; what nobody expected keeps it."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        # Prefect raises a TypeError of its own where a failed state carries something else than an exception:
        # our summary.
        return not isinstance(error, TickercastError) and not (
            isinstance(error, TypeError) and RunSummary.__name__ in str(error)
        )


if getattr(sys.modules["__main__"].__spec__, "name", "") == "prefect.engine":  # the process of one run
    atexit.register(mute)

for _name in ("prefect.engine", "prefect.flow_runs"):
    logging.getLogger(_name).addFilter(_SaidAlready())


def ended(run: Callable[[], RunSummary], hidden: Sequence[str] = ()) -> State[Any]:
    """Do the run and say how it ended.

    Args:
        hidden: secrets that an error's text might repeat.
    """
    try:
        with noted():
            summary = run()
    except TickercastError as error:
        return Failed(message=without_secrets(str(error), hidden), data=error)
    except Exception as error:
        # Our own mistake. Its traceback belongs on the run's page; on a command line it goes to the log file
        # instead.
        get_run_logger().info("unexpected %s", without_secrets(traceback.format_exc(), hidden))
        return Failed(
            message=without_secrets(f"unexpected {type(error).__name__}: {error}", hidden), data=error
        )
    return state_of(summary)


def followed(
    kind: str, settings: Settings | None, run: Callable[[], RunSummary], hidden: Sequence[str] = ()
) -> State[Any]:
    """Do the run, then what follows every run; how it ended, as `ended` says it.

    Args:
        kind: of the run, for its ending and its metrics.
        settings: None where they are what is wrong.
        hidden: secrets where there are no settings.
    """

    def leave(summary: RunSummary | None, message: str) -> None:
        address, market = (settings["reports_url"], settings["profile"]) if settings else (None, None)
        if summary:
            leave_artifacts(summary, report_link(summary.report, address, market))
        else:
            leave_failure(kind, message)

    state = ended(run, settings.hidden if settings else hidden)
    message = state.message or "no reason given"
    result: Any = state.data
    notices = follow(kind, settings, result, message, leave)
    if isinstance(result, RunSummary):
        return state.model_copy(update={"data": dataclasses.replace(result, notices=notices)})
    return state.model_copy(update={"message": "; ".join([message, *notices])})


def from_parameters(
    kind: str, overrides: Mapping[str, object], run: Callable[[Settings], RunSummary]
) -> State[Any]:
    """Gather the settings of this process, the flow's parameters above them, and do the run with them."""
    try:
        settings = gather(overrides)
    except TickercastError as error:
        wrong = error

        def refuse() -> RunSummary:
            raise wrong

        return followed(kind, None, refuse, secret_texts(overrides))
    return followed(kind, settings, lambda: run(settings))
