"""The working database written anew, so that it holds nothing but its rows: copy, audit, swap.

A file that grows by a few thousand rows a night keeps blocks that are half empty. Until the last moment the
old file is the working database; a process that dies leaves it as it was, and the next one removes the
unfinished copy.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from forecast_lib.errors import AuditFailed, StoreDamaged
from forecast_lib.store.disk.border import disk_errors
from forecast_lib.store.disk.faults import Reached, go_on
from forecast_lib.store.disk.files import WORKING, WORKING_MODE, move_into_place, temporary_name, wal_of
from forecast_lib.store.published import publication
from forecast_lib.store.working import database

__all__ = ["Compacted", "compact"]


@dataclass(frozen=True)
class Compacted:
    """Bytes of the working database before and after; the same where the copy was not smaller and the file
    was left alone.
    """

    before: int
    after: int


def compact(workspace: Path, now: dt.datetime, *, reached: Reached = go_on) -> Compacted:
    """Write the working database anew, and take the copy where it is smaller, or has a format that more
    clients read. The caller holds the workspace.

    Needs as much room beside the database as it takes itself.

    Args:
        now: UTC time, as for `database.open_working`.
        reached: called at the named points.

    Raises:
        AuditFailed: the copy is not what is stored; the database was left as it was.
        OutOfSpace: there is no room for the copy; likewise.
        StoreDamaged: see `database.open_working`.
    """
    path = workspace / WORKING
    # takes in a write-ahead log, and checks against the ledger
    with database.open_working(workspace, now) as con:
        con.execute("CHECKPOINT")
    if wal_of(path).exists():
        raise StoreDamaged(f"{path} was not closed well: its write-ahead log stays; run `tickercast doctor`")
    built, before = temporary_name(path), path.stat().st_size
    try:
        with disk_errors(path):
            originals = publication.copy_rows(path, built)
            reached("copied")
            with publication.attached(built) as con:
                copies = publication.fingerprints(con, "looked_at")
            if copies != originals:
                raise AuditFailed(
                    f"{WORKING} was not compacted: the copy is not what is stored; it was left as it was"
                )
            reached("audited")
            if built.stat().st_size >= before and publication.has_our_format(path):
                return Compacted(before, before)
            move_into_place(built, path, WORKING_MODE)
            reached("swapped")
    finally:
        built.unlink(missing_ok=True)
        wal_of(built).unlink(missing_ok=True)
    return Compacted(before, path.stat().st_size)
