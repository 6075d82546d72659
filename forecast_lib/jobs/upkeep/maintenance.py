"""What a workspace no longer needs is removed by policy, and the working database written anew.

Tables are never touched: every price, forecast and model's row stays. What goes are files: weights that
nothing within the kept days can ask for any more, and the pages of old runs. An evening older than that
can still be run again; its models are then trained anew.
"""

import datetime as dt
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from forecast_lib.config import Policy
from forecast_lib.errors import UsageError
from forecast_lib.jobs.workspace import models_folder
from forecast_lib.store.disk.files import WORKING
from forecast_lib.store.disk.lock import hold_workspace
from forecast_lib.store.published import publication
from forecast_lib.store.working import database, reads
from forecast_lib.store.working.compaction import Compacted, compact

__all__ = ["Maintained", "Removal", "maintain", "weights_to_keep"]

REPORTS = "reports"


@dataclass(frozen=True)
class Removal:
    """A file or folder that goes: where it lies in the workspace, its size, and why nothing needs it."""

    path: str
    bytes: int
    why: str


@dataclass(frozen=True)
class Maintained:
    """What was done, or, of a dry run, what would be.

    Attributes:
        models, reports: how many files of weights and pages stay.
        compacted: of the working database; None of a dry run, and where there is none.
    """

    dry_run: bool
    removed: tuple[Removal, ...]
    models: int
    reports: int
    compacted: Compacted | None = None

    @property
    def message(self) -> str:
        """One line for people."""
        freed = sum(each.bytes for each in self.removed) / 1e6
        done = (
            f"{'would remove' if self.dry_run else 'removed'} {len(self.removed)} files and folders,"
            f" {freed:.1f} MB"
        )
        stays = f"{self.models} models and {self.reports} reports stay"
        if self.compacted is None:
            return f"{done}; {stays}"
        return (
            f"{done}; {stays}; {WORKING} {self.compacted.before / 1e6:.1f} MB, now"
            f" {self.compacted.after / 1e6:.1f} MB"
        )


def maintain(workspace: Path, policy: Policy, now: dt.datetime, *, dry_run: bool = False) -> Maintained:
    """Prune models and reports, then compact the working database; alone in the workspace.

    Killed at any moment, it leaves a workspace that works: files go one by one, and none of them is needed.

    Args:
        now: UTC time; the kept days end here.
        dry_run: only say what would go.

    Raises:
        UsageError: there is no such workspace.
        WorkspaceBusy: a run works in it.
        StoreDamaged: the working database is not sound; nothing was removed.
    """
    if not (workspace / WORKING).is_file():
        raise UsageError(f"{workspace} has no {WORKING}: there is nothing to maintain; give --workspace DIR")
    with hold_workspace(workspace, "maintenance", started=now):
        with database.open_working(workspace, now) as con:
            models, runs, answers = (
                reads.read_table(con, table) for table in ("models", "runs", "run_tickers")
            )
        shown = publication.list_snapshots(workspace)
        start = now - dt.timedelta(days=policy.models_days)
        kept = weights_to_keep(models, runs, answers, start, [_published_at(name) for name in shown])
        weights, models_stay = _old_weights(
            models_folder(workspace), kept, set(models["weights_sha256"]), start
        )
        pages, reports_stay = _old_reports(
            workspace / REPORTS, runs, {name.partition("_")[2] for name in shown}, policy.reports
        )
        removed = tuple(_removal(workspace, path, why) for path, why in (*weights, *pages))
        if dry_run:
            return Maintained(True, removed, models_stay, reports_stay)
        for path, _ in (*weights, *pages):
            _remove(path)
        return Maintained(False, removed, models_stay, reports_stay, compact(workspace, now))


