"""A run's page, kept by a process of its own, which the run tells of what it does.

To load Prefect takes a second, and its server another: neither is loaded into the run's process, whose work
would wait for it. What is told before the page is there is shown when it is. The process ends with the run's,
however that ends, but for its last words.
"""

import contextlib
import dataclasses
import functools
import itertools
import json
import logging
import re
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Self

from flows.running.run_log import lines_to, run_logger
from flows.settings.layers import environment, prefect_address
from flows.shown.page import Advance
from forecast_lib.errors import FatalError
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["ToldPage"]

_START_S = 120.0
_LEFT_OUT = {
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
}
"""What no run needs of a server of its own, unless the environment says otherwise: Prefect's own kinds of
blocks, which it looks for in all that is installed of it, and writes into a new database for two seconds.
"""
_TEMPORARY = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"}
"""As Prefect has them for the server that a flow starts."""
_ERROR = re.compile(r"[\w.]+(Error|Exception|Status): ")


class ToldPage:
    """The page of a run of this process. A context, for the length of the run."""

    def __init__(self, kind: str, shown: str = "") -> None:
        """Args:
        kind: of the run, and so the name of its flow.
        shown: name of the flow run, where it is not that of the flow.
        """
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as this does
        self._process = subprocess.Popen(
            # -P: a folder of the user's named flows is not ours.
            [sys.executable, "-P", "-m", "flows.shown.process", kind, shown or kind],
            env={**_LEFT_OUT, **environment(), **_TEMPORARY},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,  # an interrupted run still has to say how it ended
        )
        assert self._process.stdin and self._process.stdout
        self._told, self._answers = self._process.stdin, self._process.stdout
        self._numbers = itertools.count()
        self._one_at_a_time = threading.Lock()
        self._there = False

    def __enter__(self) -> Self:
        self._lines = contextlib.ExitStack()
        self._lines.enter_context(lines_to(self._line, _least()))
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        with contextlib.suppress(OSError):
            self._told.close()

    # --- what it is told

    def _tell(self, what: str, *values: object) -> None:
        """A page that is gone is told nothing any more."""
        text = json.dumps([what, *values], default=str).encode() + b"\n"
        with self._one_at_a_time, contextlib.suppress(OSError):
            self._told.write(text)
            self._told.flush()

    def _line(self, line: logging.LogRecord) -> None:
        self._tell("line", line.levelno, line.created, line.getMessage())

    def progress(self, name: str, total: int) -> Advance:
        """As it is told."""
        number = next(self._numbers)
        self._tell("progress", number, name, total)

        def advance(count: int, text: str) -> None:
            self._tell("advance", number, count, text)

        return advance

    @contextlib.contextmanager
    def task_runs(
        self, name: str, items: Sequence[str], ends: "Sequence[Future[None]]", at_once: int
    ) -> Iterator[None]:
        """As they are told."""
        number = next(self._numbers)
        self._tell("task_runs", number, name, list(items), at_once)

        def tell(at: int, end: "Future[None]") -> None:
            error = end.exception()
            self._tell("end", number, at, *([type(error).__name__, str(error)] if error else []))

        for at, end in enumerate(ends):
            end.add_done_callback(functools.partial(tell, at))
        yield

    # --- what it answers

    def keeping(self) -> None:
        """Wait for it.

        Raises:
            FatalError: it cannot be shown.
        """
        if self._there:
            return
        answers, _, _ = select.select([self._answers], [], [], _START_S)
        wrong = self._answer() if answers else None
        if wrong is None:
            wrong = self._why()
        if wrong and prefect_address() is None:
            raise FatalError(
                f"Prefect's own server did not start: {wrong}; run without it (--plain), or give Prefect a"
                " folder of its own (PREFECT_HOME) if another release has used the one it has"
            )
        if wrong:
            raise FatalError(f"the Prefect server does not show the run: {wrong}; run without it (--plain)")
        self._there = True

    def leave(self, summary: RunSummary, link: str | None, figures: str = "") -> None:
        """As it is told; it fails as there."""
        self._ask("leave", dataclasses.asdict(summary), link, figures)

    def leave_failure(self, kind: str, message: str) -> None:
        """As it is told; it fails as there."""
        self._ask("leave_failure", kind, message)

    def ended(self, summary: RunSummary) -> None:
        """The last word of a run that came to its end."""
        self._say_last("ended", dataclasses.asdict(summary))

    def failed(self, message: str) -> None:
        """The last word of one that did not."""
        self._say_last("failed", message)

    def _say_last(self, what: str, value: object) -> None:
        """A run ends as it does whether that is shown or not."""
        try:
            self._ask(what, value)
        except FatalError as error:
            run_logger().warning("how the run ended is not shown: %s", error)

    def _ask(self, what: str, *values: object) -> None:
        """Wait until it is done.

        Raises:
            FatalError: it could not be done.
        """
        self.keeping()
        self._tell(what, *values)
        wrong = self._answer()
        if wrong is None:
            raise FatalError("the process that shows the run is gone")
        if wrong:
            raise FatalError(wrong)

    def _answer(self) -> str | None:
        """What is wrong, empty where nothing is; None where there is nobody any more."""
        line = self._answers.readline()
        answer: str | None = json.loads(line) if line else None
        return answer

    def _why(self) -> str:
        """The last error that it named before it gave up."""
        self._process.kill()
        self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").splitlines()
        named = [line.strip() for line in lines if _ERROR.match(line)]
        return named[-1][:200] if named else "it gave no reason"


def _least() -> int:
    """Where nobody keeps the lines, only those that a person should see are told."""
    kept = environment().get("PREFECT_LOGGING_TO_API_ENABLED", "true").lower() not in ("false", "0")
    return logging.INFO if kept else logging.WARNING
