"""When the flows run. `serve` and `deploy` use it; `deployments/prefect.yaml` says the same for Prefect's own
tool.

A market's nightly run starts after its close, by the exchange's own clock, so that summer time moves with it.
Exchange holidays fire too: the run then finds no new session and ends at once. Each market has a profile, and
by that a workspace of its own. Slugs let Prefect update a schedule in place, so that one that was switched
off by hand stays off.

One run at a time is the work of a queue for each market, and of `serve --limit`; not of Prefect's deployment
limits. Those are leases: a server that starts again forgets them, and then cancels a run that works or keeps
the place of a dead one for ever. A queue counts the runs that are there.
"""

import contextlib
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.settings.layers import environment
from forecast_lib.errors import FatalError

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

__all__ = [
    "JOB",
    "PLANS",
    "RUNS_AT_ONCE",
    "Plan",
    "Timing",
    "build",
    "deploy",
    "is_up",
    "local_server",
    "serve",
]

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
    """One deployment of a flow; `queue` is where its runs wait for each other under a work pool."""

    name: str
    entrypoint: str
    description: str
    tags: tuple[str, ...]
    timings: tuple[Timing, ...] = field(default=())
    queue: str = "default"

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a run that is started by hand: those of the first schedule."""
        return self.timings[0].parameters


_MARKETS = (
    # name, time zone of the exchange, nightly cron. Close: 16:00 New York, 16:30 London, 15:30 Tokyo,
    # midnight UTC for crypto.
    ("new-york", "America/New_York", "30 18 * * 1-5"),
    ("london", "Europe/London", "0 19 * * 1-5"),
    ("tokyo", "Asia/Tokyo", "0 18 * * 1-5"),
    ("crypto", "UTC", "45 0 * * *"),
)
_NIGHTLY, _BACKTEST, _MAINTENANCE = (
    "flows.nightly.nightly",
    "flows.backtest.backtest",
    "flows.maintenance.maintenance",
)
_UPKEEP = "upkeep"
"""Queue of the work on all markets: one after another, so that it never fills the machine."""
RUNS_AT_ONCE = 1
"""Of each queue."""
JOB: Mapping[str, Any] = {"stream_output": False}
"""A run that writes to its worker's pipe ends when the worker is killed. Its log is on its page."""


def _nightly_plan(market: str, timezone: str, cron: str) -> Plan:
    timing = Timing(f"{market}-nightly", cron, timezone, market)
    return Plan(
        market,
        _NIGHTLY,
        f"Forecasts of the {market} universe, after its close.",
        ("tickercast", market),
        (timing,),
        market,
    )


def _every_market(kind: str, cron: str, strategy: str | None) -> tuple[Timing, ...]:
    return tuple(
        Timing(f"{market}-{kind}", cron, timezone, market, strategy) for market, timezone, _ in _MARKETS
    )


PLANS: tuple[Plan, ...] = (
    *(_nightly_plan(*market) for market in _MARKETS),
    Plan(
        "weekly-retrain",
        _NIGHTLY,
        "Every model trained anew, on Saturday morning.",
        ("tickercast", "retrain"),
        _every_market("retrain", "0 6 * * 6", "retrain"),
        _UPKEEP,
    ),
    Plan(
        "weekly-backtest",
        _BACKTEST,
        "Rolling-origin backtest of every market, on Sunday morning.",
        ("tickercast", "backtest"),
        _every_market("backtest", "0 6 * * 0", None),
        _UPKEEP,
    ),
    Plan(
        "monthly-maintenance",
        _MAINTENANCE,
        "Old models and reports removed, databases compacted, at noon on the first of the month.",
        ("tickercast", "maintenance"),
        _every_market("maintenance", "0 12 1 * *", None),
        _UPKEEP,
    ),
)
"""Every deployment."""


def build(plans: Sequence[Plan] = PLANS) -> list["RunnerDeployment"]:
    """Prefect's objects for the plans."""
    from prefect.deployments.runner import RunnerDeployment
    from prefect.flows import load_flow_from_entrypoint
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    return [
        RunnerDeployment.from_flow(
            load_flow_from_entrypoint(plan.entrypoint, use_placeholder_flow=False),
            name=plan.name,
            # of the installed package: a worker may stand in any folder
            entrypoint_type=EntrypointType.MODULE_PATH,
            description=plan.description,
            tags=list(plan.tags),
            parameters=plan.parameters,
            schedules=[
                Cron(t.cron, timezone=t.timezone, slug=t.slug, parameters=t.parameters) for t in plan.timings
            ],
        )
        for plan in plans
    ]


