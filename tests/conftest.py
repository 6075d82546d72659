"""One real Prefect server for all tests that run a flow, and the command line in a process of its own."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import curl_cffi  # noqa: F401  # before TensorFlow, which some tests import by themselves: see models.tensorflow_quietly
import pytest

from tests import spread
from tests.resident import Resident

SMALL = ("--units", "4", "--lookback", "10", "--horizon", "2", "--epochs", "1")
"""A network that trains in a second: what is tested here is the flow, not the forecast."""


# A shell ignores it in what it runs in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _name in [name for name in os.environ if name.startswith(("PREFECT_", "TICKERCAST_"))]:
    del os.environ[_name]  # nothing of the developer's own
os.environ["PREFECT_SERVER_EPHEMERAL_ENABLED"] = (
    "false"  # a test that forgets to name a server fails, and starts none of its own
)


_TABLES: Path | None = None


def pytest_configure(config: pytest.Config) -> None:
    global _TABLES
    config.pluginmanager.register(spread.Needed(config.getoption("markexpr")))
    _TABLES = Path(config.cache.mkdir("prefect")) / f"{version('prefect')}.db"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    spread.marked(items)
    spread.long_first(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    config.option.loadscopereorder = False  # they are in order
    return spread.ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass(frozen=True)
class Ended:
    """How a command ended; `summary` is the last line of its standard output where it was asked for
    --json.
    """

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.out.splitlines()[-1])


@dataclass(frozen=True)
class CommandLine:
    """Runs `tickercast` as a user does; calls share a process, and `start` makes one of its own."""

    env: dict[str, str]
    folder: Path
    resident: Resident

    def start(self, *words: str, **env: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "flows.cli", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(command, cwd=self.folder, env={**self.env, **env}, text=True, **pipes)

    def __call__(self, *words: str, **env: str) -> Ended:
        return Ended(*self.resident(words, self.folder, env))

    def night(self, workspace: Path, *words: str, **env: str) -> Ended:
        brief = {"TICKERCAST_TEST_SHARE": "0.02", **env}
        return self("nightly", "--workspace", str(workspace), "--json", *SMALL, *words, **brief)


def clean_environment(home: Path) -> dict[str, str]:
    """The environment without anything of the user's own Prefect or Tickercast. Prefect's new home has the
    server's empty tables where they were made before: that takes longer than all else of a server's start.
    Its kinds of blocks, which nobody uses, take a third of the rest.
    """
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "prefect.db").exists() and _TABLES and _TABLES.exists():
        shutil.copy(_TABLES, home / "prefect.db")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "TICKERCAST_"))
    }
    return {
        **kept,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
        "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
        "DO_NOT_TRACK": "1",
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
    }


@contextlib.contextmanager
def server(home: Path, **env: str) -> Iterator[str]:
    """The address of a Prefect server on loopback, with a home and an environment of its own."""
    from flows.service import deployments  # not above: most tests need no Prefect

    with contextlib.ExitStack() as running:
        patience = mock.patch.object(deployments, "_START_S", 500.0)  # a loaded machine
        with mock.patch.dict(os.environ, {**clean_environment(home), **env}, clear=True), patience:
            address = running.enter_context(deployments.local_server(free_port()))
        _keep_tables(home / "prefect.db")
        yield address


def _keep_tables(database: Path) -> None:
    """For the next servers, of this test run and of later ones."""
    if _TABLES and not _TABLES.exists():
        unfinished = _TABLES.with_name(f"{_TABLES.name}.{os.getpid()}")
        files = [contextlib.closing(sqlite3.connect(path)) for path in (database, unfinished)]
        with files[0] as made, files[1] as copy:
            made.backup(copy)
        unfinished.rename(_TABLES)


@pytest.fixture(autouse=True, scope="session")
def _databases_are_copied(tmp_path_factory) -> Iterator[None]:
    """A test of how a new one is made takes `databases_made_anew`."""
    if "forecast_lib.store.working.database" not in sys.modules:
        yield  # no test in sight needs one
        return
    from tests.empty_database import copied

    with copied(tmp_path_factory.mktemp("made") / "working.duckdb"):
        yield


@pytest.fixture
def databases_made_anew(monkeypatch) -> None:
    """New working databases are made from the schema files."""
    from forecast_lib.store.working import database

    monkeypatch.setattr(database, "_create", database._create.anew)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory) -> Iterator[str]:
    """The address of the server that all tests of a worker share: leave no automation, deployment or running
    run behind.
    """
    with server(tmp_path_factory.mktemp("prefect")) as address:
        yield address


@contextlib.contextmanager
def command_line(home: Path, **env: str) -> Iterator[CommandLine]:
    """The command line in a folder of its own."""
    ours = {**clean_environment(home / "prefect"), **env}
    resident = Resident(ours, home / "working.duckdb")
    try:
        yield CommandLine(ours, home, resident)
    finally:
        resident.end()


@pytest.fixture(scope="session")
def tickercast(prefect_server, tmp_path_factory) -> Iterator[CommandLine]:
    """The command line, talking to the test's own server."""
    with command_line(tmp_path_factory.mktemp("home"), PREFECT_API_URL=prefect_server) as made:
        yield made


@pytest.fixture(scope="session")
def alone(tmp_path_factory) -> Iterator[CommandLine]:
    """The command line without a server: a temporary one is started for each run."""
    with command_line(tmp_path_factory.mktemp("alone")) as made:
        yield made
