"""A real Prefect server, on loopback: the only place where a set of libraries that silently stops the
scheduler is noticed.

With whenever 0.10, on Python 3.11 and 3.12, the server is healthy, `serve` says that it polls, runs by hand
work, and no scheduled run is ever made.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flows.service.deployments import is_up, local_server
from tests.conftest import clean_environment, free_port
from tests.flows.machine import ask, until

pytestmark = pytest.mark.prefect

ROOT = Path(__file__).resolve().parents[2]

SERVE = """
from flows.service.deployments import Plan, Timing, build, serve
from flows.settings.layers import prepare_process

prepare_process(quiet=False)
timing = Timing("tiny-now", "* * * * * */5", "UTC", "demo")
serve(build([Plan("every-five-seconds", "tests.flows.tiny.tiny", "A test.", ("test",), (timing,))]), limit=1)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An environment of its own for Prefect, so that nothing of the user's is touched or used."""
    ours = clean_environment(tmp_path / "prefect")
    for name in os.environ.keys() - ours.keys():
        monkeypatch.delenv(name)
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def test_a_scheduled_run_completes_and_its_schedule_survives_the_end_of_serve(home):
    with local_server(free_port()) as address:
        env = {
            **os.environ,
            "PREFECT_API_URL": address,
            "PYTHONPATH": str(ROOT),
            "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        }
        serving = subprocess.Popen([sys.executable, "-c", SERVE], cwd=home, env=env, start_new_session=True)
        completed = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
        try:
            runs = until(lambda: ask(address, "flow_runs/filter", completed), 400)
        finally:
            serving.send_signal(signal.SIGTERM)
            try:
                serving.wait(180)
            except subprocess.TimeoutExpired:
                os.killpg(serving.pid, signal.SIGKILL)
                serving.wait()
        assert runs, "no scheduled run was completed within 400 s: is whenever that of the lock?"
        assert runs[0]["auto_scheduled"] is True
        assert runs[0]["parameters"] == {"parameters": {"profile": "demo"}}
        assert (home / "ran.txt").read_text().startswith("demo\n")
        [deployment] = ask(address, "deployments/filter", {})
        assert (deployment["paused"], deployment["schedules"][0]["active"]) == (False, True)
    assert not is_up(address)


def test_a_run_from_the_command_line_goes_on_without_the_server_it_was_told_to_use(home):
    """Ends with its summary as the last line of standard output; progress and warnings are on standard error,
    and nothing else is.
    """
    dead = f"http://127.0.0.1:{free_port()}/api"
    argv = ["ingest", "--tickers", "SIM1,sim2", "--workspace", "w", "--as-of", "2024-05-30", "--json"]
    code = f"import sys; from flows.cli import main; sys.exit(main({argv!r}))"
    env = {**os.environ, "PREFECT_API_URL": dead, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", code], cwd=home, env=env, capture_output=True, text=True)
    *_, last = ran.stdout.splitlines()
    summary = json.loads(last)
    assert (ran.returncode, summary["exit_code"], summary["tickers"]["fresh"]) == (0, 0, 2), ran.stderr
    assert summary["run_id"].startswith("20240530-") and summary["workspace"] == str(home / "w")
    warning, *progress = ran.stderr.splitlines()
    assert (
        warning == f"tickercast: no Prefect server answers at {dead}: the run goes on, but is not shown there"
    )
    assert progress[0] == "ingest of 2 tickers as of 2024-05-30; Prefect is starting"
    assert "ingest 2/2" in " ".join(progress) and not any(
        "leaked" in line or "Traceback" in line for line in progress
    )
    stored = subprocess.run(
        [
            sys.executable,
            "-m",
            "flows.cli",
            "sql",
            "SELECT count(DISTINCT ticker), max(session) FROM prices",
            "--workspace",
            str(home / "w"),
            "--format",
            "csv",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert stored.stdout.splitlines()[1].startswith("2,2024-05-30")
