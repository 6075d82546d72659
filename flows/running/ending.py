"""How a flow ends: a decision made here, not an accident of what was raised."""

import logging
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from prefect import State, get_run_logger
from prefect.states import Completed, Failed

from flows.running.interruption import noted
from flows.settings.layers import without_secrets
from forecast_lib.errors import FatalError, TickercastError
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["ended", "summary_of"]


class _SaidAlready(logging.Filter):
    """A run that said how it failed needs no traceback after its last line; what nobody expected keeps it."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        # Prefect raises a TypeError of its own where a failed state carries something else than an exception:
        # our summary.
        return not isinstance(error, TickercastError) and not (
            isinstance(error, TypeError) and RunSummary.__name__ in str(error)
        )


logging.getLogger("prefect.engine").addFilter(_SaidAlready())

_NAMES = {
    "fresh": "Fresh",
    "degraded": "Degraded",
    "no_new_session": "NoNewSession",
    "superseded": "Superseded",
}


def ended(run: Callable[[], RunSummary], hidden: Sequence[str] = ()) -> State[Any]:
    """Do the run and say how it ended: Fresh, Degraded, NoNewSession and Superseded are completed states, the
    rest is Failed.

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
    if summary.status == "failed":
        return Failed(message=f"nothing was published: {summary.message}", data=summary)
    return Completed(name=_NAMES[summary.status], message=summary.message, data=summary)


def summary_of(state: State[Any]) -> RunSummary:
    """The summary that a flow's final state carries.

    Raises:
        TickercastError: the one that ended the run.
        FatalError: the flow did not get as far as to say how it ended.
    """
    result = state.result(raise_on_failure=False)
    if isinstance(result, RunSummary):
        return result
    if isinstance(result, TickercastError):
        raise result
    if isinstance(result, BaseException):
        raise result
    raise FatalError(f"the flow ended as {state.name}: {state.message or 'no reason given'}")
