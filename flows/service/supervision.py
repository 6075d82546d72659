"""How Prefect learns that a run died.

Prefect does not notice a machine that is gone: a run whose process and whose `serve` or worker died stays
Running for ever. Three things make it visible within three minutes. Runs send heartbeats. An automation on
the server marks a run Crashed that has been silent for too long (the documented one, which names the states
that end a run, would not know ours: here every event of the run counts as a sign of life, and a start counts
too, for a process that died before its first heartbeat). And `serve`, as long as it goes on, and whoever
starts
next mark what no automation saw: one that did not exist yet, a server that was down, or one that was killed
together with the run and kept the run's state but none of its events, so that an automation has nothing to
count from.

None of this decides who writes: that is the workspace's lock, which goes with its process.
"""

import contextlib
import contextvars
import datetime as dt
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flows.settings.layers import utc_now

if TYPE_CHECKING:
    from prefect.automations import Automation
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

__all__ = ["HEARTBEAT_VARIABLE", "SILENCE", "TAG", "crash_silent_runs", "heartbeats", "set_up", "watching"]

TAG = "tickercast"
HEARTBEAT_VARIABLE = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
_HEARTBEAT_S = 30
"""Prefect's shortest."""
SILENCE = dt.timedelta(seconds=100)
"""Three heartbeats and a little: with the server's own look every 5 s, a death shows within 2 minutes."""
_STARTING = dt.timedelta(seconds=150)
"""From being taken by a worker to the first sign of life; importing everything takes 10 to 40 s."""
_LOOK_S = 15.0
"""Between two looks of `serve` at what no automation saw."""

_DEATHS = (
    ("Tickercast: a run that is silent has crashed", ("heartbeat", "Running"), SILENCE, "no heartbeat"),
    ("Tickercast: a run that never began has crashed", ("Pending",), _STARTING, "it never began"),
)


def heartbeats() -> dict[str, str]:
    """The setting of a flow run's process."""
    return {HEARTBEAT_VARIABLE: str(_HEARTBEAT_S)}


def _automations() -> "list[Automation]":
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    return [
        Automation(
            name=name,
            description="Made by `tickercast deploy` and `tickercast serve`, and put back by them.",
            trigger=EventTrigger(
                after={f"prefect.flow-run.{event}" for event in begins},
                expect={"prefect.flow-run.*"},
                match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
                match_related=ResourceSpecification({"prefect.resource.id": [f"prefect.tag.{TAG}"]}),
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=within,
            ),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message=_message(why, within))],
        )
        for name, begins, within, why in _DEATHS
    ]


def _message(why: str, within: dt.timedelta) -> str:
    return (
        f"the run's process is gone: {why} within {within.seconds} s; the next run goes on from what was"
        " stored"
    )


def set_up() -> list[str]:
    """Make the automations on the configured server, or put them back as they should be; their names.

    One that was switched off by hand stays off.
    """
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        for wanted in _automations():
            there = client.read_automations_by_name(wanted.name)
            for extra in there[1:]:
                client.delete_automation(extra.id)
            if there:
                wanted.enabled = there[0].enabled
                wanted.id = there[0].id
                wanted.update()
            else:
                wanted.create()
    return [name for name, *_ in _DEATHS]


def crash_silent_runs(but: UUID | None = None, audible_since: dt.datetime | None = None) -> list[str]:
    """Mark runs of our deployments as Crashed that have been silent for too long; their names, with when they
    were last heard of.

    Args:
        but: a run that is left alone: the one that asks.
        audible_since: from when on the server answers; before that, silence proves nothing.
    """
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    crashed = []
    with get_client(sync_client=True) as client:
        for run in _unfinished(client):
            heard = _last_heard(client, run)
            patience = _STARTING if run.state_name == "Pending" else SILENCE
            if run.id == but or heard is None or utc_now() - max(heard, audible_since or heard) < patience:
                continue
            message = f"the run's process is gone: last heard of at {heard:%Y-%m-%d %H:%M:%S} UTC"
            client.set_flow_run_state(run.id, Crashed(message=message))
            crashed.append(f"{run.name} ({run.id}), last heard of at {heard:%Y-%m-%d %H:%M:%S} UTC")
    return crashed


@contextlib.contextmanager
def watching() -> Iterator[None]:
    """Look after silent runs in a thread for the length of the block; a server that was away first gives its
    runs time to be heard.
    """
    stopping = threading.Event()
    asks_as_here = contextvars.copy_context()  # of the server that is asked here
    watcher = threading.Thread(
        target=asks_as_here.run, args=(_watch, stopping), name="silent-run-watch", daemon=True
    )
    watcher.start()
    try:
        yield
    finally:
        stopping.set()


def _watch(stopping: threading.Event) -> None:
    audible_since = utc_now()
    while not stopping.wait(_LOOK_S):
        try:
            crashed = crash_silent_runs(audible_since=audible_since)
        except Exception:  # whatever the server or the way to it has: it is asked again
            audible_since = utc_now()
            continue
        for run in crashed:
            print(f"tickercast: marked as crashed: {run}", file=sys.stderr, flush=True)


def _unfinished(client: "SyncPrefectClient") -> "list[FlowRun]":
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType

    states = filters.FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING])
    wanted = filters.FlowRunFilter(
        tags=filters.FlowRunFilterTags(all_=[TAG]), state=filters.FlowRunFilterState(type=states)
    )
    return client.read_flow_runs(flow_run_filter=wanted)


def _last_heard(client: "SyncPrefectClient", run: "FlowRun") -> dt.datetime | None:
    """The newest of the run's last change of state and its last heartbeat."""
    asked: dict[str, Any] = {
        "filter": {
            "event": {"name": ["prefect.flow-run.heartbeat"]},
            "any_resource": {"id": [f"prefect.flow-run.{run.id}"]},
            "occurred": {"since": (utc_now() - dt.timedelta(days=7)).isoformat()},
            "order": "DESC",
        },
        "limit": 1,
    }
    events = client.request("POST", "/events/filter", json=asked).json().get("events", [])
    times = [dt.datetime.fromisoformat(event["occurred"]) for event in events]
    return max([*times, *([run.state.timestamp] if run.state else [])], default=None)
