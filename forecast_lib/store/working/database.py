"""The working database: opened by one run at a time, checked against the ledger, written in one transaction a
run.

Two habits of DuckDB shape this file. Asked to open a missing file, it makes a new one and deletes the
write-ahead log that was left: so existence is checked first, and a new file is built aside and moved into
place. And a COMMIT after an error rolls back without a word: so nothing is committed after an error, and what
a run stored is counted afterwards, from the tables.
"""

import contextlib
import datetime as dt
import filecmp
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from forecast_lib.domain import AsOf
from forecast_lib.errors import AuditFailed, LedgerMismatch, StoreDamaged
from forecast_lib.store.disk import ledger
from forecast_lib.store.disk.border import database_errors, disk_errors
from forecast_lib.store.disk.copying import copy_into_place
from forecast_lib.store.disk.faults import Reached, go_on
from forecast_lib.store.disk.files import (
    LEDGER,
    PUBLISHED,
    PUBLISHED_MODE,
    SNAPSHOTS,
    STORAGE_VERSION,
    WORKING,
    WORKING_MODE,
    move_into_place,
    remove_leftovers,
    temporary_name,
    wal_of,
)
from forecast_lib.store.published import publication
from forecast_lib.store.working import appending, audits, migrations, new_rows
from forecast_lib.store.working.appending import THREADS, Arriving, Connection
from forecast_lib.tables import REPLACED, TABLES

__all__ = ["Connection", "check_against_ledger", "counts_by_run", "knows_later", "open_working", "record_run"]

_SETTINGS: Mapping[str, str | int | bool] = {
    "storage_compatibility_version": STORAGE_VERSION,
    "memory_limit": "512MB",  # then DuckDB spills to disk
    "checkpoint_threshold": "0B",  # a commit writes its rows into the file, and not into a log first
    "threads": THREADS,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


@contextlib.contextmanager
def open_working(workspace: Path, now: dt.datetime) -> Iterator[Connection]:
    """The workspace's working database, open for reading and writing; made on first use, upgraded when older.

    The caller holds the workspace (`lock.hold_workspace`). Every run of the ledger is in the tables with all
    its rows, and every run of the tables is in the ledger: one that was committed just before its process
    died is entered now. Errors of DuckDB inside the block come out as ours. Another thread takes a `cursor()`
    of the connection: two that connect disturb each other (DuckDB 2.0 then lacks its own functions for a
    moment).

    Args:
        now: UTC time, recorded with the schema files that are applied.

    Raises:
        StoreDamaged: the file is missing though runs were stored, or cannot be read.
        LedgerMismatch: it lacks rows that the ledger records.
        SchemaTooNew: a newer Tickercast made it.
        WorkspaceBusy: another process has it open.
        OutOfSpace: the disk is full.
    """
    path = workspace / WORKING
    remove_leftovers(workspace)
    known = ledger.read(workspace)
    with database_errors(path), disk_errors(path):
        if not path.exists():
            _refuse_to_start_empty(workspace, known)
            _create(path, now)
    with database_errors(path), contextlib.closing(_up_to_date(path, now)) as con:
        check_against_ledger(con, known)
        published = publication.published_runs(workspace)
        _check_against_publication(con, published)
        _enter_unreported(con, workspace, known, published, now)
        yield con


def record_run(
    con: Connection,
    frames: Mapping[str, pd.DataFrame],
    *,
    clean: new_rows.CleanRows | None = None,
    arriving: Arriving | None = None,
    look: Callable[[Connection], object] = lambda con: None,
    reached: Reached = go_on,
) -> dict[str, Any]:
    """Append everything that one run made, in one transaction, once the audits allow it.

    Only of the tables in `REPLACED` the rows of earlier runs go where the run has rows of its own.

    Args:
        frames: by table name, columns in any order; `runs` has exactly one row, and every other row was
            written by that run. Where `source` is left out, it is the run's: no row is without a word on
            whether its prices are real.
        clean: prices that were found to be clean without a frame, for the same transaction, beside those of
            the frames.
        arriving: rows of a table without a frame, which are in the transaction already, or on their way.
        look: called inside the transaction with its connection, to read what is stored by now and the run's
            own rows, which are all in and not audited yet; nothing is stored where it fails.
        reached: called at the named points of the write.

    Returns:
        The line for the ledger: run_id, kind, finished_at, status, rows by table, prices_hash,
            forecasts_hash, to be appended.

    Raises:
        AuditFailed: a table or a rule is broken; nothing was stored.
    """
    run = _only_run(frames)
    in_order = dict.fromkeys([*(table for table in TABLES if table in frames), *frames])
    source = str(run["source"].iloc[0])
    checked = {table: appending.checked(table, frames[table], source) for table in in_order}
    run_id = str(run["run_id"].iloc[0])
    with appending.transaction(con) if arriving is None else arriving.transaction() as writing:
        expected = {table: len(rows) for table, rows in checked.items() if table not in REPLACED}
        if arriving is not None:
            expected[arriving.table] = len(arriving)
        # First, into a table that the transaction has not touched: DuckDB 2.0 loses a large INSERT that
        # follows an empty one.
        if clean is not None:
            # Millions at once: each of two threads fills row groups of its own, in three fifths of the time.
            appending.use_threads(writing, THREADS)
            expected["prices"] = expected.get("prices", 0) + new_rows.insert_clean(writing, clean, run_id)
            appending.use_threads(writing, 1)
        for table, rows in checked.items():
            if len(rows) and table in REPLACED:
                writing.execute(f"DELETE FROM {table}")
            appending.append(writing, table, rows)
            reached(f"appended {table}")
        appending.use_threads(writing, THREADS)
        look(writing)
        written = _check_writer(writing, run_id, expected)
        audits.check_run(writing, run_id, written)
        reached("before commit")
    reached("after commit")
    return _ledger_entry(con, run_id, written)


def counts_by_run(con: Connection, only: str | None = None) -> dict[str, dict[str, int]]:
    """Rows that each run wrote, by run and table; tables without a row of the run are left out.

    Args:
        only: the run that is asked about; every one when not given.
    """
    present = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
    ).fetchall()
    sql = " UNION ALL ".join(
        f"SELECT writer, '{table}', count(*) FROM ({rows})"
        " WHERE $only IS NULL OR writer = $only GROUP BY writer"
        for table, rows in audits.WRITERS.items()
        if (table,) in present  # not all are in a snapshot of an older schema
    )
    counts: dict[str, dict[str, int]] = {}
    for run_id, table, count in con.execute(sql, {"only": only}).fetchall() if sql else ():
        counts.setdefault(run_id, {})[table] = count
    return counts


