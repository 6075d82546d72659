"""What the store knew of the tickers before a run, as of its evening."""

import dataclasses
import datetime as dt
import functools
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.jobs.ingest.absence import SAID_BEFORE
from forecast_lib.prices.checks import Before
from forecast_lib.prices.screen import TAIL_SESSIONS
from forecast_lib.prices.source import Asked
from forecast_lib.sessions import TickerCalendar, calendar_used
from forecast_lib.store.working import database, reads
from forecast_lib.store.working.columns import read_histories
from forecast_lib.store.working.store import Store
from forecast_lib.tables import empty
from forecast_lib.windows.histories import Histories

__all__ = ["OVERLAP_SESSIONS", "Known", "read_known", "with_whole_past"]

OVERLAP_SESSIONS = 10
"""Sources revise the last days for about a week (facts of daily Yahoo bars): so many stored sessions are
asked for again.
"""
WHOLE_EVERY = 60
"""Weekdays: so often a ticker's whole past is asked for again, each on days of its own, so that corrections
of old prices are found too.
"""

_TAIL = dt.timedelta(days=190)
"""TAIL_SESSIONS of every calendar, with some to spare."""


@dataclass(frozen=True)
class Known(Before):
    """What the store knew before the run, as of its evening; columns as `reads` has them.

    Attributes:
        rows: of all tickers asked for; of each maybe only those of the last half year (`ends_only`).
        gaps: the newest state of each.
        statuses: how the tickers fared in the runs that still tell something, newest first.
    """

    gaps: pd.DataFrame = field(default_factory=lambda: empty("price_gaps"))
    statuses: pd.DataFrame = field(default_factory=pd.DataFrame)
    ends_only: bool = False

    @functools.cached_property
    def sessions(self) -> dict[str, NDArray[np.datetime64]]:
        """By ticker those of its stored rows, ascending."""
        return {ticker: self.rows.sessions[low:high] for ticker, low, high in self.rows.spans()}

    def first_session_of(self, ticker: str) -> dt.date | None:
        """The first of the stored sessions that were read; None where there is none."""
        return next((day.item() for day in self.sessions[ticker][:1]), None)

    def calendar_of(self, ticker: str) -> TickerCalendar:
        """The calendar that the ticker's newest run used; else the one its name tells."""
        return calendar_used(ticker, self._calendars.get(ticker))

    @functools.cached_property
    def _calendars(self) -> dict[str, str]:
        used = self.statuses[["ticker", "calendar"]].dropna().drop_duplicates("ticker")
        return dict(zip(used["ticker"], used["calendar"], strict=True))

    def asked(self, tickers: Sequence[Ticker], whole: Collection[str] = ()) -> Asked:
        """From which session on each ticker is asked for: the overlap's first, or the oldest open gap; None,
        the whole history, where nothing is stored but single rows that a person released, and where it is its
        turn.

        Args:
            whole: tickers that are asked for from the beginning.
        """
        by_person = {
            ticker: rows.to_numpy("M8[D]") for ticker, rows in self.released.groupby("ticker")["session"]
        }
        missing = self.gaps.loc[self.gaps["state"] == "missing"].groupby("ticker")["session"].min()
        gaps = missing.dt.date.to_dict()
        asked: dict[Ticker, dt.date | None] = {}
        for ticker in tickers:
            sessions = self.sessions[ticker]
            nothing = not len(sessions) or (
                ticker in by_person and np.isin(sessions, by_person[ticker]).all()
            )
            if ticker in whole or nothing or _is_its_turn(ticker, sessions[-1]):
                asked[ticker] = None
            else:
                asked[ticker] = min(sessions[-OVERLAP_SESSIONS:][0].item(), gaps.get(ticker, dt.date.max))
        return asked

    def asked_beyond(self, asked: Asked) -> list[Ticker]:
        """Tickers that are asked for sessions before the first stored one that was read."""
        return [
            ticker
            for ticker, since in asked.items()
            if (first := self.first_session_of(ticker)) is not None and (since is None or since <= first)
        ]


def _is_its_turn(ticker: Ticker, newest: np.datetime64) -> bool:
    return bool((zlib.crc32(ticker.encode()) + np.busday_count("1970-01-01", newest)) % WHOLE_EVERY == 0)


def read_known(store: Store, tickers: Sequence[Ticker], as_of: AsOf, *, tails: bool = False) -> Known:
    """What the store knows about the tickers at `as_of`.

    Args:
        tails: of each ticker no more prices than the checks look back; `with_whole_past` adds the others.
    """
    names, con = sorted(tickers), store.con
    return Known(
        _read_tails(con, names, as_of) if tails else read_histories(con, names, as_of),
        reads.read_actions(con, names, as_of),
        reads.read_released(con, names, as_of),
        reads.read_verdicts(con, names, as_of),
        reads.read_announced_splits(con, names, as_of),
        reads.read_gaps(con, names, as_of),
        reads.read_telling_statuses(con, names, as_of, SAID_BEFORE),
        ends_only=tails,
    )


def _read_tails(con: database.Connection, names: Sequence[str], as_of: AsOf) -> Histories:
    """At least the last TAIL_SESSIONS rows of each ticker, all where it has fewer."""
    recent = read_histories(con, names, as_of, since=as_of.day - _TAIL)
    short = np.diff(recent.bounds()) < TAIL_SESSIONS
    if not short.any():
        return recent
    only = np.array(names, dtype=object)[short].tolist()
    return recent.overlaid(read_histories(con, names, as_of, only=only))


def with_whole_past(store: Store, known: Known, tickers: Collection[str], as_of: AsOf) -> Known:
    """All stored prices of some tickers, where only the last ones had been read; the others stay as
    they are.
    """
    if not tickers or not known.ends_only:
        return known
    whole = read_histories(store.con, known.rows.tickers, as_of, only=list(tickers))
    return dataclasses.replace(known, rows=known.rows.overlaid(whole))
