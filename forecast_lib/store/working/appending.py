"""Rows on their way into the tables: checked, and appended in a transaction that stores all of a run or
nothing.
"""

import contextlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import duckdb
import numpy as np
import pandas as pd
import pandera.errors

from forecast_lib.errors import AuditFailed
from forecast_lib.store.disk.border import first_line
from forecast_lib.store.working import migrations
from forecast_lib.tables import TABLES, validate

__all__ = ["THREADS", "Arriving", "Connection", "append", "checked", "transaction", "use_threads"]

Connection = duckdb.DuckDBPyConnection
THREADS = 2
_WAITING = 2  # frames that may wait for their turn


def _begin(con: Connection) -> None:
    """Begin a transaction for rows that come in frames.

    One thread fills row group after row group, in the order and however many rows come at once. Two get a
    frame in pieces smaller than a row group, which are written twice: in as much time, with half as much
    again of the processor's.
    """
    use_threads(con, 1)
    con.begin()


def use_threads(con: Connection, count: int) -> None:
    """So many from here on."""
    con.execute("SET threads = $threads", {"threads": count})


@contextlib.contextmanager
def transaction(con: Connection) -> Iterator[Connection]:
    """All of the block is stored, or nothing of it."""
    _begin(con)
    with migrations.ending(con):
        yield con


class Arriving:
    """Rows of one table that are too many to be held until a run is recorded. They go into its transaction as
    they come, by a thread of their own, unseen by whoever reads meanwhile; `database.record_run` puts the
    run's other rows beside them and ends it. A context: nothing is left of them where that did not happen.

    Args:
        con: of the working database, for others to read from.
        source: of the run.
    """

    def __init__(self, con: Connection, table: str, source: str) -> None:
        self.table, self._source = table, source
        self._con, self._thread = con.cursor(), ThreadPoolExecutor(1)
        self._under_way, self._rows, self._open = deque[Future[None]](), 0, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        if self._open:
            with contextlib.suppress(duckdb.Error):  # after a full disk the connection is gone
                self._con.rollback()
        self._con.close()

    def __len__(self) -> int:
        """How many rows have come."""
        return self._rows

    def add(self, frame: pd.DataFrame) -> None:
        """Hand over a frame; waits where more come than can be stored.

        Raises:
            AuditFailed: an earlier frame breaks a rule of the table.
        """
        while len(self._under_way) > _WAITING:
            self._under_way.popleft().result()
        self._under_way.append(self._thread.submit(self._put, frame))
        self._rows += len(frame)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """As `transaction`, with all that has come in it.

        Raises:
            AuditFailed: a frame breaks a rule of the table.
        """
        while self._under_way:
            self._under_way.popleft().result()
        self._begin()
        self._open = False
        with migrations.ending(self._con):
            yield self._con

    def _put(self, frame: pd.DataFrame) -> None:
        self._begin()
        append(self._con, self.table, checked(self.table, frame, self._source))

    def _begin(self) -> None:
        if not self._open:
            _begin(self._con)
            self._open = True


def checked(table: str, frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """The frame as its table wants it; rows without a word on their source are of `source`.

    Raises:
        AuditFailed: there is no such table, or a row breaks one of its rules.
    """
    if table not in TABLES:
        raise AuditFailed(f"{table} is not a table: expected one of {', '.join(TABLES)}")
    if frame.empty:
        return frame
    try:
        return validate(table, _with_source(table, frame, source))
    except pandera.errors.SchemaErrors as error:
        case = error.failure_cases.iloc[0]
        raise AuditFailed(
            f"nothing was stored: {table}.{case['column']} breaks {case['check']} in"
            f" {len(error.failure_cases)} cases, for example {str(case['failure_case'])[:80]!r}"
        ) from error
    except TypeError as error:
        raise AuditFailed(
            f"nothing was stored: {table} has a column of another type: {first_line(error)}"
        ) from error


def _with_source(table: str, frame: pd.DataFrame, source: str) -> pd.DataFrame:
    if table in ("prices", "runs") or "source" not in TABLES[table].columns:
        return frame
    if "source" in frame:
        return frame.assign(source=frame["source"].fillna(source))
    return frame.assign(source=pd.Categorical.from_codes(np.zeros(len(frame), np.int8), [source]))


def append(con: Connection, table: str, arriving: pd.DataFrame) -> None:
    """Append a checked frame; the name comes from TABLES. Sessions with a time of day are refused, not cut.

    DuckDB finds the frame by the argument's name. One that is registered is held until the transaction ends.

    Raises:
        AuditFailed: a value does not fit.
    """
    if arriving.empty:
        return
    try:
        for column in _dates(con, table):
            sql = f"SELECT count(*) FROM arriving WHERE {column} <> {column}::DATE"
            ((late,),) = con.execute(sql).fetchall()
            if late:
                raise AuditFailed(
                    f"nothing was stored: {table}.{column} has a time of day in {late} rows: expected"
                    " midnight"
                )
        con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM arriving")
    except (duckdb.ConversionException, duckdb.ConstraintException) as error:
        raise AuditFailed(
            f"nothing was stored: {table} has a value that does not fit: {first_line(error)}"
        ) from error


def _dates(con: Connection, table: str) -> list[str]:
    sql = "SELECT column_name FROM duckdb_columns() WHERE table_name = $table AND data_type = 'DATE'"
    found = con.execute(sql, {"table": table})
    return [column for (column,) in found.fetchall()]
