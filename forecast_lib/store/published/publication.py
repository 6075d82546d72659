"""How readers get the tables: built beside, audited, swapped in whole.

Readers never open the file that runs write. A publication is another file with the tables and views of the
working database; it is held against the original, closed, synced and opened again before it takes the name
`published.duckdb` in one step. A reader who has the previous file open keeps reading it; whoever opens next
gets the new one. (Within one process DuckDB hands out an open file again by its path: a program that stays on
must close its connection to see the next publication.)

Rows are written once: the snapshot of a publication is the same file under a second name, which stays when
the next publication takes the first one. Damage to the published file reaches its snapshot, but neither the
snapshots before it nor the working database, which holds the same rows in a file of its own.
"""

import contextlib
import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from forecast_lib.errors import AuditFailed, FatalError, StoreDamaged, UsageError
from forecast_lib.store.disk import ledger
from forecast_lib.store.disk.border import database_errors, disk_errors
from forecast_lib.store.disk.copying import AT_ONCE, BLOCK, Piece, copy_bytes, link_into_place
from forecast_lib.store.disk.faults import Reached, go_on
from forecast_lib.store.disk.files import (
    PUBLISHED,
    PUBLISHED_MODE,
    SNAPSHOTS,
    SPARE,
    STORAGE_VERSION,
    WORKING,
    move_into_place,
    remove_leftovers,
    sync_folder,
    temporary_name,
    wal_of,
)
from forecast_lib.store.disk.spare import leave_spare
from forecast_lib.store.working import migrations

__all__ = [
    "attached",
    "copy_rows",
    "fingerprints",
    "has_our_format",
    "list_snapshots",
    "lost_lines",
    "prepared",
    "publish",
    "published_runs",
    "snapshot_path",
]

_SNAPSHOT_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z_[A-Za-z0-9][A-Za-z0-9._-]{0,120}", re.ASCII)
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "512MB",  # else what was read stays in memory, most of the machine's
    "threads": 2,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}

_ROW_GROUP = 122_880
"""Rows at most that DuckDB writes together."""

Fingerprints = dict[str, tuple[int, int, int]]


def publish(workspace: Path, run_id: str, keep: int, *, reached: Reached = go_on) -> Path:
    """Put the working database's tables before the readers, as `prepared` says."""
    with prepared(workspace, run_id, reached=reached) as show:
        return show(keep)


@contextlib.contextmanager
def prepared(workspace: Path, run_id: str, *, reached: Reached = go_on) -> Iterator[Callable[[int], Path]]:
    """Build and audit the next publication beside what the block does; readers go on with the previous one
    until the function that the block gets is called, and beyond the block if it is not.

    The caller holds the workspace, has closed the working database, and opens no other in the block. Of what
    was copied before (`ahead`) only what has changed since is copied.

    Args:
        run_id: the run that is published; it must be stored.
        reached: called at the named points of the publication.

    Yields:
        A function that waits for it and puts it before the readers: of how many snapshots stay, this
        publication's among them; it returns the path of the published file.

    Raises:
        AuditFailed: the copy is not what is stored, or has no forecasts of one run; readers keep the previous
            publication.
        StoreDamaged: the working database cannot be read to its end.
        WorkspaceBusy: another process has the working database open.
        OutOfSpace: the disk is full.
    """
    target = workspace / PUBLISHED
    built = temporary_name(target)
    remove_leftovers(workspace, but=built)

    def show(keep: int) -> Path:
        snapshot = audited.result()
        with disk_errors(target):
            _keep_snapshot(workspace, built, snapshot)
            reached("before replace")
            move_into_place(built, target, PUBLISHED_MODE)
            reached("after replace")
        _prune(workspace, keep)
        return target

    with ThreadPoolExecutor(1) as thread:
        audited = thread.submit(_built_and_audited, workspace, built, run_id, reached)
        try:
            yield show
        finally:
            wait([audited])
            built.unlink(missing_ok=True)
            wal_of(built).unlink(missing_ok=True)


