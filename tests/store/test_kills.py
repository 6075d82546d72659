"""SIGKILL at every named point of a night: nothing reported is lost, readers see a whole run, the next night
works unaided.
"""

from pathlib import Path

import pytest

from forecast_lib.store.disk import ledger
from forecast_lib.store.published import publication, reader
from forecast_lib.store.working import database
from tests.store import children
from tests.store.nights import night, now, store_and_publish

pytestmark = pytest.mark.slow

# The killed night, by the point: is it in the tables afterwards, and is it published?
POINTS = {
    "appended prices": (False, False),
    "appended forecasts": (False, False),
    "before commit": (False, False),
    "after commit": (True, False),
    "before ledger": (True, False),
    "after ledger": (True, False),
    "built": (True, False),
    "audited": (True, False),
    "before replace": (True, False),
    "after replace": (True, True),
}
SEEN = (
    "SELECT run_id, count(*) AS n, (SELECT max(run_id) FROM runs) AS newest FROM latest_forecasts GROUP"
    " BY ALL"
)


@pytest.mark.parametrize("point", POINTS)
def test_a_night_killed_at_any_point_keeps_the_promises(workspace: Path, point: str) -> None:
    stored, published = POINTS[point]
    child = children.start("run_night", workspace, 2, point)
    child.communicate()
    assert child.returncode == -9

    seen = reader.query(workspace, SEEN).values.tolist()
    assert seen == [["run-2", 4, "run-2"] if published else ["run-1", 4, "run-1"]]

    with database.open_working(workspace, now(3)) as con:
        kept = con.execute("SELECT run_id, count(*) FROM prices GROUP BY run_id ORDER BY 1").fetchall()
    assert kept == [("run-0", 2), ("run-1", 2), ("run-2", 2)][: 3 if stored else 2]
    assert list(ledger.read(workspace).runs()) == [run for run, _ in kept]

    store_and_publish(workspace, 3, night(3))
    assert reader.query(workspace, SEEN).values.tolist() == [["run-3", 4, "run-3"]]
    assert not list(workspace.rglob("*.next-*")) and not list(workspace.glob("*.wal"))


@pytest.mark.parametrize("point", ["before commit", "before replace"])
def test_a_killed_night_can_be_taken_up_where_it_stopped(workspace: Path, point: str) -> None:
    children.start("run_night", workspace, 2, point).communicate()
    if POINTS[point][0]:
        publication.publish(workspace, "run-2", 7)
    else:
        store_and_publish(workspace, 2)
    assert reader.query(workspace, SEEN).values.tolist() == [["run-2", 4, "run-2"]]


def test_the_first_night_ever_may_be_killed_too(tmp_path: Path) -> None:
    children.start("run_night", tmp_path, 0, "before commit").communicate()
    store_and_publish(tmp_path, 0)
    assert reader.query(tmp_path, SEEN).values.tolist() == [["run-0", 4, "run-0"]]
