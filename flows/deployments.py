"""When the flows run. `serve` and `deploy` use it; `deployments/prefect.yaml` says the same for Prefect's own tool.

A market's nightly run starts after its close, by the exchange's own clock, so that summer time moves with it. Exchange holidays fire
too: the run then finds no new session and publishes the forecasts that stand. Each market has a profile, and by that a workspace of
its own. Slugs let Prefect update a schedule in place, so that one that was switched off by hand stays off.
"""

import contextlib
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.settings import environment
from forecast_lib.errors import FatalError

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

__all__ = ["PLANS", "Plan", "Timing", "build", "deploy", "is_up", "local_server", "serve"]

HOST = "127.0.0.1"
_START_S, _STOP_S = 120.0, 15.0


@dataclass(frozen=True)
class Timing:
    """One schedule: a cron line by the clock of `timezone`, for the profile of one market."""

    slug: str
    cron: str
    timezone: str
    profile: str
    strategy: str | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The flow's parameters for this schedule."""
        strategy = {"strategy": self.strategy} if self.strategy else {}
        return {"parameters": {"profile": self.profile, **strategy}}


@dataclass(frozen=True)
class Plan:
    """One deployment of a flow."""

    name: str
    entrypoint: str
    description: str
    tags: tuple[str, ...]
    timings: tuple[Timing, ...] = field(default=())

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a run that is started by hand: those of the first schedule."""
        return self.timings[0].parameters


_MARKETS = (
    # name, time zone of the exchange, nightly cron. Close: 16:00 New York, 16:30 London, 15:30 Tokyo, midnight UTC for crypto.
    ("new-york", "America/New_York", "30 18 * * 1-5"),
    ("london", "Europe/London", "0 19 * * 1-5"),
    ("tokyo", "Asia/Tokyo", "0 18 * * 1-5"),
    ("crypto", "UTC", "45 0 * * *"),
)
_NIGHTLY, _BACKTEST = "flows.nightly.nightly", "flows.backtest.backtest"


def _nightly_plan(market: str, timezone: str, cron: str) -> Plan:
    timing = Timing(f"{market}-nightly", cron, timezone, market)
    return Plan(market, _NIGHTLY, f"Forecasts of the {market} universe, after its close.", ("tickercast", market), (timing,))


def _weekly(kind: str, cron: str, strategy: str | None) -> tuple[Timing, ...]:
    return tuple(Timing(f"{market}-{kind}", cron, timezone, market, strategy) for market, timezone, _ in _MARKETS)


PLANS: tuple[Plan, ...] = (
    *(_nightly_plan(*market) for market in _MARKETS),
    Plan(
        "weekly-retrain",
        _NIGHTLY,
        "Every model trained anew, on Saturday morning.",
        ("tickercast", "retrain"),
        _weekly("retrain", "0 6 * * 6", "retrain"),
    ),
    Plan(
        "weekly-backtest",
        _BACKTEST,
        "Rolling-origin backtest of every market, on Sunday morning.",
        ("tickercast", "backtest"),
        _weekly("backtest", "0 6 * * 0", None),
    ),
)
"""Every deployment."""


def build(plans: Sequence[Plan] = PLANS) -> list["RunnerDeployment"]:
    """Prefect's objects for the plans. One run of a deployment at a time; a second waits its turn."""
    from prefect.deployments.runner import RunnerDeployment
    from prefect.flows import load_flow_from_entrypoint
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    return [
        RunnerDeployment.from_flow(
            load_flow_from_entrypoint(plan.entrypoint, use_placeholder_flow=False),
            name=plan.name,
            entrypoint_type=EntrypointType.MODULE_PATH,  # of the installed package: a worker may stand in any folder
            description=plan.description,
            tags=list(plan.tags),
            parameters=plan.parameters,
            schedules=[Cron(t.cron, timezone=t.timezone, slug=t.slug, parameters=t.parameters) for t in plan.timings],
            concurrency_limit=1,
        )
        for plan in plans
    ]


def serve(deployments: Sequence["RunnerDeployment"], limit: int) -> None:
    """Run the deployments in this process until it is told to stop; their schedules stay switched on then.

    Args:
        limit: flow runs at the same time. After an outage the missed runs would otherwise all start together.
    """
    import prefect

    prefect.serve(*deployments, pause_on_shutdown=False, limit=limit)


def deploy(deployments: Sequence["RunnerDeployment"], pool: str, variables: Mapping[str, str]) -> list[str]:
    """Register the deployments for a process work pool, which is made when missing; workers run in this folder.

    Args:
        variables: environment of every run, besides that of its worker.

    Returns:
        The full names, `flow/deployment`.
    """
    import prefect
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    with get_client(sync_client=True) as client, contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    for deployment in deployments:
        deployment.job_variables = {**deployment.job_variables, "working_dir": str(Path.cwd()), "env": dict(variables)}
    prefect.deploy(*deployments, work_pool_name=pool, build=False, push=False, print_next_steps_message=False, ignore_warnings=True)
    return [deployment.full_name for deployment in deployments]


# --- a server on this machine --------------------------------------------------------------------------------------------------


def is_up(address: str) -> bool:
    """Whether a Prefect server answers at this API address."""
    if not address.startswith(("http://", "https://")):
        return False
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=3) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _start(port: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    address = f"http://{HOST}:{port}/api"
    return subprocess.Popen(
        command, env={**environment(), "PREFECT_API_URL": address}, stdout=subprocess.DEVNULL, stderr=sys.stderr, start_new_session=True
    )


def _wait_until_up(address: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_S
    while not is_up(address):
        if server.poll() is not None:
            raise FatalError(f"the Prefect server ended at once with exit code {server.returncode}: run `tickercast doctor`")
        if time.monotonic() > deadline:
            raise FatalError(f"the Prefect server at {address} did not answer within {_START_S:.0f} s: run `tickercast doctor`")
        time.sleep(0.3)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextlib.contextmanager
def local_server(port: int) -> Iterator[str]:
    """A Prefect server on this machine, listening on loopback only, for the length of the block; started again when it dies.

    A flow outlives a short absence of its server, so a new one is better than giving up.

    Yields:
        Its API address.

    Raises:
        FatalError: the port is taken, or the server does not start.
    """
    address = f"http://{HOST}:{port}/api"
    if is_up(address):
        raise FatalError(f"a Prefect server answers at {address} already: set PREFECT_API_URL={address} to use it, or give another --port")
    stopping, server = threading.Event(), _start(port)
    try:
        _wait_until_up(address, server)
        current = [server]

        def watch() -> None:
            while not stopping.wait(1.0):
                if current[0].poll() is not None:
                    print(f"tickercast: the Prefect server ended ({current[0].returncode}); starting it again", file=sys.stderr)
                    current[0] = _start(port)

        watcher = threading.Thread(target=watch, name="prefect-server-watch", daemon=True)
        watcher.start()
        try:
            yield address
        finally:
            stopping.set()
            watcher.join()
            server = current[0]
    finally:
        _stop(server)
