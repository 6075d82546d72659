"""What a reader gets from a file of DuckDB, all by one engine: to start one takes forty times as long as to
attach a file to it.
"""

import functools
from collections.abc import Mapping
from pathlib import Path

import duckdb

__all__ = ["published", "rows"]


@functools.cache
def _engine() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def rows(file: Path, sql: str, values: Mapping[str, object] | None = None) -> list[tuple]:
    """What a query of the file answers; nothing is open afterwards."""
    con = _engine()
    con.execute("ATTACH $file AS seen (READ_ONLY)", {"file": str(file)})
    try:
        con.execute("USE seen")
        return con.execute(sql, dict(values or {})).fetchall()
    finally:
        con.execute("USE memory")
        con.execute("DETACH seen")


def published(workspace: Path, sql: str, values: Mapping[str, object] | None = None) -> list[tuple]:
    """As `rows`, of what a workspace has published."""
    return rows(workspace / "published.duckdb", sql, values)
