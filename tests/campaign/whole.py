"""The kinds of trial on whole nights by the command line, from the simulated market to the page: killed,
interrupted, on Dask with workers that die or fall silent, by two schedulers at once.

Most commands run in processes forked from one that has loaded what they import; one in ten is a command line
of its own with a real Prefect server.
"""

import atexit
import contextlib
import functools
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from flows import cli
from forecast_lib.store.disk import ledger
from forecast_lib.store.published import publication
from forecast_lib.store.working import database
from tests.campaign import actors
from tests.campaign.trials import POINTS, Outcome
from tests.campaign.witness import Witness
from tests.conftest import SMALL, clean_environment, server

__all__ = ["WHOLE", "Ended", "command"]

EVENINGS = ("2024-05-01", "2024-05-02")
"""Of the workspace that trials begin with a copy of."""
TONIGHT, TOMORROW = "2024-05-03", "2024-05-06"
NIGHT = ("nightly", "--json", "--tickers", "SIM1,SIM2,SIM3", *SMALL)
SECRET = "hunter2-b7f3"
"""Part of a setting; stands in no file that a run leaves, and in nothing that it says."""

REAL = 0.1
"""Share of the nights that are command lines of their own, with Prefect."""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SAID = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}


@dataclass(frozen=True)
class Ended:
    """How a command ended; `after` how many seconds it said its last word."""

    code: int
    out: str
    err: str
    after: float

    @property
    def summary(self) -> dict[str, Any]:
        """The last line of a command that was asked for --json; empty where it did not get that far."""
        with contextlib.suppress(IndexError, ValueError):
            found = json.loads(self.out.splitlines()[-1])
            return found if isinstance(found, dict) else {}
        return {}


_NUMBERS = itertools.count()


class Running:
    """A `tickercast` command: forked, or (`real`) by a new interpreter.

    Args:
        point: the named point at which it kills itself.
    """

    def __init__(
        self, words: Sequence[str], folder: Path, *, real: bool = False, point: str = "", **env: str
    ) -> None:
        number = next(_NUMBERS)
        self._out, self._err = (folder / f"said-{number}.{name}" for name in ("out", "err"))
        self.began, ours = time.time(), {**_environment(), **env}
        self._process: Any
        if real:
            with self._out.open("wb") as out, self._err.open("wb") as err:
                line = [sys.executable, "-m", "flows.cli", *words]
                self._process = subprocess.Popen(line, cwd=folder, env=ours, stdout=out, stderr=err)
        else:
            given = (tuple(words), str(self._out), str(self._err), ours, point)
            self._process = actors.context().Process(target=_be, args=given, daemon=True)
            self._process.start()
        self.pid = int(self._process.pid)

    def send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def said(self) -> str:
        """On standard error, so far."""
        return self._err.read_text() if self._err.exists() else ""

    def end(self) -> Ended:
        if isinstance(self._process, subprocess.Popen):
            code = self._process.wait()
        else:
            self._process.join()
            code = self._process.exitcode
        last = max((path.stat().st_mtime for path in (self._out, self._err) if path.exists()), default=0.0)
        out = self._out.read_text() if self._out.exists() else ""
        return Ended(code, out, self.said(), max(0.0, last - self.began))


def _be(words: Sequence[str], out: str, err: str, env: Mapping[str, str], point: str) -> None:
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    os.environ.clear()
    os.environ.update(env)
    os.chdir(Path(out).parent)
    sys.argv = ["tickercast", *words]
    with contextlib.ExitStack() as patched:
        for module, name in ((database, "record_run"), (ledger, "append"), (publication, "prepared")):
            told = functools.partial(getattr(module, name), reached=functools.partial(_die_at, point))
            patched.enter_context(mock.patch.object(module, name, told))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = cli.main()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_at(asked: str, point: str) -> None:
    if point == asked:
        os.kill(os.getpid(), signal.SIGKILL)


