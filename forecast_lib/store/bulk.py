"""A whole Parquet file of many tickers into the store, without a row passing through Python.

Most tickers of a clean file break no rule. One pass over the file, in its own order, finds those that certainly do not: their rows
can be stored as they stand, from file to table. Every other ticker, however slight the suspicion, goes the way of single tickers
(`prices.checks`), which gives the reasons; so the rules are decided in one place, and this one only says for whom they need
not be asked. A ticker is also left to that way where anything is stored for it: revisions are found there.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd

from forecast_lib.store.border import database_errors

__all__ = ["CleanRows", "Limits", "WholeFile", "can_be_taken_whole", "described", "insert_clean", "screened", "stored_tickers"]

_FIGURES = ("open", "high", "low", "close", "adj_close", "volume")
_NUMBERS = ("DOUBLE", "FLOAT", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER")

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
        return f"SELECT {ticker} AS ticker, {session} AS session, {', '.join(figures)} FROM read_parquet($path)"


@dataclass(frozen=True)
class Limits:
    """Below these a row is beyond suspicion; taken from the rules of `prices.checks`."""

    tolerance: float
    largest_price: float
    jump: float
    frozen_sessions: int


@dataclass(frozen=True)
class CleanRows:
    """Rows of a file that can be stored as they stand: those of `tickers`, of which nothing is stored yet.

    Attributes:
        left_out: the file's other tickers.
        known_at: the UTC instant from which they are known here.
    """

    file: WholeFile
    tickers: tuple[str, ...]
    left_out: tuple[str, ...]
    source: str
    known_at: dt.datetime


def described(con: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    """Column names of a Parquet file and their types."""
    with database_errors(path):
        found = con.execute("DESCRIBE SELECT * FROM read_parquet($path)", {"path": str(path)}).fetchall()
    return {name: kind for name, kind, *_ in found}


def can_be_taken_whole(types: Mapping[str, str], columns: Mapping[str, str]) -> bool:
    """Whether the file's columns say what they mean: names as text, dates as dates, numbers as numbers."""
    figures = [types[columns[name]] in _NUMBERS for name in _FIGURES if name in columns]
    return types[columns["ticker"]] == "VARCHAR" and types[columns["date"]] == "DATE" and all(figures)


def screened(con: duckdb.DuckDBPyConnection, file: WholeFile, sessions: pd.DatetimeIndex, limits: Limits) -> pd.DataFrame:
    """Every ticker of the file, and whether it is beyond suspicion.

    Beyond suspicion is a ticker that stands in one block, one row for each session from its first to its last, oldest first,
    whose rows keep every row rule, never jump, are never repeated or frozen, and always have a volume above zero or none at all.

    Args:
        sessions: of the exchange, as far as they are known at the as-of; all tickers are held against these.

    Returns:
        ticker, rows, first and last (sessions), clean; in the order of their names. A missing name is a row too.
    """
    con.register("known_sessions", pd.DataFrame({"session": sessions, "place": range(len(sessions))}))
    prices = [name for name in _FIGURES[:-1] if name in file.columns]
    tolerance = f"{1 + limits.tolerance!r}"
    broken = [
        "close IS NULL",
        *(f"{name} <= 0 OR {name} > {limits.largest_price!r}" for name in prices),
        *(
            f"{low} > {high} * {tolerance}"
            for low, high in (("low", "open"), ("low", "close"), ("low", "high"), ("open", "high"), ("close", "high"))
        ),
        "volume <= 0 OR isinf(volume) OR isnan(volume)",
    ]
    beside = [
        f"abs(ln(close / before.close)) > {limits.jump!r}",
        "close = before.close AND (close = before.earlier OR (open = before.open AND high = before.high AND low = before.low))",
        "session <= before.session",
    ]
    sql = f"""
        WITH rows AS (
            SELECT *, {{
                'ticker': lag(ticker) OVER (), 'session': lag(session) OVER (), 'open': lag(open) OVER (), 'high': lag(high) OVER (),
                'low': lag(low) OVER (), 'close': lag(close) OVER (), 'earlier': lag(close, {limits.frozen_sessions - 1}) OVER ()
            }} AS before
            FROM ({file.row()})
        )
        SELECT
            ticker, count(*) AS rows, min(session) AS first, max(session) AS last,
            count(*) FILTER (WHERE coalesce(before.ticker <> ticker, true)) = 1
                AND NOT coalesce(bool_or({" OR ".join(f"({each})" for each in broken)}), false)
                AND NOT coalesce(bool_or({" OR ".join(f"({each})" for each in beside)}) FILTER (WHERE before.ticker = ticker), false)
                AND bool_and(session IS NOT NULL AND isfinite(session)) AS tidy
        FROM rows
        GROUP BY ticker
    """
    in_session = f"SELECT ticker, count(*) AS on_sessions FROM ({file.row()}) SEMI JOIN known_sessions USING (session) GROUP BY ticker"
    whole = f"""
        SELECT s.ticker, s.rows, s.first, s.last,
            coalesce(s.tidy AND i.on_sessions = s.rows AND b.place - a.place + 1 = s.rows, false) AS clean
        FROM ({sql}) AS s
        LEFT JOIN ({in_session}) AS i USING (ticker)
        LEFT JOIN known_sessions AS a ON a.session = s.first
        LEFT JOIN known_sessions AS b ON b.session = s.last
        ORDER BY s.ticker
    """
    with database_errors(file.path):
        return con.execute(whole, {"path": str(file.path)}).df()


def insert_clean(con: duckdb.DuckDBPyConnection, clean: CleanRows, run_id: str) -> int:
    """Store the rows as first revisions, inside the transaction that is open; says how many."""
    con.register("clean_tickers", pd.DataFrame({"ticker": list(clean.tickers)}, dtype=str))
    columns = ", ".join(f"f.{name}" for name in ("ticker", "session", *_FIGURES))
    # Few are left out, as a rule: then a filter keeps the file's order and takes a quarter less time than the join.
    few = len(clean.left_out) <= _FEW
    chosen = "WHERE NOT list_contains($left_out::VARCHAR[], f.ticker)" if few else "SEMI JOIN clean_tickers USING (ticker)"
    sql = f"INSERT INTO prices SELECT {columns}, NULL, $source, 0, $now, $run FROM ({clean.file.row()}) AS f {chosen}"
    now = clean.known_at.replace(tzinfo=None)
    values = {"path": str(clean.file.path), "source": clean.source, "now": now, "run": run_id}
    ((rows,),) = con.execute(sql, values | ({"left_out": list(clean.left_out)} if few else {})).fetchall()
    con.unregister("clean_tickers")
    return int(rows)


def stored_tickers(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Tickers of which there is anything in the store that a fetch is judged by."""
    sql = "SELECT ticker FROM prices UNION SELECT ticker FROM corporate_actions UNION SELECT ticker FROM quarantined_prices"
    return {ticker for (ticker,) in con.execute(sql).fetchall()}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
