"""Stages of a run: shown while they work, timed, their shards spread over the task runner."""

import contextvars
import datetime as dt
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import pandas as pd
from prefect import Task
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import TaskRunner

from flows.running.artifacts import LiveProgress, run_logger
from flows.running.progress import Progress, Stage
from flows.running.runners import runner_for
from forecast_lib.config import RunConfig, RunnerName
from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.jobs.record.run_log import line_of, line_of_status, lines_of_prices
from forecast_lib.jobs.refresh.plan import label
from forecast_lib.prices.source import Asked, Offered, PriceSource

__all__ = ["PlainStages", "Stages"]


class Stages:
    """The stages of one run; `seconds` has each one's duration, in the order in which they ended.

    A context: workers are started for the first stage that needs them, and stay until the end of the run.
    """

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._runners: dict[RunnerName, TaskRunner[Any]] = {}
        self._open = ExitStack()
        self._progress = Progress()
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> Self:
        if (
            self._config.runner == "dask" and self._config.dask_scheduler
        ):  # one that does not answer is said before anything is fetched
            self._runner("dask")
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def _runner(self, kind: RunnerName) -> TaskRunner[Any]:
        if kind not in self._runners:
            self._runners[kind] = self._open.enter_context(runner_for(kind, self._config))
        return self._runners[kind]

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

    def fetch(self, task: Task[..., Any], source: PriceSource, asked: Asked, last: dt.date) -> Offered:
        """Run the task that asks the source, in a thread of this process: a price source holds connections
        and locks, and waits more than it works. Each ticker that is answered is shown.
        """
        with self.stage("ingest", len(asked)) as stage:
            live, context, one_at_a_time = (
                LiveProgress("ingest", len(asked)),
                contextvars.copy_context(),
                threading.Lock(),
            )

            def shown(ticker: str) -> None:
                stage.advance(ticker)
                live.advance(1, ticker)

            def done(ticker: str) -> None:  # a source may call from threads of its own, which know of no run
                with one_at_a_time:
                    context.run(shown, ticker)

            given = {
                "source": source,
                "asked": asked,
                "last": last,
                "done": done,
                "names": label(list(asked)) if asked else "nothing",
            }
            future: PrefectFuture[Offered] = self._runner("threads").submit(task, given)
            return future.result()

    def spread(
        self,
        name: str,
        task: Task[..., Any],
        shards: Sequence[Sequence[Any]],
        names: Sequence[str],
        **arguments: Any,
    ) -> list[Any]:
        """Run the task on every shard with the runner that was asked for, and join what they return, in the
        order of the shards.

        Args:
            names: of each shard, for the progress and the task run.
        """
        with self.stage(name, total := sum(map(len, shards))) as stage:
            if not shards:
                return []
            live, runner = LiveProgress(name, total), self._runner(self._config.runner)
            futures: list[PrefectFuture[Any]] = [
                runner.submit(task, {"shard": shard, "names": label, **arguments})
                for shard, label in zip(shards, names, strict=True)
            ]
            place = {id(future): at for at, future in enumerate(futures)}
            for future in as_completed(futures):
                at = place[id(future)]
                stage.advance(names[at], len(shards[at]))
                live.advance(len(shards[at]), names[at])
                self._say(name, future)
            return [item for future in futures for item in future.result()]

    def say_prices(self, market: Market) -> None:
        """A line a ticker: what came of its prices."""
        self._log(lines_of_prices(self._config.run_id, market))

    def say_statuses(self, run_tickers: pd.DataFrame) -> None:
        """A line a ticker: what came of it."""
        self._log(line_of_status(self._config.run_id, row) for row in run_tickers.to_dict("records"))

    def _say(self, stage: str, future: PrefectFuture[Any]) -> None:
        """A line a ticker: what the stage made of it."""
        made = future.result(
            raise_on_failure=False
        )  # not `future.state`: the server may not have heard of its end yet
        if isinstance(made, list):
            self._log(line_of(self._config.run_id, stage, item) for item in made)

    def _log(self, lines: Iterable[str | None]) -> None:
        logger = run_logger()
        for line in filter(None, lines):
            logger.info(line)


class PlainStages(Stages):
    """Without Prefect: one shard after the other in this process. What is made is the same."""

    def fetch(self, task: Task[..., Any], source: PriceSource, asked: Asked, last: dt.date) -> Offered:
        """The source's answer."""
        with self.stage("ingest", len(asked)) as stage:
            return source.fetch(asked, last, stage.advance)

    def spread(
        self,
        name: str,
        task: Task[..., Any],
        shards: Sequence[Sequence[Any]],
        names: Sequence[str],
        **arguments: Any,
    ) -> list[Any]:
        """The task's function on every shard."""
        made: list[Any] = []
        with self.stage(name, sum(map(len, shards))) as stage:
            for shard, each in zip(shards, names, strict=True):
                made += task.fn(shard=shard, names=each, **arguments)
                stage.advance(each, len(shard))
        return made
