"""Names and careful handling of a workspace's files: written whole, synced, then renamed into place.

Readers may be other users: `published.duckdb` and the snapshots are readable by all (0644), the working file
and the ledger only by their owner (0600), and the workspace folder must let others pass.
"""

import contextlib
import os
import shutil
from pathlib import Path

__all__ = [
    "LEDGER",
    "PUBLISHED",
    "PUBLISHED_MODE",
    "SNAPSHOTS",
    "SPARE",
    "STORAGE_VERSION",
    "WORKING",
    "WORKING_MODE",
    "move_into_place",
    "put_aside",
    "remove_leftovers",
    "sync_file",
    "sync_folder",
    "temporary_name",
    "wal_of",
]

LEDGER = "ledger.jsonl"
PUBLISHED = "published.duckdb"
SNAPSHOTS = "snapshots"
SPARE = "published.duckdb.spare"
WORKING = "working.duckdb"

STORAGE_VERSION = "v1.0.0"
"""DuckDB's storage format of every database file: clients since DuckDB 1.1 read it, where the newest format
shuts out all of 1.x.
"""

PUBLISHED_MODE = 0o644
WORKING_MODE = 0o600


def wal_of(path: Path) -> Path:
    """DuckDB's write-ahead log of a database file: commits that are not yet in the file itself.

    >>> wal_of(Path("w/working.duckdb")).name
    'working.duckdb.wal'
    """
    return path.with_name(path.name + ".wal")


def temporary_name(path: Path) -> Path:
    """Where this process builds the next version of a file, in the same folder."""
    return path.with_name(f"{path.name}.next-{os.getpid()}")


def sync_folder(folder: Path) -> None:
    """Make created, renamed and removed names in the folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move_into_place(built: Path, target: Path, mode: int) -> None:
    """Replace `target` by the finished file `built` in one step: an opener gets the old or the new one, never
    a mixture.
    """
    sync_file(built, mode)
    os.replace(built, target)
    sync_folder(target.parent)


def sync_file(path: Path, mode: int) -> None:
    """Make the finished file and its mode survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(handle, mode)
        os.fsync(handle)
    finally:
        os.close(handle)


def put_aside(path: Path, label: str) -> Path | None:
    """Rename a file to `NAME.LABEL` so that nothing is lost; None where there is no such file."""
    if not path.exists():
        return None
    aside = path.with_name(f"{path.name}.{label}")
    os.replace(path, aside)
    sync_folder(path.parent)
    return aside


def remove_leftovers(folder: Path, but: Path | None = None) -> None:
    """Remove what processes that died left of unfinished files (`*.next-PID` and their write-ahead logs).

    Args:
        but: one that stays.
    """
    for path in folder.glob("*.next-*"):
        if path == but:
            continue
        owner = path.name.rpartition(".next-")[2].partition(".")[0]
        if not owner.isdigit() or not _is_alive(int(owner)):
            _remove(path)


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # one process builds one file at a time: an older one of ours is unfinished
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