def check_against_ledger(con: Connection, known: ledger.Ledger) -> None:
    """Make sure that every run of the ledger is in the tables with all its rows.

    Raises:
        LedgerMismatch: names the first run that is not, and how many there are.
    """
    stored = counts_by_run(con)
    short = [
        f"run {run_id} has {stored.get(run_id, {}).get(table, 0)} of {count} rows in {table}"
        for run_id, entry in known.runs().items()
        for table, count in entry["rows"].items()
        if stored.get(run_id, {}).get(table, 0) != count
    ]
    if short:
        more = f" ({len(short) - 1} more like it)" if len(short) > 1 else ""
        raise LedgerMismatch(
            f"{WORKING} lacks what {LEDGER} records: {short[0]}{more}; run `tickercast restore`"
        )


def knows_later(con: Connection, as_of: AsOf) -> bool:
    """Whether prices are stored that are known only after `as_of`: the clock has gone back since."""
    ((latest,),) = con.execute("SELECT max(known_at) FROM prices").fetchall()
    return latest is not None and latest > as_of.known_at.replace(tzinfo=None)


def _check_against_publication(con: Connection, published: Sequence[str]) -> None:
    """Make sure that what readers see is stored, also where the ledger, which would tell, is lost itself.

    Raises:
        LedgerMismatch: the database is older than the publication.
    """
    stored = {run_id for (run_id,) in con.execute("SELECT run_id FROM runs").fetchall()}
    short = [run_id for run_id in published if run_id not in stored]
    if short:
        raise LedgerMismatch(
            f"{WORKING} lacks run {short[-1]}, which {PUBLISHED} shows: it is older; run `tickercast restore`"
        )


def _connect(path: Path) -> Connection:
    return duckdb.connect(str(path), config={**_SETTINGS})


