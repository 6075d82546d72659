"""`tickercast status`: what was published last, how old its data are, and who is degraded."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from flows.commands import Outcome, Request
from flows.commands.advice import advised
from flows.commands.readers import published_path
from flows.output import as_table, one_line
from flows.settings.layers import utc_now
from forecast_lib.errors import FatalError, UsageError

if TYPE_CHECKING:
    from forecast_lib.jobs.monitor.standing import Standing

__all__ = ["EXIT_CODES", "status"]

EXIT_CODES = {"fresh": 0, "degraded": 10, "stale": 1, "dead": 1, "failed": 1}
"""Of each verdict, for monitoring systems: 1 is for a person to look at now."""


_MOST_MENTIONED = 10


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


def _tell(request: Request, stands: "Standing") -> None:
    """For a timer: whoever is to be told of a bad night is told of a night that did not come, too."""
    from flows.service.notify import message_of_standing, tell

    if not request.settings["notify"]:
        raise UsageError("--tell has nobody to tell: set TICKERCAST_NOTIFY, or give --notify ADDRESSES")
    if stands.verdict != "fresh":
        problem = tell(request.settings["notify"], *message_of_standing(stands, request.settings.workspace))
        print(f"told          {problem or 'the notify addresses'}")


def status(request: Request) -> Outcome:
    """Exit code 0 fresh, 10 some tickers degraded, 1 failed, dead or stale."""
    import pandas as pd

    from forecast_lib.jobs.monitor.standing import standing

    path = _published(request.settings.workspace)
    stands = standing(request.settings.workspace, utc_now())
    print(f"{stands.verdict}: {path}")
    for line in _lines(stands):
        print(advised(one_line(line), request.settings.repeated))
    if (
        stands.failure and stands.failure.degraded
    ):  # of the run that is spoken of, not of the published one before it
        print(as_table(pd.DataFrame(stands.failure.degraded)[["ticker", "status", "reason"]]), end="")
    elif stands.degraded:
        print(
            as_table(
                pd.DataFrame([asdict(ticker) for ticker in stands.degraded]).astype(
                    {"sessions_behind": "Int64"}
                )
            ),
            end="",
        )
    if request.settings["tell"]:
        _tell(request, stands)
    return Outcome(EXIT_CODES[stands.verdict], {"published": str(path), **asdict(stands)})
