"""A Parquet file of many tickers: the rows that matter tonight as columns, and whole tickers from the file into the table.

Neither way lets a row pass through Python one by one. Which tickers may come like this is for the rules to say (`prices.plain`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from forecast_lib.domain import AsOf
from forecast_lib.store.border import file_errors
from forecast_lib.store.histories import histories_of
from forecast_lib.store.parquet import refuse_pattern
from forecast_lib.windows.histories import Histories

__all__ = [
    "CleanRows",
    "WholeFile",
    "WholeTickers",
    "actions_in",
    "can_be_taken_whole",
    "described",
    "insert_clean",
    "names_in",
    "offered_rows",
]

_FIGURES = ("open", "high", "low", "close", "adj_close", "volume")
_ACTIONS = ("dividend", "split")
_NUMBERS = ("DOUBLE", "FLOAT", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "DECIMAL")
_DAYS = ("DATE", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S")

_FEW = 200


@dataclass(frozen=True)
class WholeFile:
    """A Parquet file whose columns are known: role (ticker, date, open and so on) to the column's own name."""

    path: Path
    columns: Mapping[str, str]

    def row(self) -> str:
        """The file as SQL: ticker, session, figures and actions, numbers as DOUBLE, what is not in the file or no number as NULL."""
        figures = [
            f"nullif({_quoted(self.columns[name])}::DOUBLE, 'nan'::DOUBLE) AS {name}" if name in self.columns else f"NULL::DOUBLE AS {name}"
            for name in (*_FIGURES, *_ACTIONS)
        ]
        ticker, session = (_quoted(self.columns[role]) for role in ("ticker", "date"))
        return f"SELECT {ticker} AS ticker, {session}::DATE AS session, {', '.join(figures)} FROM read_parquet($path)"


@dataclass(frozen=True)
class WholeTickers:
    """All rows of some tickers of a file, up to a day.

    Attributes:
        left_out: the file's other tickers.
        last: later sessions are left out.
    """

    file: WholeFile
    tickers: tuple[str, ...]
    left_out: tuple[str, ...]
    last: dt.date


@dataclass(frozen=True)
class CleanRows:
    """Rows that can be stored as they stand, as first revisions.

    Attributes:
        rows: from columns in memory, with `adj_close`.
        whole: more rows, from a file to the table; of their tickers nothing is stored yet. None where there are none.
        known_at: the UTC instant from which they are known here.
    """

    rows: Histories
    whole: WholeTickers | None
    source: str
    known_at: dt.datetime


