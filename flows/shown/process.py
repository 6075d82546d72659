"""The process that keeps a run's page: the flow of the run, which shows what it is told, with a server of its
own where Prefect's settings name none.

It reads what it is told from standard input, a JSON array a line, and answers on standard output what it is
asked. It loads nothing that computes.
"""

import contextlib
import functools
import gc
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any

from flows.running.run_log import say_again
from flows.shown.temporary_server import serve
from forecast_lib.jobs.record.summary import RunSummary

if TYPE_CHECKING:
    from prefect import State

    from flows.shown.page import Advance

__all__ = ["main"]


class _Told:
    """What the run tells, and the way to answer it."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # nobody else answers
        self._lines: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()
        self.begun = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(ValueError):  # half a line of a run that died
            for line in sys.stdin.buffer:
                self._lines.put(json.loads(line))
        if not self.begun:
            os._exit(0)  # nobody knows it yet; half begun, it would end with a traceback
        self._lines.put(None)

    def __iter__(self) -> Iterator[list[Any]]:
        """Until the run is gone."""
        return iter(self._lines.get, None)

    def answer(self, wrong: str = "") -> None:
        """That it is done, or why it is not."""
        with contextlib.suppress(OSError):
            print(json.dumps(wrong), file=self._answers, flush=True)


class _Shown:
    """What is told, as it is shown inside the flow."""

    def __init__(self, answer: Callable[[str], None]) -> None:
        from flows.shown.inside import PrefectPage

        self._page, self._answer, self._open = PrefectPage(), answer, contextlib.ExitStack()
        self._advances: dict[int, Advance] = {}
        self._ends: dict[int, list[Future[None]]] = {}

    def line(self, level: int, created: float, text: str) -> None:
        say_again(level, created, text)

    def progress(self, number: int, name: str, total: int) -> None:
        self._advances[number] = self._page.progress(name, total)

    def advance(self, number: int, count: int, text: str) -> None:
        self._advances[number](count, text)

    def task_runs(self, number: int, name: str, items: list[str], at_once: int) -> None:
        ends = [Future[None]() for _ in items]
        self._ends[number] = ends
        self._open.enter_context(self._page.task_runs(name, items, ends, at_once))

    def end(self, number: int, at: int, kind: str = "", text: str = "") -> None:
        end = self._ends[number][at]
        if kind:
            end.set_exception(type(kind, (Exception,), {})(text))
        else:
            end.set_result(None)

    def leave(self, summary: dict[str, Any], link: str | None, figures: str) -> None:
        self._answered(lambda: self._page.leave(RunSummary(**summary), link, figures))

    def leave_failure(self, kind: str, message: str) -> None:
        self._answered(lambda: self._page.leave_failure(kind, message))

    def _answered(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:
            self._answer(f"{type(error).__name__}: {error}")
        else:
            self._answer("")

    def close(self) -> None:
        """What has not ended never will."""
        for end in (end for ends in self._ends.values() for end in ends if not end.done()):
            end.set_exception(CancelledError())
        self._open.close()


def _showing(told: _Told) -> "State[Any]":
    """Show what is told until the run's last word; how it ended."""
    from prefect.exceptions import TerminationSignal
    from prefect.states import Failed

    from flows.shown.states import state_of

    told.answer()
    shown = _Shown(told.answer)
    with contextlib.closing(shown):
        for what, *values in told:
            match what, values:
                case "ended", [summary]:
                    return state_of(RunSummary(**summary))
                case "failed", [message]:
                    return Failed(message=message)
            getattr(shown, what)(*values)
    raise TerminationSignal(signal.SIGTERM)


def _flow(kind: str, name: str, told: _Told, address: str | None) -> None:
    """The run's flow.

    Args:
        address: of this process's own server; None where Prefect's settings name one.
    """
    from prefect import flow
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        temporary_settings,
    )

    own = {
        PREFECT_API_URL: address,
        PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False,  # it is this very one
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,  # it ends with this process: nobody misses them
    }
    told.begun = True
    shown = flow(name=kind, flow_run_name=name, retries=0, validate_parameters=False)(lambda: _showing(told))
    wrong = ""
    with temporary_settings(own if address else {}):
        try:
            shown(return_state=True)
        except BaseException as error:
            traceback.print_exc()
            wrong = f"{type(error).__name__}: {error}"
        told.answer(wrong)
        for worker in (EventsWorker, APILogWorker):
            worker.drain_all()


def main() -> None:
    """Keep the page of a run whose kind and name are the arguments."""
    told, (kind, name) = _Told(), sys.argv[1:]
    gc.disable()  # what is loaded stays, looking through it takes a seventh of the start
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    show = functools.partial(_flow, kind, name, told)
    if settings.api.url or not settings.server.ephemeral.enabled:
        gc.enable()
        show(None)
    else:
        serve(show)


if __name__ == "__main__":
    main()
