"""A machine with a Prefect server, a worker or a `serve`, and a workspace, whose processes can be killed:
real ones, on loopback.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.service.deployments import is_up
from forecast_lib.jobs.monitor.standing import read_holder
from forecast_lib.store.disk import ledger
from forecast_lib.store.published import inspection, reader
from tests.conftest import clean_environment, free_port

__all__ = ["ENDED", "Machine", "ask", "audited", "leftovers", "machine", "until"]

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
TINY = {
    "UNITS": "4",
    "LOOKBACK": "10",
    "HORIZON": "2",
    "EPOCHS": "1",
    "TICKERS": "SIM1",
    "SOURCE": "simulated",
}
"""A night of a few seconds. The environment wins over a market's profile, so that the deployments are the
shipped ones.
"""


def ask(address: str, path: str, body: Mapping[str, Any] | None = None, tries: int = 5) -> Any:
    """The server's answer; POST where there is a body. While its database is busy it answers 503: then again,
    as Prefect's client does.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}/{path}", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        if error.code != 503 or tries == 1:
            raise
        time.sleep(2.0)
        return ask(address, path, body, tries - 1)


def until(found: Callable[[], Any], seconds: float, pause: float = 0.5) -> Any:
    """What `found` returns as soon as it is true, or its last answer; the server may not be there
    meanwhile.
    """
    deadline, answer = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if answer := found():
                return answer
        time.sleep(pause)
    return answer


@dataclass
class Machine:
    """Its processes by name (`server`, `worker`, `serve`), each the leader of a group of its own."""

    folder: Path
    port: int
    env: dict[str, str]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    def start(self, name: str, *words: str) -> None:
        """Start a process; what it says goes to NAME.log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=self.folder,
                env=self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_server(self) -> None:
        self.start("server", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        assert until(lambda: is_up(self.address), 400), self.log("server")

    def start_worker(self) -> None:
        self.start("worker", "prefect", "worker", "start", "--pool", "tickercast")

    def call(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A `tickercast` command, to its end."""
        command = [sys.executable, "-m", "flows.cli", *words]
        return subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )

    def kill(self, *names: str) -> None:
        """SIGKILL: `flow` is whoever holds the workspace; a server goes with all its processes, a worker or
        `serve` alone.
        """
        for name in names:
            with contextlib.suppress(ProcessLookupError):
                if name == "flow":
                    os.kill(self.flow(), signal.SIGKILL)
                elif name == "server":
                    os.killpg(self.processes[name].pid, signal.SIGKILL)
                else:
                    self.processes[name].kill()
            if name in self.processes:
                self.processes.pop(name).wait()

    def flow(self) -> int:
        """The process that holds the workspace."""
        holder = read_holder(self.workspace)
        if holder is None:
            raise ProcessLookupError("nobody holds the workspace")
        return holder.pid

    def run(self, deployment: str, **parameters: Any) -> str:
        """Start a run by hand, as the page's button does; its id."""
        found = ask(self.address, f"deployments/name/{deployment}")
        return ask(
            self.address,
            f"deployments/{found['id']}/create_flow_run",
            {"parameters": {"parameters": parameters}},
        )["id"]

    def state(self, run: str) -> dict[str, Any]:
        return ask(self.address, f"flow_runs/{run}")["state"]

    def ended(self, run: str, seconds: float) -> dict[str, Any]:
        """The run's state once it has ended; fails the caller where it does not."""
        state = until(lambda: (s := self.state(run)) and s["type"] in ENDED and s, seconds)
        assert state, (
            f"run {run} is {until(lambda: self.state(run), 5)} after {seconds} s; {self.log('worker')}"
        )
        return state

    def status(self) -> dict[str, Any]:
        """What `tickercast status --json` says, with its exit code."""
        said = self.call("status", "--json", "--workspace", str(self.workspace))
        return {**json.loads(said.stdout.splitlines()[-1]), "code": said.returncode}

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text()[-3000:] if path.exists() else ""


@contextlib.contextmanager
def machine(folder: Path, **settings: str) -> Iterator[Machine]:
    """A machine with nothing running yet; at the end nothing runs any more."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    ours = {f"TICKERCAST_{name}": value for name, value in {**TINY, **settings}.items()}
    env = {
        **clean_environment(folder / "prefect"),
        **ours,
        "TICKERCAST_WORKSPACE": str(folder / "workspace"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    made = Machine(folder, port, env)
    # A time limit must not leave the machine running.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            made.kill("flow")
        for process in made.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def audited(workspace: Path) -> tuple[str, int]:
    """Read every block of the published tables, hold the working database against the ledger, and look for
    what was left half built.

    Returns:
        The published run, and how many forecasts it shows.
    """
    inspection.published_rows(workspace)
    inspection.working_state(workspace)
    shown = reader.query(
        workspace,
        "SELECT run_id, count(*) AS n, count(DISTINCT (ticker, step)) AS steps FROM latest_forecasts GROUP"
        " BY 1",
    )
    assert len(shown) == 1 and shown["n"][0] == shown["steps"][0] > 0, shown
    run = str(shown["run_id"][0])
    assert run in ledger.read(workspace).runs(), f"{run} is published and not in the ledger"
    return run, int(shown["n"][0])


def leftovers(workspace: Path) -> list[str]:
    """Files of unfinished work."""
    patterns = ("*.next-*", "snapshots/*.next-*", "models/.*.tmp", "reports/**/.*.new")
    return sorted(
        str(path.relative_to(workspace)) for pattern in patterns for path in workspace.glob(pattern)
    )
