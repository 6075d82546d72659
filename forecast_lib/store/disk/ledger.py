"""What finished runs stored, written down outside the database.

DuckDB opens a file whose write-ahead log was lost without an error, only with fewer rows. The ledger notices:
one JSON line a finished run, written and synced *after* the commit, with the rows it stored. A database that
lacks a run of the ledger has lost something.

Each line carries `check`, the SHA-256 of the previous line's `check` and its own text, so that an altered or
missing line shows. A last line without a line end was cut short by a crash: it records nothing, its run is
still in the database and is entered again there.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecast_lib.errors import OutOfSpace, StoreDamaged
from forecast_lib.store.disk.border import disk_errors
from forecast_lib.store.disk.faults import Reached, go_on
from forecast_lib.store.disk.files import LEDGER, sync_folder

__all__ = ["DIED", "NO_NEW_SESSION", "REBUILT", "RESTORED", "Ledger", "append", "named_runs", "read"]

RESTORED = "restored"
"""Kind of the line that `tickercast restore` writes; its `lost` names the runs that could not be brought
back.
"""
DIED = "died"
"""Kind of the line for a run whose process ended without a word: found, and written, by the run that took the
workspace over.
"""
NO_NEW_SESSION = "no_new_session"
"""Kind of the line for an evening on which a scheduled run found nothing to do."""

REBUILT = "rebuilt"
"""Kind of the line that precedes runs entered anew because the ledger had lost them; its `runs` says how
many.
"""


@dataclass(frozen=True)
class Ledger:
    """The ledger as read.

    Attributes:
        entries: every whole line, oldest first.
        torn: the text of a last line that a crash cut short; empty when there is none.
        size: bytes of the whole lines.
    """

    entries: tuple[dict[str, Any], ...] = ()
    torn: str = ""
    size: int = 0

    def runs(self) -> dict[str, dict[str, Any]]:
        """The runs that the database must hold, by run_id: the finished ones, less those that a restore
        declared lost.
        """
        runs: dict[str, dict[str, Any]] = {}
        for entry in self.entries:
            if entry["kind"] == RESTORED:
                for lost in entry["lost"]:
                    runs.pop(lost, None)
            elif entry["kind"] not in (DIED, NO_NEW_SESSION, REBUILT):
                runs[entry["run_id"]] = entry
        return runs


def read(workspace: Path) -> Ledger:
    """Every entry of the workspace's ledger; an empty one where there is no file.

    Raises:
        StoreDamaged: a line was altered or taken out; names the line.
    """
    path = workspace / LEDGER
    if not path.exists():
        return Ledger()
    whole, _, torn = path.read_bytes().rpartition(b"\n")
    entries: list[dict[str, Any]] = []
    lines = whole.split(b"\n") if whole else []
    for number, line in enumerate(lines, start=1):
        entry = _parsed(line)
        if entry is None or entry.get("check") != _check(entries, entry):
            raise StoreDamaged(
                f"{path} line {number} is damaged: expected JSON that follows the line before it; run"
                " `tickercast restore`"
            )
        entries.append(entry)
    size = len(whole) + 1 if whole else 0
    return Ledger(tuple(entries), torn.decode(errors="replace"), size)


def append(workspace: Path, entry: Mapping[str, Any], *, reached: Reached = go_on) -> None:
    """Write one line and sync it to the disk. The caller holds the workspace.

    Args:
        entry: JSON values; `kind` and, for a run, `run_id` and `rows` (rows stored, by table) are needed.

    Raises:
        OutOfSpace: the disk is full; the ledger is as it was.
        StoreDamaged: see `read`.
    """
    path = workspace / LEDGER
    known = read(workspace)
    line = _line({**entry, "check": _check(list(known.entries), entry)})
    reached("before ledger")
    with disk_errors(path):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.ftruncate(handle, known.size)  # what a crash cut short records nothing
            _write_whole(handle, path, line, known.size)
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_folder(workspace)
    reached("after ledger")


def named_runs(workspace: Path) -> tuple[str, ...]:
    """The run_ids that a ledger names, damaged or not, as far as its lines can be read."""
    path = workspace / LEDGER
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    entries = [entry for entry in map(_parsed, lines) if entry is not None]
    return tuple(dict.fromkeys(str(entry["run_id"]) for entry in entries if "run_id" in entry))


def _write_whole(handle: int, path: Path, line: bytes, size: int) -> None:
    try:
        written = os.write(handle, line)
    except OSError:
        os.ftruncate(handle, size)
        raise
    if written != len(line):
        os.ftruncate(handle, size)
        raise OutOfSpace(
            f"no room to write {path}: the run is stored but not reported; free some space and start again"
        )


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True, default=str).encode() + b"\n"


def _check(before: list[dict[str, Any]], entry: Mapping[str, Any]) -> str:
    previous = before[-1]["check"] if before else ""
    body = {name: value for name, value in entry.items() if name != "check"}
    return hashlib.sha256(previous.encode() + _line(body)).hexdigest()


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "kind" in entry else None
