"""What a scheduled run finds to do: whether any session is new since the last night, and which nights between
were missed.

Schedules know no holidays, and machines are down at times. Both are answered by the exchanges' calendars and
the published tables alone. A missed night is a day on which more than half of the tickers had a session: a
share does not miss the weekend of a coin beside it.
"""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.sessions import TickerCalendar, calendar_for, calendar_used
from forecast_lib.store.disk.files import PUBLISHED
from forecast_lib.store.published import reader

__all__ = ["Due", "due"]

_NIGHTS = (
    "SELECT run_id, as_of, started_at, finished_at FROM runs WHERE kind = 'nightly' AND status <> 'failed'"
)
_NEWEST = f"{_NIGHTS} ORDER BY finished_at DESC, run_id DESC LIMIT 1"
_FURTHEST = f"{_NIGHTS} ORDER BY as_of DESC, finished_at DESC LIMIT 1"
_CALENDARS = f"SELECT ticker, calendar FROM run_tickers WHERE run_id = (SELECT run_id FROM ({_NEWEST}))"
_ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Due:
    """What there is to do on an evening.

    Attributes:
        new: some ticker has a session that the published night did not know, or was not asked for then.
        missed: evenings without a night since the furthest one, oldest first, this evening not among them.
        beyond: how many more there were than may be back-filled.
        stands: the published night, or None.
    """

    new: bool = True
    missed: tuple[dt.date, ...] = ()
    beyond: int = 0
    stands: str | None = None


def due(
    workspace: Path, tickers: Sequence[Ticker], as_of: AsOf, most: int, *, from_nothing: bool = False
) -> Due:
    """What there is to do for these tickers at `as_of`.

    Args:
        most: back-fill at most so many nights, the newest ones; 0 for none.
        from_nothing: where nothing is published yet, the last `most` evenings before this one count as
            missed.

    Raises:
        StoreDamaged: the published file cannot be read.
    """
    if not (workspace / PUBLISHED).is_file() or (newest := reader.query(workspace, _NEWEST)).empty:
        return Due(missed=_before(tickers, as_of, most)) if from_nothing else Due()
    recorded = dict(reader.query(workspace, _CALENDARS).itertuples(index=False))
    calendars = Counter(calendar_used(ticker, recorded.get(ticker)) for ticker in tickers)
    then = _as_of(newest.iloc[0])
    new = not set(tickers) <= set(recorded) or any(
        each.last_known(as_of) > each.last_known(then) for each in calendars
    )
    missed = _missed(calendars, _as_of(reader.query(workspace, _FURTHEST).iloc[0]), as_of)
    kept = missed[len(missed) - min(most, len(missed)) :]
    return Due(new, tuple(kept), len(missed) - len(kept), str(newest["run_id"].iloc[0]))


def _before(tickers: Sequence[Ticker], as_of: AsOf, most: int) -> tuple[dt.date, ...]:
    """The last `most` evenings before this one."""
    calendars = Counter(calendar_for(ticker) for ticker in tickers)
    # At least every second day is one, but for the longest of holidays.
    long_ago = as_of.now - dt.timedelta(days=2 * most + 14)
    missed = _missed(calendars, AsOf(as_of.day - dt.timedelta(days=2 * most + 14), long_ago, long_ago), as_of)
    return tuple(missed[len(missed) - min(most, len(missed)) :])


def _as_of(night: pd.Series) -> AsOf:
    started = night["started_at"].tz_localize("UTC").to_pydatetime()
    return AsOf(night["as_of"].date(), started, started)


def _missed(calendars: Counter[TickerCalendar], then: AsOf, now: AsOf) -> list[dt.date]:
    tickers_on: Counter[dt.date] = Counter()
    for calendar, tickers in calendars.items():
        for session in calendar.sessions(calendar.last_known(then) + _ONE_DAY, calendar.last_known(now)):
            tickers_on[session.date()] += tickers
    newest = max(calendar.last_known(now) for calendar in calendars).date()
    return sorted(
        day for day, tickers in tickers_on.items() if 2 * tickers > calendars.total() and day < newest
    )
