"""The campaign itself: its witness sees what is wrong, its disk fails as asked, and a trial says what it
finds.
"""

import copy
import random
import shutil
from pathlib import Path

import duckdb
import pytest

from tests.campaign import actors
from tests.campaign.__main__ import KINDS
from tests.campaign.actors import Fault
from tests.campaign.trials import House

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


@pytest.mark.parametrize("kind", ["failing-disk", "damage", "nights-at-once", "mutated-files"])
def test_a_trial_keeps_the_promises(kind, tmp_path):
    outcome = KINDS[kind](random.Random(f"{kind} 1"), tmp_path)
    assert outcome.violations == (), outcome
