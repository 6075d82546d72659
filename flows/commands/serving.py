"""`tickercast serve` and `tickercast deploy`: hand the flows to Prefect."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import flows
from flows.commands import Outcome, Request
from flows.settings.commands import Reports, Serving
from flows.settings.layers import export, gather, prefect_address, prepare_process
from forecast_lib.errors import FatalError, UsageError

__all__ = ["deploy", "serve"]


@contextlib.contextmanager
def _server(port: int) -> Iterator[str]:
    """The configured server, or one of our own for the length of the block, named in the environment for
    Prefect.
    """
    from flows.service.deployments import is_up, local_server

    configured = prefect_address()
    if configured is None:
        with local_server(port) as address:
            prefect_address(address)
            yield address
    elif is_up(configured):
        yield configured
    else:
        raise FatalError(
            f"no Prefect server answers at {configured} (PREFECT_API_URL): start it, or unset the variable"
        )


def _say_silent_runs() -> None:
    """Runs that died while nobody looked."""
    from flows.service.supervision import crash_silent_runs

    for run in crash_silent_runs():
        print(f"marked as crashed: {run}", flush=True)


def _report_folders(request: Request) -> dict[str, Path]:
    """Where the reports of each market's profile come to lie."""
    from flows.service.deployments import PLANS

    profiles = dict.fromkeys(timing.profile for plan in PLANS for timing in plan.timings)
    return {name: gather({**request.overrides, "profile": name}).workspace / "reports" for name in profiles}


@contextlib.contextmanager
def _reports(request: Request) -> Iterator[str | None]:
    """The reports of all markets, served for the length of the block; their address is a setting of every
    run.

    A port that is taken is said, and costs no night.
    """
    from flows.service.served_reports import serving_reports

    port = request.settings.made(Reports).reports_port
    with contextlib.ExitStack() as served:
        try:
            address = served.enter_context(serving_reports(_report_folders(request), port))
        except FatalError as error:
            print(f"tickercast: {error}", file=sys.stderr)
            yield None
            return
        if request.settings["reports_url"] is None:
            export({"reports_url": address})
        yield address


def _refuse_another_flows() -> None:
    """Prefect looks for flows where it stands first: there nothing of ours would be found.

    Raises:
        UsageError: the folder has a package or a module of our name.
    """
    found = PathFinder.find_spec("flows", [str(Path.cwd())])
    if found and found.origin and Path(found.origin).resolve() != Path(flows.__file__).resolve():
        raise UsageError(
            f"{found.origin} has the name of our own package, and Prefect would load it in its place: start"
            " in another folder"
        )


def serve(request: Request) -> Outcome:
    """Runs until it is stopped. Options of the command line hold for every run, above what a market's profile
    says.
    """
    from flows.service import deployments

    _refuse_another_flows()
    asked = request.settings.made(Serving)
    export(request.overrides)
    prepare_process(quiet=False)
    # Until Prefect listens to SIGTERM itself, it must not leave our server behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with _reports(request) as reports, _server(asked.port) as address:
        print(f"reports {reports}/" if reports else "the reports are not served", flush=True)
        print(
            f"Prefect server {address}, user interface {address.removesuffix('/api')}; stop with Ctrl-C",
            flush=True,
        )
        _say_silent_runs()
        deployments.serve(deployments.build(), asked.limit)
    return Outcome(0, {"server": address})


def deploy(request: Request) -> Outcome:
    """Registers every deployment; a worker of the pool runs them, with the workspace of the command line
    where one was given.
    """
    address = prefect_address()
    if address is None:
        raise UsageError(
            "no Prefect server is configured: set PREFECT_API_URL, for example http://127.0.0.1:4200/api; or"
            " use `tickercast serve`"
        )
    _refuse_another_flows()
    prepare_process(quiet=True)
    from flows.service import deployments

    variables: dict[str, str] = {}
    export({name: text for name, text in request.overrides.items() if name == "workspace"}, variables)
    with _server(0):
        names = deployments.deploy(request.settings["pool"], variables)
        _say_silent_runs()
    print(f"start a worker with: prefect worker start --pool {request.settings['pool']}")
    return Outcome(0, {"deployments": names, "pool": request.settings["pool"], "server": address})
