"""How far a run is, on standard error: a bar for each stage on a terminal, plain lines otherwise."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from flows.streams import lasting
from forecast_lib.jobs.stages import Stage, unseen

__all__ = ["Progress"]

_LINES_A_STAGE = 20
"""A log of five hundred tickers needs no line for each: so many lines, evenly spaced, besides the first and
the last.
"""


class _Lines:
    """Plain lines: `train 3/8 AAPL`, and one at the end."""

    def __init__(self, name: str, total: int, stream: TextIO) -> None:
        self._name, self._total, self._stream = name, total, stream
        self._done, self._next = 0, 0.0
        self._lock = threading.Lock()

    def advance(self, text: str = "", count: int = 1) -> None:
        with self._lock:
            self._done += count
            if self._total == 1 or (self._done < self._next and self._done < self._total):
                return
            self._next = self._done + self._total / _LINES_A_STAGE
            print(f"{self._name} {self._done}/{self._total} {text}".rstrip(), file=self._stream, flush=True)

    def finish(self, seconds: float) -> None:
        with self._lock:
            counted = "" if self._total == 1 else f": {self._done} of {self._total}"
            print(f"{self._name} done{counted} in {seconds:.1f} s", file=self._stream, flush=True)


class Progress:
    """Shows the stages of a run that have something to do.

    >>> import io
    >>> stream = io.StringIO()
    >>> with Progress(stream).stage("ingest", total=2) as stage:
    ...     stage.advance("AAPL")
    >>> stream.getvalue().splitlines()[0]
    'ingest 1/2 AAPL'
    """

    def __init__(self, stream: TextIO | None = None, *, shown: bool = True) -> None:
        """Args:
        stream: where to write; standard error when None.
        shown: False shows nothing.
        """
        self._stream = lasting(stream or sys.stderr, whatever_happens=True)
        self._shown = shown

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Stage]:
        """A stage with `total` things to do, for the length of the block."""
        if not self._shown or not total:
            with unseen() as nobodys:
                yield nobodys
            return
        if self._stream.isatty():
            with self._bar(name, total) as bar:
                yield bar
            return
        lines, began = _Lines(name, total, self._stream), time.perf_counter()
        yield lines
        lines.finish(time.perf_counter() - began)

    @contextmanager
    def _bar(self, name: str, total: int) -> Iterator[Stage]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[text]}"),
        )
        with Bars(*columns, console=Console(file=self._stream)) as bars:
            task = bars.add_task(name, total=total, text="")

            class Bar:
                def advance(self, text: str = "", count: int = 1) -> None:
                    bars.update(task, advance=count, text=text, refresh=True)

            yield Bar()
            bars.update(task, text="")
