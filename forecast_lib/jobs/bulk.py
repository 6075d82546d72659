"""A large Parquet file ingested whole: tickers beyond suspicion go from the file to the table, the others one by one as always."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast_lib.config import RunConfig
from forecast_lib.domain import Ticker
from forecast_lib.jobs.ingest import Market
from forecast_lib.prices.checks import JUMP, LARGEST_PRICE, TOLERANCE
from forecast_lib.prices.files import parquet_roles
from forecast_lib.prices.past import FROZEN_SESSIONS
from forecast_lib.prices.rules import severities_from
from forecast_lib.sessions import TickerCalendar, calendar_for
from forecast_lib.store import bulk, database
from forecast_lib.windows.series import TickerSeries

__all__ = ["FEWEST_ROWS", "Taken", "take_whole", "with_taken"]

FEWEST_ROWS = 200_000
"""Smaller files take seconds ticker by ticker, and then the run has a hash of what it saw and its report a chart of each ticker."""

_LIMITS = bulk.Limits(TOLERANCE, LARGEST_PRICE, float(JUMP), FROZEN_SESSIONS)
_FIRST_SESSION = pd.Timestamp("1960-01-01")


@dataclass(frozen=True)
class Taken:
    """What of a file can be stored as it stands.

    Attributes:
        clean: ticker, rows, first and last session of the tickers beyond suspicion.
        others: tickers asked for that go the usual way.
        rows: what the run's transaction stores of them.
    """

    clean: pd.DataFrame
    others: tuple[Ticker, ...]
    calendar: TickerCalendar
    rows: bulk.CleanRows


def take_whole(config: RunConfig, *, fewest_rows: int = FEWEST_ROWS) -> Taken | None:
    """The part of the run's file that can be taken whole; None where the source is no such file, or too small to be worth it.

    Files with splits or dividends, without a ticker column, or with dates or numbers as text are no such files, and neither are
    those of a run with other severities than the usual ones. All tickers are held against the calendar of the first.
    """
    path = config.source.path
    usual = severities_from(config.rules) == severities_from(())
    known_now = config.as_of.known_at >= config.as_of.now
    if (
        path is None
        or config.source.name != "files"
        or path.suffix.lower() != ".parquet"
        or not path.is_file()
        or not (usual and known_now)
    ):
        return None
    calendar = calendar_for(config.tickers[0])
    with database.open_working(config.workspace, config.as_of.now) as con:
        types = bulk.described(con, path)
        columns = parquet_roles(list(types), path.name)
        if columns is None or calendar.recorded_fallback or not bulk.can_be_taken_whole(types, columns):
            return None
        file = bulk.WholeFile(path, columns)
        sessions = calendar.sessions(_FIRST_SESSION, calendar.last_known(config.as_of))
        found = bulk.screened(con, file, sessions, _LIMITS)
        stored = bulk.stored_tickers(con)
    if found["rows"].sum() < fewest_rows:
        return None
    fits = found["ticker"].isin(_of_calendar(config.tickers, calendar)) & ~found["ticker"].isin(stored)
    clean = found[found["clean"] & fits].reset_index(drop=True)
    mine = set(clean["ticker"])
    left_out = tuple(ticker for ticker in found["ticker"] if ticker not in mine)
    rows = bulk.CleanRows(file, tuple(clean["ticker"]), left_out, "files", config.as_of.now)
    return Taken(clean, tuple(ticker for ticker in config.tickers if ticker not in mine), calendar, rows)


def _of_calendar(tickers: tuple[Ticker, ...], calendar: TickerCalendar) -> list[str]:
    return [ticker for ticker in tickers if calendar_for(ticker) == calendar]


def with_taken(market: Market, taken: Taken) -> Market:
    """The market of the others, and of each ticker taken whole its sessions, without figures: what the status rows need to know."""
    series = {row.ticker: _without_figures(row.ticker, taken.calendar.sessions(row.first, row.last)) for row in taken.clean.itertuples()}
    calendars = dict.fromkeys(series, taken.calendar)
    rows_new = dict(zip(taken.clean["ticker"], taken.clean["rows"], strict=True))
    return dataclasses.replace(
        market,
        series={**market.series, **series},
        calendars={**market.calendars, **calendars},
        rows_new={**market.rows_new, **rows_new},
        seen=market.seen.iloc[:0],  # a hash over a part of what was seen would mislead
    )


def _without_figures(ticker: str, sessions: pd.DatetimeIndex) -> TickerSeries:
    """A ticker beyond suspicion has a price on each session from its first to its last."""
    absent = np.broadcast_to(np.nan, len(sessions))
    return TickerSeries(ticker, sessions.to_numpy("datetime64[D]"), absent, absent, absent, absent, absent)
