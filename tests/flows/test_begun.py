"""A run that begins before its flow: all of it is shown once the flow is there, and where that never comes
nothing is kept.
"""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import weakref
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from prefect.runtime import flow_run
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from flows.running.begun import Begun, begun_here
from flows.running.ending import ended, here
from flows.running.prefect_stages import PrefectStages
from flows.running.run_log import run_logger
from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.errors import FatalError, TickercastError, WorkspaceBusy
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.store.disk.lock import hold_workspace
from tests import made_up
from tests.conftest import SMALL, clean_environment
from tests.flows.machine import ENDED, ask, until

pytestmark = pytest.mark.prefect

NIGHT = {"source": "simulated", "tickers": "SIM1,SIM2", "as_of": "2024-05-02", "strategy": "forecast"} | {
    name.removeprefix("--").replace("-", "_"): text
    for name, text in zip(SMALL[::2], SMALL[1::2], strict=True)
}
"""Nothing is trained."""


class Coming:
    """A server of which nobody hears before it is needed."""

    def __init__(self, address: str) -> None:
        self.address, self.waited_for = address, False

    def answered(self) -> bool:
        return False

    @contextlib.contextmanager
    def in_use(self):
        self.waited_for = True
        with temporary_settings({PREFECT_API_URL: self.address, PREFECT_LOGGING_TO_API_ENABLED: True}):
            yield


class Never(Coming):
    """A server that cannot start."""

    @contextlib.contextmanager
    def in_use(self):
        raise FatalError("it did not start")
        yield


@pytest.fixture
def coming(prefect_server: str) -> Coming:
    return Coming(prefect_server)


def night(tmp_path, **other: str) -> tuple[Any, Any]:
    settings = gather({**NIGHT, "workspace": str(tmp_path / "w"), **other}, environ={})
    return resolve(settings), settings


def lines(address: str, flow_run_id: str, last: str) -> list[str]:
    """The run's log, once a line is in it."""
    wanted = {"logs": {"flow_run_id": {"any_": [flow_run_id]}}, "sort": "TIMESTAMP_ASC"}
    found = [line["message"] for line in ask(address, "logs/filter", wanted)]
    return found if any(last in line for line in found) else []


def task_runs(address: str, flow_run_id: str) -> dict[str, str]:
    """The states of the run's task runs, once the server has heard of their ends."""

    def states() -> dict[str, str]:
        wanted = {"flow_runs": {"id": {"any_": [flow_run_id]}}}
        return {run["name"]: run["state_type"] for run in ask(address, "task_runs/filter", wanted)}

    until(lambda: set(states().values()) <= set(ENDED) and len(states()) > 3, 60)
    return states()


def summary(tmp_path) -> RunSummary:
    config = made_up.run_config(workspace=tmp_path)
    return RunSummary(config.run_id, "nightly", "fresh", config.as_of.day, "all of it")


def test_what_was_said_and_done_before_its_flow_was_there_is_shown_in_it(coming, tmp_path):
    found: dict[str, str] = {}

    def run(flow) -> RunSummary:
        run_logger().warning("said before")
        flow.once_inside(lambda: found.update(id=str(flow_run.id)))
        flow.look()
        assert not found and not coming.waited_for
        flow.enter()
        run_logger().info("said inside")
        return summary(tmp_path)

    begun = Begun(coming.answered, run)
    begun.begin()
    with coming.in_use():
        done = here("nightly", lambda: ended(begun.go_on))
    assert done.message == "all of it"
    said = until(lambda: lines(coming.address, found["id"], "said inside"), 60)
    assert [line for line in said if line.startswith("said")] == ["said before", "said inside"]
    assert ask(coming.address, f"flow_runs/{found['id']}")["state"]["name"] == "Fresh"


