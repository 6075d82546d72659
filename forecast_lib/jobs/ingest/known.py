"""What the store knew of the tickers before a run, as of its evening."""

import dataclasses
import datetime as dt
import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.jobs.ingest.absence import SAID_BEFORE
from forecast_lib.prices.checks import Before
from forecast_lib.prices.moves import set_aside
from forecast_lib.prices.screen import TAIL_SESSIONS
from forecast_lib.prices.source import Asked
from forecast_lib.sessions import TickerCalendar, calendar_for
from forecast_lib.store.working import database, reads
from forecast_lib.store.working.columns import read_histories
from forecast_lib.tables import empty
from forecast_lib.windows.histories import Histories

__all__ = ["OVERLAP_SESSIONS", "Known", "read_known", "with_whole_past"]

OVERLAP_SESSIONS = 10
"""Sources revise the last days for about a week (facts of daily Yahoo bars): so many stored sessions are
asked for again.
"""

_TAIL = dt.timedelta(days=500)
"""TAIL_SESSIONS of every calendar, with some to spare."""

_STATUS_COLUMNS = ("ticker", "as_of", "known_at", "kind", "reason", "trigger", "calendar", "problem")
_NO_CALENDAR = "weekdays"


@dataclass(frozen=True)
class Known:
    """What the store knew before the run, as of its evening.

    Attributes:
        histories: the prices of all tickers asked for.
        ends_only: of each ticker maybe only those of the last year and more (`read_known`).
        actions, gaps, released, verdicts, statuses: as `reads` has them: the newest state of each action, gap
            and verdict; rows that a
            person released; how the tickers fared in the runs that still tell something, newest first.
    """

    histories: Histories
    actions: pd.DataFrame = field(default_factory=lambda: empty("corporate_actions"))
    gaps: pd.DataFrame = field(default_factory=lambda: empty("price_gaps"))
    released: pd.DataFrame = field(default_factory=lambda: empty("quarantined_prices"))
    verdicts: pd.DataFrame = field(default_factory=lambda: empty("price_verdicts"))
    statuses: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(_STATUS_COLUMNS)))
    ends_only: bool = False

    @property
    def before(self) -> Before:
        """As the checks look at it."""
        return Before(self.histories, self.actions, self.released, self.verdicts)

    @functools.cached_property
    def counting(self) -> Histories:
        """The stored rows without those that the newest verdicts set aside."""
        aside = set_aside(self.verdicts, self.histories.tickers)
        return self.histories.rows(~np.isin(self.histories.keys(), aside)) if len(aside) else self.histories

    def sessions_of(self, ticker: str) -> NDArray[np.datetime64]:
        """Of one ticker's stored rows, ascending."""
        place = self._place[ticker]
        return self.histories.sessions[slice(*self._bounds[place : place + 2])]

    def first_session_of(self, ticker: str) -> dt.date | None:
        """The first of the stored sessions that were read; None where there is none."""
        sessions = self.sessions_of(ticker)
        first: dt.date | None = sessions[0].item() if len(sessions) else None
        return first

    def calendar_of(self, ticker: str) -> TickerCalendar:
        """The calendar that the ticker's newest run used, the source's time zone considered; else the one its
        name tells.
        """
        name = self._calendars.get(ticker)
        usual = calendar_for(ticker)
        if name is None or name == usual.name:
            return usual
        return TickerCalendar(name, recorded_fallback=name == _NO_CALENDAR)

    def statuses_of(self, ticker: str) -> pd.DataFrame:
        """How one ticker fared, the newest run first."""
        return self.statuses[self.statuses["ticker"] == ticker]

    def asked(self, tickers: Sequence[Ticker], whole: Collection[str] = ()) -> Asked:
        """From which session on each ticker is asked for: the overlap's first, or the oldest open gap; None,
        the whole history, where nothing is stored but single rows that a person released.

        Args:
            whole: tickers that are asked for from the beginning.
        """
        return {ticker: None if ticker in whole else self._first_asked(ticker) for ticker in tickers}

    def asked_beyond(self, asked: Asked) -> list[Ticker]:
        """Tickers that are asked for sessions before the first stored one that was read."""
        firsts = {ticker: self.first_session_of(ticker) for ticker in asked}
        return [
            each
            for each, since in asked.items()
            if (first := firsts[each]) is not None and (since is None or since <= first)
        ]

    def _first_asked(self, ticker: str) -> dt.date | None:
        sessions = self.sessions_of(ticker)
        released = self._released.get(ticker)
        if not len(sessions) or (released is not None and np.isin(sessions, released).all()):
            return None
        overlap, gap = sessions[-OVERLAP_SESSIONS:][0], self.missing.get(ticker)
        first: dt.date = (
            (overlap if gap is None else min(overlap, gap.to_datetime64())).astype("M8[D]").item()
        )
        return first

    @functools.cached_property
    def missing(self) -> dict[str, pd.Timestamp]:
        """The oldest open gap of the tickers that have one."""
        return {
            str(ticker): rows.min()
            for ticker, rows in self.gaps.loc[self.gaps["state"] == "missing"].groupby("ticker")["session"]
        }

    @functools.cached_property
    def _released(self) -> dict[str, NDArray[np.datetime64]]:
        return {
            str(ticker): rows.to_numpy("datetime64[D]")
            for ticker, rows in self.released.groupby("ticker")["session"]
        }

    @functools.cached_property
    def _place(self) -> dict[str, int]:
        return {ticker: place for place, ticker in enumerate(self.histories.tickers)}

    @functools.cached_property
    def _bounds(self) -> list[int]:
        bounds: list[int] = self.histories.bounds().tolist()
        return bounds

    @functools.cached_property
    def _calendars(self) -> dict[str, str]:
        used = self.statuses[["ticker", "calendar"]].dropna().drop_duplicates("ticker")
        return dict(zip(used["ticker"], used["calendar"], strict=True))


def read_known(workspace: Path, tickers: Sequence[Ticker], as_of: AsOf, *, tails: bool = False) -> Known:
    """What the store knows about the tickers at `as_of`.

    Args:
        tails: of each ticker no more prices than the checks look back; `with_whole_past` adds the others.
    """
    names = sorted(tickers)
    with database.open_working(workspace, as_of.now) as con:
        return Known(
            _read_tails(con, names, as_of) if tails else read_histories(con, names, as_of),
            reads.read_actions(con, names, as_of),
            reads.read_gaps(con, names, as_of),
            reads.read_released(con, names, as_of),
            reads.read_verdicts(con, names, as_of),
            reads.read_telling_statuses(con, names, as_of, SAID_BEFORE),
            ends_only=tails,
        )


def _read_tails(con: database.Connection, names: Sequence[str], as_of: AsOf) -> Histories:
    """At least the last TAIL_SESSIONS rows of each ticker, all where it has fewer."""
    recent = read_histories(con, names, as_of, since=as_of.day - _TAIL)
    short = np.diff(recent.bounds()) < TAIL_SESSIONS
    if not short.any():
        return recent
    return recent.overlaid(
        read_histories(con, names, as_of, only=[name for name, few in zip(names, short, strict=True) if few])
    )


def with_whole_past(workspace: Path, known: Known, tickers: Collection[str], as_of: AsOf) -> Known:
    """All stored prices of some tickers, where only the last ones had been read; the others stay as
    they are.
    """
    if not tickers or not known.ends_only:
        return known
    with database.open_working(workspace, as_of.now) as con:
        whole = read_histories(con, known.histories.tickers, as_of, only=list(tickers))
    return dataclasses.replace(known, histories=known.histories.overlaid(whole))
