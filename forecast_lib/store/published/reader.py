"""Reading the published tables, locked down: for `tickercast sql`, notebooks and the report.

A connection of this module can read the one file and nothing else: no other file, no network, no extension,
no setting. DuckDB itself does not call that a sandbox; strangers belong in another operating-system user.
This module loads neither pandera nor TensorFlow.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pandas as pd

from forecast_lib.errors import StoreDamaged, UsageError
from forecast_lib.store.disk.border import database_errors, disk_errors, first_line
from forecast_lib.store.disk.files import PUBLISHED, temporary_name

__all__ = ["TIMEOUT_S", "data_dictionary", "open_published", "query", "write_parquet"]

TIMEOUT_S = 60.0
"""Seconds after which a query is stopped, unless told otherwise."""

_LOCKED_DOWN: Mapping[str, str] = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "memory_limit": "1GB",
    "threads": "2",
    "temp_directory": "",  # spills nothing to disk: a reader may not be allowed to write beside the file
    "lock_configuration": "true",
}

# A PIVOT is several statements to DuckDB, which hides a type for its columns among them; the file is
# read-only for all of them.
_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI)

_LONGEST_MESSAGE = 500

_DAMAGED = ("Corrupt database file", "Could not read enough bytes")

_DICTIONARY = """
WITH objects AS (
    SELECT table_name AS object, 'table' AS kind, comment FROM duckdb_tables() WHERE NOT internal
    UNION ALL
    SELECT view_name, 'view', comment FROM duckdb_views() WHERE NOT internal
    UNION ALL
    SELECT function_name || '(' || array_to_string(parameters, ', ') || ')', 'macro', comment
    FROM duckdb_functions() WHERE NOT internal
),
columns AS (
    SELECT table_name AS object, column_index, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal
)
SELECT o.object, o.kind, c.column_name AS column, c.data_type AS type, c.comment
FROM (
    SELECT object, 0 AS column_index, NULL AS column_name, NULL AS data_type, comment FROM objects
    UNION ALL
    SELECT * FROM columns
) AS c
JOIN objects AS o USING (object)
ORDER BY array_position(['table', 'view', 'macro'], o.kind), o.object, c.column_index
"""


@contextlib.contextmanager
def open_published(where: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A locked-down, read-only connection to the published tables.

    Args:
        where: a workspace, or a published file or snapshot itself.

    Raises:
        UsageError: nothing is published there yet.
        StoreDamaged: the file cannot be read; DuckDB's errors inside the block come out like this too.
    """
    path = where if where.is_file() else where / PUBLISHED
    if not path.is_file():
        raise UsageError(
            f"nothing is published in {where}: expected {PUBLISHED}; run `tickercast nightly` first"
        )
    with database_errors(path), contextlib.closing(_connect(path)) as con:
        yield con


def query(
    where: Path, sql: str, max_rows: int | None = None, *, timeout_s: float = TIMEOUT_S
) -> pd.DataFrame:
    """The answer to one SELECT (or VALUES, SHOW, DESCRIBE, SUMMARIZE, PIVOT, EXPLAIN) on the published
    tables.

    Args:
        where: as in `open_published`.
        max_rows: at most so many rows, the first ones; None for all.
        timeout_s: seconds after which the query is stopped.

    Raises:
        UsageError: not one reading statement, wrong SQL, something that is locked, too slow or too large;
            says which, in one line.
        StoreDamaged: the file cannot be read.
    """
    with open_published(where) as con:
        _refuse_other_statements(sql)
        with _stopped_after(con, timeout_s):
            with _user_errors(timeout_s):
                answer = con.sql(sql)
            with _user_errors(timeout_s, own_lines=max_rows is None):
                return (answer if max_rows is None else answer.limit(max_rows)).df()


def data_dictionary(where: Path) -> pd.DataFrame:
    """Every table, view and macro with its columns and their comments, as the database has them.

    Returns:
        object, kind (table, view, macro), column, type, comment; the row without a column describes the
        object itself.
    """
    with open_published(where) as con:
        return con.execute(_DICTIONARY).df()


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame to one Parquet file, replaced whole if it exists."""
    built = temporary_name(path)
    try:
        with database_errors(path), disk_errors(path):
            with contextlib.closing(duckdb.connect()) as con:
                con.from_df(frame).write_parquet(str(built), compression="zstd")
            built.replace(path)
    finally:
        built.unlink(missing_ok=True)


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(path), read_only=True, config=dict(_LOCKED_DOWN))
    except duckdb.ConnectionException as error:
        raise UsageError(
            f"{path} is open in this program with other settings: close that connection first"
        ) from error


def _refuse_other_statements(sql: str) -> None:
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise UsageError(f"the SQL cannot be read: {_with_hints(error)}") from error
    if len(statements) != 1:
        raise UsageError(f"expected one SQL statement, got {len(statements)}: ask one question at a time")
    kind = statements[0].type
    if kind not in _READING:
        raise UsageError(
            f"{kind.name} is not allowed: the published tables are read-only; ask with SELECT, DESCRIBE or"
            " SUMMARIZE"
        )


def _with_hints(error: duckdb.Error, *, own_lines: bool = True) -> str:
    """DuckDB's message in one line, with the names that it proposes instead, and the line that it means where
    there are several.

    >>> _with_hints(duckdb.Error('no table "fore"!\\nDid you mean "forecasts"?\\n\\nLINE 2: FROM fore\\n             ^'))
    'no table "fore"! Did you mean "forecasts"? (line 2)'
    """
    said, _, where = str(error).partition("\n\nLINE ")
    text = " ".join(said.split()).removesuffix(".")
    shown = text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]} …"
    line = where.partition(":")[0]
    return shown if not own_lines or line in ("", "1") else f"{shown} (line {line})"


@contextlib.contextmanager
def _stopped_after(con: duckdb.DuckDBPyConnection, timeout_s: float) -> Iterator[None]:
    timer = threading.Timer(timeout_s, con.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@contextlib.contextmanager
def _user_errors(timeout_s: float, *, own_lines: bool = True) -> Iterator[None]:
    """Errors that the user's SQL causes, as UsageError; a damaged file stays a damaged file.

    Args:
        own_lines: DuckDB counts the lines of the user's text, not of a query that it stands in.
    """
    try:
        yield
    except duckdb.InterruptException as error:
        raise UsageError(
            f"the query took longer than {timeout_s:g} s and was stopped: ask for less"
        ) from error
    except duckdb.OutOfMemoryException as error:
        raise UsageError(
            f"the query needs more memory than {_LOCKED_DOWN['memory_limit']}: ask for less"
        ) from error
    except duckdb.Error as error:
        if isinstance(error, (duckdb.InternalException, duckdb.FatalException)) or any(
            sign in str(error) for sign in _DAMAGED
        ):
            raise StoreDamaged(
                f"the published file is damaged: {first_line(error)}; run `tickercast restore`"
            ) from error
        raise UsageError(f"the SQL cannot be answered: {_with_hints(error, own_lines=own_lines)}") from error
