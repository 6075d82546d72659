"""The campaign itself: its witness sees what is wrong, its disk fails as asked, and a trial says what it
finds.
"""

import copy
import dataclasses
import random
import shutil
import signal
import socket
import time
from pathlib import Path

import duckdb
import pytest

from tests.campaign import actors
from tests.campaign.__main__ import KINDS, table
from tests.campaign.actors import Fault
from tests.campaign.dask_workers import GoBetween
from tests.campaign.trials import House, Outcome
from tests.campaign.whole import SECRET, TONIGHT, Home, untrue

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    house = House.lived_in(random.Random(1), tmp_path_factory.mktemp("made"))
    assert house.violations == []
    return house


@pytest.fixture
def house(made, tmp_path):
    """A workspace with some nights, and its witness."""
    copied = copy.deepcopy(made)
    copied.workspace = copied.witness.workspace = Path(
        shutil.copytree(made.workspace, tmp_path / "workspace")
    )
    return copied


@pytest.mark.parametrize(
    ("altered", "seen"),
    [
        (
            "UPDATE prices SET close = close + 0.01 WHERE run_id = 'run-0'",
            "working: prices of run-0 are not what was given",
        ),
        ("DELETE FROM run_tickers WHERE run_id = 'run-0'", "working: run-0 asked for"),
        ("DELETE FROM runs WHERE run_id = 'run-0'", "run-0 was reported as stored and is gone"),
    ],
)
def test_witness_sees_what_is_altered_or_lost(house, altered, seen):
    with duckdb.connect(str(house.workspace / "working.duckdb")) as con:
        con.execute(altered)
    assert any(each.startswith(seen) for each in house.witness.violations(at_rest=True))


def test_witness_remembers_what_it_was_not_given(house):
    house.witness.given.clear()
    house.witness.remember()
    assert house.witness.violations(at_rest=True) == []
    with duckdb.connect(str(house.workspace / "working.duckdb")) as con:
        con.execute("UPDATE forecasts SET sigma = sigma * 2 WHERE run_id = 'run-0'")
    assert any(
        each.startswith("working: forecasts of run-0 are not what was given")
        for each in house.witness.violations(at_rest=True)
    )


def test_table_counts_what_was_tried_and_what_was_broken():
    trials = [Outcome("92 files", ("M001", "M002"), tried=92), Outcome("92 files", (), 1.26, tried=92)]
    assert table({"mutated-files": trials, "damage": [Outcome("cut", (), tried=2)]}).splitlines()[2:] == [
        "| mutated-files | 2 | 184 | 2 |  | 1.3 s |",
        "| damage | 1 | 2 | 0 | 100.000% |  |",
    ]


def test_witness_sees_readers_who_get_nothing_or_an_older_run(house):
    newest = house.witness.shown[-1]
    house.witness.shown.append("run-99")
    assert f"readers went back from run-99 to {newest}" in house.witness.violations(at_rest=True)
    with duckdb.connect(str(house.workspace / "published.duckdb")) as con:
        con.execute("DELETE FROM forecasts")
    assert "readers see []" in house.witness.violations(at_rest=True)


@pytest.mark.parametrize(
    ("fault", "code"),
    [("kill before", -9), ("kill after", -9), ("torn", -9), ("full", actors.REFUSED), ("power", -9)],
)
def test_disk_fails_as_asked(house, fault, code):
    if not actors.has_disk():
        pytest.skip("there is no gcc: the disk cannot be made to fail")
    told = house.night(Fault(disk=fault, nth=3, seed=1))
    assert told.code == code
    assert "OutOfSpace" in told.refused or fault != "full"


@pytest.mark.parametrize(
    "kind", ["named-kill", "failing-disk", "damage", "nights-at-once", "mutated-files", "evening-again"]
)
def test_a_trial_keeps_the_promises(kind, tmp_path):
    outcome = KINDS[kind](random.Random(f"{kind} 1"), tmp_path)
    assert outcome.violations == () and outcome.tried > 0, outcome


def test_a_night_that_is_killed_or_cannot_say_so_is_seen(tmp_path):
    home = Home(random.Random(1), tmp_path)
    (home.workspace / "metrics.prom").write_text(SECRET)
    (tmp_path / "stray").touch()
    home.look()
    assert sorted(home.violations) == [
        "a run left stray outside of its workspace",
        "a secret stands in workspace/metrics.prom",
    ]
    killed = home.start(TONIGHT, point="before replace").end()
    assert killed.code == -9 and untrue(home, killed, signal.SIGKILL) == []
    (home.workspace / ".lock").write_text("")
    assert untrue(home, killed, signal.SIGKILL) == ["the night was killed at work, and status says stale"]
    wrong = dataclasses.replace(killed, code=143, err="interrupted by SIGINT: run x stored nothing")
    assert [each[:20] for each in untrue(home, wrong, signal.SIGTERM)] == [
        "the last line does n",
        "it says 'interrupted",
    ]


def test_a_go_between_passes_on_until_it_falls_silent_or_hangs_up():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        between = GoBetween(listener.getsockname()[1])
        with socket.create_connection(("127.0.0.1", between.port), timeout=5) as worker:
            scheduler, _ = listener.accept()
            with scheduler:
                for speaker, hearer in ((worker, scheduler), (scheduler, worker)):
                    speaker.sendall(b"shard")
                    assert hearer.recv(100) == b"shard"
                between.fall_silent()
                time.sleep(0.3)
                worker.sendall(b"lost")
                scheduler.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    scheduler.recv(100)
                between.hang_up()
                assert worker.recv(100) == b""
