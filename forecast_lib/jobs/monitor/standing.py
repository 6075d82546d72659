"""How things stand: the last run, the age of the data, and who is degraded.

From the published tables, the text of the lock (a run that died could not clear it), and the last words of
runs that failed. Loads no pandas: whoever asks waits for the answer.
"""

import datetime as dt
import functools
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecast_lib.domain import AsOf
from forecast_lib.jobs.record.endings import Ending, recall
from forecast_lib.jobs.record.statuses import degraded as which_degraded
from forecast_lib.jobs.record.takeover import ledger_loss
from forecast_lib.rows import Rows
from forecast_lib.sessions import WEEKDAYS, TickerCalendar, calendar_used
from forecast_lib.store.disk.lock import is_held
from forecast_lib.store.published import reader

__all__ = [
    "MAX_SESSIONS_BEHIND",
    "Behind",
    "Holder",
    "Standing",
    "read_holder",
    "standing",
]

MAX_SESSIONS_BEHIND = 1
"""Data may lack the session that has just closed; older data are stale."""

_RUN = "SELECT run_id, kind, status, as_of::TIMESTAMP AS as_of, finished_at, message FROM runs"
_LAST_RUN = f"{_RUN} ORDER BY finished_at DESC, run_id DESC LIMIT 1"
_LAST_NIGHTLY = f"{_RUN} WHERE kind = 'nightly' ORDER BY finished_at DESC, run_id DESC LIMIT 1"
_LAST_PUBLISHED = """
SELECT as_of, started_at FROM runs WHERE kind = 'nightly' AND status <> 'failed'
ORDER BY finished_at DESC, run_id DESC LIMIT 1
"""
_TICKERS = """
SELECT * FROM run_tickers
WHERE run_id = (SELECT run_id FROM runs WHERE kind = 'nightly' ORDER BY finished_at DESC, run_id DESC LIMIT 1)
ORDER BY ticker
"""


@dataclass(frozen=True)
class Holder:
    """Who is written in the workspace's lock."""

    pid: int
    run: str
    started: str | None
    alive: bool


@dataclass(frozen=True)
class Behind:
    """A ticker that is not as it should be. `status` is that of its run, or `stale` where only the data are
    too old.
    """

    ticker: str
    status: str
    sessions_behind: int | None
    reason: str


@dataclass(frozen=True)
class Standing:
    """The answer of `standing`.

    Attributes:
        verdict: the first of these that holds: `failed` (no nightly run is published, or one failed since),
            `dead` (a run ended without being able to say so), `stale` (more than half of the tickers lack
            more than the newest session), `late` (the next night is due), `degraded` (some ticker is not as
            it should be), `fresh`.
        last_run: run_id, kind, status, as_of, finished_at (UTC), message, as text; None where there is no
            run.
        last_nightly: likewise.
        tickers: how many the last nightly run was asked for.
        flags: by ticker, what is odd about it and needs nobody: judged moves of its prices, or that it has
            ended.
        sessions_behind: of the ticker that is furthest behind and has not ended; None where no ticker has a
            session.
        failure: the nightly run that failed since the published one.
        died: a run that ended without being able to say so.
        working: a run that is at work.
        ledger: what is wrong with the record of what runs stored, in a sentence; empty where it is whole.
        due: when the first night that is not published yet is to be, UTC; None without a deadline.
        late: whether that time is past.
    """

    verdict: str
    last_run: dict[str, str] | None
    last_nightly: dict[str, str] | None
    tickers: int
    sessions_behind: int | None
    degraded: tuple[Behind, ...]
    flags: dict[str, str]
    failure: Ending | None
    died: Holder | None
    working: Holder | None
    ledger: str = ""
    due: dt.datetime | None = None
    late: bool = False

    @property
    def due_in_words(self) -> str:
        """The deadline as part of a sentence; only where there is one."""
        assert self.due is not None
        return f"{'was' if self.late else 'is'} due by {self.due:%Y-%m-%d %H:%M} UTC"


def read_holder(workspace: Path) -> Holder | None:
    """Who holds the workspace, or held it when it died; None when the last run ended by itself.

    The operating system drops the lock with its process; the text stays when nobody was left to clear it.
    """
    try:
        held = json.loads((workspace / ".lock").read_text())
        return Holder(int(held["pid"]), str(held["run"]), held.get("started"), is_held(workspace))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ages(tickers: Iterable[dict[str, Any]], now: dt.datetime) -> list[int | None]:
    """Of each ticker how many sessions have closed since its last one; None of those that have ended."""
    behind = functools.cache(TickerCalendar.behind)  # most tickers of an exchange end on one day
    return [
        None
        if row["last_session"] is None or row["status"] == "ended"
        else behind(calendar_used(row["ticker"], row["calendar"]), row["last_session"], now)
        for row in tickers
    ]


