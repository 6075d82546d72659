"""A full disk: a clean error, nothing lost, the old publication whole, and the next night works once there is
room.
"""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecast_lib.errors import FatalError, OutOfSpace, StoreDamaged
from forecast_lib.store.disk import ledger
from forecast_lib.store.published import publication, reader
from forecast_lib.store.working import database
from tests.store.nights import night, now, store_and_publish, store_night

pytestmark = pytest.mark.slow

SEEN = "SELECT DISTINCT run_id FROM latest_forecasts"
TICKERS = tuple(f"T{number}" for number in range(4000))


@pytest.fixture
def small_disk(workspace: Path, tmp_path: Path) -> Iterator[Path]:
    """The workspace with two nights on a file system of its own of 64 MB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(mount)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        yield Path(shutil.copytree(workspace, mount / "workspace"))
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Take all of the disk but `leave` bytes."""
    ballast = disk.parent / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free - leave))
    return ballast


@pytest.mark.parametrize("leave", [0, 200_000, 1_000_000, 2_000_000])
def test_a_night_that_does_not_fit_fails_cleanly_and_fits_later(small_disk: Path, leave: int) -> None:
    big = night(2, TICKERS, horizon=4)
    ballast = fill(small_disk, leave)
    with pytest.raises(
        OutOfSpace,
        match="no room to write .*: what was stored is untouched|no room to write .* free some space",
    ):
        store_and_publish(small_disk, 2, big)
    assert reader.query(small_disk, SEEN)["run_id"].tolist() == ["run-1"]

    ballast.unlink()
    with database.open_working(small_disk, now(3)) as con:
        kept = [run for (run,) in con.execute("SELECT run_id FROM runs ORDER BY 1").fetchall()]
    assert kept[:2] == ["run-0", "run-1"]
    assert list(ledger.read(small_disk).runs()) == kept
    store_and_publish(small_disk, 3)
    assert reader.query(small_disk, SEEN)["run_id"].tolist() == ["run-3"]


@pytest.mark.parametrize("leave", [0, 300_000, 3_000_000])
def test_a_publication_that_does_not_fit_leaves_the_old_one_whole(small_disk: Path, leave: int) -> None:
    store_night(small_disk, 2)
    ballast = fill(small_disk, leave)
    with pytest.raises(OutOfSpace):
        publication.publish(small_disk, "run-2", 7)
    assert reader.query(small_disk, SEEN)["run_id"].tolist() == ["run-1"]
    assert not list(small_disk.rglob("*.next-*"))
    ballast.unlink()
    publication.publish(small_disk, "run-2", 7)
    assert reader.query(small_disk, SEEN)["run_id"].tolist() == ["run-2"]


def test_opening_on_a_full_disk_loses_nothing(small_disk: Path) -> None:
    ballast = fill(small_disk, 0)
    try:
        with database.open_working(small_disk, now(2)) as con:
            assert con.execute("SELECT count(*) FROM runs").fetchall() == [(2,)]
    except (OutOfSpace, StoreDamaged) as error:
        pytest.fail(f"could not even look: {error}")
    ballast.unlink()
    store_and_publish(small_disk, 2)


def test_a_disk_that_fails_while_the_publication_is_moved_is_a_sentence_and_readers_keep_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_and_publish(tmp_path, 0)
    store_night(tmp_path, 1)
    with monkeypatch.context() as failing:

        def fails(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        failing.setattr(publication, "move_into_place", fails)
        with pytest.raises(FatalError, match=r"the disk failed \(Input/output error\)"):
            publication.publish(tmp_path, "run-1", 3)
    assert reader.query(tmp_path, SEEN)["run_id"].tolist() == ["run-0"]
    publication.publish(tmp_path, "run-1", 3)
    assert reader.query(tmp_path, SEEN)["run_id"].tolist() == ["run-1"]
