"""`tickercast status`: what was published last, how old its data are, and who is degraded."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from flows.commands import Outcome, Request
from flows.commands.readers import published_path
from flows.output import as_table, one_line
from flows.settings import utc_now

if TYPE_CHECKING:
    from forecast_lib.jobs.standing import Standing

__all__ = ["EXIT_CODES", "status"]

EXIT_CODES = {"fresh": 0, "degraded": 10, "failed": 1}


def _lines(stands: "Standing") -> list[str]:
    run, nightly = stands.last_run, stands.last_nightly
    age = "unknown" if stands.sessions_behind is None else f"{stands.sessions_behind} sessions behind at most"
    lines = [
        f"last run      {run['kind']} {run['run_id']}, {run['status']}, finished {run['finished_at'][:19]} UTC"
        if run
        else "last run      none",
        f"last nightly  {nightly['run_id']}, {nightly['status']}, as of {nightly['as_of'][:10]}; {nightly['message']}"
        if nightly
        else "last nightly  none",
        f"data          {age}, {stands.tickers} tickers",
        f"degraded      {len(stands.degraded)}",
    ]
    if stands.working:
        lines.append(f"working       run {stands.working.run}, process {stands.working.pid}")
    if stands.died:
        lines.append(f"died          run {stands.died.run}, process {stands.died.pid}, before it ended; the next run repairs")
    return lines


def status(request: Request) -> Outcome:
    """Exit code 0 fresh; 10 degraded, stale, or a run died; 1 nothing published."""
    import pandas as pd

    from forecast_lib.jobs.standing import standing

    path = published_path(request.settings.workspace)
    stands = standing(request.settings.workspace, utc_now())
    print(f"{stands.verdict}: {path}")
    for line in _lines(stands):
        print(one_line(line))
    if stands.degraded:
        print(as_table(pd.DataFrame([asdict(ticker) for ticker in stands.degraded]).astype({"sessions_behind": "Int64"})), end="")
    return Outcome(EXIT_CODES[stands.verdict], {"published": str(path), **asdict(stands)})