def _behind(
    ticker: str, status: str, reason: str | None, looked_at: bool, behind: int | None
) -> Behind | None:
    stale = status != "ended" and (behind is None or behind > MAX_SESSIONS_BEHIND)
    if not looked_at and not stale:
        return None
    age = "no stored session" if behind is None else f"data are {behind} sessions old"
    return Behind(ticker, "stale" if status == "fresh" else status, behind, reason or age)


def _flags(tickers: Iterable[dict[str, Any]]) -> dict[str, str]:
    """None of tickers that were published before they were kept."""
    return {row["ticker"]: row["flags"] for row in tickers if row.get("flags") is not None}


def _row(found: Rows) -> dict[str, str] | None:
    return {name: str(value) for name, value in found.records()[0].items()} if len(found) else None


def _failure(workspace: Path, nightly: dict[str, str] | None) -> Ending | None:
    last = recall(workspace).get("nightly")
    if last is None or last.status != "failed":
        return None
    if nightly is None:
        return last
    published = dt.datetime.fromisoformat(nightly["finished_at"]).replace(tzinfo=dt.UTC)
    return last if dt.datetime.fromisoformat(last.finished_at) > published else None


def _due(workspace: Path, calendars: Iterable[str], deadline: dt.time | None) -> dt.datetime | None:
    """The deadline of the first session that the published night does not know, on the exchange of most
    tickers.
    """
    published = reader.read_rows(workspace, _LAST_PUBLISHED).values
    if deadline is None or not published:
        return None
    as_of, started = published[0]
    began = started.replace(tzinfo=dt.UTC)
    counted = Counter(calendars)
    most = max(sorted(counted), key=counted.__getitem__, default=WEEKDAYS)
    return TickerCalendar(most).next_clock(AsOf(as_of, began, began), deadline)


def _stale(ages: Sequence[int | None]) -> bool:
    """Not for the sake of a few tickers, nor of those that never had a price or have ended."""
    known = [age for age in ages if age is not None]
    return not known or statistics.median(known) > MAX_SESSIONS_BEHIND


def _verdict(
    nightly: dict[str, str] | None,
    failure: Ending | None,
    died: Holder | None,
    ages: Sequence[int | None],
    late: bool,
    degraded: Sequence[Behind],
) -> str:
    if nightly is None or nightly["status"] == "failed" or failure:
        return "failed"
    if died:
        return "dead"
    if _stale(ages):
        return "stale"
    if late:
        return "late"
    return "degraded" if degraded or nightly["status"] == "degraded" else "fresh"


def standing(workspace: Path, now: dt.datetime, deadline: dt.time | None = None) -> Standing:
    """How the workspace stands at the UTC instant `now`.

    Args:
        deadline: when a night is to be published at the latest, by the exchange's clock: the first such time
            after its session is known.

    Raises:
        UsageError: nothing is published there.
        StoreDamaged: the published file cannot be read.
    """
    with reader.open_published(workspace):  # beside it a further connection takes no time
        return _standing(workspace, now, deadline)


def _standing(workspace: Path, now: dt.datetime, deadline: dt.time | None) -> Standing:
    tickers = reader.read_rows(workspace, _TICKERS).records()
    nightly = _row(reader.read_rows(workspace, _LAST_NIGHTLY))
    ages = _ages(tickers, now)
    told = [(row["ticker"], row["status"], row["reason"]) for row in tickers]
    looked_at = which_degraded((status, reason) for _, status, reason in told)
    behind = (_behind(*row, look, age) for row, look, age in zip(told, looked_at, ages, strict=True))
    degraded = tuple(each for each in behind if each is not None)
    holder = read_holder(workspace)
    died, working = (None, holder) if holder and holder.alive else (holder, None)
    failure = _failure(workspace, nightly)
    traded = (row["calendar"] for row in tickers if row["status"] != "ended" and row["calendar"])
    due = _due(workspace, traded, deadline)
    late = due is not None and due <= now
    return Standing(
        verdict=_verdict(nightly, failure, died, ages, late, degraded),
        last_run=_row(reader.read_rows(workspace, _LAST_RUN)),
        last_nightly=nightly,
        tickers=len(tickers),
        sessions_behind=max((age for age in ages if age is not None), default=None),
        degraded=degraded,
        flags=_flags(tickers),
        failure=failure,
        died=died,
        working=working,
        ledger=ledger_loss(workspace),
        due=due,
        late=late,
    )
