"""Stages of a run: shown while they work, timed, their shards spread over Prefect's task runners."""

import contextvars
import datetime as dt
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Self

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import TaskRunner

from flows.running.artifacts import LiveProgress, run_logger
from flows.running.progress import Progress
from flows.running.runners import runner_for
from flows.settings.layers import utc_now
from forecast_lib.config import RunConfig, RunnerName
from forecast_lib.jobs.refresh.plan import label
from forecast_lib.jobs.stages import InOrder, ShardFunction, Stage
from forecast_lib.prices.source import Asked, Offered, PriceSource

__all__ = ["PrefectStages", "ShownInOrder"]


class ShownInOrder(InOrder):
    """One shard after the other in this process, without Prefect, shown on standard error."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config, utc_now)
        self._progress = Progress(shown=not config.backfilled)  # of those nights only how many are done

    def shown(self, name: str, total: int) -> AbstractContextManager[Stage]:
        """A bar on a terminal, plain lines otherwise."""
        return self._progress.stage(name, total)

    def logger(self) -> Any:
        """The run's."""
        return run_logger()


class PrefectStages(ShownInOrder):
    """Each shard is a task run. Nothing is cached or persisted: a run's values live and end with it.

    A context: workers are started for the first stage that needs them, and stay until the end of the run.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self._runners: dict[RunnerName, TaskRunner[Any]] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        # One that does not answer is said before anything is fetched.
        if self.config.runner == "dask" and self.config.dask_scheduler:
            self._runner("dask")
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def _runner(self, kind: RunnerName) -> TaskRunner[Any]:
        if kind not in self._runners:
            self._runners[kind] = self._open.enter_context(runner_for(kind, self.config))
        return self._runners[kind]

    def fetch(self, source: PriceSource, asked: Asked, last: dt.date) -> Offered:
        """Ask the source in a thread of this process: a price source holds connections and locks, and waits
        more than it works.
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

            def fetch() -> Offered:
                return source.fetch(asked, last, done)

            task = _task(fetch, "fetch", label(list(asked)) if asked else "nothing")
            future: PrefectFuture[Offered] = self._runner("threads").submit(task, {})
            return future.result()

    def spread(
        self,
        name: str,
        work: ShardFunction,
        shards: Sequence[Sequence[Any]],
        names: Sequence[str],
        **arguments: Any,
    ) -> list[Any]:
        """Do the work on every shard with the runner that was asked for."""
        with self.stage(name, total := sum(map(len, shards))) as stage:
            if not shards:
                return []
            live, runner = LiveProgress(name, total), self._runner(self.config.runner)
            futures: list[PrefectFuture[Any]] = [
                runner.submit(_task(work, name.replace(" ", "-"), each), {"shard": shard, **arguments})
                for shard, each in zip(shards, names, strict=True)
            ]
            place = {id(future): at for at, future in enumerate(futures)}
            for future in as_completed(futures):
                at = place[id(future)]
                stage.advance(names[at], len(shards[at]))
                live.advance(len(shards[at]), names[at])
                # Not `future.state`: the server may not have heard of its end yet.
                made = future.result(raise_on_failure=False)
                if isinstance(made, list):
                    self.made(name, made)
            return [item for future in futures for item in future.result()]


def _task(work: Callable[..., Any], name: str, items: str) -> Task[..., Any]:
    return Task(
        fn=work,
        name=name,
        task_run_name=f"{name}-{items}".replace("{", "(").replace("}", ")"),
        cache_policy=NO_CACHE,
    )
