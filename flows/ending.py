"""How a flow ends: a decision made here, not an accident of what was raised."""

from collections.abc import Callable
from typing import Any

from prefect import State
from prefect.states import Completed, Failed

from forecast_lib.errors import FatalError, TickercastError
from forecast_lib.jobs.summary import RunSummary

__all__ = ["ended", "summary_of"]

_NAMES = {"fresh": "Fresh", "degraded": "Degraded"}


def ended(run: Callable[[], RunSummary]) -> State[Any]:
    """Do the run and say how it ended: Fresh and Degraded are completed states, everything else is Failed with a sentence."""
    try:
        summary = run()
    except TickercastError as error:
        return Failed(message=str(error), data=error)
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
