"""Task runs of Prefect that show work done elsewhere."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ThreadPoolTaskRunner

__all__ = ["task_runs"]


@contextmanager
def task_runs(
    name: str, items: Sequence[str], ends: "Sequence[Future[None]]", at_once: int
) -> Iterator[None]:
    """Show a task run for each piece of work, for the length of the block, which waits for their ends.

    Nothing is cached or persisted: a run's values live and end with it, and go past Prefect, which would hold
    them until the flow's end.

    Args:
        items: what each piece of work is about, in the order in which they are begun.
        ends: of each of them.
        at_once: how many of them are under way.
    """
    with ThreadPoolTaskRunner[Any](max_workers=at_once) as runner:
        shown = [
            runner.submit(_task(name.replace(" ", "-"), about, end), {})
            for about, end in zip(items, ends, strict=True)
        ]
        try:
            yield
        except Exception:
            for each in shown:
                each.wait()
            raise
        for each in shown:
            each.wait()


def _task(name: str, about: str, end: "Future[None]") -> Task[..., None]:
    """It ends as the work does."""
    return Task(
        fn=lambda: end.result(),
        name=name,
        task_run_name=f"{name}-{about}".replace("{", "(").replace("}", ")"),
        cache_policy=NO_CACHE,
    )
