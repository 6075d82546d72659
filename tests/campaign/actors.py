"""What the campaign does in processes that may die: a night of the store, a restoration. Made by fork from
one clean process.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from forecast_lib.errors import TickercastError
from forecast_lib.store import restoration
from forecast_lib.store.disk import lock
from forecast_lib.store.published import publication
from tests.store import nights

__all__ = ["DISK_FAULTS", "Fault", "Told", "frames_of", "has_disk", "night", "restore", "start"]

DISK_FAULTS = ("kill before", "kill after", "torn", "full", "broken", "short", "power")
"""In the order of the numbers that disk.c has for them, from 1."""
REFUSED = 3


@dataclass(frozen=True)
class Fault:
    """What befalls a night: `point` a named one, or `disk` at the n-th change of a file."""

    point: str = ""
    disk: str = ""
    nth: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Told:
    """What a process said before it ended."""

    code: int | None
    lines: tuple[str, ...]

    @property
    def refused(self) -> str:
        return next((line.removeprefix("refused ") for line in self.lines if line.startswith("refused ")), "")


def _library() -> str:
    """The failing disk, compiled; empty where there is no compiler."""
    folder = Path(tempfile.mkdtemp(prefix="tickercast-disk-"))
    source, made = Path(__file__).with_name("disk.c"), folder / "disk.so"
    command = ["gcc", "-O1", "-shared", "-fPIC", "-o", str(made), str(source), "-ldl", "-lpthread"]
    if not shutil.which("gcc") or subprocess.run(command, capture_output=True, check=False).returncode:
        return ""
    return str(made)


_PRELOADED = ["tests.campaign.loaded", "tests.campaign.whole_loaded", "tests.prices.children"]
"""Modules that the clean process has loaded before the first fork."""

_context = get_context("forkserver")
_disk: str | None = None


def context() -> ForkServerContext:
    """Makes processes by fork from one clean process, which is started when it is needed first."""
    has_disk()
    return _context


def has_disk() -> bool:
    """Whether the disk can be made to fail."""
    global _disk
    if _disk is None:
        _disk = _library()
        _context.set_forkserver_preload(_PRELOADED)
        before = os.environ.get("LD_PRELOAD")
        os.environ["LD_PRELOAD"] = _disk or (before or "")
        try:
            _context.Process(target=int).start()
        finally:
            os.environ.pop("LD_PRELOAD")
            if before is not None:
                os.environ["LD_PRELOAD"] = before
    return bool(_disk)


class Started:
    """A process that does one of the functions below with a workspace; what it says is kept in a file."""

    def __init__(self, what: str, workspace: Path, *arguments: Any) -> None:
        self._said = tempfile.NamedTemporaryFile(prefix="tickercast-said-")  # noqa: SIM115  # lives as long as this does
        self.process = context().Process(
            target=_main, args=(what, self._said.name, workspace, *arguments), daemon=True
        )
        self.process.start()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid or 0, signal.SIGKILL)

    def end(self) -> Told:
        """Wait for its end."""
        self.process.join()
        return Told(self.process.exitcode, tuple(Path(self._said.name).read_text().splitlines()))


def start(what: str, workspace: Path, *arguments: Any) -> Started:
    """Begin `night`, `restore` or `read` in a process of its own."""
    return Started(what, workspace, *arguments)


def _main(what: str, said: str, workspace: Path, *arguments: Any) -> None:
    with open(said, "a", buffering=1) as lines:
        try:
            do = {"night": _night, "restore": _restore, "read": _read}[what]
            do(lambda line: print(line, file=lines, flush=True), workspace, *arguments)
        except TickercastError as error:
            print(f"refused {type(error).__name__}: {error}".replace("\n", " "), file=lines, flush=True)
            os._exit(REFUSED)


def frames_of(number: int, tickers: int) -> dict[str, pd.DataFrame]:
    """All that a night of so many tickers stores."""
    return nights.night(number, tuple(f"T{each}" for each in range(tickers)), horizon=3)


def _night(say: Any, workspace: Path, number: int, tickers: int, fault: Fault) -> None:
    frames = frames_of(number, tickers)

    def reached(point: str) -> None:
        if point == fault.point:
            os.kill(os.getpid(), signal.SIGKILL)

    if fault.disk:
        how = DISK_FAULTS.index(fault.disk) + 1
        ctypes.CDLL(None).disk_arm(str(workspace).encode(), how, fault.nth, fault.seed)
    with lock.hold_workspace(workspace, f"run-{number}"):
        entry = nights.store_night(workspace, number, frames, reached=reached)
        say(f"stored {entry['run_id']}")
        publication.publish(workspace, entry["run_id"], 3, reached=reached)
        say(f"published {entry['run_id']}")


def _restore(say: Any, workspace: Path) -> None:
    done = restoration.restore(workspace, None, now=nights.now(300))
    for run in done.lost_runs:
        say(f"lost {run}")


_WHAT_READERS_SEE = """
    SELECT max(f.run_id), count(DISTINCT f.run_id), count(*), count(DISTINCT (f.ticker, f.step)),
        (SELECT max(run_id) FROM run_tickers WHERE run_id = max(f.run_id))
    FROM latest_forecasts AS f
"""


def _read(say: Any, workspace: Path, until: Path, pause_s: float) -> None:
    """Open the published file anew and look, again and again, until a file is there."""
    reads = 0
    newest = -1
    while not until.exists():
        try:
            with duckdb.connect(str(workspace / "published.duckdb"), read_only=True) as con:
                run, runs, rows, distinct, status_of = con.execute(_WHAT_READERS_SEE).fetchall()[0]
        except duckdb.Error as error:
            say(f"wrong {type(error).__name__}: {error}".replace("\n", " ")[:200])
            continue
        reads += 1
        number = int(run.removeprefix("run-")) if run else -2
        if runs != 1 or rows != distinct or status_of != run or number < newest:
            say(f"wrong a reader saw {runs} runs, {rows} rows, {distinct} distinct, {run} after {newest}")
        newest = number
        time.sleep(pause_s)
    say(f"reads {reads}")


def night(workspace: Path, number: int, tickers: int, fault: Fault = Fault()) -> Told:
    """A night to its end."""
    return start("night", workspace, number, tickers, fault).end()


def restore(workspace: Path) -> Told:
    """A restoration to its end."""
    return start("restore", workspace).end()