_home = tempfile.TemporaryDirectory(prefix="tickercast-home-")


@functools.cache
def _environment() -> dict[str, str]:
    proxy = f"http://somebody:{SECRET}@127.0.0.1:9"
    return {**clean_environment(Path(_home.name)), "TICKERCAST_TEST_SHARE": "0.02", "TICKERCAST_PROXY": proxy}


@functools.cache
def _server() -> str:
    """The address of a Prefect server that lives as long as the campaign."""
    running = contextlib.ExitStack()
    address = running.enter_context(server(Path(_home.name) / "server"))
    atexit.register(running.close)
    return address


def command(words: Sequence[str], folder: Path, **options: Any) -> Ended:
    """A command to its end."""
    return Running(words, folder, **options).end()


@dataclass(frozen=True)
class Made:
    """A workspace with two nights, the forecasts of each by hash, and what the next one makes of it where
    nothing befalls it.
    """

    workspace: Path
    witness: Witness
    forecasts: Mapping[str, str]
    seconds: float


@functools.cache
def _made() -> Made:
    folder = Path(_home.name) / "made"
    folder.mkdir()
    workspace = folder / "workspace"
    witness, forecasts = Witness(workspace), {}
    for day in EVENINGS:
        ended = command(_words(workspace, day, "--plain"), folder)
        assert ended.code == 0, ended
        witness.reported.append(ended.summary["run_id"])
        forecasts[day] = ended.summary["forecasts_hash"]
        witness.remember()
        assert witness.violations(at_rest=True) == []
    next_ = Path(shutil.copytree(workspace, folder / "next"))
    ended = command(_words(next_, TONIGHT, "--plain"), folder)
    assert ended.code == 0, ended
    forecasts[TONIGHT] = ended.summary["forecasts_hash"]
    return Made(workspace, witness, forecasts, ended.after)


def _words(workspace: Path, day: str, *more: str) -> tuple[str, ...]:
    return (*NIGHT, "--workspace", str(workspace), "--as-of", day, *more)


class Home:
    """A copy of the workspace with two nights, its witness, and what was found wrong."""

    def __init__(self, chance: random.Random, folder: Path) -> None:
        made = _made()
        self.chance, self.folder, self.made = chance, folder, made
        self.workspace = Path(shutil.copytree(made.workspace, folder / "workspace"))
        self.witness = made.witness.of_a_copy(self.workspace)
        self.beside = {each.name for each in folder.iterdir()}
        self.violations: list[str] = []

    def start(self, day: str, *more: str, real: bool = False, **options: Any) -> Running:
        """A night: plain and forked, or (`real`) a command line with Prefect."""
        env = {"PREFECT_API_URL": _server()} if real else {}
        words = _words(self.workspace, day, *(() if real else ("--plain",)), *more)
        return Running(words, self.folder, real=real, **options, **env)

    def told(self, ended: Ended) -> Ended:
        """Believe a night that says that it is stored."""
        if ended.code in (0, 10):
            self.witness.reported.append(ended.summary["run_id"])
        return ended

    def look(self, *, at_rest: bool = False) -> None:
        self.violations += self.witness.violations(at_rest=at_rest)
        self.witness.remember()
        for path in self.folder.rglob("*"):
            if path.is_file() and SECRET.encode() in path.read_bytes():
                self.violations.append(f"a secret stands in {path.relative_to(self.folder)}")
            if (
                path.parent == self.folder
                and path.name not in self.beside
                and path.suffix not in (".out", ".err")
            ):
                self.violations.append(f"a run left {path.name} outside of its workspace")

    def status(self) -> dict[str, Any]:
        ended = command(("status", "--json", "--workspace", str(self.workspace)), self.folder)
        return {**ended.summary, "code": ended.code}

    def outcome(self, what: str, recovery_s: float | None = None, tried: int = 1) -> Outcome:
        return Outcome(what, tuple(dict.fromkeys(self.violations)), recovery_s, tried)

    def well(self, day: str = TONIGHT) -> float:
        """A night that nothing befalls: fresh, shown to readers, the same as if nothing had been before."""
        ended = self.told(self.start(day).end())
        self.look(at_rest=True)
        if ended.code != 0:
            self.violations.append(f"the next night did not recover: {ended.code} {ended.err[-300:]}")
            return ended.after
        if self.witness.shown[-1:] != [ended.summary["run_id"]]:
            self.violations.append(f"the next night was not published: readers see {self.witness.shown[-1:]}")
        if ended.summary["forecasts_hash"] != self.made.forecasts.get(day, ended.summary["forecasts_hash"]):
            self.violations.append(f"the forecasts of {day} are others than those of a night left alone")
        if self.status().get("verdict") == "dead":
            self.violations.append("status says dead after a night that ended well")
        return ended.after


