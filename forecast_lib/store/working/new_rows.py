"""New rows of prices on their way into the table as they stand: from columns in memory, and whole tickers
from a Parquet file.

Neither lets a row pass through Python one by one. Which rows may come like this is for the rules to say
(`prices.checks`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd

from forecast_lib.store.parquet import FIGURES_OF_FILE as _FIGURES
from forecast_lib.store.parquet import ParquetColumns
from forecast_lib.windows.histories import Histories

__all__ = ["CleanRows", "WholeTickers", "insert_clean"]

_FEW = 200


@dataclass(frozen=True)
class WholeTickers:
    """All rows of some tickers of a file, up to a day.

    Attributes:
        left_out: the file's other tickers.
        last: later sessions are left out.
        currency: of all of them.
    """

    file: ParquetColumns
    tickers: tuple[str, ...]
    left_out: tuple[str, ...]
    last: dt.date
    currency: str | None = None


@dataclass(frozen=True)
class CleanRows:
    """Rows that can be stored as they stand, as first revisions.

    Attributes:
        rows: from columns in memory, with `adj_close`.
        whole: more rows, from a file to the table; of their tickers nothing is stored yet. None where there
            are none.
        known_at: the UTC instant from which they are known here.
    """

    rows: Histories
    whole: WholeTickers | None
    source: str
    known_at: dt.datetime


def insert_clean(con: duckdb.DuckDBPyConnection, clean: CleanRows, run_id: str) -> int:
    """Store the rows, inside the transaction that is open; says how many."""
    told = {"source": clean.source, "now": clean.known_at.replace(tzinfo=None), "run": run_id}
    from_file = _insert_whole(con, clean.whole, told) if clean.whole is not None else 0
    return from_file + (_insert_rows(con, clean.rows, told) if len(clean.rows) else 0)


def _insert_whole(con: duckdb.DuckDBPyConnection, whole: WholeTickers, told: Mapping[str, object]) -> int:
    con.register("clean_tickers", pd.DataFrame({"ticker": list(whole.tickers)}, dtype=str))
    columns = ", ".join(f"f.{name}" for name in ("ticker", "session", *_FIGURES))
    # Few are left out, as a rule: then a filter keeps the file's order and takes a quarter less time than the
    # join.
    few = len(whole.left_out) <= _FEW
    chosen = (
        "WHERE NOT list_contains($left_out::VARCHAR[], f.ticker)"
        if few
        else "SEMI JOIN clean_tickers USING (ticker) WHERE true"
    )
    found = f"({whole.file.source()}) AS f {chosen} AND f.session <= $last"
    sql = f"INSERT INTO prices SELECT {columns}, $currency, $source, 0, $now, $run FROM {found}"
    values = {"path": str(whole.file.path), "last": whole.last, "currency": whole.currency, **told} | (
        {"left_out": list(whole.left_out)} if few else {}
    )
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
    ((stored,),) = con.execute(
        sql, {"tickers": list(rows.tickers), "codes": list(rows.currencies), **told}
    ).fetchall()
    con.unregister("clean_rows")
    return int(stored)
