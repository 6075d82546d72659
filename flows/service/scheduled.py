"""What a run that a schedule started does before its own work.

Schedules fire on holidays, and after an outage all that were missed start one after another. So such a run
first looks whether a later one of its own schedule is due as well, and leaves the work to that; then whether
there is any new session; then which nights were missed. A run by hand, or one that names a strategy, is
always done.
"""

from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.client.schemas import filters
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext

from flows.running.evenings import Run, nothing_done, say
from flows.service.supervision import crash_silent_runs
from flows.settings.layers import utc_now
from forecast_lib.config import RunConfig
from forecast_lib.jobs.record.summary import RunSummary

if TYPE_CHECKING:
    import datetime as dt

__all__ = ["once", "was_scheduled"]


def once(kind: str, config: RunConfig, run: Run) -> RunSummary:
    """The run, unless a later one of the same schedule is due as well: after an outage the newest alone does
    the work.
    """
    _mark_the_dead()
    mine = _scheduled_run()
    later = mine and _later(mine)
    if later:
        message = f"the run of {later:%Y-%m-%d %H:%M} UTC is due as well and does the work"
        return nothing_done("superseded", kind, config, message)
    return run(config)


def _mark_the_dead() -> None:
    """Runs that died while no automation looked; only a run that Prefect started asks."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None:
        return
    try:
        for dead in crash_silent_runs(but=run.id):
            say(f"marked as crashed: {dead}")
    except Exception as error:  # as in `_later`
        say(f"whether earlier runs died is not known: {type(error).__name__}")


def was_scheduled() -> bool:
    """Whether a schedule started the run that Prefect is doing."""
    return _scheduled_run() is not None


def _scheduled_run() -> FlowRun | None:
    """The run that Prefect is doing, where a schedule started it."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return run if run is not None and run.auto_scheduled else None


def _later(mine: FlowRun) -> "dt.datetime | None":
    """When the latest run like this one was due that waits too; None also where the server cannot say."""
    if mine.expected_start_time is None or mine.deployment_id is None:
        return None
    waiting = filters.FlowRunFilter(
        deployment_id=filters.FlowRunFilterDeploymentId(any_=[mine.deployment_id]),
        state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=filters.FlowRunFilterExpectedStartTime(
            after_=mine.expected_start_time, before_=utc_now()
        ),
    )
    try:
        with get_client(sync_client=True) as client:
            runs = client.read_flow_runs(flow_run_filter=waiting)
    except Exception as error:  # a night must not be lost because the server is down
        say(f"whether a later run is due is not known: {type(error).__name__}")
        return None
    same = [
        run.expected_start_time
        for run in runs
        if run.id != mine.id and run.parameters == mine.parameters and run.expected_start_time
    ]
    return max((when for when in same if when > mine.expected_start_time), default=None)
