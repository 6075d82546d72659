"""The run after one that died says so, cleans up behind it, and goes on."""

import datetime as dt
import json
import os
import subprocess
import sys

import pytest

from forecast_lib.jobs.monitor.standing import read_holder
from forecast_lib.jobs.record.takeover import hold
from forecast_lib.store.disk import ledger
from forecast_lib.store.disk.lock import hold_workspace, is_held
from forecast_lib.store.published import inspection
from tests.store import nights

pytestmark = pytest.mark.slow

NOW = dt.datetime(2024, 5, 28, 22, tzinfo=dt.UTC)
HOLD = """
import os, signal, sys
from pathlib import Path
from forecast_lib.store.disk.lock import hold_workspace
with hold_workspace(Path(sys.argv[1]), "run-9"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def died(tmp_path):
    """A workspace with one night, in which run-9 was killed, and what it left."""
    nights.store_and_publish(tmp_path, 0)
    subprocess.run([sys.executable, "-c", HOLD, str(tmp_path)], check=False)
    dead = read_holder(tmp_path).pid
    for name in (
        f"published.duckdb.next-{dead}",
        f"snapshots/x.duckdb.next-{dead}",
        f"models/.abc.{dead}.tmp",
        "reports/.x.new/index.html",
        "reports/.y.new",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    return tmp_path


def test_the_dead_run_is_named_and_written_down_and_its_half_built_files_go(died):
    dead, said = read_holder(died), []
    assert (dead.run, dead.alive) == ("run-9", False)
    with hold(died, "run-10", NOW, said.append):
        assert read_holder(died).run == "run-10"
    assert said == [
        f"run run-9, process {dead.pid}, died before it ended; 5 half-built files removed; this run goes on"
        " from what was stored"
    ]
    line = ledger.read(died).entries[-1]
    assert (line["kind"], line["run"], line["pid"], line["found_at"]) == (
        "died",
        "run-9",
        dead.pid,
        NOW.isoformat(),
    )
    assert [path for path in died.rglob("*") if "half" in path.name or path.name.startswith(".abc")] == []
    assert not [path for path in died.rglob("*") if ".next-" in path.name or path.suffix in (".tmp", ".new")]
    assert [path for path in (died / "reports").iterdir() if path.name.startswith(".")] == []


def test_a_death_in_the_ledger_is_no_run_that_the_tables_must_hold(died):
    with hold(died, "run-10", NOW, print):
        pass
    assert inspection.working_state(died).recorded_runs == 1
    assert ledger.named_runs(died) == ("run-0",)


def test_it_is_said_once(died):
    said = []
    for run in ("run-10", "run-11"):
        with hold(died, run, NOW, said.append):
            pass
    assert len(said) == 1 and read_holder(died) is None


def test_after_a_run_that_ended_by_itself_there_is_nothing_to_say(tmp_path):
    with hold(tmp_path, "run-1", NOW, print):
        pass
    with hold(tmp_path, "run-2", NOW, lambda sentence: pytest.fail(sentence)):
        pass
    assert not (tmp_path / "ledger.jsonl").exists()


def test_a_damaged_ledger_does_not_keep_the_next_run_from_the_workspace(died):
    """It is the opening of the database that refuses it, with the way out."""
    (died / "ledger.jsonl").write_bytes(b"nonsense\n" + (died / "ledger.jsonl").read_bytes())
    said = []
    with hold(died, "run-10", NOW, said.append):
        pass
    assert "run run-9" in said[0]


def test_a_look_at_the_lock_does_not_turn_a_run_away(tmp_path):
    """`status` takes the lock for an instant: a run that comes just then tries again."""
    with hold_workspace(tmp_path, "run-1"):
        assert is_held(tmp_path)
    assert not is_held(tmp_path) and not is_held(tmp_path / "nowhere")
    (tmp_path / ".lock").write_text(json.dumps({"pid": os.getpid(), "run": "run-1", "started": None}))
    assert not is_held(tmp_path)


@pytest.mark.parametrize(
    ("end", "dead"), [(SystemExit(1), "run-1"), (KeyboardInterrupt(), None), (RuntimeError(), None)]
)
def test_a_run_that_a_signal_ended_counts_as_dead_and_one_that_failed_or_was_interrupted_does_not(
    tmp_path, end, dead
):
    """Of a worker that is killed, the run ends by SystemExit as soon as it writes to the worker's pipe."""
    with pytest.raises(type(end)), hold(tmp_path, "run-1", NOW, print):
        raise end
    left = read_holder(tmp_path)
    assert (left and left.run) == dead
