"""SHA-256 over what a table says, whatever the order of its rows and wherever it is stored.

Two workspaces that saw the same prices get the same hash: run names, revision numbers and times of learning
are left out.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import AsOf
from forecast_lib.store.working.columns import OLDER_LEFT_OUT
from forecast_lib.windows.histories import Histories

__all__ = ["Digests", "content_hash", "forecasts_hash", "prices_hash", "stored_digests"]

Digests = Mapping[str, tuple[int, int, int]]
"""By ticker: the number of its price rows, the exclusive or of their digests, and their sum."""

_FIGURES = ("open", "high", "low", "close", "volume")

_FEW = 100
"""So many tickers are looked up; of more, those of the whole table are counted, which is faster than looking
each row's up.
"""


def prices_hash(
    con: duckdb.DuckDBPyConnection, stored: Digests, new: Histories, replaced: Histories
) -> str | None:
    """SHA-256 in hex over the prices that a run sees: what is stored, as it was known, overlaid with what is
    new tonight.

    Counted are session, open, high, low, close, volume and currency of each ticker's rows, bit by bit.
    `adj_close` is left out: the source rewrites it with every dividend, and nothing is forecast from it.
    DuckDB makes 64 bits of each row, and each ticker's rows
    enter by their number, their sum and their exclusive or: so millions of stored rows need not leave the
    database, and it is all the same which of them are stored and which are new. Another version of DuckDB may
    make other bits of the same row.

    Args:
        stored: of all stored rows (`stored_digests`).
        new: rows that are not stored yet.
        replaced: the stored rows whose place they take.

    Returns:
        None where there is not a row.
    """
    digests = dict(stored)
    for ticker, rows, xor, total in _digests(con, new):
        before = digests.get(ticker, (0, 0, 0))
        digests[ticker] = (before[0] + rows, before[1] ^ xor, before[2] + total)
    for ticker, rows, xor, total in _digests(con, replaced):
        before = digests[ticker]
        digests[ticker] = (before[0] - rows, before[1] ^ xor, before[2] - total)
    if not digests:
        return None
    lines = [json.dumps([ticker, *digests[ticker]]) for ticker in sorted(digests)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def stored_digests(con: duckdb.DuckDBPyConnection, tickers: Sequence[str], as_of: AsOf) -> Digests:
    """Of the prices of these tickers as they were known; tickers without a row are not among them."""
    few = len(tickers) <= _FEW
    ((revised,),) = con.execute("SELECT coalesce(max(revision), 0) > 0 FROM prices").fetchall()
    rows = f"""
        prices AS p {"SEMI JOIN (SELECT unnest($tickers::VARCHAR[]) AS ticker) AS asked USING (ticker)" if few else ""}
        {OLDER_LEFT_OUT if revised else ""}
        WHERE p.known_at <= $known_at AND p.session <= $day
    """
    values = {"known_at": as_of.known_at.replace(tzinfo=None), "day": as_of.day} | (
        {"tickers": list(tickers)} if few else {}
    )
    found = con.execute(_digested("p.ticker", "p.session", "p.currency", rows), values).fetchall()
    asked = set(tickers)
    return {ticker: (rows, xor, total) for ticker, rows, xor, total in found if ticker in asked}


def _digested(ticker: str, session: str, currency: str, rows: str) -> str:
    """SQL for the number of rows, exclusive or and sum of a ticker's rows."""
    figures = ", ".join(f"coalesce({name} + 0.0, 'nan'::DOUBLE)" for name in _FIGURES)  # -0.0 + 0.0 is 0.0
    row = f"SELECT {ticker} AS ticker, hash({session}, {figures}, {currency}) AS digest FROM {rows}"
    return f"SELECT ticker, count(*), bit_xor(digest), sum(digest) FROM ({row}) GROUP BY ticker"


def _digests(con: duckdb.DuckDBPyConnection, rows: Histories) -> list[tuple[str, int, int, int]]:
    if not len(rows):
        return []
    columns = {
        "of": rows.of,
        "day": rows.sessions.view(np.int64),
        "code": rows.currency,
        **{name: rows.figures[name] for name in _FIGURES},
    }
    con.register("counted", pd.DataFrame(columns, copy=False))
    try:
        sql = _digested(
            "of",
            "DATE '1970-01-01' + day::INTEGER",
            "list_extract($codes::VARCHAR[], code::BIGINT + 1)",
            "counted",
        )
        found = con.execute(sql, {"codes": list(rows.currencies)}).fetchall()
    finally:
        con.unregister("counted")
    return [(rows.tickers[of], *digest) for of, *digest in found]


def forecasts_hash(forecasts: pd.DataFrame) -> str:
    """SHA-256 in hex over the forecasts of one run, every column but `run_id`."""
    return content_hash(forecasts.drop(columns="run_id"), ["ticker", "step"])


def content_hash(frame: pd.DataFrame, key: list[str]) -> str:
    """SHA-256 in hex over a frame's columns (name and values), rows in the order of `key`.

    Numbers count bit by bit, except that all NaN are alike and -0.0 is 0.0; a missing text is not the empty
    text; times count in microseconds.

    >>> a = pd.DataFrame({"ticker": ["B", "A"], "close": [2.0, 1.0]})
    >>> content_hash(a, ["ticker"]) == content_hash(a.iloc[::-1], ["ticker"])
    True
    """
    ordered = frame.sort_values(key, kind="stable")
    digest = hashlib.sha256()
    for name in frame.columns:
        digest.update(json.dumps([name, len(ordered)]).encode())
        _update(digest, ordered[name])
    return digest.hexdigest()


def _update(digest: "hashlib._Hash", column: pd.Series) -> None:
    if pd.api.types.is_datetime64_dtype(column.dtype):
        digest.update(column.astype("datetime64[us]").to_numpy().astype("<i8").tobytes())
    elif pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        digest.update(_number_bytes(column))
    else:
        codes, words = pd.factorize(column, sort=True)  # -1 where the text is missing
        digest.update(json.dumps([str(word) for word in words]).encode())
        digest.update(codes.astype("<i8").tobytes())


def _number_bytes(column: pd.Series) -> bytes:
    """Every number as float64, so that a column of counts is the same with and without missing values."""
    return _plain_numbers(column.to_numpy(dtype="<f8", na_value=np.nan)).tobytes()


def _plain_numbers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    whole = values + 0.0  # -0.0 + 0.0 is 0.0
    whole[np.isnan(whole)] = np.nan
    return whole