def serve(deployments: Sequence["RunnerDeployment"], limit: int) -> None:
    """Run the deployments in this process until it is told to stop; their schedules stay switched on then.

    Args:
        limit: flow runs at the same time. After an outage the missed runs would otherwise all start together.
    """
    import prefect

    from flows.service.supervision import set_up, watching

    set_up()
    with watching():
        prefect.serve(*deployments, pause_on_shutdown=False, limit=limit)


def deploy(pool: str, variables: Mapping[str, str], plans: Sequence[Plan] = PLANS) -> list[str]:
    """Register the plans for a process work pool, with their queues and the supervision; workers run in this
    folder.

    What is there already is brought up to date.

    Args:
        variables: environment of every run, besides that of its worker.

    Returns:
        The full names, `flow/deployment`.
    """
    import prefect
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    from flows.service.supervision import heartbeats, set_up

    deployments = build(plans)
    with get_client(sync_client=True) as client, contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    for deployment, plan in zip(deployments, plans, strict=True):
        deployment.work_queue_name = plan.queue
        deployment.job_variables = {
            **JOB,
            "working_dir": str(Path.cwd()),
            "env": {**heartbeats(), **variables},
        }
    prefect.deploy(
        *deployments,
        work_pool_name=pool,
        build=False,
        push=False,
        print_next_steps_message=False,
        ignore_warnings=True,
    )
    _limit_queues(pool, {plan.queue for plan in plans})
    set_up()
    return [deployment.full_name for deployment in deployments]


def _limit_queues(pool: str, names: Collection[str]) -> None:
    import asyncio

    from prefect.client.orchestration import get_client

    async def limit() -> None:
        async with get_client() as client:
            for name in names:
                queue = await client.read_work_queue_by_name(name, work_pool_name=pool)
                await client.update_work_queue(queue.id, concurrency_limit=RUNS_AT_ONCE)

    asyncio.run(limit())


# --- a server on this machine


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
    # -P: as in `temporary_server`.
    command = [sys.executable, "-P", "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    address = f"http://{HOST}:{port}/api"
    return subprocess.Popen(
        command,
        env={**environment(), "PREFECT_API_URL": address},
        stdout=subprocess.DEVNULL,
        stderr=sys.stderr,
        start_new_session=True,
    )


def _wait_until_up(address: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_S
    while not is_up(address):
        if server.poll() is not None:
            raise FatalError(
                f"the Prefect server ended at once with exit code {server.returncode}: run `tickercast"
                " doctor`"
            )
        if time.monotonic() > deadline:
            raise FatalError(
                f"the Prefect server at {address} did not answer within {_START_S:.0f} s: run `tickercast"
                " doctor`"
            )
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
    """A Prefect server on this machine, listening on loopback only, for the length of the block; started
    again when it dies.

    A flow outlives a short absence of its server, so a new one is better than giving up. One that answers at
    the port already is used, and stays when the block ends: it outlived the `serve` that started it, or
    somebody else did.

    Yields:
        Its API address.

    Raises:
        FatalError: the port is taken by something else, or the server does not start.
    """
    address = f"http://{HOST}:{port}/api"
    if is_up(address):
        print(
            f"tickercast: a Prefect server answers at {address} already: it is used, and stays when this"
            " ends",
            file=sys.stderr,
        )
        current: list[subprocess.Popen[bytes]] = []
    else:
        current = [_start(port)]
    stopping = threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(port, address, current, stopping), name="prefect-server-watch", daemon=True
    )
    try:
        if current:
            _wait_until_up(address, current[0])
        watcher.start()
        yield address
    finally:
        stopping.set()
        if watcher.ident is not None:
            watcher.join()
        for server in current:
            _stop(server)


def _watch(
    port: int, address: str, current: "list[subprocess.Popen[bytes]]", stopping: threading.Event
) -> None:
    """Start the server again when it is gone: our own when its process ended, another's when nobody answers
    any more.
    """
    while not stopping.wait(1.0):
        if current[0].poll() is not None if current else not is_up(address):
            print("tickercast: the Prefect server ended; starting it again", file=sys.stderr)
            current[:] = [_start(port)]
