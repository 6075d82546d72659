"""How things stand: the last run, the age of the data, and who is degraded.

From the published tables, the text of the lock (a run that died could not clear it), and the last words of
runs that failed.
"""

import datetime as dt
import functools
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from forecast_lib.domain import AsOf
from forecast_lib.jobs.record.endings import Ending, recall
from forecast_lib.jobs.record.statuses import degraded as degraded_rows
from forecast_lib.jobs.record.takeover import ledger_loss
from forecast_lib.sessions import WEEKDAYS, TickerCalendar, calendar_used
from forecast_lib.store.disk.lock import is_held
from forecast_lib.store.published import reader

__all__ = [
    "MAX_SESSIONS_BEHIND",
    "Behind",
    "Holder",
    "Standing",
    "read_holder",
    "sessions_behind",
    "standing",
]

MAX_SESSIONS_BEHIND = 1
"""Data may lack the session that has just closed; older data are stale."""

_LAST_RUN = (
    "SELECT run_id, kind, status, as_of, finished_at, message FROM runs ORDER BY finished_at DESC, run_id"
    " DESC LIMIT 1"
)
_LAST_NIGHTLY = (
    "SELECT run_id, kind, status, as_of, finished_at, message FROM runs"
    " WHERE kind = 'nightly' ORDER BY finished_at DESC, run_id DESC LIMIT 1"
)
_LAST_PUBLISHED = """
SELECT as_of, started_at FROM runs WHERE kind = 'nightly' AND status <> 'failed'
ORDER BY finished_at DESC, run_id DESC LIMIT 1
"""
_AGED = ["ticker", "status", "last_session", "calendar"]
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


@functools.lru_cache(maxsize=1024)  # most tickers of an exchange end on one day
def sessions_behind(calendar: TickerCalendar, last_session: pd.Timestamp, now: dt.datetime) -> int:
    """How many sessions of the exchange have closed after `last_session`; `now` is in UTC."""
    # The day may be tomorrow already where the exchange is; what has not closed by `now` does not count.
    newest = calendar.last_known(AsOf(day=now.date() + dt.timedelta(days=1), now=now, known_at=now))
    return max(0, int(calendar.count_between(last_session, newest)))


def _behind(ticker: str, status: str, reason: object, looked_at: bool, behind: int | None) -> Behind | None:
    stale = status != "ended" and (behind is None or behind > MAX_SESSIONS_BEHIND)
    if not looked_at and not stale:
        return None
    age = "no stored session" if behind is None else f"data are {behind} sessions old"
    said = reason if isinstance(reason, str) and reason else age
    return Behind(ticker, "stale" if status == "fresh" else status, behind, said)


def _flags(tickers: pd.DataFrame) -> dict[str, str]:
    if "flags" not in tickers:  # published before they were kept
        return {}
    return dict(tickers.loc[tickers["flags"].notna(), ["ticker", "flags"]].itertuples(index=False))


def _row(frame: pd.DataFrame) -> dict[str, str] | None:
    return None if frame.empty else {str(name): str(value) for name, value in frame.iloc[0].items()}


def _failure(workspace: Path, nightly: dict[str, str] | None) -> Ending | None:
    last = recall(workspace).get("nightly")
    if last is None or last.status != "failed":
        return None
    published = pd.Timestamp(nightly["finished_at"]).tz_localize("UTC") if nightly else None
    return last if published is None or pd.Timestamp(last.finished_at) > published else None


def _due(workspace: Path, calendars: pd.Series, deadline: dt.time | None) -> dt.datetime | None:
    """The deadline of the first session that the published night does not know, on the exchange of most
    tickers.
    """
    published = reader.query(workspace, _LAST_PUBLISHED)
    if deadline is None or published.empty:
        return None
    as_of, started = published.iloc[0]
    calendar = TickerCalendar(next(iter(calendars.mode()), WEEKDAYS))
    began = started.to_pydatetime().replace(tzinfo=dt.UTC)
    [session] = calendar.following(calendar.last_known(AsOf(day=as_of.date(), now=began, known_at=began)), 1)
    return calendar.clock_after(session, deadline)


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
    tickers, nightly = reader.query(workspace, _TICKERS), _row(reader.query(workspace, _LAST_NIGHTLY))
    ages = [
        None
        if pd.isna(last) or status == "ended"
        else sessions_behind(calendar_used(name, calendar), last, now)
        for name, status, last, calendar in tickers[_AGED].itertuples(index=False)
    ]
    rows = zip(tickers.ticker, tickers.status, tickers.reason, degraded_rows(tickers), ages, strict=True)
    degraded = tuple(behind for behind in (_behind(*row) for row in rows) if behind is not None)
    holder = read_holder(workspace)
    died, working = (None, holder) if holder and holder.alive else (holder, None)
    failure = _failure(workspace, nightly)
    due = _due(workspace, tickers.loc[tickers["status"] != "ended", "calendar"], deadline)
    late = due is not None and due <= now
    return Standing(
        verdict=_verdict(nightly, failure, died, ages, late, degraded),
        last_run=_row(reader.query(workspace, _LAST_RUN)),
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
