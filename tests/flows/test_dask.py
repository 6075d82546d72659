"""Nights whose shards are worked on elsewhere: a real Dask scheduler and workers, one of them killed at work,
and processes.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from distributed import Client
from distributed.utils import sync

from flows.running import shards
from flows.running.places import place_of
from forecast_lib.errors import FatalError, UsageError
from tests import made_up
from tests.conftest import SMALL, CommandLine, Ended, clean_environment, free_port

pytestmark = pytest.mark.prefect

WORDS = (
    *SMALL,
    "--tickers",
    "SIM1,SIM2,SIM3",
    "--as-of",
    "2024-05-02",
    "--shard-size",
    "1",
    "--json",
)
BRIEF = {"TICKERCAST_TEST_SHARE": "0.02"}

NO_DATABASE = """
import duckdb
def connect(*path, **_):
    raise AssertionError(f"a worker opened the database {path}")
duckdb.connect = connect
"""
STUCK = """
import os, pathlib, time
from forecast_lib.jobs.refresh import models
def stuck(*_, **__):
    pathlib.Path("at-work").touch()
    time.sleep(600)
models.refresh_shard = stuck
"""


@dataclass(frozen=True)
class Cluster:
    """A scheduler with two workers, one thread each; the first never gets done with a shard of models."""

    address: str
    scheduler: "subprocess.Popen[bytes]"
    stuck: "subprocess.Popen[bytes]"
    at_work: Path


def _start(folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        env = clean_environment(folder)
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words], cwd=folder, env=env, stdout=log, stderr=log
        )


def _worker(folder: Path, address: str, preload: str) -> "subprocess.Popen[bytes]":
    plain = (
        "--nthreads",
        "1",
        "--no-nanny",
        "--no-dashboard",
        "--host",
        "127.0.0.1",
        "--local-directory",
        str(folder),
    )
    return _start(folder, "worker", address, *plain, "--preload", preload)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder, address = tmp_path_factory.mktemp("cluster"), f"tcp://127.0.0.1:{free_port()}"
    scheduler = (
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        address.rpartition(":")[2],
        "--no-dashboard",
        "--dashboard-address",
        "127.0.0.1:0",
    )
    processes = [_start(folder / "scheduler", *scheduler)]
    try:
        processes.append(_worker(folder / "stuck", address, NO_DATABASE + STUCK))
        processes.append(_worker(folder / "well", address, NO_DATABASE))
        with Client(address, timeout=300, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=300)
        yield Cluster(address, processes[0], processes[1], folder / "stuck" / "at-work")
    finally:
        for process in processes:
            process.kill()
            process.wait()


def results(workspace: Path, ended: Ended) -> dict[str, object]:
    """What a night made: its forecasts by hash, its models by their weights' hash, its backtest."""
    assert ended.code in (0, 10), ended.err
    with duckdb.connect(str(workspace / "published.duckdb"), read_only=True) as con:
        models = con.execute("SELECT ticker, weights_sha256 FROM models ORDER BY ALL").fetchall()
        backtest = con.execute(
            "SELECT * EXCLUDE (backtest_id) FROM backtest_forecasts ORDER BY ALL"
        ).fetchall()
    return {"forecasts": ended.summary["forecasts_hash"], "models": models, "backtest": backtest}


@pytest.fixture(scope="module")
def local(tickercast: CommandLine, tmp_path_factory) -> dict[str, object]:
    """The same night in threads of one process."""
    workspace = tmp_path_factory.mktemp("local") / "w"
    made = results(workspace, tickercast("nightly", "--workspace", str(workspace), *WORDS, **BRIEF))
    assert {f"SIM{number}" for number in range(1, 4)} <= {ticker for ticker, _ in made["models"]}
    assert made["backtest"]
    return made


def test_a_night_on_dask_is_the_local_one_though_a_worker_is_killed_and_none_can_open_a_database(
    cluster, local, tickercast, tmp_path
):
    night = tickercast.start(
        "nightly", "--workspace", str(tmp_path / "w"), "--dask-scheduler", cluster.address, *WORDS, **BRIEF
    )
    until = time.monotonic() + 400
    while not cluster.at_work.exists() and night.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    killed_at_work = cluster.at_work.exists() and night.poll() is None
    cluster.stuck.send_signal(signal.SIGKILL)
    out, err = night.communicate()
    assert killed_at_work, err
    assert results(tmp_path / "w", Ended(night.returncode, out, err)) == local
    assert not list((Path(tickercast.env["PREFECT_HOME"]) / "storage").glob("*")), (
        "Prefect must keep no result"
    )


