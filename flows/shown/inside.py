"""A run's page, from inside its flow."""

import contextvars
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager

from flows.shown.artifacts import LiveProgress, leave_artifacts, leave_failure
from flows.shown.page import Advance
from flows.shown.task_runs import task_runs
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["PrefectPage"]


class PrefectPage:
    """The page of the flow run that is under way here."""

    def keeping(self) -> None:
        """It is there."""

    def progress(self, name: str, total: int) -> Advance:
        """Who advances it may be a thread that knows of no run."""
        context, live, one_at_a_time = contextvars.copy_context(), LiveProgress(name, total), threading.Lock()

        def advance(count: int, text: str) -> None:
            with one_at_a_time:
                context.run(live.advance, count, text)

        return advance

    def task_runs(
        self, name: str, items: Sequence[str], ends: "Sequence[Future[None]]", at_once: int
    ) -> AbstractContextManager[None]:
        """For the length of the block, which waits for their ends."""
        return task_runs(name, items, ends, at_once)

    def leave(self, summary: RunSummary, link: str | None, figures: str = "") -> None:
        """As artifacts."""
        leave_artifacts(summary, link, figures)

    def leave_failure(self, kind: str, message: str) -> None:
        """As an artifact."""
        leave_failure(kind, message)
