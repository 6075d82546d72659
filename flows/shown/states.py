"""The state of a flow whose run came to its end."""

from typing import Any

from prefect import State
from prefect.client.schemas.objects import StateType
from prefect.states import Failed

from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["state_of"]

_STATES = {
    "fresh": ("Fresh", StateType.COMPLETED),
    # Prefect colours a state by its type. This is the one end that it takes neither for a success, in green,
    # nor for a failure.
    "degraded": ("Degraded", StateType.CANCELLED),
    "no_new_session": ("NoNewSession", StateType.COMPLETED),
    "superseded": ("Superseded", StateType.COMPLETED),
}
"""Of each status of a run that came to its end: name and type of its state."""


def state_of(summary: RunSummary) -> State[Any]:
    """Fresh, NoNewSession and Superseded are completed, Degraded is grey, the rest is Failed."""
    if summary.status == "failed":
        return Failed(message=f"nothing was published: {summary.message}", data=summary)
    name, kind = _STATES[summary.status]
    return State(type=kind, name=name, message=summary.message, data=summary)
