"""Where shards run: threads of this process, processes of this machine, or Dask workers.

Only a shard's function goes there, with its arrays; a worker needs neither a Prefect server nor the
workspace, and is told no setting.
"""

import contextlib
import logging
import multiprocessing
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from typing import Any, Protocol

from flows.running import shards
from forecast_lib.config import RunConfig
from forecast_lib.errors import FatalError, UsageError

__all__ = ["Function", "Place", "place_of"]

_TRIES = 3
"""So often a shard is given to new processes after its own died."""

_CONNECT_S, _LOOK_S, _ALONE_S = 10.0, 5.0, 60.0
"""How long a scheduler may take to answer, how often is looked whether workers are left, and how long there
may be none.
"""

Function = Callable[..., Any]


class Place(Protocol):
    """Somewhere to work. Up to `at_once` calls may be under way."""

    at_once: int

    def call(self, function: Function, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What the function returns there; called from several threads."""
        ...

    def close(self) -> None:
        """Leave the place; what is under way there is given up."""
        ...


class _Here:
    """Threads of this process."""

    def __init__(self, workers: int) -> None:
        self.at_once = workers

    def call(self, function: Function, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return function(*positional, **named)

    def close(self) -> None:
        pass


class _Processes:
    """Processes of this machine. Where one dies its pool is lost: the shards that were under way are given to
    a new pool.
    """

    def __init__(self, workers: int) -> None:
        self.workers, self.at_once = workers, 2 * workers  # so that none waits
        self._lock = threading.Lock()
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.workers, multiprocessing.get_context("spawn"), shards.end_with_parent)

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is broken:
                self._pool = self._new()

    def call(self, function: Function, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        content = shards.pack((function, positional, named))
        for _ in range(_TRIES):
            pool = self._pool
            try:
                return shards.unpack(pool.submit(shards.work, content).result())
            except BrokenProcessPool:
                self._replace(pool)
        raise FatalError(
            f"worker processes died {_TRIES} times over one shard, out of memory most likely: lower"
            " --shard-size or --workers and run again"
        )

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


class _Dask:
    """Workers of a Dask scheduler, reached or started here. A lost worker's shards Dask does again."""

    def __init__(self, config: RunConfig) -> None:
        self._where = config.dask_scheduler or "of this run"
        self._installation = dict(shards.installation())
        self._workers_seen = time.monotonic()
        with contextlib.ExitStack() as stack:
            self._client = _client(config, stack)
            self.at_once = 2 * max(config.workers, self._threads_of_workers())
            self._stack = stack.pop_all()

    def _threads_of_workers(self) -> int:
        """How many shards the workers that are there can work on at once, after a look at their
        installation.
        """
        try:
            self._client.wait_for_workers(1, timeout=_CONNECT_S)
            self._client.run(shards.check, self._installation)
        except UsageError:
            raise
        except TimeoutError:
            raise UsageError(
                f"Dask scheduler {self._where} has no workers: start some with `dask worker {self._where}`"
            ) from None
        except Exception as error:
            raise UsageError(
                f"a worker of Dask scheduler {self._where} cannot run this program ({type(error).__name__}:"
                f" {error}); install the same release of Tickercast there"
            ) from None
        return sum(self._client.nthreads().values())

    def _wait(self, future: Any) -> shards.Parcel:
        """The result when it is there; Dask would wait for ever for a worker to come."""
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        while not done.wait(_LOOK_S):
            if self._client.nthreads():
                self._workers_seen = time.monotonic()
            elif time.monotonic() - self._workers_seen > _ALONE_S:
                raise FatalError(
                    f"Dask scheduler {self._where} has had no worker for {_ALONE_S:.0f} s: start one and run"
                    " again"
                )
        return future.result()

    def call(self, function: Function, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        from distributed import CancelledError, KilledWorker
        from distributed.comm import CommClosedError

        pieces: list[Any] = shards.parcels(shards.pack((function, positional, named)))
        try:
            if len(pieces) > 1:
                pieces = [self._client.submit(shards.piece, each, pure=False) for each in pieces]
            future = self._client.submit(shards.checked_work, pieces, self._installation, pure=False)
            return shards.unpack(self._wait(future))
        except KilledWorker as error:
            raise FatalError(
                f"a shard's Dask worker died again and again ({error.last_worker.address} was the last), out"
                " of memory most likely: give the workers more of it, or lower --shard-size, and run again"
            ) from None
        except (CancelledError, CommClosedError, UnboundLocalError) as error:
            # The last is what Dask's own waiting says where its task was cancelled, if it is not the shard's.
            if isinstance(error, UnboundLocalError) and future.status == "error":
                raise
            raise FatalError(
                f"Dask scheduler {self._where} was lost: nothing was published; run again when it is back"
            ) from None

    def close(self) -> None:
        self._stack.close()


def _client(config: RunConfig, stack: contextlib.ExitStack) -> Any:
    """A client, connected; the stack closes it, and the cluster if it is this run's own."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise UsageError(
            "runner 'dask' is not installed: run `pip install 'tickercast[dask]'`, or use --runner processes"
        ) from None
    logging.getLogger("distributed").setLevel(logging.ERROR)  # comings and goings of every worker otherwise
    dask.config.set(_PATIENT)
    if config.dask_scheduler is None:
        with dask.config.set(_UNOBSERVED):
            cluster = stack.enter_context(LocalCluster(**_local_cluster(config.workers)))
            return stack.enter_context(Client(cluster))
    try:  # a plain connection first: Dask's own complains for long and in the background
        address = urllib.parse.urlsplit(config.dask_scheduler)
        socket.create_connection((address.hostname, address.port), timeout=_CONNECT_S).close()
        return stack.enter_context(Client(config.dask_scheduler, timeout=_CONNECT_S))
    except Exception as error:
        raise UsageError(
            f"no Dask scheduler answers at {config.dask_scheduler} ({error}): start one with `dask"
            " scheduler`, or correct --dask-scheduler"
        ) from None


_PATIENT: dict[str, Any] = {
    "distributed.admin.large-graph-warning-threshold": "1TB",  # the arrays are meant to travel
    # As long as the scheduler waits for a silent worker. After the usual 30 s the kernel drops a connection
    # whose reader is only busy, on a loaded machine.
    "distributed.comm.timeouts.tcp": "5m",
}
_UNOBSERVED: dict[str, Any] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}


def _local_cluster(workers: int) -> dict[str, Any]:
    """Worker processes that only this machine can reach, without a dashboard."""
    return {
        "n_workers": workers,
        "threads_per_worker": 1,
        "host": "127.0.0.1",
        "dashboard_address": None,
        "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"},
        "silence_logs": logging.ERROR,
    }


def place_of(config: RunConfig) -> Place:
    """The place that the run's runner stands for.

    Raises:
        UsageError: `dask` without the extra of that name installed; a scheduler that does not answer, has no
            workers, or has workers with another installation.
    """
    match config.runner:
        case "threads":
            return _Here(config.workers)
        case "processes":
            return _Processes(config.workers)
        case "dask":
            return _Dask(config)
