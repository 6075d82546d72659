"""What a run shows on its page in Prefect while it goes on."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Protocol

from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["Advance", "Page"]

Advance = Callable[[int, str], None]
"""So many more are done; the text says which. Called from any thread."""


class Page(Protocol):
    """The page of one run."""

    def keeping(self) -> None:
        """Called before the run keeps anything; a page that cannot be shown ends it there."""
        ...

    def progress(self, name: str, total: int) -> Advance:
        """A bar for a stage."""
        ...

    def task_runs(
        self, name: str, items: Sequence[str], ends: "Sequence[Future[None]]", at_once: int
    ) -> AbstractContextManager[None]:
        """A task run for each piece of work, which lasts until its end.

        Args:
            items: what each piece of work is about, in the order in which they are begun.
            ends: of each of them.
            at_once: how many of them are under way.
        """
        ...

    def leave(self, summary: RunSummary, link: str | None, figures: str = "") -> None:
        """What is left of a run that came to its end.

        Args:
            link: where a browser finds the run's report.
            figures: what the summary's figures are, where they are shown.
        """
        ...

    def leave_failure(self, kind: str, message: str) -> None:
        """What is left of one that did not."""
        ...