def test_a_night_that_began_before_its_flow_has_its_task_runs_and_progress(coming, tmp_path, monkeypatch):
    config, settings = night(tmp_path)
    held: list[str] = []

    def enter(flow, failing=None, entered=Begun.enter):
        entered(flow, failing)
        held.append(str(flow_run.id))

    monkeypatch.setattr(Begun, "enter", enter)
    done = begun_here("nightly", config, settings, coming)  # type: ignore[arg-type]
    assert done.published and done.tickers["none"] == 0
    runs = task_runs(coming.address, held[0])
    assert {"fetch-SIM1..SIM2", "forecast-SIM1", "forecast-SIM2"} <= set(runs), runs
    assert set(runs.values()) == {"COMPLETED"}
    artifacts = ask(coming.address, "artifacts/filter", {"artifacts": {"flow_run_id": {"any_": held[:1]}}})
    shown = {each["key"]: each for each in artifacts}
    assert {"progress-ingest", "progress-forecast", "nightly-summary", "nightly-tickers"} <= set(shown)
    assert (shown["progress-ingest"]["data"], shown["progress-ingest"]["description"]) == (
        100.0,
        "ingest: 2 of 2",
    )
    assert until(lambda: lines(coming.address, held[0], "stage=ingest ticker=SIM1"), 60)


def test_a_run_that_fails_before_its_flow_is_there_is_shown_as_failed(coming, tmp_path):
    config, settings = night(tmp_path)
    with (
        hold_workspace(config.workspace, "another"),
        pytest.raises(WorkspaceBusy, match="is held by .*another"),
    ):
        begun_here("nightly", config, settings, coming)  # type: ignore[arg-type]
    wanted = {"sort": "START_TIME_DESC", "limit": 1}
    [last] = ask(coming.address, "flow_runs/filter", wanted)
    assert last["state"]["type"] == "FAILED" and "another" in last["state"]["message"]


@pytest.mark.parametrize(
    ("kind", "strategy"), [("nightly", "forecast"), ("nightly", "auto"), ("ingest", "auto")]
)
def test_where_the_flow_cannot_begin_nothing_is_kept(kind, strategy, tmp_path, coming):
    config, settings = night(tmp_path, strategy=strategy, test_share="0.02")
    with pytest.raises(FatalError, match="it did not start"):
        begun_here(kind, config, settings, Never(""))  # type: ignore[arg-type]
    workspace = config.workspace
    assert not (workspace / "published.duckdb").exists() and not list((workspace / "models").glob("*"))
    assert (workspace / ".lock").read_text() == "", "the next run would say that this one died"
    with duckdb.connect(workspace / "working.duckdb", read_only=True) as con:
        counts = {
            name: con.execute(f"SELECT count(*) FROM {name}").fetchone()
            for name in ("prices", "runs", "run_tickers", "forecasts")
        }
    assert set(counts.values()) == {(0,)}, counts
    assert begun_here(kind, config, settings, coming).published  # type: ignore[arg-type]


def test_the_flow_begins_while_shards_are_worked_on(coming, tmp_path):
    working, inside = threading.Event(), threading.Event()

    def work(shard: tuple[int, ...]) -> list[Any]:
        working.set()
        return [inside.wait(60) for _ in shard]

    def run(flow) -> RunSummary:
        with PrefectStages(made_up.run_config(workspace=tmp_path), flow) as stages:
            flow.once_inside(inside.set)
            assert stages.begin("models", work, [(1,), (2,)], ["1", "2"])() == [True, True]
        return summary(tmp_path)

    begun = Begun(working.is_set, run)
    begun.begin()
    with coming.in_use():
        assert here("nightly", lambda: ended(begun.go_on)).message == "all of it"


def test_a_signal_before_the_flow_is_one_whatever_error_came_of_it():
    let_go: list[str] = []

    def run(flow) -> RunSummary:
        try:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            raise RuntimeError("Query interrupted")
        finally:
            let_go.append("the workspace")

    begun = Begun(lambda: False, run)
    with pytest.raises(KeyboardInterrupt) as caught:
        begun.begin()
    begun.end_with(caught.value)
    assert let_go == ["the workspace"]


