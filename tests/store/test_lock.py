import datetime as dt
import time
from pathlib import Path

import pytest

from forecast_lib.errors import WorkspaceBusy
from forecast_lib.store.disk.lock import hold_workspace
from tests.store import children

STARTED = dt.datetime(2024, 1, 2, 22, tzinfo=dt.UTC)


def test_a_second_process_is_told_who_holds_the_workspace(tmp_path: Path) -> None:
    holder = children.start("hold_lock", tmp_path / "new" / "workspace")
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with (
        pytest.raises(WorkspaceBusy, match=f"held by process {holder.pid}, run run-elsewhere") as caught,
        hold_workspace(tmp_path / "new" / "workspace", "run-here"),
    ):
        pass
    assert caught.value.exit_code == 75
    holder.communicate("")
    with hold_workspace(tmp_path / "new" / "workspace", "run-here"):
        pass


def test_the_lock_goes_with_a_killed_process(tmp_path: Path) -> None:
    holder = children.start("lock_and_die", tmp_path)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with hold_workspace(tmp_path, "run-next", wait_s=20.0):
        assert holder.wait() == -9


def test_who_waits_gives_up_after_the_time_allowed(tmp_path: Path) -> None:
    with hold_workspace(tmp_path, "run-1", started=STARTED):
        begin = time.monotonic()
        with (
            pytest.raises(WorkspaceBusy, match=r"run run-1 since 2024-01-02T22:00:00\+00:00"),
            hold_workspace(tmp_path, "run-2", wait_s=0.3),
        ):
            pass
        assert time.monotonic() - begin >= 0.3


def test_an_error_inside_the_block_releases_the_workspace(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold_workspace(tmp_path, "run-1"):
        raise ZeroDivisionError
    with hold_workspace(tmp_path, "run-2"):
        pass
    assert (tmp_path / ".lock").read_text() == ""
