"""A Parquet file of many tickers: the rows that matter tonight as columns, and whole tickers from the file into the table.

Neither way lets a row pass through Python one by one. Which tickers may come like this is for the rules to say (`prices.plain`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd

from forecast_lib.domain import AsOf
from forecast_lib.store.border import database_errors
from forecast_lib.store.histories import histories_of
from forecast_lib.windows.histories import Histories

__all__ = ["CleanRows", "WholeFile", "can_be_taken_whole", "described", "insert_clean", "names_in", "offered_rows"]

_FIGURES = ("open", "high", "low", "close", "adj_close", "volume")
_NUMBERS = ("DOUBLE", "FLOAT", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER")
_DAYS = ("DATE", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S")

_FEW = 200


@dataclass(frozen=True)
class WholeFile:
    """A Parquet file whose columns are known: role (ticker, date, open and so on) to the column's own name."""

    path: Path
    columns: Mapping[str, str]

    def row(self) -> str:
        """The file as SQL: ticker, session and figures, numbers as DOUBLE, a figure that is not in the file as NULL."""
        figures = [
            f"{_quoted(self.columns[name])}::DOUBLE AS {name}" if name in self.columns else f"NULL::DOUBLE AS {name}" for name in _FIGURES
        ]
        ticker, session = (_quoted(self.columns[role]) for role in ("ticker", "date"))
        return f"SELECT {ticker} AS ticker, {session}::DATE AS session, {', '.join(figures)} FROM read_parquet($path)"


@dataclass(frozen=True)
class CleanRows:
    """Rows of a file that can be stored as they stand: those of `tickers`, of which nothing is stored yet.

    Attributes:
        left_out: the file's other tickers.
        last: later sessions are left out.
        known_at: the UTC instant from which they are known here.
    """

    file: WholeFile
    tickers: tuple[str, ...]
    left_out: tuple[str, ...]
    source: str
    last: dt.date
    known_at: dt.datetime


def described(con: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    """Column names of a Parquet file and their types."""
    with database_errors(path):
        found = con.execute("DESCRIBE SELECT * FROM read_parquet($path)", {"path": str(path)}).fetchall()
    return {name: kind for name, kind, *_ in found}


def can_be_taken_whole(types: Mapping[str, str], columns: Mapping[str, str]) -> bool:
    """Whether the file's columns say what they mean: names as text, dates as dates without a zone, numbers as numbers."""
    figures = [types[columns[name]] in _NUMBERS for name in _FIGURES if name in columns]
    return types[columns["ticker"]] == "VARCHAR" and types[columns["date"]] in _DAYS and all(figures)


def names_in(con: duckdb.DuckDBPyConnection, file: WholeFile) -> pd.DataFrame:
    """Every name in the ticker column, how many rows it has, and whether each has a date; a missing name is a row too."""
    dated = "bool_and(session IS NOT NULL AND isfinite(session)) AS dated"
    sql = f"SELECT ticker, count(*) AS rows, {dated} FROM ({file.row()}) GROUP BY ticker"
    with database_errors(file.path):
        return con.execute(sql, {"path": str(file.path)}).df()


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
        with database_errors(file.path):
            con.execute("CREATE TEMP TYPE asked_ticker AS ENUM (SELECT ticker FROM asked ORDER BY place)")
            values = {"path": str(file.path), "day": as_of.day, "since": asked["since"].dt.date.tolist()}
            found = con.execute(sql, values).fetchnumpy()
            con.execute("DROP TYPE asked_ticker")
    finally:
        con.unregister("asked")
    return histories_of(found, tuple(asked["ticker"]))


def insert_clean(con: duckdb.DuckDBPyConnection, clean: CleanRows, run_id: str) -> int:
    """Store the rows as first revisions, inside the transaction that is open; says how many."""
    con.register("clean_tickers", pd.DataFrame({"ticker": list(clean.tickers)}, dtype=str))
    columns = ", ".join(f"f.{name}" for name in ("ticker", "session", *_FIGURES))
    # Few are left out, as a rule: then a filter keeps the file's order and takes a quarter less time than the join.
    few = len(clean.left_out) <= _FEW
    chosen = "WHERE NOT list_contains($left_out::VARCHAR[], f.ticker)" if few else "SEMI JOIN clean_tickers USING (ticker) WHERE true"
    found = f"({clean.file.row()}) AS f {chosen} AND f.session <= $last"
    sql = f"INSERT INTO prices SELECT {columns}, NULL, $source, 0, $now, $run FROM {found}"
    now = clean.known_at.replace(tzinfo=None)
    values = {"path": str(clean.file.path), "source": clean.source, "now": now, "run": run_id, "last": clean.last}
    ((rows,),) = con.execute(sql, values | ({"left_out": list(clean.left_out)} if few else {})).fetchall()
    con.unregister("clean_tickers")
    return int(rows)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
