"""What the next run does about one that died: says so in the ledger, and removes what it left half built.

Nothing else is needed. The lock went with the process, its transaction was never committed or is in the
tables, its weights are named by nothing, and readers kept the publication before it.
"""

import contextlib
import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from forecast_lib.errors import StoreDamaged
from forecast_lib.jobs.workspace import models_folder
from forecast_lib.store.disk import ledger
from forecast_lib.store.disk.files import LEDGER, SNAPSHOTS, remove_leftovers
from forecast_lib.store.disk.lock import Left, hold_workspace
from forecast_lib.store.published.publication import lost_lines, published_runs

__all__ = ["hold", "ledger_loss", "take_over"]


@contextlib.contextmanager
def hold(workspace: Path, run_id: str, now: dt.datetime, say: Callable[[str], object]) -> Iterator[None]:
    """Keep every other run out for the length of the block; first clean up behind a run that died here.

    Args:
        now: UTC time.
        say: told, in one sentence, of a run that died.

    Raises:
        WorkspaceBusy: another run holds the workspace.
    """
    with hold_workspace(workspace, run_id, started=now) as left:
        if left is not None:
            say(take_over(workspace, left, now))
        if lost := ledger_loss(workspace):
            say(f"{lost}; it is rebuilt from the database")
        yield


def ledger_loss(workspace: Path) -> str:
    """A sentence for people where the ledger lacks runs that are published; empty where it is whole, or
    damaged, which is an error.
    """
    try:
        lost = lost_lines(published_runs(workspace), ledger.read(workspace))
    except StoreDamaged:
        return ""
    return (
        f"{LEDGER} lacks {len(lost)} of the published runs, {lost[-1]} among them: it was deleted or cut"
        " short"
        if lost
        else ""
    )


def take_over(workspace: Path, left: Left, now: dt.datetime) -> str:
    """Note the death in the ledger and remove half-built files; the caller holds the workspace.

    Returns:
        A sentence for people.
    """
    before = _half_built(workspace)
    for path in _named_by_nobody(workspace):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    for folder in (workspace, workspace / SNAPSHOTS):
        remove_leftovers(folder)
    removed = sum(not path.exists() for path in before)
    line = {
        "kind": ledger.DIED,
        "run": left.run,
        "pid": left.pid,
        "started": left.started,
        "found_at": now.isoformat(),
    }
    with contextlib.suppress(StoreDamaged):  # of the ledger: the run that comes will say so
        ledger.append(workspace, line)
    files = f"; {removed} half-built files removed" if removed else ""
    return (
        f"run {left.run}, process {left.pid}, died before it ended{files}; this run goes on from what was"
        " stored"
    )


def _half_built(workspace: Path) -> list[Path]:
    return [
        *_named_by_nobody(workspace),
        *workspace.glob("*.next-*"),
        *(workspace / SNAPSHOTS).glob("*.next-*"),
    ]


def _named_by_nobody(workspace: Path) -> list[Path]:
    """Weights, and folders of pages, that were being written or replaced."""
    reports = workspace / "reports"
    return [*models_folder(workspace).glob(".*.tmp"), *reports.glob(".*.new"), *reports.glob(".*.old")]
