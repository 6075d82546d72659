"""What follows every run, however it ended: it is noted, metrics written, readers elsewhere get a copy,
people are told, and what it left is shown on its page in Prefect, where it has one.

None of it can fail a run. What could not be done is a notice in the run's summary and in its log.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable
from pathlib import Path

from flows.running.run_log import run_logger
from flows.service.notify import message_of_run, tell
from flows.settings.layers import Settings, utc_now, without_secrets
from forecast_lib.errors import TickercastError, WorkspaceBusy
from forecast_lib.jobs.monitor.metrics import exposition, metrics_path, write_metrics
from forecast_lib.jobs.monitor.standing import Standing, standing
from forecast_lib.jobs.record.copies import copy_publication
from forecast_lib.jobs.record.endings import MOST_NAMED, Ending, recall, remember
from forecast_lib.jobs.record.summary import NOTHING_DONE, RunSummary

__all__ = ["follow"]


def follow(
    kind: str,
    settings: Settings | None,
    result: RunSummary | BaseException,
    message: str,
    leave: Callable[[RunSummary | None, str], None] = lambda *_: None,
) -> tuple[str, ...]:
    """Do what follows every run; the notices of it, and what could not be done among them.

    Args:
        kind: of the run, for its ending and its metrics.
        settings: the run's; None where they are what is wrong.
        result: what it returned or raised.
        message: how it ended, in a sentence without secrets.
        leave: leaves what it left on its page, where it has one: the summary with all notices so far, or the
            message.
    """
    hidden = settings.hidden if settings else ()
    ending, summary = _ending(kind, result, message), result if isinstance(result, RunSummary) else None
    notices = [without_secrets(notice, hidden) for notice in (summary.notices if summary else ())]
    for notice in notices:
        run_logger().warning(notice)

    def attempt(what: str, step: Callable[[], str | None]) -> None:
        try:
            notice = step()
        except Exception as error:
            notice = f"{what}: {type(error).__name__}: {error}"
        if notice:
            notices.append(without_secrets(notice, hidden))
            run_logger().warning(notices[-1])

    if settings and settings.workspace.is_dir() and not isinstance(result, WorkspaceBusy):
        attempt("the metrics were not written", lambda: _note(settings, ending))
    if settings and settings["publish_to"] and summary and summary.published:
        attempt("the publication was not copied", lambda: _copy(settings))
    if settings and settings["notify"] and ending.exit_code != 0:
        attempt("nobody was told", lambda: _tell(settings, ending, summary))
    said = dataclasses.replace(summary, notices=tuple(notices)) if summary else None
    attempt("the artifacts were not left", lambda: leave(said, ending.message))
    return tuple(notices)


def _ending(kind: str, result: RunSummary | BaseException, message: str) -> Ending:
    at = utc_now().isoformat(timespec="seconds")
    if isinstance(result, RunSummary):
        return Ending(
            kind,
            result.status,
            result.exit_code,
            result.message,
            at,
            result.run_id,
            result.seconds,
            result.degraded[:MOST_NAMED],
        )
    return Ending(kind, "failed", int(getattr(result, "exit_code", 1)), message or "no reason given", at)


def _note(settings: Settings, ending: Ending) -> str | None:
    endings = (
        recall(settings.workspace) if ending.status in NOTHING_DONE else remember(settings.workspace, ending)
    )
    folder: Path | None = settings["metrics_dir"] and settings["metrics_dir"].absolute()
    text = exposition(settings.workspace, endings, utc_now(), settings["deadline"])
    write_metrics(metrics_path(settings.workspace, folder), text, shared=folder is not None)
    return None


def _copy(settings: Settings) -> str | None:
    copy_publication(settings.workspace, settings["publish_to"])
    return None


def _tell(settings: Settings, ending: Ending, summary: RunSummary | None) -> str | None:
    stands = _standing(settings, utc_now()) if ending.kind == "nightly" else None
    problem = tell(settings["notify"], *message_of_run(ending, settings.workspace, summary, stands))
    return f"not everybody was told: {problem}" if problem else None


def _standing(settings: Settings, now: dt.datetime) -> Standing | None:
    """None where nothing is published that can be read."""
    try:
        return standing(settings.workspace, now, settings["deadline"])
    except TickercastError:
        return None
