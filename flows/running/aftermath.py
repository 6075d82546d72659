"""What follows every run, however it ended: it is noted, metrics written, readers elsewhere get a copy,
people are told, artifacts left.

None of it can fail a run. What could not be done is a notice in the run's summary and in its log.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prefect import State, get_run_logger

from flows.running.artifacts import leave_artifacts, leave_failure
from flows.running.ending import ended
from flows.service.notify import message_of_run, tell
from flows.service.served_reports import report_link
from flows.settings.layers import Settings, gather, secret_texts, utc_now, without_secrets
from forecast_lib.errors import TickercastError, WorkspaceBusy
from forecast_lib.jobs.monitor.metrics import exposition, metrics_path, write_metrics
from forecast_lib.jobs.monitor.standing import standing
from forecast_lib.jobs.record.copies import copy_publication
from forecast_lib.jobs.record.endings import MOST_NAMED, Ending, recall, remember
from forecast_lib.jobs.record.summary import NOTHING_DONE, RunSummary

__all__ = ["followed"]


def followed(kind: str, overrides: Mapping[str, object], run: Callable[[], RunSummary]) -> State[Any]:
    """Do the run, then what follows every run; how it ended, as `ended` says it.

    Args:
        kind: of the run, for its ending and its metrics.
        overrides: the flow's parameters, as `settings.gather` takes them.
    """
    hidden = secret_texts(overrides)
    state = ended(run, hidden)
    ending, summary = _ending(kind, state), state.data if isinstance(state.data, RunSummary) else None
    notices = [without_secrets(notice, hidden) for notice in (summary.notices if summary else ())]
    for notice in notices:
        get_run_logger().warning(notice)
    settings = _settings(overrides)

    def attempt(what: str, step: Callable[[], str | None]) -> None:
        try:
            notice = step()
        except Exception as error:
            notice = f"{what}: {type(error).__name__}: {error}"
        if notice:
            notices.append(without_secrets(notice, hidden))
            get_run_logger().warning(notices[-1])

    if settings and settings.workspace.is_dir() and not isinstance(state.data, WorkspaceBusy):
        attempt("the metrics were not written", lambda: _note(settings, ending))
    if settings and settings["publish_to"] and summary and summary.published:
        attempt("the publication was not copied", lambda: _copy(settings))
    if settings and settings["notify"] and ending.exit_code != 0:
        attempt("nobody was told", lambda: _tell(settings, ending, summary))
    summary = dataclasses.replace(summary, notices=tuple(notices)) if summary else None
    attempt(
        "the artifacts were not left",
        lambda: (
            leave_artifacts(summary, _link(settings, summary))
            if summary
            else leave_failure(kind, ending.message)
        ),
    )
    if summary:
        return state.model_copy(update={"data": dataclasses.replace(summary, notices=tuple(notices))})
    return state.model_copy(update={"message": "; ".join([ending.message, *notices])})


def _settings(overrides: Mapping[str, object]) -> Settings | None:
    """None where the settings are what is wrong."""
    try:
        return gather(overrides)
    except TickercastError:
        return None


def _link(settings: Settings | None, summary: RunSummary) -> str | None:
    address, market = (settings["reports_url"], settings["profile"]) if settings else (None, None)
    return report_link(summary.report, address, market)


def _ending(kind: str, state: State[Any]) -> Ending:
    data = state.data
    at = utc_now().isoformat(timespec="seconds")
    if isinstance(data, RunSummary):
        return Ending(
            kind,
            data.status,
            data.exit_code,
            data.message,
            at,
            data.run_id,
            data.seconds,
            data.degraded[:MOST_NAMED],
        )
    return Ending(kind, "failed", int(getattr(data, "exit_code", 1)), state.message or "no reason given", at)


def _note(settings: Settings, ending: Ending) -> str | None:
    endings = (
        recall(settings.workspace) if ending.status in NOTHING_DONE else remember(settings.workspace, ending)
    )
    folder = Path(settings["metrics_dir"]).expanduser().absolute() if settings["metrics_dir"] else None
    write_metrics(
        metrics_path(settings.workspace, folder),
        exposition(settings.workspace, endings, utc_now()),
        shared=folder is not None,
    )
    return None


def _copy(settings: Settings) -> str | None:
    copy_publication(settings.workspace, Path(settings["publish_to"]).expanduser().absolute())
    return None


def _tell(settings: Settings, ending: Ending, summary: RunSummary | None) -> str | None:
    stale = (
        ending.kind == "nightly" and ending.status == "degraded" and _is_stale(settings.workspace, utc_now())
    )
    problem = tell(settings["notify"], *message_of_run(ending, settings.workspace, summary, stale=stale))
    return f"not everybody was told: {problem}" if problem else None


def _is_stale(workspace: Path, now: dt.datetime) -> bool:
    try:
        return standing(workspace, now).verdict == "stale"
    except TickercastError:
        return False
