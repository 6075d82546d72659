"""A run's page, kept by a process of its own: all that the run does is shown there, however it ends; where it
cannot be shown nothing is kept, and where that is lost on the way the run is not.
"""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import weakref
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from prefect import flow
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.running.run_log import run_logger
from flows.settings.layers import gather
from flows.settings.run_config import resolve
from flows.shown.by_hand import by_hand
from flows.shown.ending import ended
from flows.shown.inside import PrefectPage
from flows.shown.stages import PrefectStages
from flows.shown.told import ToldPage
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
NOWHERE = "http://127.0.0.1:9/api"


def environ(monkeypatch, home, address: str) -> None:
    """The environment names that server, and nothing else of Prefect's."""
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    for name, value in {**clean_environment(home), "PREFECT_API_URL": address}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def address(prefect_server, tmp_path, monkeypatch) -> str:
    environ(monkeypatch, tmp_path / "prefect", prefect_server)
    return prefect_server


def night(tmp_path, **other: str) -> tuple[Any, Any]:
    settings = gather({**NIGHT, "workspace": str(tmp_path / "w"), **other}, environ={})
    return resolve(settings), settings


def newest(address: str, name: str) -> Any:
    """The flow run of that name, once it has ended."""
    wanted = {"flow_runs": {"name": {"any_": [name]}}, "sort": "START_TIME_DESC", "limit": 1}

    def found() -> Any:
        return [run for run in ask(address, "flow_runs/filter", wanted) if run["state_type"] in ENDED]

    [last] = until(found, 60)
    return last


def lines(address: str, flow_run_id: str, last: str) -> list[str]:
    """The run's log, once a line is in it."""
    wanted = {"logs": {"flow_run_id": {"any_": [flow_run_id]}}, "sort": "TIMESTAMP_ASC"}
    found = [line["message"] for line in ask(address, "logs/filter", wanted)]
    return found if any(last in line for line in found) else []


def task_runs(address: str, flow_run_id: str, least: int = 4) -> dict[str, str]:
    """The states of the run's task runs, once the server has heard of their ends."""

    def states() -> dict[str, str]:
        wanted = {"flow_runs": {"id": {"any_": [flow_run_id]}}}
        return {run["name"]: run["state_type"] for run in ask(address, "task_runs/filter", wanted)}

    until(lambda: set(states().values()) <= set(ENDED) and len(states()) >= least, 60)
    return states()


def summary(tmp_path) -> RunSummary:
    config = made_up.run_config(workspace=tmp_path)
    return RunSummary(config.run_id, "nightly", "fresh", config.as_of.day, "all of it")


