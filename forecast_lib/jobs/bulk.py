"""A Parquet file of many tickers, all at once: what is plain goes into the store as it stands, the others one by one as always.

The file is read once, and only from where each ticker's overlap begins. The rows of all tickers are then held against the stored ones
and against the rules in one go (`prices.plain`); a ticker of which nothing is stored goes from the file to the table.
"""

import dataclasses

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.config import RunConfig
from forecast_lib.domain import Ticker
from forecast_lib.jobs.ingest import OVERLAP_SESSIONS, Known, Taken, nothing_taken
from forecast_lib.prices.files import parquet_roles
from forecast_lib.prices.plain import TAIL_SESSIONS, plain_tickers
from forecast_lib.store import bulk, database
from forecast_lib.windows.histories import Histories

__all__ = ["FEWEST_TO_STORE_WHOLE", "may_come_whole", "take_whole"]

FEWEST_TO_STORE_WHOLE = 200_000
"""Fewer rows reach the table as quickly by way of a frame, as all others do."""

_SOURCE = "files"
_BEGINNING = np.datetime64("1600-01-01")


def may_come_whole(config: RunConfig) -> bool:
    """Whether the run's source is a Parquet file; its columns are yet to be seen."""
    path = config.source.path
    return config.source.name == _SOURCE and path is not None and path.suffix.lower() == ".parquet" and path.is_file()


def take_whole(config: RunConfig, known: Known, *, fewest_to_store_whole: int = FEWEST_TO_STORE_WHOLE) -> tuple[Taken, tuple[Ticker, ...]]:
    """The part of the run's file that is plain, and the tickers that are left.

    Everything is left where the source is no Parquet file with a ticker column and typed columns, or one with splits or dividends.
    """
    path = config.source.path
    if path is None or not may_come_whole(config):
        return nothing_taken(), config.tickers
    with database.open_working(config.workspace, config.as_of.now) as con:
        types = bulk.described(con, path)
        columns = parquet_roles(list(types), path.name)
        if columns is None or not bulk.can_be_taken_whole(types, columns):
            return nothing_taken(), config.tickers
        file = bulk.WholeFile(path, columns)
        names = bulk.names_in(con, file)
        offered = bulk.offered_rows(con, file, _asked(config, known, names), config.as_of)
    taken = _taken(config, known, offered)
    first_time = tuple(ticker for ticker in taken.rows_new if not len(known.sessions_of(ticker)))
    if sum(taken.rows_new[ticker] for ticker in first_time) >= fewest_to_store_whole:
        left_out = tuple(names.loc[~names["ticker"].isin(first_time), "ticker"].dropna())
        whole = bulk.CleanRows(file, first_time, left_out, _SOURCE, config.as_of.day, config.as_of.now)
        taken = dataclasses.replace(taken, whole=whole)
    left = tuple(ticker for ticker in config.tickers if ticker not in taken.rows_new)
    return dataclasses.replace(taken, prices=_rows_to_store(config, taken)), left


def _asked(config: RunConfig, known: Known, names: pd.DataFrame) -> pd.DataFrame:
    """The tickers that may be plain, and the first session that is asked for of each.

    Not those with a gap that was not filled or a row that a person released, nor those whose name the file spells in two ways.
    """
    spelled = names["ticker"].fillna("").str.strip().str.upper()
    clear = names["dated"] & (spelled == names["ticker"]) & ~spelled.duplicated(keep=False)
    doubtful = {*known.gaps.loc[known.gaps["state"] != "filled", "ticker"], *known.released["ticker"]}
    wanted = {str(ticker) for ticker in config.tickers if not known.calendar_of(ticker).recorded_fallback} - doubtful
    fits = sorted(wanted.intersection(names.loc[clear, "ticker"]))
    stored = [known.sessions_of(ticker) for ticker in fits]
    since = [sessions[-OVERLAP_SESSIONS:][0] if len(sessions) else _BEGINNING for sessions in stored]
    return pd.DataFrame({"ticker": pd.Series(fits, dtype=str), "since": np.array(since, dtype="datetime64[us]")})


def _taken(config: RunConfig, known: Known, offered: Histories) -> Taken:
    """What is new of the plain tickers; `prices` and `whole` are left empty."""
    stored = known.tails(offered.tickers, TAIL_SESSIONS)
    plain = _plain(config, known, offered, stored)
    new = offered.rows(plain[offered.of] & ~offered.is_among(stored))
    counts = np.bincount(new.of, minlength=len(plain)).tolist()
    mine = {ticker: count for ticker, count, is_plain in zip(offered.tickers, counts, plain, strict=True) if is_plain}
    calendars = {ticker: known.calendar_of(ticker) for ticker in mine}
    return dataclasses.replace(nothing_taken(), new=new.placed(known.histories.tickers), calendars=calendars, rows_new=mine)


def _plain(config: RunConfig, known: Known, offered: Histories, stored: Histories) -> NDArray[np.bool_]:
    calendars = [known.calendar_of(ticker) for ticker in offered.tickers]
    places = {calendar: place for place, calendar in enumerate(dict.fromkeys(calendars))}
    first = min((part.sessions.min() for part in (offered, stored) if len(part)), default=np.datetime64(config.as_of.day))
    sessions = [each.sessions(pd.Timestamp(first), each.last_known(config.as_of)).to_numpy("datetime64[D]") for each in places]
    return plain_tickers(offered, stored, known.splits, sessions, np.array([places[each] for each in calendars], dtype=np.intp))


def _rows_to_store(config: RunConfig, taken: Taken) -> pd.DataFrame:
    """The new rows as columns of `prices`, but for those that go whole."""
    rows = taken.new
    if taken.whole is not None:
        by_frame = np.isin(np.array(rows.tickers), taken.whole.tickers, invert=True)
        rows = rows.rows(by_frame[rows.of])
    now = pd.Timestamp(config.as_of.now).tz_localize(None)
    return rows.frame().assign(source=_SOURCE, revision=0, known_at=now)