def described(con: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    """Column names of a Parquet file and their types.

    Raises:
        FileRefused: it cannot be read, here and below; or its path is a pattern to DuckDB.
    """
    refuse_pattern(path)
    with file_errors(path):
        found = con.execute("DESCRIBE SELECT * FROM read_parquet($path)", {"path": str(path)}).fetchall()
    return {name: kind for name, kind, *_ in found}


def can_be_taken_whole(types: Mapping[str, str], columns: Mapping[str, str]) -> bool:
    """Whether the file's columns say what they mean: names as text, dates as dates without a zone, numbers as numbers."""
    figures = [types[columns[name]].partition("(")[0] in _NUMBERS for name in (*_FIGURES, *_ACTIONS) if name in columns]
    return types[columns["ticker"]] == "VARCHAR" and types[columns["date"]] in _DAYS and all(figures)


def names_in(con: duckdb.DuckDBPyConnection, file: WholeFile) -> pd.DataFrame:
    """Every name in the ticker column, whether each of its rows has a date, the first and the last; a missing name is a row too."""
    dated = "bool_and(session IS NOT NULL AND isfinite(session)) AS dated"
    ends = ", ".join(f"{end}(session) FILTER (WHERE isfinite(session)) AS {name}" for end, name in (("min", "first"), ("max", "last")))
    sql = f"SELECT ticker, {dated}, {ends} FROM ({file.row()}) GROUP BY ticker"
    with file_errors(file.path):
        return con.execute(sql, {"path": str(file.path)}).df()


def actions_in(con: duckdb.DuckDBPyConnection, file: WholeFile) -> pd.DataFrame:
    """The rows with a dividend or a split: ticker, session, dividend, split, 0 where there is none, in the file's order."""
    given = [name for name in _ACTIONS if name in file.columns]
    if not given:
        return pd.DataFrame({"ticker": pd.Series(dtype=str), "session": pd.Series(dtype="datetime64[us]"), "dividend": [], "split": []})
    numbers = ", ".join(f"coalesce({name}, 0.0) AS {name}" for name in _ACTIONS)
    rows = f"SELECT ticker, session, {numbers} FROM ({file.row()})"
    with file_errors(file.path):
        return con.execute(f"FROM ({rows}) WHERE dividend <> 0 OR split NOT IN (0, 1)", {"path": str(file.path)}).df()


def offered_rows(con: duckdb.DuckDBPyConnection, file: WholeFile, asked: pd.DataFrame, as_of: AsOf) -> Histories:
    """The rows that the file offers tonight, with `adj_close`.

    Args:
        asked: ticker and since, the first session that is asked for.
    """
    if asked.empty:
        return Histories.none()
    con.register("asked", asked.assign(place=range(len(asked))))
    # Names as an enumeration: unlike a join, looking them up keeps the file's order, which is mostly that of the rows wanted.
    place = "enum_code(TRY_CAST(ticker AS asked_ticker))"
    sql = f"""
        SELECT {place}::INTEGER AS place, session, {", ".join(_FIGURES)}
        FROM ({file.row()})
        WHERE session BETWEEN list_extract($since::DATE[], {place}::INTEGER + 1) AND $day
    """
    try:
        with file_errors(file.path):
            con.execute("CREATE TEMP TYPE asked_ticker AS ENUM (SELECT ticker FROM asked ORDER BY place)")
            values = {"path": str(file.path), "day": as_of.day, "since": asked["since"].dt.date.tolist()}
            found = con.execute(sql, values).fetchnumpy()
            con.execute("DROP TYPE asked_ticker")
    finally:
        con.unregister("asked")
    return histories_of(found, tuple(asked["ticker"]))


def insert_clean(con: duckdb.DuckDBPyConnection, clean: CleanRows, run_id: str) -> int:
    """Store the rows, inside the transaction that is open; says how many."""
    told = {"source": clean.source, "now": clean.known_at.replace(tzinfo=None), "run": run_id}
    from_file = _insert_whole(con, clean.whole, told) if clean.whole is not None else 0
    return from_file + (_insert_rows(con, clean.rows, told) if len(clean.rows) else 0)


def _insert_whole(con: duckdb.DuckDBPyConnection, whole: WholeTickers, told: Mapping[str, object]) -> int:
    con.register("clean_tickers", pd.DataFrame({"ticker": list(whole.tickers)}, dtype=str))
    columns = ", ".join(f"f.{name}" for name in ("ticker", "session", *_FIGURES))
    # Few are left out, as a rule: then a filter keeps the file's order and takes a quarter less time than the join.
    few = len(whole.left_out) <= _FEW
    chosen = "WHERE NOT list_contains($left_out::VARCHAR[], f.ticker)" if few else "SEMI JOIN clean_tickers USING (ticker) WHERE true"
    found = f"({whole.file.row()}) AS f {chosen} AND f.session <= $last"
    sql = f"INSERT INTO prices SELECT {columns}, NULL, $source, 0, $now, $run FROM {found}"
    values = {"path": str(whole.file.path), "last": whole.last, **told} | ({"left_out": list(whole.left_out)} if few else {})
    ((rows,),) = con.execute(sql, values).fetchall()
    con.unregister("clean_tickers")
    return int(rows)


def _insert_rows(con: duckdb.DuckDBPyConnection, rows: Histories, told: Mapping[str, object]) -> int:
    figures = {name: rows.figures[name] for name in _FIGURES}
    columns = {"of": rows.of, "day": rows.sessions.view(np.int64), "code": rows.currency, **figures}
    con.register("clean_rows", pd.DataFrame(columns, copy=False))
    sql = f"""
        INSERT INTO prices SELECT
            list_extract($tickers::VARCHAR[], of + 1), DATE '1970-01-01' + day::INTEGER, {", ".join(_FIGURES)},
            list_extract($codes::VARCHAR[], code::BIGINT + 1), $source, 0, $now, $run
        FROM clean_rows
    """
    ((stored,),) = con.execute(sql, {"tickers": list(rows.tickers), "codes": list(rows.currencies), **told}).fetchall()
    con.unregister("clean_rows")
    return int(stored)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
