"""Maintenance removes what nothing can ask for any more, and nothing else; killed at any moment it leaves a
workspace that works.
"""

import datetime as dt
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from forecast_lib.config import Policy
from forecast_lib.errors import AuditFailed, UsageError, WorkspaceBusy
from forecast_lib.jobs.refresh.decisions import lineages
from forecast_lib.jobs.upkeep.maintenance import maintain, weights_to_keep
from forecast_lib.store.disk.lock import hold_workspace
from forecast_lib.store.published import publication, reader
from forecast_lib.store.working import database, reads
from forecast_lib.store.working.compaction import compact
from tests.store import nights

pytestmark = pytest.mark.slow

START = pd.Timestamp("2024-03-01")
"""The first kept day of the made-up registries; they reach sixty days to both sides."""


def registry(seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Models, runs and status rows of two tickers over 120 evenings, some of them run again later, fine-tuned
    or retrained at random.
    """
    draw = random.Random(seed)
    models, runs, answers, last = [], [], [], {}
    for number in range(160):
        evening = START + pd.Timedelta(days=number - 60 if number < 120 else draw.randrange(-60, 60))
        started = START + pd.Timedelta(days=number - 60 if number < 120 else 59, hours=22, minutes=number)
        run = {
            "run_id": f"run-{number}",
            "kind": "nightly",
            "status": "fresh",
            "started_at": started,
            "finished_at": started,
        }
        runs.append(run)
        for ticker in ("AAA", "BBB"):
            if draw.random() < 0.4:
                parent = last.get(ticker) if draw.random() < 0.6 else None
                made = {
                    "model_id": f"{ticker}-{number}",
                    "run_id": run["run_id"],
                    "ticker": ticker,
                    "variant": "stacked",
                    "config": "{}",
                }
                made |= {
                    "parent_id": parent,
                    "trained_as_of": evening,
                    "trained_through": evening,
                    "weights_sha256": f"w-{ticker}-{number}",
                }
                models.append(made | {"promoted": draw.random() < 0.6})
                last[ticker] = made["model_id"]
            answers.append({"run_id": run["run_id"], "ticker": ticker, "model_id": last.get(ticker)})
    return pd.DataFrame(models), pd.DataFrame(runs), pd.DataFrame(answers)


@pytest.mark.parametrize("seed", range(6))
def test_every_kept_evening_finds_the_model_that_it_found_before(seed):
    """Each evening since the start, as it would be run again at any kept time: the last good model, by the
    job's own rule, is kept.
    """
    models, runs, answers = registry(seed)
    started = models["run_id"].map(runs.set_index("run_id")["started_at"])
    kept = weights_to_keep(models, runs, answers, START.to_pydatetime().replace(tzinfo=dt.UTC), [])
    assert len(kept) < len(models), "a policy that keeps everything proves nothing"
    for evening in pd.date_range(START, periods=20, freq="3D"):
        for known_at in (evening + pd.Timedelta(hours=23), START + pd.Timedelta(days=70)):
            history = models[(models["trained_as_of"] < evening) & (started <= known_at)].sort_values(
                "trained_as_of", kind="stable"
            )
            for lineage in lineages(history, "{}").values():
                assert lineage.last_good is None or lineage.last_good.weights_sha256 in kept


def test_answers_of_kept_snapshots_and_all_that_they_descend_from_stay():
    """Night 3 was published into a snapshot long ago; its model is a fine-tune of night 2's, which started
    from night 0's.
    """
    models = pd.DataFrame(
        [
            {
                "model_id": f"m{n}", "run_id": f"run-{n}", "ticker": "AAA", "variant": "stacked",
                "config": "{}", "promoted": True,
                "parent_id": {3: "m2", 2: "m0"}.get(n),
                "trained_as_of": pd.Timestamp("2020-01-01") + pd.Timedelta(days=n),
                "weights_sha256": f"w{n}",
            }
            for n in range(6)
        ]
    )  # fmt: skip
    at = [pd.Timestamp("2020-01-01 22:00:00.7") + pd.Timedelta(days=n) for n in range(6)]
    runs = pd.DataFrame(
        {
            "run_id": [f"run-{n}" for n in range(6)],
            "kind": "nightly",
            "status": "fresh",
            "started_at": at,
            "finished_at": at,
        }
    )
    answers = pd.DataFrame({"run_id": runs["run_id"], "ticker": "AAA", "model_id": models["model_id"]})
    long_after = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    assert weights_to_keep(models, runs, answers, long_after, []) == {"w5"}
    assert weights_to_keep(models, runs, answers, long_after, [pd.Timestamp("2020-01-04 22:00:00")]) == {
        "w5",
        "w3",
        "w2",
        "w0",
    }


@pytest.fixture(scope="module")
def five_nights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("five") / "workspace"
    (folder / "models").mkdir(parents=True)
    for number in range(5):
        made = nights.night(number)
        made["models"]["weights_sha256"] = f"{number}" * 64
        nights.store_and_publish(folder, number, made, keep=1)
        (folder / "models" / f"{str(number) * 64}.npz").write_bytes(b"weights")
        (folder / "reports" / f"run-{number}").mkdir(parents=True)
        (folder / "reports" / f"run-{number}" / "index.html").write_text("<html></html>")
    return folder


@pytest.fixture
def workspace(five_nights, tmp_path):
    """Five nights in January 2024 with a model and a report each; one snapshot is kept."""
    return Path(shutil.copytree(five_nights, tmp_path / "workspace"))


def _there(workspace: Path) -> tuple[list[str], list[str]]:
    return sorted(p.name[0] for p in (workspace / "models").iterdir()), sorted(
        p.name for p in (workspace / "reports").iterdir()
    )


def test_what_is_old_goes_and_what_is_published_stays(workspace):
    (workspace / "models" / f".{'9' * 64}.1.tmp").write_bytes(b"half")
    done = maintain(workspace, Policy(reports=2, models_days=90), dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    assert _there(workspace) == (["4"], ["run-3", "run-4"])
    assert [each.path.split("/")[0] for each in done.removed] == ["models"] * 5 + ["reports"] * 3
    assert (done.models, done.reports) == (1, 2) and sum(
        each.bytes for each in done.removed
    ) == 4 * 7 + 4 + 3 * 13
    assert reader.query(workspace, "SELECT DISTINCT run_id FROM latest_forecasts")["run_id"].tolist() == [
        "run-4"
    ]
    nights.store_and_publish(workspace, 5)


def test_a_dry_run_lists_the_same_and_changes_nothing(workspace):
    before = {
        path: path.stat().st_mtime_ns
        for path in workspace.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    listed = maintain(workspace, Policy(2, 90), now, dry_run=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert maintain(workspace, Policy(2, 90), now).removed == listed.removed != ()


def test_within_the_kept_days_nothing_goes(workspace):
    assert maintain(workspace, Policy(5, 90), nights.now(60)).removed == ()


def test_a_workspace_at_work_or_without_a_database_is_refused(workspace, tmp_path):
    with hold_workspace(workspace, "run-9"), pytest.raises(WorkspaceBusy, match="run-9"):
        maintain(workspace, Policy(), nights.now(9))
    with pytest.raises(UsageError, match="nothing to maintain"):
        maintain(tmp_path / "none", Policy(), nights.now(9))
    with pytest.raises(UsageError, match="keep_reports 0 is out of range"):
        Policy(reports=0)


# --- compaction

_KILLED = """
import os, signal, sys
from pathlib import Path
from forecast_lib.store.working.compaction import compact
from tests.store import nights
compact(Path(sys.argv[1]), nights.now(9),
    reached=lambda point: point == sys.argv[2] and os.kill(os.getpid(), signal.SIGKILL))
"""


def _in_order(workspace: Path) -> dict[str, list[tuple]]:
    """Every row of every table as stored, in the order that `rowid` gives."""
    with database.open_working(workspace, nights.now(9)) as con:
        return {
            table: list(reads.read_table(con, table).astype(str).itertuples(index=False, name=None))
            for table in database.TABLES
        }


@pytest.fixture(scope="module")
def _with_holes(five_nights, tmp_path_factory) -> Path:
    workspace = Path(shutil.copytree(five_nights, tmp_path_factory.mktemp("holes") / "workspace"))
    with database.open_working(workspace, nights.now(9)) as con:
        con.execute("CREATE TABLE ballast AS SELECT range, md5(range::VARCHAR) AS text FROM range(200000)")
    nights.store_night(workspace, 5, nights.night(5, tuple(f"T{number}" for number in range(500))))
    with database.open_working(workspace, nights.now(9)) as con:
        con.execute("DROP TABLE ballast")
    return workspace


@pytest.fixture
def with_holes(_with_holes, tmp_path) -> Path:
    """Free blocks between used ones, as growing tables leave them (DuckDB gives back those at the end of the
    file by itself).
    """
    return Path(shutil.copytree(_with_holes, tmp_path / "workspace"))


def test_compaction_gives_back_free_blocks_and_keeps_every_row_in_its_order(with_holes):
    workspace = with_holes
    before = _in_order(workspace)
    done = compact(workspace, nights.now(9))
    assert done.after < done.before / 2 and (workspace / "working.duckdb").stat().st_size == done.after
    assert _in_order(workspace) == before
    assert oct((workspace / "working.duckdb").stat().st_mode & 0o777) == "0o600"
    again = compact(workspace, nights.now(9))
    assert again.before == again.after
    nights.store_and_publish(workspace, 6)


def test_a_table_that_is_not_ours_is_not_lost(workspace):
    with database.open_working(workspace, nights.now(9)) as con:
        con.execute("CREATE TABLE somebodys AS SELECT 1 AS one")
    with pytest.raises(AuditFailed, match="left as it was"):
        compact(workspace, nights.now(9))
    with database.open_working(workspace, nights.now(9)) as con:
        assert con.execute("FROM somebodys").fetchall() == [(1,)]


@pytest.mark.parametrize(("point", "swapped"), [("copied", False), ("audited", False), ("swapped", True)])
def test_compaction_killed_at_any_point_leaves_a_whole_database(with_holes, point, swapped):
    workspace = with_holes
    before = _in_order(workspace)
    size = (workspace / "working.duckdb").stat().st_size
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(workspace), point], env=os.environ, cwd=Path(__file__).parents[2]
    )
    assert killed.returncode == -signal.SIGKILL
    assert ((workspace / "working.duckdb").stat().st_size < size) is swapped
    assert _in_order(workspace) == before
    assert not list(workspace.glob("*.next-*"))
    publication.publish(workspace, "run-5", 7)
