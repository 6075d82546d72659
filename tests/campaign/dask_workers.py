"""The kind of trial on Dask workers: one of two is killed, stopped, or loses its way to the scheduler, while
it works on a shard of a whole night.

Scheduler and workers are real processes; the first worker reaches the scheduler through a go-between that can
hang up or fall silent. The scheduler gives up a silent worker after some seconds instead of Dask's five
minutes.
"""

import contextlib
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from distributed import Client

from tests.campaign.trials import Outcome
from tests.campaign.whole import TONIGHT, Home
from tests.conftest import clean_environment, free_port
from tests.flows.machine import until

__all__ = ["DASK"]

TROUBLES = ("killed", "stopped", "hung up", "silent")
SILENT_S, WORK_S = 20, 3.0
"""After how long a silent worker is given up, and how long the troubled one takes for a shard at least."""

SLOW = f"""
import pathlib, time
from forecast_lib.jobs.forecast import tickers
forecast = tickers.forecast_shard
def slow(*arguments, **named):
    pathlib.Path("at-work").touch()
    time.sleep({WORK_S})
    return forecast(*arguments, **named)
tickers.forecast_shard = slow
"""


class GoBetween:
    """Passes on what a worker and its scheduler say, until it hangs up or falls silent."""

    def __init__(self, port: int) -> None:
        self._to, self._pairs = port, dict[socket.socket, socket.socket]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._silent = threading.Event()
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._pass_on, daemon=True).start()

    def fall_silent(self) -> None:
        self._silent.set()

    def hang_up(self) -> None:
        self._silent.set()
        self._listener.close()
        for each in list(self._pairs):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _pass_on(self) -> None:
        while not self._silent.is_set():
            for key, _ in self._selector.select(timeout=0.1):
                with contextlib.suppress(OSError):
                    self._heard(key.fileobj)  # type: ignore[arg-type]  # only sockets were registered

    def _heard(self, speaker: socket.socket) -> None:
        if speaker is self._listener:
            ours, theirs = speaker.accept()[0], socket.create_connection(("127.0.0.1", self._to))
            self._pairs |= {ours: theirs, theirs: ours}
            for each in (ours, theirs):
                self._selector.register(each, selectors.EVENT_READ)
        elif said := speaker.recv(1 << 16):
            self._pairs[speaker].sendall(said)
        else:
            self._selector.unregister(speaker)
            with contextlib.suppress(OSError):
                self._pairs[speaker].shutdown(socket.SHUT_WR)


def _start(folder: Path, *words: str, **env: str) -> "subprocess.Popen[bytes]":
    folder.mkdir()
    ours = {**clean_environment(folder), **env}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words], cwd=folder, env=ours, stdout=log, stderr=log
        )


def _worker(folder: Path, address: str, *words: str) -> "subprocess.Popen[bytes]":
    plain = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
    return _start(folder, "worker", address, *plain, "--local-directory", str(folder), *words)


def dask_workers(chance: random.Random, folder: Path) -> Outcome:
    """One of two workers is killed, stopped, hung up on or cut off in silence at work: the night's forecasts
    are the same as without Dask.
    """
    trouble, home, port = chance.choice(TROUBLES), Home(chance, folder), free_port()
    scheduler = ("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    patience = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{SILENT_S}s"}
    between, processes = GoBetween(port), []
    address = f"tcp://127.0.0.1:{port}"
    try:
        processes.append(
            _start(folder / "scheduler", *scheduler, "--dashboard-address", "127.0.0.1:0", **patience)
        )
        troubled = _worker(folder / "troubled", f"tcp://127.0.0.1:{between.port}", "--preload", SLOW)
        processes += [troubled, _worker(folder / "well", address)]
        with Client(address, timeout=300, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=300)
        night = home.start(TONIGHT, "--dask-scheduler", address, "--shard-size", "1")
        if not until((folder / "troubled" / "at-work").exists, 120, pause=0.02):
            home.violations.append(f"the worker never got a shard: {night.said()[-300:]}")
        time.sleep(chance.uniform(0.0, WORK_S))
        began = time.monotonic()
        {
            "killed": troubled.kill,
            "stopped": lambda: os.kill(troubled.pid, signal.SIGSTOP),
            "hung up": between.hang_up,
            "silent": between.fall_silent,
        }[trouble]()
        ended = home.told(night.end())
        took = time.monotonic() - began
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if ended.code != 0:
        home.violations.append(f"{trouble}: the night ended with {ended.code}: {ended.err[-300:]}")
    elif ended.summary["forecasts_hash"] != home.made.forecasts[TONIGHT]:
        home.violations.append(f"{trouble}: the forecasts are others than without Dask")
    home.beside |= {"scheduler", "troubled", "well"}
    home.look(at_rest=True)
    return home.outcome(f"a worker {trouble}: {ended.code}", took)


DASK = (dask_workers,)
