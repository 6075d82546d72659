"""Stages of a run that Prefect shows: a task run for each shard, progress on the run's page.

The work is that of every run, in the same threads; task runs begin and end with it. (Prefect's own way of
bringing work elsewhere starts a Prefect server in every worker that cannot reach one.) So what needs no
Prefect can begin before it is loaded, and nothing here loads it before the flow is there.
"""

import contextvars
import datetime as dt
import threading
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
    from collections.abc import Callable

    from flows.running.artifacts import LiveProgress

__all__ = ["ALREADY", "Entered", "PrefectStages"]

_READING = ("known", "check", "compare", "events")
"""Stages that keep nothing. For all others the flow has to be there: where it cannot begin, the run has not
begun.
"""


_NEAR = ("simulated", "files")
"""Sources that answer in moments; others are asked when the flow is there, to show how far they are."""


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

    def once_inside(self, show: "Callable[[], object]") -> None:
        """Show something: now, or as soon as the flow is there."""
        ...


class _Already:
    """A flow that the run began in."""

    def look(self) -> None:
        pass

    def enter(self, failing: Exception | None = None) -> None:
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

    @contextmanager
    def single(self, name: str) -> Iterator[None]:
        """Inside the flow, unless it only reads."""
        if name in _READING:
            self._flow.look()
        else:
            self._flow.enter()
        with super().single(name):
            yield

    @contextmanager
    def counted(self, name: str, total: int) -> Iterator[Stage]:
        """Shown on the run's page too."""
        with self.stage(name, total) as stage:
            yield _Live(stage, name, total, self._flow) if total else stage

    def fetch(self, source: PriceSource, asked: Asked, last: dt.date) -> Offered:
        """The source's answer, as a task run in a thread of this process: a source holds connections and
        locks, and waits more than it works.
        """
        if self.config.source.name not in _NEAR:
            self._flow.enter()
        with self.counted("ingest", len(asked)) as stage, ThreadPoolExecutor(1) as thread:
            work = thread.submit(source.fetch, asked, last, stage.advance)
            about, ends = label(list(asked)) or "nothing", [_end_of(work)]
            self._flow.once_inside(
                lambda: self.open.enter_context(_task_runs("fetch", [about], ends, at_once=1))
            )
            return work.result()

    def worked(
        self,
        name: str,
        work: ShardFunction,
        shards: Sequence[Sequence[Any]],
        names: Sequence[str],
        arguments: Mapping[str, Any],
    ) -> Iterator[tuple[int, list[Any]]]:
        """As without Prefect, each shard a task run. They are worked on while the flow begins, and told when
        it is there.
        """
        places = self.begin(work, shards, arguments)
        ends = [_end_of(future) for future in places]
        self._flow.enter()
        with _task_runs(name, names, ends, self.place.at_once):
            yield from self.told(places)


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


def _task_runs(name: str, items: Sequence[str], ends: "Sequence[Future[None]]", at_once: int) -> Any:
    from flows.running.task_runs import task_runs

    return task_runs(name, items, ends, at_once)
