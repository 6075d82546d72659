"""New rows of prices on their way into the table as they stand, from columns in memory: no row passes through
Python one by one.

Which rows may come like this is for the rules to say (`prices.checks`).
"""

import datetime as dt
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd

from forecast_lib.tables import PRICE_VALUES
from forecast_lib.windows.histories import Histories

__all__ = ["CleanRows", "insert_clean"]


@dataclass(frozen=True)
class CleanRows:
    """Rows that can be stored as they stand, as first revisions.

    Attributes:
        rows: with `adj_close`.
        known_at: the UTC instant from which they are known here.
    """

    rows: Histories
    source: str
    known_at: dt.datetime


def insert_clean(con: duckdb.DuckDBPyConnection, clean: CleanRows, run_id: str) -> int:
    """Store the rows, inside the transaction that is open; says how many."""
    rows = clean.rows
    figures = {name: rows.figures[name] for name in PRICE_VALUES}
    columns = {"of": rows.of, "day": rows.sessions.view(np.int64), "code": rows.currency, **figures}
    con.register("clean_rows", pd.DataFrame(columns, copy=False))
    con.register("words", _words(rows).assign(source=clean.source, run_id=run_id))
    sql = f"""
        INSERT INTO prices SELECT
            ticker, DATE '1970-01-01' + day::INTEGER, {", ".join(PRICE_VALUES)},
            currency, source, 0, $now, run_id
        FROM clean_rows JOIN words USING (of, code)
    """
    ((stored,),) = con.execute(sql, {"now": clean.known_at.replace(tzinfo=None)}).fetchall()
    con.unregister("clean_rows")
    con.unregister("words")
    return int(stored)


def _words(rows: Histories) -> pd.DataFrame:
    """Of each pair of `of` and `code` (of the currency) that occurs, the ticker and the currency: DuckDB
    stores words from a joined table in three quarters of the time that constants and lists of words take.
    """
    other = (rows.of[1:] != rows.of[:-1]) | (rows.currency[1:] != rows.currency[:-1])
    begins = np.append(0, np.flatnonzero(other) + 1)
    pairs = pd.DataFrame({"of": rows.of[begins], "code": rows.currency[begins]}).drop_duplicates()
    names, codes = np.array(rows.tickers, dtype=object), np.array([*rows.currencies, None], dtype=object)
    return pairs.assign(
        ticker=pd.array(names[pairs["of"]], dtype="str"), currency=pd.array(codes[pairs["code"]], dtype="str")
    )
