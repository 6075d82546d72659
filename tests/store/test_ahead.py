"""What is copied before a run stores anything spares the publication that much, and changes nothing of it."""

import collections
import contextlib
import shutil
import signal
import threading
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import duckdb
import pytest

from forecast_lib.store.disk import copying
from forecast_lib.store.disk.copying import copy_bytes, write_same
from forecast_lib.store.disk.files import temporary_name
from forecast_lib.store.published import ahead, publication, reader
from forecast_lib.store.working.store import Store
from tests.store import children
from tests.store.many_prices import EACH, many_prices
from tests.store.nights import night, now, store_and_publish

pytestmark = pytest.mark.slow

WHOLE = bytes(range(256)) * 10
SEEN = "SELECT DISTINCT run_id FROM latest_forecasts"


def spoil(path: Path) -> None:
    path.write_bytes(b"x" * (path.stat().st_size + 5000))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when a copy was made ahead."""
    made = threading.Event()

    def noted(read: FileIO, target: Path, ended: Callable[[], bool], again: bool) -> None:
        write_same(read, target, ended, again=again)
        made.set()

    monkeypatch.setattr(ahead, "write_same", noted)
    return made


def published_by(store: Store, number: int) -> Path:
    store.record(night(number))
    return store.publish(f"run-{number}", 7)


@pytest.mark.parametrize(
    "there",
    [None, b"", WHOLE, WHOLE[:1000], WHOLE + b"more", b"\0" * len(WHOLE), WHOLE[:300] + b"!" + WHOLE[301:]],
)
@pytest.mark.parametrize("at_once", [100, 1024, 8 << 20])
def test_a_copy_is_the_same_whatever_was_there(
    tmp_path: Path, there: bytes | None, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "AT_ONCE", at_once)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(WHOLE)
    if there is not None:
        target.write_bytes(there)
    seen = bytearray()
    assert copy_bytes(source, target, seen.extend)
    assert target.read_bytes() == seen == WHOLE


def test_what_is_there_already_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hole in a file reads as zeros, and takes room only when these are written."""
    monkeypatch.setattr(copying, "AT_ONCE", 1 << 20)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(8 << 20) + b"new")
    with target.open("wb") as file:
        file.truncate(8 << 20)
    copy_bytes(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks * 512 < 2 << 20


def test_a_piece_that_reads_otherwise_than_it_was_written_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(file: FileIO, piece: copying.Piece) -> None:
        file.write(piece[:-1].tobytes() + b"!")

    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(WHOLE)
    monkeypatch.setattr(copying, "_write", spoilt)
    assert not copy_bytes(source, target)


@pytest.mark.parametrize("happened", [None, spoil, cut])
def test_a_publication_goes_on_from_what_was_copied_and_is_the_same(
    workspace: Path, copied: threading.Event, happened: Callable[[Path], None] | None
) -> None:
    with Store(workspace, now(2)) as store:
        store.copy_ahead()
        assert copied.wait(60)
        copy = temporary_name(workspace / "published.duckdb")
        assert copy.read_bytes() == (workspace / "working.duckdb").read_bytes()
        if happened is not None:
            happened(copy)
        begun = copy.stat().st_ino
        published = published_by(store, 2)
    assert published.stat().st_ino == begun
    assert reader.query(workspace, SEEN)["run_id"].tolist() == ["run-2"]
    assert published.read_bytes() == (workspace / "working.duckdb").read_bytes()
    assert not list(workspace.glob("*.next-*"))


def test_rows_that_came_while_the_run_worked_are_copied_while_it_stores_the_others(
    workspace: Path, copied: threading.Event
) -> None:
    frames, copy = night(2), temporary_name(workspace / "published.duckdb")
    before = (workspace / "working.duckdb").stat().st_size
    del frames["prices"]
    with Store(workspace, now(2)) as store:
        arriving = store.arriving("prices", "simulated")
        for part in many_prices(6):  # DuckDB writes row groups five at a time
            arriving.add(part.assign(run_id="run-2"))
        arriving._thread.submit(int).result()  # after all of them
        store.record(frames)
        assert copied.wait(60)
        assert copy.stat().st_size > before + 2 * EACH * 6 * 8
        published = store.publish("run-2", 7)
    assert published.read_bytes() == (workspace / "working.duckdb").read_bytes()


def test_what_was_copied_is_not_taken_for_rows_of_a_database_in_another_format(
    workspace: Path, copied: threading.Event
) -> None:
    store = Store(workspace, now(2))
    store.copy_ahead()
    assert copied.wait(60)
    with store:
        store.record(night(2))
        store._ahead.hand_over()
    with duckdb.connect(
        str(workspace / "newer.duckdb"), config={"storage_compatibility_version": "v1.2.0"}
    ) as con:
        con.execute(f"ATTACH '{workspace / 'working.duckdb'}' AS old")
        con.execute("COPY FROM DATABASE old TO newer")
    (workspace / "newer.duckdb").replace(workspace / "working.duckdb")
    assert not publication.has_our_format(workspace / "working.duckdb")
    publication.publish(workspace, "run-2", 7)
    assert publication.has_our_format(workspace / "published.duckdb")
    assert reader.query(workspace, SEEN)["run_id"].tolist() == ["run-2"]


def test_a_run_that_publishes_nothing_leaves_no_copy(workspace: Path, copied: threading.Event) -> None:
    with contextlib.suppress(KeyboardInterrupt), Store(workspace, now(2)) as store:
        store.copy_ahead()
        assert copied.wait(60)
        raise KeyboardInterrupt
    assert not list(workspace.glob("*.next-*"))
    assert reader.query(workspace, SEEN)["run_id"].tolist() == ["run-1"]


def test_a_run_that_ends_does_not_wait_for_its_copy(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "AT_ONCE", 4096)
    with Store(workspace, now(2)) as store:
        store._ahead._ended.set()
        store.copy_ahead()
        store._ahead.hand_over()
    assert temporary_name(workspace / "published.duckdb").stat().st_size < 2 * 4096
    publication.publish(workspace, "run-1", 7)
    assert reader.query(workspace, SEEN)["run_id"].tolist() == ["run-1"]


def test_the_database_stays_locked_until_it_is_closed(
    workspace: Path, copied: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where any handle of a file is closed, a process loses its lock on it."""
    closed: list[Path] = []
    end = ahead.Ahead.__exit__

    def noted(self: ahead.Ahead, *raised: object) -> None:
        with pytest.raises(duckdb.ConnectionException):
            store.con.execute("SELECT 1")
        closed.append(workspace)
        end(self, *raised)

    monkeypatch.setattr(ahead.Ahead, "__exit__", noted)
    with Store(workspace, now(2)) as store:
        store.copy_ahead()
        assert copied.wait(60)
        other = children.start("hold_file", workspace / "working.duckdb")
        other.communicate()
        assert other.returncode == 1
    assert closed == [workspace]


@pytest.mark.parametrize("full", ["before", "meanwhile"])
def test_where_the_disk_has_no_room_for_it_the_run_goes_on(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    def no_room(read: FileIO, target: Path, *_: object, again: bool) -> None:
        target.write_bytes(read.read(1000))
        raise OSError(28, "No space left on device")

    if full == "before":
        usage = collections.namedtuple("usage", "free")((workspace / "working.duckdb").stat().st_size)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    else:
        monkeypatch.setattr(ahead, "write_same", no_room)
    with Store(workspace, now(2)) as store:
        store.copy_ahead()
        for thread in threading.enumerate():
            if thread.name.endswith("(_write)"):
                thread.join()
        assert not list(workspace.glob("*.next-*"))
        published_by(store, 2)
    assert reader.query(workspace, SEEN)["run_id"].tolist() == ["run-2"]


def test_a_run_killed_while_it_copies_leaves_nothing_to_the_next(workspace: Path) -> None:
    killed = children.start("be_killed_while_copying_ahead", workspace)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert len(list(workspace.glob("*.next-*"))) == 1
    assert reader.query(workspace, SEEN)["run_id"].tolist() == ["run-1"]
    store_and_publish(workspace, 2)
    assert not list(workspace.glob("*.next-*"))
    assert reader.query(workspace, SEEN)["run_id"].tolist() == ["run-2"]