def _built_and_audited(workspace: Path, built: Path, run_id: str, reached: Reached) -> str:
    """The name of the snapshot of what is now in the file."""
    with disk_errors(workspace / PUBLISHED), _engine() as con:
        made = _build(con, built, workspace / WORKING)
        reached("built")
        before = _read_before(workspace, run_id)
        snapshot = _audit(con, built, workspace / WORKING, made, run_id, before)
        reached("audited")
        return snapshot


@contextlib.contextmanager
def attached(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that has the file attached read-only, as the database in use; DuckDB's errors inside the
    block come out as ours. Nothing is written beside it.
    """
    with _engine() as con, _looking_at(con, path):
        yield con


def _engine() -> contextlib.closing[duckdb.DuckDBPyConnection]:
    """DuckDB without a file, which writes none: to start it takes forty times as long as to attach one."""
    return contextlib.closing(duckdb.connect(config={**_SETTINGS, "temp_directory": ""}))


@contextlib.contextmanager
def _looking_at(con: duckdb.DuckDBPyConnection, path: Path) -> Iterator[None]:
    with database_errors(path):
        con.execute("ATTACH $path AS looked_at (READ_ONLY)", {"path": str(path)})
        con.execute("USE looked_at")
        yield
        con.execute("USE memory")
        con.execute("DETACH looked_at")


def fingerprints(
    con: duckdb.DuckDBPyConnection, database: str, begins: Mapping[str, int] | None = None
) -> Fingerprints:
    """Row count and two order-free hashes of each table of an attached database; reads every block of every
    table.

    Args:
        begins: of the tables that are read alone, the number of the first row that is; None for all of all.
    """
    tables = "SELECT table_name FROM duckdb_tables() WHERE database_name = $database ORDER BY 1"
    sums: Fingerprints = {}
    for (table,) in con.execute(tables, {"database": database}).fetchall():
        if begins is not None and table not in begins:
            continue
        sql = (
            "SELECT count(*), coalesce(bit_xor(hash(t)), 0), coalesce(sum(hash(t)), 0) FROM"
            f' {database}."{table}" AS t'
        )
        if begins is not None and begins[table]:
            sql += f" WHERE rowid >= {begins[table]}"
        count, xor, total = con.execute(sql).fetchall()[0]
        sums[table] = (int(count), int(xor), int(total))
    return sums


def list_snapshots(workspace: Path) -> tuple[str, ...]:
    """Names of the kept snapshots, newest first; a name begins with the UTC time of the run it was published
    by.
    """
    names = [path.stem for path in (workspace / SNAPSHOTS).glob("*.duckdb")]
    return tuple(sorted(filter(_SNAPSHOT_NAME.fullmatch, names), reverse=True))


def published_runs(workspace: Path) -> tuple[str, ...]:
    """The runs in the tables that readers see, oldest first; none where nothing is published or it cannot be
    read.
    """
    path = workspace / PUBLISHED
    with contextlib.suppress(FatalError):
        if path.is_file():
            now = path.stat()
            return _runs_in(path, (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns))
    return ()


@functools.lru_cache(maxsize=1)
def _runs_in(path: Path, _: tuple[int, ...]) -> tuple[str, ...]:
    """A run asks three times, and each publication is a new file."""
    with attached(path) as con:
        runs = con.execute("SELECT run_id FROM runs ORDER BY finished_at, run_id").fetchall()
    return tuple(run for (run,) in runs)


def lost_lines(published: Iterable[str], known: ledger.Ledger) -> tuple[str, ...]:
    """The published runs (`published_runs`) that the ledger does not record, though a run is published only
    after its line was written.

    The file was deleted, emptied, or cut short since: its next reader must not take it for whole.
    """
    named = {run for entry in known.entries for run in (entry.get("run_id"), *entry.get("lost", ()))}
    return tuple(run for run in published if run not in named)


def snapshot_path(workspace: Path, name: str) -> Path:
    """File of a kept snapshot.

    Raises:
        UsageError: there is no snapshot of that name; lists those there are.
    """
    kept = list_snapshots(workspace)
    if name.removesuffix(".duckdb") not in kept:
        raise UsageError(
            f"snapshot {ascii(name)[:150]} is not kept: expected one of"
            f" {', '.join(kept) or 'none, there are no snapshots'}"
        )
    return workspace / SNAPSHOTS / f"{name.removesuffix('.duckdb')}.duckdb"


@dataclass(frozen=True)
class _Built:
    """How the next publication was made.

    Attributes:
        originals: the fingerprints of what it was copied from, where that was done row by row.
        exact: where it was done byte by byte, whether it reads as what it was copied from.
        whole: and whether each block of that is what DuckDB wrote.
        changed_ns: when the file was written to last.
    """

    originals: Fingerprints | None
    exact: bool
    whole: bool
    changed_ns: int


def _build(con: duckdb.DuckDBPyConnection, built: Path, working: Path) -> _Built:
    """The working database's tables in a new file.

    A database that was closed well is one file, and is copied as such: for 25 million rows that takes a
    second, where writing them anew takes ten. One that was not (a write-ahead log lies beside it), or
    that an earlier Tickercast made in a storage format that older clients cannot read, is copied row by
    row.
    """
    if not wal_of(working).exists():
        with _looking_at(con, working):
            ours = _in_our_format(con)
        if ours:
            blocks = _Blocks()
            exact = copy_bytes(working, built, blocks.see)
            return _Built(None, exact, blocks.whole, built.stat().st_mtime_ns)
    built.unlink(missing_ok=True)
    originals = copy_rows(working, built)
    return _Built(originals, False, False, built.stat().st_mtime_ns)


def has_our_format(path: Path) -> bool:
    """Whether clients since DuckDB 1.1 can read the file."""
    with attached(path) as con:
        return _in_our_format(con)


def _in_our_format(con: duckdb.DuckDBPyConnection) -> bool:
    tags = con.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'looked_at'").fetchall()
    return bool(tags[0][0]["storage_version"].startswith(STORAGE_VERSION))


def copy_rows(working: Path, built: Path) -> Fingerprints:
    """Write every row of a working database, in its order, into a new file; the fingerprints of the
    originals.
    """
    config = {**_SETTINGS, "storage_compatibility_version": STORAGE_VERSION}
    with database_errors(built), contextlib.closing(duckdb.connect(str(built), config=config)) as con:
        with database_errors(working):
            con.execute("ATTACH $path AS original (READ_ONLY)", {"path": str(working)})
            migrations.copy_record(con, "original")
            tables = (
                "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
                " AND table_name <> 'schema_migrations' ORDER BY table_oid"
            )
            for (table,) in con.execute(tables).fetchall():
                con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM original.{table}")
            originals = fingerprints(con, "original")
            con.execute("DETACH original")
        con.execute("CHECKPOINT")
    return originals


class _Blocks:
    """Whether each block of a database file that is seen piece by piece (`copying.write_same`) is what DuckDB
    wrote: it begins with the checksum of the rest.

    Should another release of DuckDB count in another way, none is whole by this.
    """

    def __init__(self) -> None:
        self.whole, self._first = True, True
        self._products = np.empty((AT_ONCE // BLOCK, BLOCK // 8), "<u8")

    def see(self, piece: Piece) -> None:
        """The next piece of the file."""
        if self._first:
            self._first = False
        elif len(piece) % BLOCK:
            self.whole = False
        else:
            words = piece.view("<u8").reshape(-1, BLOCK // 8)
            products = self._products[: len(words)]
            np.multiply(words, np.uint64(0xBF58476D1CE4E5B9), out=products)
            checksums = np.bitwise_xor.reduce(products[:, 1:], axis=1) ^ np.uint64(5381)
            self.whole = self.whole and np.array_equal(checksums, words[:, 0])


@dataclass(frozen=True)
class _ReadBefore:
    """What an earlier publication has read to its end.

    Attributes:
        tables: those in which no run wrote since the last publication.
        new_runs: the runs since; None where the ledger, which would tell, does not.
    """

    tables: Collection[str] = ()
    new_runs: Sequence[str] | None = None


def _read_before(workspace: Path, run_id: str) -> _ReadBefore:
    try:
        recorded = ledger.read(workspace).runs()
    except StoreDamaged:
        return _ReadBefore()
    shown = published_runs(workspace)
    if run_id not in recorded or not shown:
        return _ReadBefore()
    new = [run for run in recorded if run not in shown]
    old = {table for run in recorded if run in shown for table in recorded[run]["rows"]}
    return _ReadBefore(old - {table for run in new for table in recorded[run]["rows"]}, new)


def _first_unread(con: duckdb.DuckDBPyConnection, before: _ReadBefore) -> dict[str, int]:
    """By table that is not known to be good the first row that is to be read: of rows that only ever follow
    others, one of the row group before the new ones, for DuckDB may have filled that up.
    """
    sql = """
        SELECT table_name, bool_or(column_name = 'run_id') FROM duckdb_columns() JOIN duckdb_tables()
            USING (database_name, table_name)
        WHERE database_name = 'looked_at' GROUP BY 1
    """
    begins = dict[str, int]()
    for table, has_run in con.execute(sql).fetchall():
        if table in before.tables:
            continue
        begins[table] = 0
        if has_run and before.new_runs is not None:
            of_theirs = "run_id IN (SELECT unnest($runs::VARCHAR[]))"
            first = f'SELECT min(rowid) FROM looked_at."{table}" WHERE {of_theirs}'
            ((found,),) = con.execute(first, {"runs": list(before.new_runs)}).fetchall()
            begins[table] = max((found or 0) - _ROW_GROUP, 0)
    return begins


def _audit(
    con: duckdb.DuckDBPyConnection,
    built: Path,
    working: Path,
    made: _Built,
    run_id: str,
    before: _ReadBefore,
) -> str:
    """Open the finished file as a reader would, read it to its end and hold it against the original; name its
    snapshot.

    What was found the same to the byte when it was built, and whole by DuckDB's checksum of every block, and
    was not written to since, needs no second look at the original, and what was read before no further one.
    """
    exact, originals = made.exact and built.stat().st_mtime_ns == made.changed_ns, made.originals
    with _looking_at(con, built):
        whole = exact and made.whole
        copies = fingerprints(con, "looked_at", _first_unread(con, before) if whole else None)
        if not exact and originals is None:
            with attached(working) as other:
                originals = fingerprints(other, "looked_at")
        different = [
            table for table, copy in copies.items() if originals is not None and originals.get(table) != copy
        ]
        if different:
            raise AuditFailed(
                f"nothing was published: the copy of {', '.join(different)} is not what is stored; start"
                " again"
            )
        found = con.execute("SELECT finished_at FROM runs WHERE run_id = $run", {"run": run_id}).fetchall()
        if len(found) != 1:
            raise AuditFailed(
                f"nothing was published: run {run_id} is not stored; the previous publication stays"
            )
        _check_latest(con)
    name = f"{found[0][0]:%Y%m%dT%H%M%SZ}_{run_id}"
    if not _SNAPSHOT_NAME.fullmatch(name):
        raise AuditFailed(
            f"nothing was published: run_id {run_id!r} cannot be part of a file name: expected letters,"
            " digits . _ -"
        )
    return name


def _check_latest(con: duckdb.DuckDBPyConnection) -> None:
    newest = con.execute(
        "SELECT run_id FROM runs WHERE kind = 'nightly' AND status <> 'failed' ORDER BY finished_at DESC,"
        " run_id DESC LIMIT 1"
    ).fetchall()
    shown = con.execute("SELECT DISTINCT run_id FROM latest_forecasts").fetchall()
    if shown != newest:
        raise AuditFailed(
            f"nothing was published: latest_forecasts shows {len(shown)} runs, expected the newest nightly"
            f" run, {newest[0][0] if newest else 'none'}; the previous publication stays"
        )


def _keep_snapshot(workspace: Path, built: Path, name: str) -> None:
    folder = workspace / SNAPSHOTS
    folder.mkdir(exist_ok=True)
    remove_leftovers(folder)
    link_into_place(built, folder / f"{name}.duckdb", PUBLISHED_MODE)


def _prune(workspace: Path, keep: int) -> None:
    """Only the last ones stay; of the others one is left to build the next publication in."""
    for name in reversed(list_snapshots(workspace)[keep:]):
        leave_spare(snapshot_path(workspace, name), workspace / SPARE)
    sync_folder(workspace)
    sync_folder(workspace / SNAPSHOTS)
