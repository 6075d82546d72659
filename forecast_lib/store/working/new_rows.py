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
    sql = f"""
        INSERT INTO prices SELECT
            list_extract($tickers::VARCHAR[], of + 1), DATE '1970-01-01' + day::INTEGER,
            {", ".join(PRICE_VALUES)},
            list_extract($codes::VARCHAR[], code::BIGINT + 1), $source, 0, $now, $run
        FROM clean_rows
    """
    told = {
        "tickers": list(rows.tickers),
        "codes": list(rows.currencies),
        "source": clean.source,
        "run": run_id,
    }
    ((stored,),) = con.execute(sql, {**told, "now": clean.known_at.replace(tzinfo=None)}).fetchall()
    con.unregister("clean_rows")
    return int(stored)
