"""`tickercast status`: what was published last, how old its data are, and who is degraded."""

from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING

from flows.commands import Outcome, Request
from flows.commands.advice import advised
from flows.commands.readers import published_path
from flows.output import as_table, one_line
from flows.settings.layers import utc_now
from forecast_lib.errors import FatalError, TickercastError, UsageError
from forecast_lib.rows import Rows

if TYPE_CHECKING:
    from forecast_lib.jobs.monitor.standing import Standing

__all__ = ["EXIT_CODES", "status"]

EXIT_CODES = {"fresh": 0, "degraded": 10, "late": 1, "stale": 1, "dead": 1, "failed": 1}
"""Of each verdict, for monitoring systems: 1 is for a person to look at now."""


_MOST_MENTIONED = 10
_BEHIND = ("ticker", "status", "sessions_behind", "reason")


def _lines(stands: "Standing") -> list[str]:
    run, nightly = stands.last_run, stands.last_nightly
    age = "unknown" if stands.sessions_behind is None else f"{stands.sessions_behind} sessions behind at most"
    lines = [
        (
            f"last run      {run['kind']} {run['run_id']}, {run['status']}, finished"
            f" {run['finished_at'][:19]} UTC"
            if run
            else "last run      none"
        ),
        (
            f"last nightly  {nightly['run_id']}, {nightly['status']}, as of {nightly['as_of'][:10]};"
            f" {nightly['message']}"
            if nightly
            else "last nightly  none"
        ),
        f"data          {age}, {stands.tickers} tickers",
        f"degraded      {len(stands.degraded)}",
    ]
    lines += [f"deadline      the next night {stands.due_in_words}"] if stands.due else []
    lines += [
        f"mentioned     {ticker}: {flags}" for ticker, flags in list(stands.flags.items())[:_MOST_MENTIONED]
    ]
    if len(stands.flags) > _MOST_MENTIONED:
        lines.append(
            f"mentioned     and {len(stands.flags) - _MOST_MENTIONED} more: SELECT ticker, flags FROM"
            " run_tickers"
        )
    if stands.failure:
        failure = stands.failure
        lines.append(
            f"failed        run {failure.run_id or 'without a name'}, {failure.finished_at[:19]} UTC:"
            f" {failure.message}"
        )
    if stands.working:
        lines.append(f"working       run {stands.working.run}, process {stands.working.pid}")
    if stands.died:
        lines.append(
            f"died          run {stands.died.run}, process {stands.died.pid}, before it ended; the next run"
            " repairs"
        )
    if stands.ledger:
        lines.append(f"ledger        {stands.ledger}; the next run rebuilds it from the database")
    return lines


def _published(workspace: Path) -> Path:
    """The published file; where there is none, the error says how the last try ended."""
    from forecast_lib.jobs.record.endings import recall

    try:
        return published_path(workspace)
    except FatalError as error:
        last = recall(workspace).get("nightly")
        if last is None:
            raise
        named = "".join(f"; {row['ticker']}: {row['reason']}" for row in last.degraded[:3])
        raise FatalError(f"{error}; the last try: {last.message}{named}") from None


def _tell(request: Request, found: "Standing | TickercastError") -> None:
    """For a timer: whoever is to be told of a bad night is told of a night that did not come, too; of the
    first one, or of a publication that cannot be read, by the sentence that says so.
    """
    from flows.service.notify import message_of_standing, message_of_trouble, tell

    if not request.settings["notify"]:
        raise UsageError("--tell has nobody to tell: set TICKERCAST_NOTIFY, or give --notify ADDRESSES")
    workspace = request.settings.workspace
    if isinstance(found, TickercastError):
        message = message_of_trouble(advised(str(found), request.settings.repeated), workspace)
    elif found.verdict != "fresh":
        message = message_of_standing(found, workspace)
    else:
        return
    print(f"told          {tell(request.settings['notify'], *message) or 'the notify addresses'}")


def _found(request: Request) -> tuple[Path, "Standing"]:
    """Where the publication is, and how the workspace stands."""
    from forecast_lib.jobs.monitor.standing import standing

    path = _published(request.settings.workspace)
    return path, standing(request.settings.workspace, utc_now(), request.settings["deadline"])


def status(request: Request) -> Outcome:
    """Exit code 0 fresh, 10 some tickers degraded, 1 failed, dead, stale or late."""
    try:
        path, stands = _found(request)
    except TickercastError as error:
        if request.settings["tell"]:
            _tell(request, error)
        raise
    print(f"{stands.verdict}: {path}")
    for line in _lines(stands):
        print(advised(one_line(line), request.settings.repeated))
    # Of the run that is spoken of, not of the published one before it.
    if stands.failure and stands.failure.degraded:
        columns = ("ticker", "status", "reason")
        failed = [[row[name] for name in columns] for row in stands.failure.degraded]
        print(as_table(Rows(columns, failed)), end="")
    elif stands.degraded:
        print(as_table(Rows(_BEHIND, [astuple(ticker) for ticker in stands.degraded])), end="")
    if request.settings["tell"]:
        _tell(request, stands)
    return Outcome(EXIT_CODES[stands.verdict], {"published": str(path), **asdict(stands)})
