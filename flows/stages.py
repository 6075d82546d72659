"""Stages of a run: shown while they work, timed, their shards spread over the task runner."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from prefect import Task
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import TaskRunner

from flows.progress import Progress, Stage
from flows.runners import runner_for, threads
from forecast_lib.config import RunConfig

__all__ = ["Stages"]


class Stages:
    """The stages of one run; `seconds` has each one's duration, in the order in which they ended."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._progress = Progress()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, total: int = 1) -> Iterator[Stage]:
        """A stage with so many things to do."""
        began = time.perf_counter()
        with self._progress.stage(name, total) as stage:
            yield stage
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    @contextmanager
    def single(self, name: str) -> Iterator[None]:
        """A stage that is one thing."""
        with self.stage(name) as stage:
            yield
            stage.advance()

    def fetch(self, task: Task[..., Any], shards: Sequence[Sequence[Any]], names: Sequence[str], **arguments: Any) -> list[Any]:
        """As `spread`, always in threads of this process: a price source holds connections and locks, and waits more than it works."""
        return self._spread("ingest", threads(self._config), task, shards, names, arguments)

    def spread(self, name: str, task: Task[..., Any], shards: Sequence[Sequence[Any]], names: Sequence[str], **arguments: Any) -> list[Any]:
        """Run the task on every shard with the runner that was asked for, and join what they return, in the order of the shards.

        Args:
            names: of each shard, for the progress and the task run.
        """
        return self._spread(name, runner_for(self._config), task, shards, names, arguments)

    def _spread(
        self,
        name: str,
        task_runner: TaskRunner[Any],
        task: Task[..., Any],
        shards: Sequence[Sequence[Any]],
        names: Sequence[str],
        arguments: dict[str, Any],
    ) -> list[Any]:
        with self.stage(name, sum(map(len, shards))) as stage:
            if not shards:
                return []
            with task_runner as runner:
                futures: list[PrefectFuture[Any]] = [
                    runner.submit(task, {"shard": shard, "names": label, **arguments}) for shard, label in zip(shards, names, strict=True)
                ]
                place = {id(future): at for at, future in enumerate(futures)}
                for future in as_completed(futures):
                    at = place[id(future)]
                    stage.advance(names[at], len(shards[at]))
                return [item for future in futures for item in future.result()]
