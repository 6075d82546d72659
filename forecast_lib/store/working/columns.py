"""The prices of many tickers as columns, from the tables or from a file: what a frame a ticker would take
minutes for.

Rows leave DuckDB as arrays, in the order in which they lie there, and are ordered afterwards: they mostly are
already, and DuckDB takes three times as long to order them.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import AsOf
from forecast_lib.windows.histories import FIGURES, Histories

__all__ = ["OLDER_LEFT_OUT", "histories_of", "read_histories"]

Connection = duckdb.DuckDBPyConnection

OLDER_LEFT_OUT = """
    ANTI JOIN (SELECT ticker, session, revision FROM prices WHERE revision > 0 AND known_at <= $known_at) AS newer
        ON newer.ticker = p.ticker AND newer.session = p.session AND newer.revision > p.revision
"""
"""Of the rows `p` of `prices` only each session's newest revision up to `$known_at`."""


def read_histories(
    con: Connection,
    tickers: Sequence[str],
    as_of: AsOf,
    *,
    since: dt.date = dt.date.min,
    only: Collection[str] | None = None,
) -> Histories:
    """Prices as they were known, as `reads.read_prices` has them, without `adj_close`.

    Args:
        since: the first session that is read.
        only: those of the tickers that are read; the others have no rows. None for all.
    """
    asked = pd.DataFrame({"ticker": list(tickers), "place": np.arange(len(tickers), dtype=np.int32)})
    asked = asked if only is None else asked[asked["ticker"].isin(list(only))]
    codes = [
        code
        for (code,) in con.execute(
            "SELECT DISTINCT currency FROM prices WHERE currency IS NOT NULL ORDER BY 1"
        ).fetchall()
    ]
    currency = (
        "coalesce(list_position($codes::VARCHAR[], p.currency), 0)" if codes else "len($codes::VARCHAR[])"
    )
    ((revised,),) = con.execute("SELECT coalesce(max(revision), 0) > 0 FROM prices").fetchall()
    sql = f"""
        SELECT a.place, p.session, {", ".join(f"p.{name}" for name in FIGURES)}, {currency}::SMALLINT AS currency
        FROM prices AS p JOIN asked AS a USING (ticker)
        {OLDER_LEFT_OUT if revised else ""}
        WHERE p.known_at <= $known_at AND p.session BETWEEN $since AND $day
    """
    values = {
        "since": since,
        "codes": codes,
        "known_at": as_of.known_at.replace(tzinfo=None),
        "day": as_of.day,
    }
    con.register("asked", asked)
    try:
        found = con.execute(sql, values).fetchnumpy()
    finally:
        con.unregister("asked")
    return histories_of(found, tickers, codes)


def histories_of(found: Mapping[str, Any], tickers: Sequence[str], codes: Sequence[str] = ()) -> Histories:
    """From columns as DuckDB hands them out: place, session, the figures, and maybe currency (counted from 1,
    0 for none).
    """
    figures = {name: _plain(found[name]) for name in (*FIGURES, "adj_close") if name in found}
    currency = np.asarray(found["currency"]) - np.int16(1) if "currency" in found else None
    of = np.asarray(found["place"]).astype(np.int32, copy=False)
    return Histories.ordered(tickers, of, np.asarray(found["session"]), figures, codes, currency)


def _plain(values: Any) -> NDArray[np.float64]:
    filled = values.filled(np.nan) if isinstance(values, np.ma.MaskedArray) else values
    return np.asarray(filled, dtype=np.float64)