def _refuse_to_start_empty(workspace: Path, known: ledger.Ledger) -> None:
    signs = [
        (f"{LEDGER} records finished runs", bool(known.runs())),
        (f"{PUBLISHED} is there", (workspace / PUBLISHED).exists()),
        (f"its write-ahead log {WORKING}.wal is there", wal_of(workspace / WORKING).exists()),
        (f"{SNAPSHOTS}/ holds snapshots", any((workspace / SNAPSHOTS).glob("*.duckdb"))),
    ]
    for sign, found in signs:
        if found:
            raise StoreDamaged(f"{workspace / WORKING} is missing, but {sign}: run `tickercast restore`")


def _create(path: Path, now: dt.datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    built = temporary_name(path)
    built.unlink(missing_ok=True)
    with contextlib.closing(_connect(built)) as con:
        migrations.upgrade(con, migrations.released(), now)
    move_into_place(built, path, WORKING_MODE)


def _up_to_date(path: Path, now: dt.datetime) -> Connection:
    """A connection to the file, once it has what it lacked: new schema files, after a copy was put among the
    snapshots, or views that changed, which hold no rows.
    """
    with contextlib.ExitStack() as failing:
        con = failing.enter_context(contextlib.closing(_connect(path)))
        missing = migrations.pending(con, migrations.released())
        if not missing and not migrations.views_differ(con):
            failing.pop_all()
            return con
    with disk_errors(path):
        if missing:
            _keep_older(path, missing[0].version, now)
        with contextlib.closing(_connect(path)) as con:
            migrations.upgrade(con, missing, now)
    return _connect(path)


def _keep_older(path: Path, version: int, now: dt.datetime) -> None:
    """Put a copy of the file among the snapshots; a failed attempt's copy serves the next one too."""
    snapshots = path.parent / SNAPSHOTS
    snapshots.mkdir(exist_ok=True)
    label = f"before-schema-{version}.duckdb"
    if not any(filecmp.cmp(path, copy, shallow=False) for copy in snapshots.glob(f"*_{label}")):
        copy_into_place(path, snapshots / f"{now:%Y%m%dT%H%M%SZ}_{label}", PUBLISHED_MODE)


def _enter_unreported(
    con: Connection, workspace: Path, known: ledger.Ledger, published: Sequence[str], now: dt.datetime
) -> None:
    reported = known.runs()
    if lost := publication.lost_lines(published, known):
        ledger.append(workspace, {"kind": ledger.REBUILT, "at": now.isoformat(), "runs": len(lost)})
    for (run_id,) in con.execute("SELECT run_id FROM runs ORDER BY finished_at, run_id").fetchall():
        if run_id not in reported:
            rows = counts_by_run(con, run_id)[run_id]
            ledger.append(workspace, {**_ledger_entry(con, run_id, rows), "entered_late": True})


def _ledger_entry(con: Connection, run_id: str, rows: Mapping[str, int]) -> dict[str, Any]:
    sql = "SELECT kind, status, finished_at, prices_hash, forecasts_hash FROM runs WHERE run_id = $run"
    kind, status, finished_at, prices_hash, forecasts_hash = con.execute(sql, {"run": run_id}).fetchall()[0]
    return {
        "run_id": run_id,
        "kind": kind,
        "status": status,
        "finished_at": finished_at.isoformat() + "Z",
        "rows": rows,
        "prices_hash": prices_hash,
        "forecasts_hash": forecasts_hash,
    }


def _only_run(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    run = frames.get("runs")
    if run is None or len(run) != 1:
        raise AuditFailed(
            f"nothing was stored: expected one row of runs, got {0 if run is None else len(run)}"
        )
    return run


def _check_writer(con: Connection, run_id: str, expected: Mapping[str, int]) -> dict[str, int]:
    """The rows that the run wrote, by table: as many as were given."""
    stored = counts_by_run(con, run_id).get(run_id, {})
    for table, rows in expected.items():
        if stored.get(table, 0) != rows:
            raise AuditFailed(
                f"run {run_id} was not stored: {table} has {stored.get(table, 0)} rows written by it,"
                f" {rows} were given: expected a new run and only its own rows"
            )
    return stored
