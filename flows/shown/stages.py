"""Stages of a run that Prefect shows: a task run for each shard, progress on the run's page.

The work is that of every run, in the same threads; task runs begin and end with it. (Prefect's own way of
bringing work elsewhere starts a Prefect server in every worker that cannot reach one.)
"""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from flows.running.stages import SideBySide
from flows.shown.page import Advance, Page
from forecast_lib.config import RunConfig
from forecast_lib.jobs.refresh.plan import label
from forecast_lib.jobs.stages import ShardFunction, Stage
from forecast_lib.prices.source import Asked, Offered, PriceSource

__all__ = ["PrefectStages"]


class _Live:
    """A stage that is shown on the run's page too."""

    def __init__(self, stage: Stage, advance: Advance) -> None:
        self._stage, self._advance = stage, advance

    def advance(self, text: str = "", count: int = 1) -> None:
        self._stage.advance(text, count)
        self._advance(count, text)


class PrefectStages(SideBySide):
    """Each shard is a task run.

    Args:
        page: the run's.
    """

    def __init__(self, config: RunConfig, page: Page) -> None:
        super().__init__(config)
        self._page = page

    def keeping(self) -> None:
        """Where the run cannot be shown it has not begun."""
        self._page.keeping()

    @contextmanager
    def counted(self, name: str, total: int) -> Iterator[Stage]:
        """Shown on the run's page too."""
        with self.stage(name, total) as stage:
            yield _Live(stage, self._page.progress(name, total)) if total else stage

    def fetch(self, source: PriceSource, asked: Asked, last: dt.date) -> Offered:
        """The source's answer, as a task run in a thread of this process: a source holds connections and
        locks, and waits more than it works.
        """
        with self.counted("ingest", len(asked)) as stage, ThreadPoolExecutor(1) as thread:
            work = thread.submit(source.fetch, asked, last, stage.advance)
            self._show("fetch", [label(list(asked)) or "nothing"], [work], 1)
            return work.result()

    def worked(
        self,
        name: str,
        work: ShardFunction,
        shards: Sequence[Sequence[Any]],
        names: Sequence[str],
        arguments: Mapping[str, Any],
    ) -> Iterator[tuple[int, list[Any]]]:
        """As without Prefect, each shard a task run, which waits for nothing more where the run ends before
        it.
        """
        places = self.submitted(work, shards, arguments)
        self._show(name, names, list(places), self.place.at_once)
        self.open.callback(_cancel, places)
        return self.told(places)

    def _show(self, name: str, items: Sequence[str], works: "Sequence[Future[Any]]", at_once: int) -> None:
        """A task run for each piece of work, until the end of the run."""
        self.open.enter_context(self._page.task_runs(name, items, [_end_of(work) for work in works], at_once))


def _cancel(works: "Collection[Future[Any]]") -> None:
    for work in works:
        work.cancel()


def _end_of(work: "Future[Any]") -> "Future[None]":
    """When and how it ends, without holding what came of it."""
    end = Future[None]()

    def tell(work: "Future[Any]") -> None:
        error = CancelledError() if work.cancelled() else work.exception()
        if error is None:
            end.set_result(None)
        else:
            end.set_exception(error)

    work.add_done_callback(tell)
    return end