def test_what_was_told_before_the_page_was_there_is_shown_on_it(address, tmp_path):
    with ToldPage("nightly", "told-early") as page:
        assert not page._there
        run_logger().warning("said before")
        page.progress("ingest", 4)(3, "A")
        page.keeping()
        run_logger().info("said there")
        page.ended(summary(tmp_path))
    run = newest(address, "told-early")
    assert (run["state"]["name"], run["state"]["message"]) == ("Fresh", "all of it")
    said = until(lambda: lines(address, run["id"], "said there"), 60)
    assert [line for line in said if line.startswith("said")] == ["said before", "said there"]
    [bar] = ask(address, "artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
    assert (bar["key"], bar["description"]) == ("progress-ingest", "ingest: 0 of 4")  # the next in a second


def test_a_night_has_its_task_runs_progress_and_tables(address, tmp_path):
    config, settings = night(tmp_path)
    with ToldPage("nightly", "whole-night") as page:
        done = by_hand("nightly", config, settings, page)
    assert done.published and done.tickers["none"] == 0
    run = newest(address, "whole-night")
    runs = task_runs(address, run["id"])
    assert {"fetch-SIM1..SIM2", "forecast-SIM1", "forecast-SIM2"} <= set(runs), runs
    assert set(runs.values()) == {"COMPLETED"}
    artifacts = ask(address, "artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
    shown = {each["key"]: each for each in artifacts}
    assert {"progress-ingest", "progress-forecast", "nightly-summary", "nightly-tickers"} <= set(shown)
    assert shown["progress-ingest"]["data"] == 100.0
    assert shown["progress-ingest"]["description"].startswith("ingest: 2 of 2")
    assert until(lambda: lines(address, run["id"], "stage=ingest ticker=SIM1"), 60)


def test_a_run_that_fails_at_once_is_shown_as_failed(address, tmp_path):
    config, settings = night(tmp_path)
    with (
        hold_workspace(config.workspace, "another"),
        pytest.raises(WorkspaceBusy, match="is held by .*another"),
        ToldPage("nightly", "busy-night") as page,
    ):
        by_hand("nightly", config, settings, page)
    state = newest(address, "busy-night")["state"]
    assert state["type"] == "FAILED" and "another" in state["message"]


@pytest.mark.parametrize(
    ("kind", "strategy"), [("nightly", "forecast"), ("nightly", "auto"), ("ingest", "auto")]
)
def test_where_the_run_cannot_be_shown_nothing_is_kept(kind, strategy, tmp_path, monkeypatch, prefect_server):
    config, settings = night(tmp_path, strategy=strategy, test_share="0.02")
    environ(monkeypatch, tmp_path / "prefect", NOWHERE)
    refused = pytest.raises(FatalError, match="does not show the run: .*Failed to reach API")
    with refused, ToldPage(kind) as page:
        by_hand(kind, config, settings, page)
    workspace = config.workspace
    assert not (workspace / "published.duckdb").exists() and not list((workspace / "models").glob("*"))
    assert (workspace / ".lock").read_text() == "", "the next run would say that this one died"
    with duckdb.connect(workspace / "working.duckdb", read_only=True) as con:
        counts = {
            name: con.execute(f"SELECT count(*) FROM {name}").fetchone()
            for name in ("prices", "runs", "run_tickers", "forecasts")
        }
    assert set(counts.values()) == {(0,)}, counts
    assert by_hand(kind, config, settings).published


def test_a_run_that_is_given_up_is_shown_as_crashed_with_what_was_under_way(address):
    ends = [Future[None](), Future[None]()]
    with ToldPage("nightly", "given-up") as page, page.task_runs("models", ["A", "B"], ends, 2):
        ends[1].set_result(None)
        page.keeping()
    run = newest(address, "given-up")
    assert run["state_type"] == "CRASHED"
    assert task_runs(address, run["id"], 2) == {"models-A": "FAILED", "models-B": "COMPLETED"}


def test_a_page_that_is_lost_costs_nothing_but_itself(address, tmp_path, capfd):
    config, settings = night(tmp_path)
    with ToldPage("nightly", "lost-page") as page:
        page.keeping()
        page._process.kill()
        page._process.wait()
        done = by_hand("nightly", config, settings, page)
    assert done.published
    assert [notice.partition(":")[0] for notice in done.notices] == ["the artifacts were not left"]
    assert "how the run ended is not shown: " in capfd.readouterr().err


def test_an_artifact_that_cannot_be_left_is_told_to_who_leaves_it(address, tmp_path):
    with ToldPage("nightly", "bad-kind") as page:
        with pytest.raises(FatalError, match="key"):
            page.leave_failure("No Kind", "no reason")
        page.ended(summary(tmp_path))
    assert newest(address, "bad-kind")["state"]["name"] == "Fresh"


def test_the_process_of_a_run_loads_nothing_of_prefect(tickercast, tmp_path):
    code = (
        "import sys; from flows import cli; code = cli.main(sys.argv[1:]);"
        " print(sorted(name for name in sys.modules if name.partition('.')[0] == 'prefect')); sys.exit(code)"
    )
    words = [word for name, value in NIGHT.items() for word in (f"--{name.replace('_', '-')}", value)]
    ran = subprocess.run(
        [sys.executable, "-c", code, "nightly", "--workspace", str(tmp_path / "w"), *words],
        cwd=tmp_path,
        env=tickercast.env,
        capture_output=True,
        text=True,
    )
    assert "fresh" in ran.stdout or "degraded" in ran.stdout, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[]"


def in_a_flow(address: str, run: Any) -> Any:
    """What a flow of ours ends with."""
    with temporary_settings({PREFECT_API_URL: address}):
        return flow(name="nightly")(lambda: ended(run))(return_state=True)


def test_of_each_shard_only_what_is_kept_is_held_by_prefect_either(address, tmp_path):
    class Large:
        pass

    told: list[weakref.ref[Large]] = []
    held: list[int] = []

    def keep(place: int, made: list[Any]) -> list[Any]:
        held.append(sum(each() is not None for each in told))
        told.append(weakref.ref(made[0]))
        return [place]

    def run() -> RunSummary:
        with PrefectStages(made_up.run_config(workspace=tmp_path), PrefectPage()) as stages:
            stages.begin("models", lambda shard: [Large() for _ in shard], [(0,)] * 6, [""] * 6)(keep)
        held.append(sum(each() is not None for each in told))
        return summary(tmp_path)

    in_a_flow(address, run)
    assert max(held[:-1]) <= 1 and held[-1] == 0


@pytest.mark.parametrize("way", ["told", "inside"])
def test_a_shard_that_fails_is_a_failed_task_run_and_the_others_are_not(way, address, tmp_path):
    found: dict[str, str] = {}

    def work(shard: tuple[int, ...]) -> list[Any]:
        if 3 in shard:
            raise TickercastError("the third is bad")
        return list(shard)

    def run(page: Any) -> RunSummary:
        with PrefectStages(made_up.run_config(workspace=tmp_path), page) as stages:
            stages.begin("models", work, [(1,), (2,), (3,), (4,)], ["1", "2", "3", "4"])()
        raise AssertionError

    def inside() -> RunSummary:
        found.update(id=str(flow_run.id))
        return run(PrefectPage())

    if way == "inside":
        assert in_a_flow(address, inside).message == "the third is bad"
    else:
        with ToldPage("nightly", "bad-shard") as page:
            with pytest.raises(TickercastError, match="the third is bad"):
                run(page)
            page.failed("the third is bad")
        found.update(id=newest(address, "bad-shard")["id"])
    runs = task_runs(address, found["id"])
    assert runs == {f"models-{n}": "FAILED" if n == 3 else "COMPLETED" for n in (1, 2, 3, 4)}
    wanted = {"flow_runs": {"id": {"any_": [found["id"]]}}, "task_runs": {"name": {"any_": ["models-3"]}}}
    [bad] = ask(address, "task_runs/filter", wanted)
    assert "TickercastError: the third is bad" in bad["state"]["message"]


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


def test_a_run_that_ends_waits_for_no_shard_that_has_not_begun(address, tmp_path):
    at_work, let_go, found = threading.Semaphore(0), threading.Event(), dict[str, str]()

    def work(shard: tuple[int, ...]) -> list[Any]:
        at_work.release()
        assert let_go.wait(60)
        return list(shard)

    def run() -> RunSummary:
        found.update(id=str(flow_run.id))
        with PrefectStages(made_up.run_config(workspace=tmp_path, workers=2), PrefectPage()) as stages:
            stages.begin("models", work, [(1,), (2,), (3,), (4,)], ["1", "2", "3", "4"])
            assert at_work.acquire(timeout=60) and at_work.acquire(timeout=60)
            threading.Timer(1.0, let_go.set).start()
            raise TickercastError("the disk is full")

    assert in_a_flow(address, run).message == "the disk is full"
    assert not at_work.acquire(blocking=False)
    states = task_runs(address, found["id"])
    assert [states[f"models-{n}"] == "COMPLETED" for n in (1, 2, 3, 4)] == [True, True, False, False]
