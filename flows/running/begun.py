"""A run that begins before its flow: what needs no Prefect is done while Prefect's server comes up.

The run has a stack of its own (a greenlet) in the main thread, where signals interrupt it as any other. It
goes until the server answers, or until it needs Prefect; then the flow begins around it, and it goes on
inside, to its end. Where the flow cannot begin, the run ends where it stands, before it has kept anything.
"""

import contextlib
import contextvars
import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from greenlet import getcurrent, greenlet

from flows.running.interruption import noted
from flows.running.jobs import done
from flows.running.prefect_stages import LONG_S, PrefectStages
from flows.running.run_log import kept_lines, say_again
from flows.running.temporary_server import TemporaryServer
from flows.settings.layers import Settings
from forecast_lib.config import RunConfig
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["Begun", "begun_here"]


class Begun:
    """A run, of which the flow is still to come."""

    def __init__(self, answered: Callable[[], bool], run: Callable[["Begun"], RunSummary]) -> None:
        """Args:
        answered: whether the flow can begin.
        run: the work; it is given this, to enter the flow.
        """
        self._answered = answered
        self._stack = greenlet(lambda: self._whole(run))
        self._stack.gr_context = contextvars.copy_context()
        self._inside = False
        self._lines: Sequence[logging.LogRecord] = ()
        self._to_show: list[Callable[[], object]] = []

    def _whole(self, run: Callable[["Begun"], RunSummary]) -> RunSummary:
        """The run, which ends inside its flow however it ends, if not by a signal."""
        try:
            summary = run(self)
        except Exception as error:
            self.enter(error)
            raise
        self.enter()
        return summary

    # --- the flow's side

    def begin(self) -> None:
        """Do what can be done before the flow."""
        with contextlib.suppress(Exception), noted(), kept_lines() as self._lines:
            failing = self._stack.switch()
            if failing is not None:
                raise failing  # a signal's, or shown by the flow: there it goes on to its end

    def go_on(self) -> RunSummary:
        """The rest of the run, inside the flow."""
        self._inside = True
        summary: RunSummary = self._stack.switch(contextvars.copy_context())
        return summary

    def end_with(self, error: BaseException) -> None:
        """Let the run end for a reason outside of it, if it has not ended."""
        if not self._stack.dead:
            say_again(self._lines)
            with contextlib.suppress(BaseException):
                self._stack.throw(error)

    # --- the run's side, as its stages know it

    def look(self) -> None:
        """Go on inside the flow where the server answers."""
        if not self._inside and self._answered():
            self.enter()

    def enter(self, failing: Exception | None = None) -> None:
        """Go on inside the flow, as soon as it is there."""
        if self._inside:
            return
        outer = getcurrent().parent
        assert outer is not None
        flow: contextvars.Context = outer.switch(failing)
        for variable, value in flow.items():
            variable.set(value)  # Prefect's, among them
        say_again(self._lines)
        for show in self._to_show:
            show()

    def meanwhile(self, works: "Collection[Future[Any]]") -> None:
        """Wait until the first of them is done, or the flow begins."""
        while works and not (self._inside or any(work.done() for work in works)):
            if not wait(works, LONG_S, FIRST_COMPLETED).done:
                self.look()

    def once_inside(self, show: Callable[[], object]) -> None:
        """Show something: now, or as soon as the flow is there."""
        if self._inside:
            show()
        else:
            self._to_show.append(show)


def begun_here(kind: str, config: RunConfig, settings: Settings, server: TemporaryServer) -> RunSummary:
    """Do a run as a flow in this process, begun before its server answers."""
    begun = Begun(
        server.answered, lambda flow: done(kind, config, settings, lambda each: PrefectStages(each, flow))
    )
    try:
        begun.begin()
        from flows.running.ending import followed, here

        with server.in_use():
            return here(kind, lambda: followed(kind, settings, begun.go_on))
    except BaseException as error:
        begun.end_with(error)
        raise
