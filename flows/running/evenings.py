"""A night and those before it: the missed ones are made up for first, where a schedule started the run or
somebody asked for it, and nothing is done where no session is new.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from flows.running.progress import Progress
from flows.running.run_log import run_logger
from flows.settings.commands import Night
from flows.settings.layers import Settings, utc_now
from flows.settings.run_config import new_run_id
from forecast_lib.config import RunConfig
from forecast_lib.domain import AsOf
from forecast_lib.errors import TickercastError
from forecast_lib.jobs.monitor.missed import due
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.jobs.record.takeover import hold
from forecast_lib.store.disk import ledger

if TYPE_CHECKING:
    import datetime as dt

__all__ = ["Run", "evening", "nothing_done", "say"]

Run = Callable[[RunConfig], RunSummary]


def say(sentence: str) -> None:
    """Put a sentence into the run's log, where a person looks for what was odd."""
    run_logger().warning(sentence)


def evening(config: RunConfig, settings: Settings, run: Run, *, scheduled: bool = False) -> RunSummary:
    """A night: the missed ones first, in order, where a schedule started it; at once at its end where no
    session is new.

    Args:
        settings: those that `config` was resolved from.
        scheduled: a schedule started it, nobody by hand.
    """
    most, asked_for = settings.made(Night).backfill, "backfill" in settings.given
    if not scheduled and not asked_for:
        return run(config)
    found = due(config.workspace, config.tickers, config.as_of, most, from_nothing=asked_for)
    if scheduled and not found.new and not settings.asked("strategy"):
        return _no_new_session(config, str(found.stands))
    made_up = _made_up_for(config, found.missed, run)
    notes = [f"{found.beyond} missed nights before that were not made up for"] if found.beyond else []
    notes += [f"{day} not made up for" for day, done in made_up.items() if not done]
    notes += _said([day for day, done in made_up.items() if done])
    if found.missed:
        # What the nights made up for have stored is known to it.
        config = dataclasses.replace(config, as_of=_from_now(config, config.as_of.day))
    summary = run(config)
    return dataclasses.replace(summary, message="; ".join([summary.message, *notes]))


def _made_up_for(config: RunConfig, days: Sequence["dt.date"], run: Run) -> "dict[dt.date, bool]":
    """Do the missed nights, oldest first; which of them were done."""
    done: dict[dt.date, bool] = {}
    if days:
        with Progress().stage("evenings", len(days)) as stage:
            for day in days:
                done[day] = _backfilled(config, day, run)
                stage.advance(f"{day}")
    return done


def _said(days: Sequence["dt.date"]) -> list[str]:
    """Which missed nights were made up for, in a few words however many there are."""
    if len(days) <= 2:
        return [f"{day} back-filled" for day in days]
    return [f"{len(days)} nights back-filled, {days[0]} to {days[-1]}"]


def _from_now(config: RunConfig, day: "dt.date") -> AsOf:
    """An evening seen from now: what was stored since the start is known, unless less was to be known."""
    now, asked = utc_now(), config.as_of
    return AsOf(day, now, now if asked.known_at == asked.now else asked.known_at)


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
    return nothing_done("no_new_session", "nightly", config, message)


def nothing_done(status: str, kind: str, config: RunConfig, message: str) -> RunSummary:
    """The summary of a run that had nothing to do."""
    return RunSummary(
        config.run_id, kind, status, config.as_of.day, message, simulated=config.source.name == "simulated"
    )


def _backfilled(config: RunConfig, day: "dt.date", run: Run) -> bool:
    """Do a missed night from the prices known now, cut at its evening; whether it was done."""
    past = dataclasses.replace(
        config, run_id=new_run_id(day), as_of=_from_now(config, day), strategy="auto", backfilled=True
    )
    try:
        summary = run(past)
    except TickercastError as error:
        say(f"the missed night of {day} was not made up for: {error}")
        return False
    run_logger().info(f"the missed night of {day} was made up for by run {summary.run_id}: {summary.message}")
    return True
