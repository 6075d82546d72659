"""What a rule looks at: the rows of many tickers as columns, and beside each row the ones before and after
it.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import AsOf
from forecast_lib.prices.contradiction import doubts_close
from forecast_lib.prices.seen import Bars
from forecast_lib.sessions import EARLIEST_SESSION, TickerCalendar
from forecast_lib.windows.histories import Histories, Splits, shares_since

__all__ = ["TOLERANCE", "Exchanges", "Flags", "Values", "View"]

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]
Days = NDArray[np.datetime64]

TOLERANCE = 1e-6
"""Relative; re-based prices carry single-precision noise of about 1e-7, real breaches are cents."""

_FIRST_DAY, _LAST_DAY = np.datetime64(EARLIEST_SESSION, "D"), np.datetime64("2199-12-31")


@dataclass(frozen=True)
class Exchanges:
    """The calendars of some tickers.

    Attributes:
        calendars: those that occur.
        of: (tickers,) which one is each ticker's.
        days: of each calendar its sessions within the span of the rows.
        closed: of each calendar the newest session that is over.
    """

    calendars: tuple[TickerCalendar, ...]
    of: NDArray[np.intp]
    days: tuple[Days, ...]
    closed: Days

    @classmethod
    def spanning(cls, calendars: Sequence[TickerCalendar], days: Sequence[Days], as_of: AsOf) -> "Exchanges":
        """Of each ticker's calendar, with the sessions between the first and the last of the days."""
        places = {calendar: place for place, calendar in enumerate(dict.fromkeys(calendars))}
        ends = [end for part in days if len(part) for end in (part.min(), part.max())] or [
            np.datetime64(as_of.day, "D")
        ]
        low, high = (pd.Timestamp(min(max(end, _FIRST_DAY), _LAST_DAY)) for end in (min(ends), max(ends)))
        spans = tuple(each.sessions(low, high).to_numpy("datetime64[D]") for each in places)
        closed = np.array([each.last_closed(as_of.now) for each in places], dtype="datetime64[D]")
        return cls(
            tuple(places), np.array([places[each] for each in calendars], dtype=np.intp), spans, closed
        )

    def is_session(self, of: NDArray[np.int32], days: Days) -> Flags:
        """(rows,) whether the day is a session of the ticker's exchange; where none is known, whether the day
        is possible at all.
        """
        found = np.zeros(len(of), dtype=bool)
        for place, (calendar, known) in enumerate(zip(self.calendars, self.days, strict=True)):
            mine = slice(None) if len(self.calendars) == 1 else np.flatnonzero(self.of[of] == place)
            # Monday to Friday is only a stand-in: it can refuse nothing of our time.
            if calendar.recorded_fallback:
                found[mine] = days[mine] >= _FIRST_DAY
            elif len(known):
                found[mine] = (
                    known[np.minimum(np.searchsorted(known, days[mine]), len(known) - 1)] == days[mine]
                )
        return found


@dataclass(frozen=True)
class View:
    """Rows by ticker and session.

    Attributes:
        rows: stored and offered ones together where a rule looks at neighbours, else the offered ones as they
            came.
        offered: (rows,) which of them were offered; only these can break a rule.
        splits: by ticker, those known tonight.
    """

    rows: Histories
    offered: Flags
    exchanges: Exchanges
    splits: Splits
    as_of: AsOf

    def __getitem__(self, figure: str) -> Values:
        return self.rows.figures[figure]

    @property
    def days(self) -> Days:
        """(rows,)"""
        return self.rows.sessions

    @functools.cached_property
    def follows(self) -> Flags:
        """(rows,) whether the row before is of the same ticker."""
        of = self.rows.of
        return np.append(False, of[1:] == of[:-1])[: len(of)]

    @staticmethod
    def before(values: NDArray) -> NDArray:
        """Each row's predecessor; the first row's is itself."""
        return np.concatenate([values[:1], values[:-1]])

    @functools.cached_property
    def close(self) -> Values:
        """(rows,) closes on the share basis of the newest split."""
        return split_adjusted(self.rows, self["close"], self.splits)

    @functools.cached_property
    def is_session(self) -> Flags:
        """(rows,)"""
        return self.exchanges.is_session(self.rows.of, self.days)

    @functools.cached_property
    def contradicted(self) -> Flags:
        """(rows,) offered rows whose open, high, low and close cannot all be right."""
        lows, highs = np.fmin(self["open"], self["close"]), np.fmax(self["open"], self["close"])
        return self.offered & (
            above(self["low"], lows) | above(highs, self["high"]) | above(self["low"], self["high"])
        )

    @functools.cached_property
    def doubts_close(self) -> Flags:
        """(rows,) contradicted rows where the sessions beside it, and the adjusted close, speak against the
        close.
        """
        doubted, bounds = np.zeros(len(self.rows), dtype=bool), self.rows.bounds()
        for place in np.unique(self.rows.of[self.contradicted]).tolist():
            mine = slice(bounds[place], bounds[place + 1])
            bars = bars_of(self.rows.rows(mine), self.splits.get(self.rows.tickers[place]))
            doubted[mine] = doubts_close(bars, self.contradicted[mine])
        return doubted


def bars_of(rows: Histories, splits: tuple[Days, Values] | None) -> Bars:
    """One ticker's rows as the evidence is read from them, on the share basis of the newest split."""
    shares = 1.0 if splits is None else shares_since(rows.sessions, *splits)
    open_, high, low, close = (rows.figures[name] / shares for name in ("open", "high", "low", "close"))
    adjusted = rows.figures.get("adj_close", np.full(len(rows), np.nan))
    return Bars(rows.sessions, open_, high, low, close, adjusted, rows.figures["volume"] * shares)


def above(lower: Values, upper: Values) -> Flags:
    """Where `lower` is above `upper`; nowhere where either is missing."""
    flags: Flags = lower > upper * (1 + TOLERANCE)
    return flags


def split_adjusted(rows: Histories, values: Values, splits: Splits) -> Values:
    """The values of one price figure on the share basis of each ticker's newest split; not copied where there
    is none.
    """
    there = range(int(rows.of[0]), int(rows.of[-1]) + 1) if len(rows) and splits else ()
    divided = [place for place in there if rows.tickers[place] in splits]
    if not divided:
        return values
    adjusted, bounds = values.copy(), rows.bounds()
    for place in divided:
        mine = slice(bounds[place], bounds[place + 1])
        adjusted[mine] /= shares_since(rows.sessions[mine], *splits[rows.tickers[place]])
    return adjusted