def test_a_night_in_processes_is_the_local_one(local, tickercast, tmp_path):
    ended = tickercast(
        "nightly", "--workspace", str(tmp_path / "w"), "--runner", "processes", *WORDS, **BRIEF
    )
    assert results(tmp_path / "w", ended) == local


def dies_once(shard, marks, names):
    """Kills its own process the first time that it comes to a name."""
    mark = Path(marks) / names
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return [(name, os.getpid()) for name in shard]


def test_a_shard_whose_process_dies_is_done_again_and_nobody_is_left_behind(tmp_path):
    place = place_of(made_up.run_config(workspace=tmp_path, runner="processes"))
    [(name, process)] = place.call(dies_once, (["ACME"], str(tmp_path), "first"), {})
    place.close()
    assert (name, (tmp_path / "first").exists()) == ("ACME", True)
    assert process != os.getpid()
    assert not Path(f"/proc/{process}").exists()


def test_a_scheduler_that_does_not_answer_is_named(tmp_path):
    address = f"tcp://127.0.0.1:{free_port()}"
    config = made_up.run_config(workspace=tmp_path, runner="dask", dask_scheduler=address)
    with pytest.raises(
        UsageError,
        match=f"no Dask scheduler answers at {address} .*: start one with `dask scheduler`, or correct",
    ):
        place_of(config)


def test_a_shard_larger_than_a_message_comes_in_pieces(cluster, monkeypatch, tmp_path):
    monkeypatch.setattr(shards, "_LARGEST", 1000)
    content = os.urandom(123_456)
    assert max(map(len, shards.parcels(content))) == 1000
    config = made_up.run_config(workspace=tmp_path, runner="dask", dask_scheduler=cluster.address)
    place = place_of(config)
    try:
        assert place.call(lambda sent: sent[::-1], (content,), {}) == content[::-1]
    finally:
        place.close()


def test_workers_with_another_installation_are_refused(cluster, monkeypatch, tmp_path):
    other = {**shards.installation(), "numpy": "1.0"}
    monkeypatch.setattr(shards, "installation", lambda: other)
    config = made_up.run_config(workspace=tmp_path, runner="dask", dask_scheduler=cluster.address)
    with pytest.raises(
        UsageError,
        match=(
            "a Dask worker has another installation than this run: numpy .* instead of 1.0; install the same"
        ),
    ):
        place_of(config)


def test_a_cancelled_wait_is_a_lost_scheduler_however_dask_says_it(cluster, monkeypatch, tmp_path):
    """What a cancelled task of Dask's own loop comes to; a shard's own error of that kind stays one."""
    place = place_of(made_up.run_config(workspace=tmp_path, runner="dask", dask_scheduler=cluster.address))

    def mistaken():
        raise UnboundLocalError("of the shard's own")

    async def cancelled():
        raise asyncio.CancelledError

    try:
        with pytest.raises(UnboundLocalError, match="of the shard's own"):
            place.call(mistaken, (), {})
        loop = place._client.loop
        monkeypatch.setattr(place._client, "sync", lambda *_, **__: sync(loop, cancelled))
        with pytest.raises(FatalError, match="was lost: nothing was published"):
            place.call(str, (1,), {})
    finally:
        monkeypatch.undo()
        place.close()


def test_the_workers_of_a_run_are_as_patient_as_its_scheduler(tmp_path):
    place = place_of(made_up.run_config(workspace=tmp_path, runner="dask", workers=1))

    def patience():
        from dask import config

        return config.get("distributed.comm.timeouts.tcp"), config.get("distributed.scheduler.worker-ttl")

    try:
        assert place.call(patience, (), {}) == ("5m", "5 minutes")
    finally:
        place.close()


def test_a_scheduler_that_is_lost_ends_the_run_with_a_sentence(cluster, tmp_path):
    """The last test: it needs the scheduler, and nobody after it does."""
    config = made_up.run_config(workspace=tmp_path, runner="dask", dask_scheduler=cluster.address)
    mark, place = tmp_path / "begun", place_of(config)

    def long_work(shard, mark):
        """Says that it has begun, and goes on for longer than the test waits."""
        Path(mark).touch()
        time.sleep(600)

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(place.call, long_work, (["ACME"], str(mark)), {})
        until = time.monotonic() + 400
        while not mark.exists() and time.monotonic() < until:
            time.sleep(0.05)
        cluster.scheduler.kill()
        with pytest.raises(
            FatalError, match=f"Dask scheduler {cluster.address} was lost: nothing was published; run again"
        ):
            future.result()
    place.close()
