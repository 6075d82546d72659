"""What a source says anew: rows that the tables lack, and rows that differ from their newest revision.

A past that changed is never written over: it is appended, under the next revision number.
"""

import contextlib
from collections.abc import Collection, Iterator

import duckdb
import pandas as pd

from forecast_lib.domain import AsOf
from forecast_lib.tables import TABLES, typed

__all__ = ["TOLERANCE", "diff_actions", "diff_covariates", "diff_events", "diff_prices"]

TOLERANCE = 1e-6
"""Relative difference up to which two numbers are the same: sources round, and undoing a split costs the last
digits.
"""

_COMPARED_NUMBERS = ("open", "high", "low", "close", "volume")


def diff_prices(con: duckdb.DuckDBPyConnection, fetched: pd.DataFrame, as_of: AsOf) -> pd.DataFrame:
    """The fetched rows that are new or differ from the newest stored revision of their ticker and session.

    Open, high, low, close and volume are compared within TOLERANCE, the currency exactly; a missing value
    equals a missing value. A change of `adj_close` alone is none.

    Args:
        fetched: good rows: the columns of `prices` without revision, known_at and run_id; one row per ticker
            and session.
        as_of: its `now` becomes `known_at`.

    Returns:
        Columns of `prices` without run_id, ordered by ticker and session; revision is 0 for a new row, else
        one more than stored.
    """
    values = [
        column for column in TABLES["prices"].columns if column not in ("revision", "known_at", "run_id")
    ]
    same = " AND ".join(
        [*(_same(column) for column in _COMPARED_NUMBERS), "f.currency IS NOT DISTINCT FROM s.currency"]
    )
    sql = f"""
        WITH stored AS (
            SELECT p.* FROM prices AS p
            SEMI JOIN (SELECT ticker, session::DATE AS session FROM fetched) USING (ticker, session)
            QUALIFY row_number() OVER (PARTITION BY p.ticker, p.session ORDER BY p.revision DESC) = 1
        )
        SELECT {", ".join(f"f.{column}" for column in values)}, coalesce(s.revision + 1, 0) AS revision,
            $now AS known_at
        FROM fetched AS f LEFT JOIN stored AS s ON s.ticker = f.ticker AND s.session = f.session::DATE
        WHERE s.ticker IS NULL OR NOT ({same})
        ORDER BY f.ticker, f.session
    """
    with _registered(con, fetched):
        return typed("prices", con.execute(sql, {"now": as_of.now.replace(tzinfo=None)}).df())


def diff_actions(con: duckdb.DuckDBPyConnection, fetched: pd.DataFrame, as_of: AsOf) -> pd.DataFrame:
    """The fetched dividends and splits that are new, or whose value differs from the one learned last by more
    than TOLERANCE; or that a source now lists, where they had been inferred.

    Args:
        fetched: columns ticker, session, kind, value and source (missing: the run's own); one row per ticker,
            session and kind.
        as_of: its `now` becomes `known_at`.

    Returns:
        Columns of `corporate_actions` without run_id, ordered by ticker, session and kind.
    """
    sql = f"""
        WITH stored AS (
            SELECT * FROM corporate_actions SEMI JOIN (SELECT ticker FROM fetched) USING (ticker)
            QUALIFY row_number() OVER (PARTITION BY ticker, session, kind ORDER BY known_at DESC,
                rowid DESC) = 1
        )
        SELECT f.ticker, f.session, f.kind, f.value, $now AS known_at, f.source
        FROM fetched AS f LEFT JOIN stored AS s ON s.ticker = f.ticker AND s.session = f.session::DATE
            AND s.kind = f.kind
        WHERE s.ticker IS NULL OR NOT ({_same("value")})
            OR (s.source = 'inferred' AND f.source IS DISTINCT FROM 'inferred')
        ORDER BY f.ticker, f.session, f.kind
    """
    with _registered(con, fetched):
        return typed("corporate_actions", con.execute(sql, {"now": as_of.now.replace(tzinfo=None)}).df())


def diff_covariates(con: duckdb.DuckDBPyConnection, found: pd.DataFrame, as_of: AsOf) -> pd.DataFrame:
    """The values that are new, or differ from the newest stored revision by more than TOLERANCE, or were
    announced at another time.

    Args:
        found: name, ticker, session, value, announced_at and source; one row per name, ticker and session.
        as_of: its `now` becomes `known_at`.

    Returns:
        Columns of `covariates` without run_id, ordered by name, ticker and session.
    """
    same = f"{_same('value')} AND f.announced_at IS NOT DISTINCT FROM s.announced_at"
    return _diff_named(con, "covariates", "name", found, same, as_of)


def diff_events(
    con: duckdb.DuckDBPyConnection, found: pd.DataFrame, as_of: AsOf, sources: Collection[str]
) -> pd.DataFrame:
    """The dates that are new, given up, listed again, or were announced at another time or with another
    value; and those that no source said before that still counts.

    Args:
        found: kind, ticker, session, expected, announced_at, value and source; one row per kind, ticker and
            session.
        as_of: its `now` becomes `known_at`.
        sources: that count.

    Returns:
        Columns of `events` without run_id, ordered by kind, ticker and session.
    """
    same = (
        f"f.expected = s.expected AND f.announced_at IS NOT DISTINCT FROM s.announced_at AND {_same('value')}"
        " AND s.source IN (SELECT unnest($sources::VARCHAR[]))"
    )
    return _diff_named(con, "events", "kind", found, same, as_of, sources=sorted(sources))


def _diff_named(
    con: duckdb.DuckDBPyConnection,
    table: str,
    name: str,
    found: pd.DataFrame,
    same: str,
    as_of: AsOf,
    **values: object,
) -> pd.DataFrame:
    columns = [column for column in TABLES[table].columns if column not in ("revision", "known_at", "run_id")]
    sql = f"""
        WITH stored AS (
            SELECT * FROM {table} SEMI JOIN (SELECT DISTINCT {name} FROM fetched) USING ({name})
            QUALIFY row_number() OVER (PARTITION BY {name}, ticker, session ORDER BY revision DESC) = 1
        )
        SELECT {", ".join(f"f.{column}" for column in columns)}, coalesce(s.revision + 1, 0) AS revision,
            $now AS known_at
        FROM fetched AS f LEFT JOIN stored AS s
            ON s.{name} = f.{name} AND s.ticker = f.ticker AND s.session = f.session::DATE
        WHERE s.ticker IS NULL OR NOT ({same})
        ORDER BY f.{name}, f.ticker, f.session
    """
    with _registered(con, found):
        return typed(table, con.execute(sql, {"now": as_of.now.replace(tzinfo=None), **values}).df())


def _same(column: str) -> str:
    fetched, stored = f"f.{column}", f"s.{column}"
    close = f"abs({fetched} - {stored}) <= {TOLERANCE} * greatest(abs({fetched}), abs({stored}))"
    return f"({fetched} IS NOT DISTINCT FROM {stored} OR coalesce({close}, false))"


@contextlib.contextmanager
def _registered(con: duckdb.DuckDBPyConnection, fetched: pd.DataFrame) -> Iterator[None]:
    con.register("fetched", fetched)
    try:
        yield
    finally:
        with contextlib.suppress(duckdb.Error):
            con.unregister("fetched")
