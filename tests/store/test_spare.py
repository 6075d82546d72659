"""A publication is built in one that is no longer kept, unless somebody could still read that one."""

import collections
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import duckdb
import pytest

from forecast_lib.store.disk.files import SPARE
from forecast_lib.store.published import publication, reader
from forecast_lib.store.working.store import Store
from tests.store import children
from tests.store.nights import night, now, store_and_publish

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each publication is written anew"),
]

SEEN = "SELECT DISTINCT run_id FROM latest_forecasts"


def copied_and_published(workspace: Path, number: int) -> Path:
    with Store(workspace, now(number)) as store:
        store.copy_ahead()
        store.record(night(number))
        return store.publish(f"run-{number}", 2)


def shown(where: Path) -> list[str]:
    return list(reader.query(where, SEEN)["run_id"])


def oldest(workspace: Path) -> Path:
    return publication.snapshot_path(workspace, publication.list_snapshots(workspace)[-1])


def test_the_snapshot_that_goes_is_what_the_next_publication_is_built_in(workspace: Path) -> None:
    goes = oldest(workspace).stat().st_ino
    copied_and_published(workspace, 2)
    assert (workspace / SPARE).stat().st_ino == goes
    kept = [publication.snapshot_path(workspace, name) for name in publication.list_snapshots(workspace)]
    assert [shown(path) for path in kept] == [["run-2"], ["run-1"]]
    published = copied_and_published(workspace, 3)
    assert published.stat().st_ino == goes
    assert published.read_bytes() == (workspace / "working.duckdb").read_bytes()
    assert shown(workspace) == ["run-3"] and shown(kept[0]) == ["run-2"]


@contextmanager
def opened(path: Path) -> Iterator[Callable[[], object]]:
    with path.open("rb") as file:
        yield file.read


@contextmanager
def queried(path: Path) -> Iterator[Callable[[], object]]:
    with closing(duckdb.connect(str(path), read_only=True)) as con:
        yield lambda: con.execute("SELECT run_id, count(*) FROM forecasts GROUP BY 1").fetchall()


@contextmanager
def named(path: Path) -> Iterator[Callable[[], object]]:
    also = path.parent.parent / "mine.duckdb"
    os.link(path, also)
    yield also.read_bytes
    also.unlink()


@pytest.mark.parametrize("held", [opened, queried, named])
def test_who_still_has_that_snapshot_reads_it_as_it_was(
    workspace: Path, held: Callable[[Path], AbstractContextManager[Callable[[], object]]]
) -> None:
    goes = oldest(workspace)
    with held(goes) as read:
        before = read()
    with held(goes) as read:
        number = goes.stat().st_ino
        copied_and_published(workspace, 2)
        assert copied_and_published(workspace, 3).stat().st_ino != number
        assert read() == before
    assert shown(workspace) == ["run-3"]


def test_a_run_killed_while_it_builds_in_it_costs_no_snapshot(workspace: Path) -> None:
    copied_and_published(workspace, 2)
    kept = publication.list_snapshots(workspace)
    killed = children.start("be_killed_while_copying_ahead", workspace)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (workspace / SPARE).exists()
    assert publication.list_snapshots(workspace) == kept and shown(workspace) == ["run-2"]
    store_and_publish(workspace, 3)
    assert shown(workspace) == ["run-3"] and not list(workspace.glob("*.next-*"))


def test_what_is_there_already_needs_no_room(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied_and_published(workspace, 2)
    free = 2 * (workspace / "working.duckdb").stat().st_size - (workspace / SPARE).stat().st_size + 1
    usage = collections.namedtuple("usage", "free")(free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with Store(workspace, now(3)) as store:
        store.copy_ahead()
        assert store._ahead._thread is not None


def test_a_snapshot_on_another_disk_just_goes(workspace: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        if os.stat(folder).st_dev == workspace.stat().st_dev:
            pytest.skip("the tests' folder is there too")
        elsewhere = shutil.move(workspace / "snapshots", folder)
        (workspace / "snapshots").symlink_to(elsewhere)
        copied_and_published(workspace, 2)
        assert len(publication.list_snapshots(workspace)) == 2 and not (workspace / SPARE).exists()
        copied_and_published(workspace, 3)
        assert shown(workspace) == ["run-3"]