def test_of_each_shard_only_what_is_kept_is_held_by_prefect_either(coming, tmp_path):
    class Large:
        pass

    told: list[weakref.ref[Large]] = []
    held: list[int] = []

    def keep(place: int, made: list[Any]) -> list[Any]:
        held.append(sum(each() is not None for each in told))
        told.append(weakref.ref(made[0]))
        return [place]

    def run() -> RunSummary:
        with PrefectStages(made_up.run_config(workspace=tmp_path)) as stages:
            stages.begin("models", lambda shard: [Large() for _ in shard], [(0,)] * 6, [""] * 6)(keep)
        held.append(sum(each() is not None for each in told))
        return summary(tmp_path)

    with coming.in_use():
        here("nightly", lambda: ended(run))
    assert max(held[:-1]) <= 1 and held[-1] == 0


def test_a_shard_that_fails_is_a_failed_task_run_and_the_others_are_not(coming, tmp_path):
    found: dict[str, str] = {}

    def work(shard: tuple[int, ...]) -> list[Any]:
        if 3 in shard:
            raise TickercastError("the third is bad")
        return list(shard)

    def run() -> RunSummary:
        found.update(id=str(flow_run.id))
        with PrefectStages(made_up.run_config(workspace=tmp_path)) as stages:
            stages.begin("models", work, [(1,), (2,), (3,), (4,)], ["1", "2", "3", "4"])()
        raise AssertionError

    with coming.in_use(), pytest.raises(TickercastError, match="the third is bad"):
        here("nightly", lambda: ended(run))
    runs = task_runs(coming.address, found["id"])
    assert runs == {f"models-{n}": "FAILED" if n == 3 else "COMPLETED" for n in (1, 2, 3, 4)}


@pytest.mark.slow
def test_a_command_whose_server_cannot_start_says_so_and_the_next_night_knows_nothing_of_it(tmp_path):
    """As where another release of Prefect has used its database."""
    env = clean_environment(tmp_path / "prefect")
    with contextlib.closing(sqlite3.connect(tmp_path / "prefect" / "prefect.db")) as con, con:
        con.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    words = [
        "nightly",
        "--json",
        "--tickers",
        "SIM1",
        "--as-of",
        "2024-05-02",
        "--strategy",
        "forecast",
        *SMALL,
    ]

    def night(*more: str) -> Any:
        command = [sys.executable, "-m", "flows.cli", *words, *more]
        ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        return SimpleNamespace(code=ran.returncode, err=ran.stderr, **json.loads(ran.stdout.splitlines()[-1]))

    failed = night()
    assert failed.code == 1 and "Prefect's own server did not start: " in failed.error
    assert "Traceback" not in failed.err and failed.err.splitlines()[-1].startswith(
        "tickercast: Prefect's own"
    )
    plain = night("--plain")
    assert plain.published and "died" not in plain.err
    with duckdb.connect(tmp_path / "workspace" / "working.duckdb", read_only=True) as con:
        assert con.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    assert os.listdir(tmp_path / "workspace" / "snapshots")


def test_a_run_that_ends_waits_for_no_shard_that_has_not_begun(coming, tmp_path):
    at_work, let_go, found = threading.Semaphore(0), threading.Event(), dict[str, str]()

    def work(shard: tuple[int, ...]) -> list[Any]:
        at_work.release()
        assert let_go.wait(60)
        return list(shard)

    def run() -> RunSummary:
        found.update(id=str(flow_run.id))
        with PrefectStages(made_up.run_config(workspace=tmp_path, workers=2)) as stages:
            stages.begin("models", work, [(1,), (2,), (3,), (4,)], ["1", "2", "3", "4"])
            assert at_work.acquire(timeout=60) and at_work.acquire(timeout=60)
            threading.Timer(1.0, let_go.set).start()
            raise TickercastError("the disk is full")

    with coming.in_use(), pytest.raises(TickercastError, match="the disk is full"):
        here("nightly", lambda: ended(run))
    assert not at_work.acquire(blocking=False)
    states = task_runs(coming.address, found["id"])
    assert [states[f"models-{n}"] == "COMPLETED" for n in (1, 2, 3, 4)] == [True, True, False, False]
