"""`tickercast serve`, the real thing: its server, its schedules, and a night started from the server like a scheduled one."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pytest

from tests.conftest import SMALL, free_port


def ask(address: str, path: str, body: dict | None = None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def until(found, seconds: float):
    """What `found` returns as soon as it is true, or its last answer; the server may not be there yet."""
    deadline, answer = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            if answer := found():
                return answer
        except OSError:
            pass
        time.sleep(1.0)
    return answer


@pytest.fixture
def serving(alone, tmp_path):
    """Address of a server under `tickercast serve`, and the workspace that every run of it uses."""
    port, workspace = free_port(), tmp_path / "served"
    words = ["--workspace", str(workspace), "--source", "simulated", "--tickers", "SIM1", "--as-of", "2024-05-02", *SMALL]
    command = [sys.executable, "-m", "flows.cli", "serve", "--port", str(port), *words]
    log = open(tmp_path / "serve.log", "w")  # noqa: SIM115  # closed below; the process writes to it meanwhile
    env = {**alone.env, "PREFECT_RUNNER_POLL_FREQUENCY": "2"}
    process = subprocess.Popen(command, cwd=alone.folder, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield f"http://127.0.0.1:{port}/api", workspace, tmp_path / "serve.log"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


@pytest.mark.timeout(400)
def test_a_served_market_night_runs_and_its_schedule_follows_the_exchanges_clock(serving):
    address, workspace, log = serving
    new_york = until(lambda: ask(address, "deployments/name/nightly/new-york"), 120)
    assert new_york, log.read_text()
    body = {"deployments": {"id": {"any_": [new_york["id"]]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    planned = until(lambda: ask(address, "flow_runs/filter", body), 120)
    starts = [pd.Timestamp(run["expected_start_time"]).astimezone(ZoneInfo("America/New_York")) for run in planned]
    # The exchange closes at 16:00 by its own clock, summer and winter.
    assert {(start.hour, start.minute) for start in starts} == {(18, 30)}
    assert all(start.weekday() < 5 for start in starts)

    run = ask(address, f"deployments/{new_york['id']}/create_flow_run", {})
    state = until(lambda: (s := ask(address, f"flow_runs/{run['id']}"))["state_type"] in ("COMPLETED", "FAILED", "CRASHED") and s, 200)
    assert state and state["state_type"] == "COMPLETED", log.read_text()[-3000:]
    assert state["state"]["name"] in ("Fresh", "Degraded")
    with duckdb.connect(str(workspace / "published.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM latest_forecasts").fetchone() == (2,)
