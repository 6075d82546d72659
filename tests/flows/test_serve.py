"""`tickercast serve`, the real thing: its server, its schedules, a night started from the server like a
scheduled one, and one killed.
"""

import os
import signal
import subprocess
import sys
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pytest

from forecast_lib.jobs.monitor.standing import read_holder
from forecast_lib.store.disk import ledger
from tests.conftest import SMALL, free_port
from tests.flows.machine import ENDED, ask, audited, leftovers, until


@pytest.fixture
def serving(alone, tmp_path):
    """Address of a server under `tickercast serve`, and the workspace that every run of it uses."""
    port, workspace = free_port(), tmp_path / "served"
    words = [
        "--workspace",
        str(workspace),
        "--source",
        "simulated",
        "--tickers",
        "SIM1",
        "--as-of",
        "2024-05-02",
        *SMALL,
    ]
    command = [sys.executable, "-m", "flows.cli", "serve", "--port", str(port), *words]
    log = open(tmp_path / "serve.log", "w")  # noqa: SIM115  # closed below; the process writes to it meanwhile
    env = {**alone.env, "PREFECT_RUNNER_POLL_FREQUENCY": "2"}
    process = subprocess.Popen(command, cwd=alone.folder, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield f"http://127.0.0.1:{port}/api", workspace, tmp_path / "serve.log"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(180)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


def test_a_served_market_night_runs_and_its_schedule_follows_the_exchanges_clock(serving):
    address, workspace, log = serving
    new_york = until(lambda: ask(address, "deployments/name/nightly/new-york"), 400)
    assert new_york, log.read_text()
    body = {
        "deployments": {"id": {"any_": [new_york["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    planned = until(lambda: ask(address, "flow_runs/filter", body), 400)
    starts = [
        pd.Timestamp(run["expected_start_time"]).astimezone(ZoneInfo("America/New_York")) for run in planned
    ]
    # The exchange closes at 16:00 by its own clock, summer and winter.
    assert {(start.hour, start.minute) for start in starts} == {(18, 30)}
    assert all(start.weekday() < 5 for start in starts)

    run = ask(address, f"deployments/{new_york['id']}/create_flow_run", {})
    state = until(lambda: (s := ask(address, f"flow_runs/{run['id']}"))["state_type"] in ENDED and s, 400)
    assert state and state["state_type"] == "COMPLETED", log.read_text()[-3000:]
    assert state["state"]["name"] in ("Fresh", "Degraded")
    with duckdb.connect(str(workspace / "published.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM latest_forecasts").fetchone() == (2,)
    assert {each["name"] for each in ask(address, "automations/filter", {})} >= {
        "Tickercast: a run that is silent has crashed",
        "Tickercast: a run that never began has crashed",
    }
    _killed_at_work(address, new_york["id"], workspace, log)


def _killed_at_work(address, deployment, workspace, log):
    """Prefect says so at once, so does the lock; readers keep what they had, and the next run goes on by
    itself.
    """
    stands, _ = audited(workspace)
    doomed = ask(
        address,
        f"deployments/{deployment}/create_flow_run",
        {"parameters": {"parameters": {"strategy": "retrain"}}},
    )
    working = until(
        lambda: (holder := read_holder(workspace)) is not None and holder.alive and holder, 400, pause=0.01
    )
    assert working, log.read_text()[-3000:]
    os.kill(working.pid, signal.SIGKILL)
    dead = until(
        lambda: (holder := read_holder(workspace)) is not None and not holder.alive and holder, 60, pause=0.05
    )
    assert (dead.run, dead.pid) == (working.run, working.pid)
    state = until(
        lambda: (s := ask(address, f"flow_runs/{doomed['id']}")["state"])["type"] in ENDED and s, 400
    )
    assert state["type"] == "CRASHED", state
    assert audited(workspace)[0] == stands

    again = ask(address, f"deployments/{deployment}/create_flow_run", {})
    state = until(
        lambda: (s := ask(address, f"flow_runs/{again['id']}")["state"])["type"] in ENDED and s, 400
    )
    assert state["type"] == "COMPLETED", state
    newest, _ = audited(workspace)
    assert newest not in (stands, dead.run) and leftovers(workspace) == []
    assert [line["run"] for line in ledger.read(workspace).entries if line["kind"] == ledger.DIED] == [
        dead.run
    ]
