"""`tickercast quarantine` and `tickercast gaps`: a person looks at what was refused or is missing, and
decides.

They open the working database, so that a first run that published nothing can be looked at too; while a run
works they say so.
"""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flows.commands import Outcome, Request
from flows.commands.readers import refuse_bytes
from flows.output import write_rows
from flows.settings.layers import utc_now
from flows.settings.options import OPTIONS
from forecast_lib.domain import parse_tickers
from forecast_lib.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from forecast_lib.jobs.upkeep.overrules import Done

__all__ = ["gaps", "quarantine"]

_LISTED = ["quarantine_id", "ticker", "session", "rule", "field", "reason", "origin", "released_at"]


def _words(request: Request, counts: Mapping[str, int | None]) -> tuple[str, tuple[str, ...]]:
    """The action and what follows it; `counts` says how many words an action takes, None for any number."""
    action, *words = request.words or ("list",)
    if action not in counts:
        raise UsageError(
            f"{action[:60]!a} is not known: expected tickercast {request.command} {'|'.join(counts)}"
        )
    wanted = counts[action]
    if wanted is not None and len(words) != wanted:
        raise UsageError(
            f"{request.command} {action} takes {wanted} words, {len(words)} came: see `tickercast"
            f" {request.command} --help`"
        )
    return action, tuple(words)


def _note(request: Request) -> str:
    return request.settings["note"] or ""


def _rows(request: Request, frame: "pd.DataFrame") -> Outcome:
    refuse_bytes(request)
    write_rows(frame, request.format, request.settings["output"])
    return Outcome(0, {"rows": len(frame)})


def _done(done: "Done") -> Outcome:
    print(f"{done.message}\nrun {done.run_id}, published {done.published}")
    return Outcome(0, dataclasses.asdict(done))


def _day(text: str) -> dt.date:
    day: dt.date = OPTIONS["as_of"].parse(text, "the session")
    return day


def quarantine(request: Request) -> Outcome:
    """Lists, shows or releases refused rows; releases an odd move, or refuses a stored row, by ticker and
    session.
    """
    from forecast_lib.jobs.upkeep import overrules

    releases_a_move = len(request.words) == 3  # release TICKER DATE
    action, words = _words(
        request, {"list": None, "show": 1, "release": 2 if releases_a_move else 1, "refuse": 2}
    )
    workspace, keep = request.settings.workspace, request.settings["keep_snapshots"]
    if action == "refuse" or (action == "release" and releases_a_move):
        decide = overrules.refuse if action == "refuse" else overrules.release_move
        return _done(
            decide(workspace, words[0], _day(words[1]), _note(request), utc_now(), keep_snapshots=keep)
        )
    if action == "release":
        return _done(overrules.release(workspace, words[0], _note(request), utc_now(), keep_snapshots=keep))
    if action == "list":
        return _rows(request, overrules.quarantined(workspace, utc_now(), parse_tickers(words))[_LISTED])
    lines = overrules.quarantined(workspace, utc_now())
    found = lines[lines["quarantine_id"] == words[0]]
    if found.empty:
        raise UsageError(f"{words[0][:40]!a} is no line of the quarantine: see `tickercast quarantine list`")
    return _rows(
        request,
        found.astype(object).T.reset_index().set_axis(["column", "value"], axis="columns").astype(str),
    )


def gaps(request: Request) -> Outcome:
    """Lists sessions without a price, or declares one, or all from one day to another, closed."""
    from forecast_lib.jobs.upkeep import overrules

    action, words = _words(request, {"list": None, "close": 2})
    workspace = request.settings.workspace
    if action == "list":
        return _rows(request, overrules.open_gaps(workspace, utc_now(), parse_tickers(words)))
    first, several, until = words[1].partition("..")
    session = OPTIONS["as_of"].parse(first, "the gap's date")
    last = OPTIONS["as_of"].parse(until, "the last gap's date") if several else None
    keep = request.settings["keep_snapshots"]
    return _done(
        overrules.close_gap(
            workspace, words[0], session, _note(request), utc_now(), last=last, keep_snapshots=keep
        )
    )
