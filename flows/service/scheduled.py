"""What a run that a schedule started does before its own work.

Schedules fire on holidays, and after an outage all that were missed start one after another. So such a run
first looks whether a later one of its own schedule is due as well, and leaves the work to that; then whether
there is any new session; then which nights were missed. A run by hand, or one that names a strategy, is
always done.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas import filters
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext

from flows.service.supervision import crash_silent_runs
from flows.settings.layers import gather, new_run_id, utc_now
from forecast_lib.config import RunConfig
from forecast_lib.domain import MAX_BACKFILL, AsOf
from forecast_lib.errors import TickercastError, UsageError
from forecast_lib.jobs.monitor.missed import due
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.jobs.record.takeover import hold
from forecast_lib.store.disk import ledger

if TYPE_CHECKING:
    import datetime as dt

__all__ = ["evening", "once", "say"]

Run = Callable[[RunConfig], RunSummary]


def say(sentence: str) -> None:
    """Put a sentence into the run's log, where a person looks for what was odd."""
    get_run_logger().warning(sentence)


def once(kind: str, config: RunConfig, run: Run) -> RunSummary:
    """The run, unless a later one of the same schedule is due as well: after an outage the newest alone does
    the work.
    """
    _mark_the_dead()
    mine = _scheduled_run()
    later = mine and _later(mine)
    if later:
        message = f"the run of {later:%Y-%m-%d %H:%M} UTC is due as well and does the work"
        return _nothing_done("superseded", kind, config, message)
    return run(config)


def evening(config: RunConfig, overrides: Mapping[str, object], run: Run) -> RunSummary:
    """A night: the missed ones first, in order, where a schedule started it; at once at its end where no
    session is new.

    Args:
        overrides: the flow's parameters, as `settings.gather` takes them.
    """
    most, asked_for = _most(overrides)
    scheduled = _scheduled_run() is not None
    if not scheduled and not asked_for:
        return run(config)
    found = due(config.workspace, config.tickers, config.as_of, most, from_nothing=asked_for)
    if scheduled and not found.new and "strategy" not in overrides:
        return _no_new_session(config, str(found.stands))
    made_up = {day: _backfilled(config, day, run) for day in found.missed}
    notes = [f"{found.beyond} missed nights before that were not made up for"] if found.beyond else []
    notes += [f"{day} not made up for" for day, done in made_up.items() if not done]
    notes += _said([day for day, done in made_up.items() if done])
    summary = run(_knowing_them(config) if found.missed else config)
    return dataclasses.replace(summary, message="; ".join([summary.message, *notes]))


def _said(days: Sequence["dt.date"]) -> list[str]:
    """Which missed nights were made up for, in a few words however many there are."""
    if len(days) <= 2:
        return [f"{day} back-filled" for day in days]
    return [f"{len(days)} nights back-filled, {days[0]} to {days[-1]}"]


def _knowing_them(config: RunConfig) -> RunConfig:
    """The same evening, seen from now: what the nights made up for have stored since the start is known to
    it.
    """
    now = utc_now()
    return dataclasses.replace(config, as_of=AsOf(config.as_of.day, now, now))


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


def _most(overrides: Mapping[str, object]) -> tuple[int, bool]:
    """How many missed nights may be made up for, and whether anybody said so."""
    settings = gather(overrides)
    most = settings["backfill"]
    if not 0 <= most <= MAX_BACKFILL:
        raise UsageError(f"backfill {most} is out of range: expected 0 to {MAX_BACKFILL}")
    return most, "backfill" in settings.given


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


def _no_new_session(config: RunConfig, stands: str) -> RunSummary:
    """One line in the ledger, and nothing else: no table, report or publication changes."""
    entry = {
        "kind": ledger.NO_NEW_SESSION,
        "run": config.run_id,
        "as_of": config.as_of.day.isoformat(),
        "stands": stands,
    }
    with hold(config.workspace, config.run_id, config.as_of.now, say):
        ledger.append(config.workspace, {**entry, "at": config.as_of.now.isoformat()})
    message = f"no new session for any of {len(config.tickers)} tickers; the forecasts of run {stands} stand"
    return _nothing_done("no_new_session", "nightly", config, message)


def _nothing_done(status: str, kind: str, config: RunConfig, message: str) -> RunSummary:
    return RunSummary(
        config.run_id, kind, status, config.as_of.day, message, simulated=config.source.name == "simulated"
    )


def _backfilled(config: RunConfig, day: "dt.date", run: Run) -> bool:
    """Do a missed night from the prices known now, cut at its evening; whether it was done."""
    now = utc_now()
    missed = AsOf(day, now, now)
    past = dataclasses.replace(config, run_id=new_run_id(day), as_of=missed, strategy="auto", backfilled=True)
    try:
        summary = run(past)
    except TickercastError as error:
        say(f"the missed night of {day} was not made up for: {error}")
        return False
    say(f"the missed night of {day} was made up for by run {summary.run_id}: {summary.message}")
    return True
