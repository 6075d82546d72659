"""SHA-256 over what a table says, whatever the order of its rows and wherever it is stored.

Two workspaces that saw the same prices get the same hash: run names, revision numbers and times of learning are left out.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import AsOf
from forecast_lib.store.histories import OLDER_LEFT_OUT
from forecast_lib.windows.histories import Histories

__all__ = ["content_hash", "forecasts_hash", "prices_hash"]

_FIGURES = ("open", "high", "low", "close", "volume")


def prices_hash(con: duckdb.DuckDBPyConnection, tickers: Sequence[str], as_of: AsOf, new: Histories | None = None) -> str | None:
    """SHA-256 in hex over the prices that a run sees: what is stored, as it was known, overlaid with what is new tonight.

    Counted are session, open, high, low, close, volume and currency of each ticker's rows, bit by bit. `adj_close` is left out: the
    source rewrites it with every dividend, and nothing is forecast from it. DuckDB makes 64 bits of each row, and each ticker's rows
    enter by their number, their sum and their exclusive or: so millions of stored rows need not leave the database, and it is all the
    same which of them are stored and which are new. Another version of DuckDB may make other bits of the same row.

    Args:
        new: rows that are not stored yet; they take the place of stored ones of the same session.

    Returns:
        None where there is not a row.
    """
    later = Histories.none() if new is None else new
    digests = {ticker: digest for ticker, *digest in _stored_digests(con, tickers, as_of, later)}
    for ticker, *digest in _new_digests(con, later):
        digests[ticker] = _joined(digests.get(ticker, [0, 0, 0]), digest)
    if not digests:
        return None
    lines = [json.dumps([ticker, *digests[ticker]]) for ticker in sorted(digests)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _joined(one: list[int], other: list[int]) -> list[int]:
    return [one[0] + other[0], one[1] ^ other[1], one[2] + other[2]]


def _digested(ticker: str, session: str, currency: str, rows: str) -> str:
    """SQL for the number of rows, exclusive or and sum of a ticker's rows."""
    figures = ", ".join(f"coalesce({name} + 0.0, 'nan'::DOUBLE)" for name in _FIGURES)  # -0.0 + 0.0 is 0.0
    row = f"SELECT {ticker} AS ticker, hash({session}, {figures}, {currency}) AS digest FROM {rows}"
    return f"SELECT ticker, count(*), bit_xor(digest), sum(digest) FROM ({row}) GROUP BY ticker"


def _stored_digests(con: duckdb.DuckDBPyConnection, tickers: Sequence[str], as_of: AsOf, later: Histories) -> list[tuple[Any, ...]]:
    """Of the rows that are not replaced by later ones."""
    ((stored, revised),) = con.execute("SELECT count(*) > 0, coalesce(max(revision), 0) > 0 FROM prices").fetchall()
    if not stored:
        return []
    rows = f"""
        prices AS p JOIN asked AS a USING (ticker)
        {OLDER_LEFT_OUT if revised else ""}
        ANTI JOIN taken_over AS t ON t.of = a.of AND t.day = p.session - DATE '1970-01-01'
        WHERE p.known_at <= $known_at AND p.session <= $day
    """
    con.register("asked", pd.DataFrame({"ticker": list(tickers), "of": pd.Index(later.tickers).get_indexer(list(tickers))}))
    con.register("taken_over", pd.DataFrame({"of": later.of, "day": later.sessions.view(np.int64)}, copy=False))
    try:
        values = {"known_at": as_of.known_at.replace(tzinfo=None), "day": as_of.day}
        return con.execute(_digested("p.ticker", "p.session", "p.currency", rows), values).fetchall()
    finally:
        con.unregister("asked")
        con.unregister("taken_over")


def _new_digests(con: duckdb.DuckDBPyConnection, later: Histories) -> list[tuple[Any, ...]]:
    if not len(later):
        return []
    columns = {
        "of": later.of,
        "day": later.sessions.view(np.int64),
        "code": later.currency,
        **{name: later.figures[name] for name in _FIGURES},
    }
    con.register("later", pd.DataFrame(columns, copy=False))
    try:
        sql = _digested("of", "DATE '1970-01-01' + day::INTEGER", "list_extract($codes::VARCHAR[], code::BIGINT + 1)", "later")
        found = con.execute(sql, {"codes": list(later.currencies)}).fetchall()
    finally:
        con.unregister("later")
    return [(later.tickers[of], *digest) for of, *digest in found]


def forecasts_hash(forecasts: pd.DataFrame) -> str:
    """SHA-256 in hex over the forecasts of one run, every column but `run_id`."""
    return content_hash(forecasts.drop(columns="run_id"), ["ticker", "step"])


def content_hash(frame: pd.DataFrame, key: list[str]) -> str:
    """SHA-256 in hex over a frame's columns (name and values), rows in the order of `key`.

    Numbers count bit by bit, except that all NaN are alike and -0.0 is 0.0; a missing text is not the empty text; times count
    in microseconds.

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
