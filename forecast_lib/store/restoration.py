"""Back to a good state after damage: a kept snapshot becomes the publication, and the working database is
rebuilt where it must be.

A publication holds every base table, so that the working database can be made from it. Its own snapshot is
the same file and damaged with it: then it is made anew from the working database. What the ledger records
beyond what is left is lost, and said so: in the result and in the ledger. Damaged files are never deleted,
only renamed.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forecast_lib.errors import AuditFailed, StoreDamaged, UsageError
from forecast_lib.store.disk import ledger
from forecast_lib.store.disk.border import disk_errors
from forecast_lib.store.disk.copying import copy_into_place
from forecast_lib.store.disk.files import (
    LEDGER,
    PUBLISHED,
    PUBLISHED_MODE,
    WORKING,
    WORKING_MODE,
    put_aside,
    remove_leftovers,
    wal_of,
)
from forecast_lib.store.published.publication import (
    attached,
    fingerprints,
    list_snapshots,
    publish,
    published_runs,
    snapshot_path,
)
from forecast_lib.store.working import database, migrations

__all__ = ["Restored", "restore"]


@dataclass(frozen=True)
class Restored:
    """What `restore` did.

    Attributes:
        published_from: name of the file that the publication was taken from; None where it was left as it is.
        working_from: likewise for the working database.
        lost_runs: runs that had been reported as stored and could not be brought back.
        put_aside: damaged files, under their new names.
    """

    published_from: str | None
    working_from: str | None
    lost_runs: tuple[str, ...]
    put_aside: tuple[Path, ...]

    @property
    def message(self) -> str:
        """One line for the user."""
        parts = [
            f"{name} restored from {source}"
            for name, source in ((PUBLISHED, self.published_from), (WORKING, self.working_from))
            if source is not None
        ]
        if self.put_aside:
            parts.append("damaged files kept as " + ", ".join(path.name for path in self.put_aside))
        if self.lost_runs:
            parts.append(
                f"{len(self.lost_runs)} stored runs could not be brought back: {', '.join(self.lost_runs)}"
            )
        return (
            "; ".join(parts) or "nothing is damaged and nothing was changed: name a snapshot to go back to it"
        )


Recorded = Mapping[str, Mapping[str, int]]
"""The rows by table of every run that the ledger records."""


@dataclass(frozen=True)
class _Copy:
    """A database file that reads whole, and the rows by table of the runs in it."""

    path: Path
    runs: Mapping[str, Mapping[str, int]]

    def lacks(self, recorded: Recorded) -> tuple[str, ...]:
        """The recorded runs that are not here with all their rows."""
        return tuple(
            run
            for run, rows in recorded.items()
            if run not in self.runs
            or any(self.runs[run].get(table, 0) != count for table, count in rows.items())
        )


def restore(workspace: Path, snapshot: str | None, *, now: dt.datetime) -> Restored:
    """Bring back a snapshot as the publication, and rebuild the working database if it is missing or damaged.

    The caller holds the workspace. A sound working database is left alone. A damaged one is rebuilt from
    whichever readable file holds most of the runs that the ledger records, not from the named snapshot.

    Args:
        snapshot: name as `list_snapshots` gives it; None keeps a sound publication and otherwise takes the
            newest snapshot, or, where that was damaged with it, publishes anew what is stored.
        now: UTC time, for the names of the damaged files and the line in the ledger.

    Raises:
        UsageError: no such snapshot, or nothing to restore from.
        StoreDamaged: the snapshot, or every one of them, cannot be read.
        WorkspaceBusy: another process has the working database open.
    """
    named = _named(workspace, snapshot)
    remove_leftovers(workspace)
    aside: list[Path] = []
    with disk_errors(workspace):
        recorded = _recorded_runs(workspace, now, aside)
        working_from, lost = _restore_working(workspace, recorded, now, aside)
        published_from = _restore_published(workspace, named, recorded, now, aside, working_from is None)
    return Restored(published_from, working_from, lost, tuple(aside))


def _named(workspace: Path, snapshot: str | None) -> Path | None:
    if snapshot is None:
        if not list_snapshots(workspace) and not (workspace / PUBLISHED).exists():
            raise UsageError(
                f"{workspace} has neither a publication nor a snapshot: there is nothing to restore"
            )
        return None
    path = snapshot_path(workspace, snapshot)
    if _read_whole(path) is None:
        raise StoreDamaged(f"{path} cannot be read: choose another of {', '.join(list_snapshots(workspace))}")
    return path


def _recorded_runs(workspace: Path, now: dt.datetime, aside: list[Path]) -> Recorded:
    """The runs of the ledger, and those that readers see; a damaged ledger is put aside, and the next opening
    writes a new one.
    """
    shown: Recorded = {run: {"runs": 1} for run in published_runs(workspace)}
    try:
        return {**shown, **{run: entry["rows"] for run, entry in ledger.read(workspace).runs().items()}}
    except StoreDamaged:
        named = ledger.named_runs(workspace)
        _put_aside(workspace / LEDGER, now, aside)
        return {**shown, **{run: {} for run in named}}


def _restore_working(
    workspace: Path, recorded: Recorded, now: dt.datetime, aside: list[Path]
) -> tuple[str | None, tuple[str, ...]]:
    path = workspace / WORKING
    sound = _sound_working(workspace, now)
    if sound is not None and not sound.lacks(recorded):
        return None, ()
    best = _fullest([path, workspace / PUBLISHED, *_snapshots(workspace)], recorded)
    if best.path != path:
        _put_aside(wal_of(path), now, aside)  # first: DuckDB would replay it into the file that comes
        _put_aside(path, now, aside)
        copy_into_place(best.path, path, WORKING_MODE)
    lost = best.lacks(recorded)
    ledger.append(
        workspace, {"kind": ledger.RESTORED, "at": now.isoformat(), "from": best.path.name, "lost": lost}
    )
    return best.path.name if best.path != path else None, lost


def _restore_published(
    workspace: Path,
    named: Path | None,
    recorded: Recorded,
    now: dt.datetime,
    aside: list[Path],
    working_was_sound: bool,
) -> str | None:
    path = workspace / PUBLISHED
    sound = _read_whole(path) is not None
    if named is None and sound:
        return None
    if not sound:
        _put_aside(path, now, aside)
    if named is None and working_was_sound and _published_anew(workspace, now, aside):
        return WORKING
    source = named or _fullest(_snapshots(workspace), recorded).path
    copy_into_place(source, path, PUBLISHED_MODE)
    return source.name


def _published_anew(workspace: Path, now: dt.datetime, aside: list[Path]) -> bool:
    """Publish what is stored, where the newest snapshot cannot be read; whether that could be done."""
    kept = _snapshots(workspace)
    if not kept or _read_whole(kept[0]) is not None:
        return False
    if not any(kept[0].samefile(damaged) for damaged in aside):
        _put_aside(kept[0], now, aside)
    with attached(workspace / WORKING) as con:
        runs = con.execute("SELECT run_id FROM runs ORDER BY finished_at, run_id").fetchall()
    try:
        publish(workspace, runs[-1][0], len(kept) + 1)
    except AuditFailed:  # of a night without any forecast, for example, which is stored and not shown
        return False
    return True


def _sound_working(workspace: Path, now: dt.datetime) -> _Copy | None:
    """The working database, if it opens, holds what the ledger records and reads to its last block."""
    try:
        with database.open_working(workspace, now):
            pass
    except StoreDamaged:
        return None
    return _read_whole(workspace / WORKING)


def _read_whole(path: Path) -> _Copy | None:
    """The file's runs, after every block of every table was read; None where that fails."""
    if not path.exists():
        return None
    try:
        with attached(path) as con:
            migrations.pending(con, migrations.released())
            fingerprints(con, "looked_at")
            return _Copy(path, database.counts_by_run(con))
    except StoreDamaged:
        return None


def _snapshots(workspace: Path) -> list[Path]:
    return [snapshot_path(workspace, name) for name in list_snapshots(workspace)]


def _fullest(paths: Sequence[Path], recorded: Recorded) -> _Copy:
    """The readable file that lacks fewest of the recorded runs, the first of equals."""
    copies = [copy for copy in map(_read_whole, paths) if copy is not None]
    if not copies:
        raise StoreDamaged(
            f"none of {', '.join(path.name for path in paths) or 'the snapshots'} can be read: a backup is"
            " needed"
        )
    return min(copies, key=lambda copy: len(copy.lacks(recorded)))


def _put_aside(path: Path, now: dt.datetime, aside: list[Path]) -> None:
    moved = put_aside(path, f"damaged-{now:%Y%m%dT%H%M%SZ}")
    if moved is not None:
        aside.append(moved)
