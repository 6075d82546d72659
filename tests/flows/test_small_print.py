"""What a run leaves on the disk and in the logs, and what it says where it cannot even begin."""

import logging
import os
import stat
import subprocess

import pytest
from prefect.engine import handle_engine_signals
from prefect.states import Failed, State, StateType, get_state_exception

from flows import cli
from flows.settings.layers import prepare_process
from flows.shown.ending import ended
from forecast_lib.errors import FatalError, WorkspaceBusy
from forecast_lib.jobs.monitor.metrics import write_metrics
from forecast_lib.jobs.record.endings import Ending, remember
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.store.disk.lock import hold_workspace
from tests.store import nights


@pytest.fixture
def read_only(tmp_path):
    """A folder on a file system that nobody can write."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("mounting a read-only tmpfs needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_read_only_workspace_is_a_sentence(read_only):
    for workspace in (read_only, read_only / "new"):
        said = f"{workspace} cannot be written: Read-only file system; make it writable"
        with pytest.raises(FatalError, match=said), hold_workspace(workspace, "run-1"):
            pass


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_left_for_the_owner_is_readable_by_nobody_else(tmp_path, monkeypatch, capsys):
    remember(tmp_path, Ending("nightly", "failed", 1, "no source", "2024-05-03T22:00:00+00:00"))
    write_metrics(tmp_path / "metrics.prom", b"x 1\n", shared=False)
    monkeypatch.setattr(cli, "handler", lambda command: lambda request: 1 / 0)
    assert cli.main(["status", "--workspace", str(tmp_path)]) == 1
    [log] = (tmp_path / "logs").iterdir()
    assert [mode(path) for path in (tmp_path / "endings.json", tmp_path / "metrics.prom", log)] == [0o600] * 3
    write_metrics(tmp_path / "collected.prom", b"x 1\n", shared=True)
    assert mode(tmp_path / "collected.prom") == 0o644


def test_an_empty_password_is_none():
    """Prefect's server would ask for it, and its client would not give it: 401."""
    environ = {"PREFECT_API_AUTH_STRING": "", "PREFECT_SERVER_API_AUTH_STRING": ""}
    prepare_process(quiet=True, environ=environ)
    assert not any("AUTH" in name for name in environ)


SUMMARY = RunSummary("r", "nightly", "failed", nights.now(1).date(), "no ticker has a forecast")


@pytest.mark.parametrize(
    ("state", "lines"),
    [
        (State(type=StateType.CANCELLED, name="Degraded", data=SUMMARY), 0),
        (Failed(message="busy", data=WorkspaceBusy("run-9 holds the workspace")), 0),
        (Failed(message="nothing was published", data=SUMMARY), 0),
        (Failed(message="our mistake", data=ZeroDivisionError("division by zero")), 2),
    ],
    ids=["degraded", "an error of the run", "nothing was published", "our mistake"],
)
def test_a_run_that_failed_as_it_should_leaves_no_traceback(state, lines, caplog, monkeypatch):
    """As the process of a scheduled run ends: its last line, `Finished in state Failed(...)`, has said it.
    Prefect says what was raised twice, in the run's log and in the process's.
    """

    # It would be sent to a server, which has no such run.
    monkeypatch.setattr(logging.getLogger("prefect.flow_runs"), "handlers", [])
    # As in a process of its own: a flow that another test ran in this one has left that word.
    monkeypatch.setattr("prefect.engine.engine_outcome_is_handled", lambda: False)

    def end():
        try:
            raise get_state_exception(state)
        except Exception:
            logging.getLogger("prefect.flow_runs").exception("as in `run_flow`")
            raise

    assert ended  # the module that hushes it is the one that ends every run
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit) as left, handle_engine_signals():
        end()
    assert left.value.code == 1
    assert [record.exc_info is not None for record in caplog.records] == [True] * lines


def test_status_names_the_tickers_of_the_run_that_failed(tmp_path, capsys):
    for number in range(2):
        nights.store_and_publish(tmp_path, number)
    row = {"ticker": "ZZZ", "status": "none", "reason": "not_found: Yahoo has no such ticker"}
    remember(
        tmp_path,
        Ending(
            "nightly", "failed", 1, "nothing to publish", "2999-01-01T00:00:00+00:00", "run-9", {}, (row,)
        ),
    )
    assert cli.main(["status", "--workspace", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "ZZZ" in said and "not_found" in said and "AAA" not in said


def test_before_the_first_publication_status_names_them_too(tmp_path, capsys):
    row = {"ticker": "ZZZ", "status": "none", "reason": "not_found: Yahoo has no such ticker"}
    remember(
        tmp_path,
        Ending(
            "nightly", "failed", 1, "nothing to publish", "2024-05-03T22:00:00+00:00", "run-9", {}, (row,)
        ),
    )
    assert cli.main(["status", "--workspace", str(tmp_path)]) == 1
    assert "the last try: nothing to publish; ZZZ: not_found" in capsys.readouterr().err
