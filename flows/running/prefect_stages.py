"""Stages of a run whose shards are task runs of Prefect.

Task runs, with their states, retries and logs, stay in threads of the flow's process; only their functions go
to another place. (Prefect's own way starts a Prefect server in every worker that cannot reach one.)
"""

import contextvars
import datetime as dt
import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.running.artifacts import LiveProgress
from flows.running.stages import SideBySide
from forecast_lib.jobs.refresh.plan import label
from forecast_lib.jobs.stages import ShardFunction, Stage
from forecast_lib.prices.source import Asked, Offered, PriceSource

__all__ = ["PrefectStages"]


class _Live:
    """A stage that is shown on the run's page too; who advances it may be a thread that knows of no run."""

    def __init__(self, stage: Stage, name: str, total: int) -> None:
        self._stage, self._live = stage, LiveProgress(name, total)
        self._context, self._one_at_a_time = contextvars.copy_context(), threading.Lock()

    def advance(self, text: str = "", count: int = 1) -> None:
        self._stage.advance(text, count)
        with self._one_at_a_time:
            self._context.run(self._live.advance, count, text)


class PrefectStages(SideBySide):
    """Each shard is a task run. Nothing is cached or persisted: a run's values live and end with it."""

    @contextmanager
    def counted(self, name: str, total: int) -> Iterator[Stage]:
        """Shown on the run's page too."""
        with self.stage(name, total) as stage:
            yield _Live(stage, name, total) if total else stage

    def fetch(self, source: PriceSource, asked: Asked, last: dt.date) -> Offered:
        """The source's answer, as a task run in a thread of this process: a source holds connections and
        locks, and waits more than it works.
        """
        with self.counted("ingest", len(asked)) as stage, ThreadPoolTaskRunner[Any](max_workers=1) as runner:
            work = _task(
                lambda: source.fetch(asked, last, stage.advance), "fetch", label(list(asked)) or "nothing"
            )
            future: PrefectFuture[Offered] = runner.submit(work, {})
            return future.result()

    @functools.cached_property
    def submit(self) -> Callable[..., PrefectFuture[Any]]:  # type: ignore[override]
        """Has a task run by a thread, as soon as one is free."""
        runner = ThreadPoolTaskRunner[Any](max_workers=self.place.at_once)
        return self.open.enter_context(runner).submit

    def worked(
        self,
        name: str,
        work: ShardFunction,
        shards: Sequence[Sequence[Any]],
        names: Sequence[str],
        arguments: Mapping[str, Any],
    ) -> Iterator[tuple[int, list[Any]]]:
        """As without Prefect, each shard a task run; what it became goes past Prefect, which would hold it
        until the flow's end.
        """
        made: dict[int, list[Any]] = {}

        def task_of(at: int) -> Task[..., Any]:
            @functools.wraps(work)
            def elsewhere(*positional: Any, **named: Any) -> None:
                made[at] = self.place.call(work, positional, named)

            return _task(elsewhere, name.replace(" ", "-"), names[at])

        futures: list[PrefectFuture[Any]] = [
            self.submit(task_of(at), {"shard": shard, **arguments}) for at, shard in enumerate(shards)
        ]
        places = {id(future): at for at, future in enumerate(futures)}
        for future in as_completed(futures):
            # Not `future.state`: the server may not have heard of its end yet.
            future.result(raise_on_failure=False)
            if places[id(future)] in made:
                yield (at := places[id(future)]), made.pop(at)
        for future in futures:
            future.result()


def _task(work: Callable[..., Any], name: str, items: str) -> Task[..., Any]:
    return Task(
        fn=work,
        name=name,
        task_run_name=f"{name}-{items}".replace("{", "(").replace("}", ")"),
        cache_policy=NO_CACHE,
    )