def weights_to_keep(
    models: pd.DataFrame,
    runs: pd.DataFrame,
    answers: pd.DataFrame,
    start: dt.datetime,
    shown_at: Iterable[pd.Timestamp],
) -> set[str]:
    """SHA-256 of the weights that may still be asked for.

    - every model trained for an evening since `start`, or by a run started since then;
    - of each kind (ticker, variant, settings) the newest promoted one before that: the oldest kept evening
      starts from it, and so does the next night of a ticker that was not trained since;
    - the models that answer in the publication and in each snapshot;
    - all that these descend from: a fine-tune can be done again, and a ticker's model may refer to the pool
      it started from.

    Args:
        models, runs, answers: rows of `models`, `runs` and `run_tickers`, in the order of storing.
        start: UTC time at which the kept days begin.
        shown_at: UTC times of the kept snapshots.
    """
    started = models["run_id"].map(runs.set_index("run_id")["started_at"])
    since = pd.Timestamp(start).tz_localize(None)
    recent = (models["trained_as_of"] >= since.normalize()) | (started >= since)
    before = models[~recent & models["promoted"]]
    newest = before["trained_as_of"] == before.groupby(["ticker", "variant", "config"])[
        "trained_as_of"
    ].transform("max")
    needed = {
        *models.loc[recent, "model_id"],
        *before.loc[newest, "model_id"],
        *_answering(runs, answers, shown_at),
    }
    return set(models.loc[models["model_id"].isin(_with_ancestors(needed, models)), "weights_sha256"])


def _with_ancestors(needed: set[str], models: pd.DataFrame) -> set[str]:
    parents = dict(models[["model_id", "parent_id"]].dropna().itertuples(index=False, name=None))
    found, ahead = set(needed), list(needed)
    while ahead:
        parent = parents.get(ahead.pop())
        if parent is not None and parent not in found:
            found.add(parent)
            ahead.append(parent)
    return found


def _answering(runs: pd.DataFrame, answers: pd.DataFrame, shown_at: Iterable[pd.Timestamp]) -> set[str]:
    """Models that answered in the newest nightly run, and in the one that was newest at each of the times."""
    nightly = runs[(runs["kind"] == "nightly") & (runs["status"] != "failed")].sort_values(
        ["finished_at", "run_id"]
    )
    at = [
        nightly[nightly["finished_at"].dt.floor("s") <= when]["run_id"].tail(1)
        for when in (*shown_at, pd.Timestamp.max)
    ]
    shown = {run for found in at for run in found}
    return set(answers.loc[answers["run_id"].isin(shown), "model_id"].dropna())


def _published_at(snapshot: str) -> pd.Timestamp:
    return pd.Timestamp(snapshot.partition("_")[0]).tz_localize(None)


def _old_weights(
    folder: Path, kept: set[str], recorded: set[str], start: dt.datetime
) -> tuple[list[tuple[Path, str]], int]:
    """Files of weights that go, with the reason, and how many stay."""
    old: list[tuple[Path, str]] = []
    files = sorted(folder.glob("*.npz"))
    for path in files:
        if path.stem in recorded and path.stem not in kept:
            old.append((path, "an old model that nothing kept descends from"))
        elif path.stem not in recorded and path.stat().st_mtime < start.timestamp():
            old.append((path, "weights of a run that was never stored"))
    unfinished = [(path, "left by a process that died") for path in sorted(folder.glob(".*.tmp"))]
    return [*old, *unfinished], len(files) - len(old)


def _old_reports(
    folder: Path, runs: pd.DataFrame, shown: set[str], keep: int
) -> tuple[list[tuple[Path, str]], int]:
    finished = {
        run: when.tz_localize("UTC").timestamp()
        for run, when in zip(runs["run_id"], runs["finished_at"], strict=True)
    }
    pages = [path for path in folder.glob("*") if path.is_dir() and not path.is_symlink()]
    pages.sort(key=lambda path: (finished.get(path.name, path.stat().st_mtime), path.name), reverse=True)
    old = [path for path in pages[keep:] if path.name not in shown]
    return [(path, f"older than the newest {keep} reports") for path in sorted(old)], len(pages) - len(old)


def _removal(workspace: Path, path: Path, why: str) -> Removal:
    files = path.rglob("*") if path.is_dir() else [path]
    return Removal(
        str(path.relative_to(workspace)), sum(each.stat().st_size for each in files if each.is_file()), why
    )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