def evening_killed(chance: random.Random, folder: Path) -> Outcome:
    """A whole night is killed at a named point or at any moment, or interrupted; status says what became of
    it, and the next night makes what it would have made.
    """
    home, real = Home(chance, folder), chance.random() < REAL
    number, point = chance.choice(SIGNALS), chance.choice(POINTS)
    named = not real and chance.random() < 0.5
    at = chance.uniform(0.0, home.made.seconds * (4 if real else 1.1))
    night = home.start(TONIGHT, real=real, point=point if named else "")
    if named:
        number = signal.SIGKILL
    else:
        _wait(night, at)
        night.send(number)
    ended = home.told(night.end())
    what = f"{'with Prefect, ' if real else ''}{number.name} {point if named else f'after {at:.2f} s'}"
    home.violations += [f"{what}: {each}" for each in untrue(home, ended, number)]
    home.look()
    return home.outcome(f"{what}: {ended.code}", home.well(), int(ended.code != 0))


def _wait(night: Running, seconds: float) -> None:
    time.sleep(max(0.0, night.began + seconds - time.time()))


def untrue(home: Home, ended: Ended, number: signal.Signals) -> list[str]:
    """What the night's exit code and sentence, and `status`, say that is not so."""
    if ended.code == -number and not ended.err:  # before it could begin
        return []
    if ended.code not in (0, SAID[number]):
        return [f"the night ended with {ended.code}: {ended.err[-300:]}"]
    if "Traceback" in ended.err:
        return [f"a traceback: {ended.err[-600:]}"]
    verdict, found = home.status().get("verdict"), []
    stored = len(ledger.read(home.workspace).runs()) > len(EVENINGS)
    if ended.code == 0 and verdict == "dead":
        found.append("the night ended well, and status says dead")
    if (
        ended.code == -9
        and "known done" in ended.err
        and "publish done" not in ended.err
        and verdict != "dead"
    ):
        found.append(f"the night was killed at work, and status says {verdict}")
    if ended.code in (130, 143):
        last = next((line for line in reversed(ended.err.splitlines()) if "interrupted" in line), "")
        if number.name not in last:
            found.append(f"the last line does not name the signal: {ended.err[-300:]}")
        if ("stored nothing" in last) == stored:
            found.append(f"it says {last!r}, and the ledger has {(stored and 'the run') or 'no such run'}")
        if verdict == "dead" and number is signal.SIGINT:  # SIGTERM comes from outside: that is a death
            found.append("the night was interrupted by a person, and status says dead")
    return found


def evening_again(chance: random.Random, folder: Path) -> Outcome:
    """Evenings that were are run again, in any order, as where the clock went back: each makes what it made
    then, and tonight makes what it would have made.
    """
    home = Home(chance, folder)
    days = [chance.choice((*EVENINGS, TONIGHT)) for _ in range(chance.randint(1, 3))]
    for day in days:
        home.well(day)
    return home.outcome(f"as of {', '.join(days)}", home.well(), len(days) + 1)


WHOLE = (evening_killed, evening_again)
