"""Stages of a run: shown while they work, timed, their shards worked on side by side. What Prefect adds is in
`shown.stages`.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Self

from flows.running.places import Place, place_of
from flows.running.progress import Progress
from flows.running.run_log import run_logger
from flows.settings.layers import utc_now
from forecast_lib.config import RunConfig
from forecast_lib.jobs.stages import InOrder, ShardFunction, Stage

__all__ = ["ShownInOrder", "SideBySide"]


class ShownInOrder(InOrder):
    """One shard after the other in this process, shown on standard error."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config, utc_now)
        self._progress = Progress(shown=not config.backfilled)  # of those nights only how many are done

    def shown(self, name: str, total: int) -> AbstractContextManager[Stage]:
        """A bar on a terminal, plain lines otherwise."""
        return self._progress.stage(name, total)

    def logger(self) -> Any:
        """The run's."""
        return run_logger()


class SideBySide(ShownInOrder):
    """Several shards at once, in the place that the run asks for.

    A context: the place is entered for the first stage that needs it, and left at the end of the run.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.open = ExitStack()

    def __enter__(self) -> Self:
        # One that does not answer is said before anything is fetched.
        if self.config.runner == "dask" and self.config.dask_scheduler:
            _ = self.place
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.open.__exit__(kind, error, trace)

    @functools.cached_property
    def place(self) -> Place:
        """Where shards are worked on."""
        place = place_of(self.config)
        self.open.callback(place.close)
        return place

    @functools.cached_property
    def submit(self) -> Callable[..., "Future[Any]"]:
        """Has a function called by a thread, as soon as one is free."""
        threads = ThreadPoolExecutor(self.place.at_once)
        self.open.callback(threads.shutdown, cancel_futures=True)
        return threads.submit

    def submitted(
        self, work: ShardFunction, shards: Sequence[Sequence[Any]], arguments: Mapping[str, Any]
    ) -> "dict[Future[list[Any]], int]":
        """Have every shard worked on; the place of each."""
        return {
            self.submit(self.place.call, work, (shard,), dict(arguments)): at
            for at, shard in enumerate(shards)
        }

    def told(self, places: "dict[Future[list[Any]], int]") -> Iterator[tuple[int, list[Any]]]:
        """Each shard's place and what was made of it, as they are done; where some fail, the first of them is
        raised at the end.
        """
        failed: dict[int, Future[Any]] = {}
        for future in as_completed(places):
            at = places.pop(future)  # nobody but the caller holds what a shard became once it is told
            if future.exception() is None:
                yield at, future.result()
            else:
                failed[at] = future
        for at in sorted(failed):
            failed[at].result()

    def worked(
        self,
        name: str,
        work: ShardFunction,
        shards: Sequence[Sequence[Any]],
        names: Sequence[str],
        arguments: Mapping[str, Any],
    ) -> Iterator[tuple[int, list[Any]]]:
        """As they are told; they are worked on already."""
        return self.told(self.submitted(work, shards, arguments))
