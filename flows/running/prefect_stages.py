"""Stages of a run that Prefect shows: a task run for each shard, progress on the run's page.

The work is that of every run, in the same threads; task runs begin and end with it. (Prefect's own way of
bringing work elsewhere starts a Prefect server in every worker that cannot reach one.) So what needs no
Prefect can begin before it is loaded, and nothing here loads it before the flow is there.
"""

import contextvars
import datetime as dt
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from flows.running.stages import SideBySide
from forecast_lib.config import RunConfig
from forecast_lib.jobs.refresh.plan import label
from forecast_lib.jobs.stages import ShardFunction, Stage
from forecast_lib.prices.source import Asked, Offered, PriceSource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from flows.running.artifacts import LiveProgress

__all__ = ["ALREADY", "LONG_S", "Entered", "PrefectStages"]

LONG_S = 0.2
"""Shards that have been worked on for so long take their time."""


class Entered(Protocol):
    """The flow that a run is shown as, which the run may enter while it is under way."""

    def look(self) -> None:
        """Go on inside the flow where it can begin."""
        ...

    def enter(self, failing: Exception | None = None) -> None:
        """Go on inside the flow, as soon as it can begin.

        Args:
            failing: what ends the run.
        """
        ...

    def meanwhile(self, works: "Collection[Future[Any]]") -> None:
        """Wait until the first of them is done, or the flow begins."""
        ...

    def once_inside(self, show: "Callable[[], object]") -> None:
        """Show something: now, or as soon as the flow is there."""
        ...


class _Already:
    """A flow that the run began in."""

    def look(self) -> None:
        pass

    def enter(self, failing: Exception | None = None) -> None:
        pass

    def meanwhile(self, works: "Collection[Future[Any]]") -> None:
        pass

    def once_inside(self, show: "Callable[[], object]") -> None:
        show()


ALREADY = _Already()


class _Live:
    """A stage that is shown on the run's page too; who advances it may be a thread that knows of no run."""

    def __init__(self, stage: Stage, name: str, total: int, flow: Entered) -> None:
        self._stage, self._name, self._total = stage, name, total
        self._done = 0
        self._live: LiveProgress | None = None
        self._one_at_a_time = threading.Lock()
        flow.once_inside(self._show)

    def _show(self) -> None:
        from flows.running.artifacts import LiveProgress

        with self._one_at_a_time:
            self._context = contextvars.copy_context()
            self._live = LiveProgress(self._name, self._total, self._done)

    def advance(self, text: str = "", count: int = 1) -> None:
        self._stage.advance(text, count)
        with self._one_at_a_time:
            self._done += count
            if self._live is not None:
                self._context.run(self._live.advance, count, text)


class PrefectStages(SideBySide):
    """Each shard is a task run.

    Args:
        flow: the one that the run is shown as.
    """

    def __init__(self, config: RunConfig, flow: Entered = ALREADY) -> None:
        super().__init__(config)
        self._flow = flow

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            if isinstance(error, Exception):
                self._flow.enter(error)
        finally:
            super().__exit__(kind, error, trace)

    def keeping(self) -> None:
        """Where the flow cannot begin, the run has not begun."""
        self._flow.enter()

    @contextmanager
    def counted(self, name: str, total: int) -> Iterator[Stage]:
        """Shown on the run's page too."""
        with self.stage(name, total) as stage:
            yield _Live(stage, name, total, self._flow) if total else stage

    def fetch(self, source: PriceSource, asked: Asked, last: dt.date) -> Offered:
        """The source's answer, as a task run in a thread of this process: a source holds connections and
        locks, and waits more than it works. One that is not near is asked when the flow is there, to show how
        far it is.
        """
        if not source.near:
            self._flow.enter()
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
        self._flow.once_inside(lambda: self.open.callback(_cancel, places))
        return self._told_meanwhile(time.perf_counter(), places)

    def _told_meanwhile(
        self, began: float, places: "dict[Future[list[Any]], int]"
    ) -> Iterator[tuple[int, list[Any]]]:
        """Where shards take their time the flow begins meanwhile: to load Prefect takes a second, in which
        the others go on.
        """
        self._flow.meanwhile(list(places))
        for told in self.told(places):
            if places and time.perf_counter() - began > LONG_S:
                self._flow.look()
            yield told

    def _show(self, name: str, items: Sequence[str], works: "Sequence[Future[Any]]", at_once: int) -> None:
        """A task run for each piece of work, until the end of the run."""
        ends = [_end_of(work) for work in works]

        def show() -> None:
            from flows.running.task_runs import task_runs

            self.open.enter_context(task_runs(name, items, ends, at_once))

        self._flow.once_inside(show)


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
