"""The kinds of trial on a machine with real Prefect servers and workers: who is killed, and when, and two
schedulers for one workspace.

What died stays dead for some seconds; then the machine is up again: server and worker as before, nothing else
is done by hand. The machine stays for all trials, until one of them finds something broken.
"""

import atexit
import contextlib
import datetime as dt
import functools
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from forecast_lib.jobs.monitor.standing import read_holder
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store.disk import ledger
from forecast_lib.store.published import inspection, reader
from tests.campaign.trials import Outcome
from tests.campaign.witness import Witness
from tests.flows.machine import Machine, audited, leftovers, machine, until

__all__ = ["MACHINES"]

VICTIMS = {
    "flow": ("flow",),
    "server": ("server",),
    "worker": ("worker",),
    "all": ("worker", "flow", "server"),
}
MOMENTS = ("start", "middle", "end", "any")
LONGEST_S = 10.0
"""A moment of `any` comes so many seconds after the run was asked for, at most."""

EXPECTED = {
    "flow": ("CRASHED",),
    "all": ("CRASHED",),
    "server": ("COMPLETED",),
    "worker": ("COMPLETED", "CRASHED"),
}
DOWN_S, LIMIT_S = 5.0, 180.0
DEPLOYMENT = "nightly/new-york"
FIRST, LAST = dt.date(2024, 5, 1), dt.date(2025, 12, 31)


@dataclass
class Site:
    """One machine, the evenings that are still to come, and a second scheduler where one was asked for."""

    house: Machine
    days: Iterator[str]
    witness: Witness
    running: contextlib.ExitStack
    other: Machine | None = field(default=None)

    def second(self) -> Machine:
        """Another Prefect server and worker, with the same workspace."""
        if self.other is None:
            self.other = self.running.enter_context(machine(self.house.folder.parent / "other"))
            self.other.env["TICKERCAST_WORKSPACE"] = str(self.house.workspace)
            _begin(self.other)
        return self.other

    def look(self) -> None:
        """What the witness finds is an error."""
        found = self.witness.violations(at_rest=True)
        assert not found, found
        self.witness.remember()


def _begin(house: Machine) -> None:
    house.start_server()
    deployed = house.call("deploy")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    house.start_worker()


@functools.cache
def _site() -> Site:
    running = contextlib.ExitStack()
    atexit.register(running.close)
    folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="tickercast-machine-")))
    house = running.enter_context(machine(folder / "one"))
    _begin(house)
    days = (f"{day:%Y-%m-%d}" for day in TickerCalendar("XNYS").sessions(FIRST, LAST))
    made = Site(house, days, Witness(house.workspace), running)
    ended = house.ended(house.run(DEPLOYMENT, as_of=next(made.days)), 300)
    assert ended["type"] == "COMPLETED", house.log("worker")
    made.look()
    return made


@contextlib.contextmanager
def _used() -> Iterator[Site]:
    """The machine; one on which something went wrong is not used again."""
    try:
        yield _site()
    except BaseException:
        if _site.cache_info().currsize:
            _site().running.close()
        _site.cache_clear()
        raise


def _moments(house: Machine) -> dict[str, Callable[[], bool]]:
    """How each moment of the night shows from outside."""
    models, before = house.workspace / "models", set((house.workspace / "models").glob("*.npz"))
    recorded = len(ledger.read(house.workspace).entries)

    def held() -> bool:
        holder = read_holder(house.workspace)
        return holder is not None and holder.alive

    return {
        "start": held,
        "middle": lambda: held() and set(models.glob("*.npz")) > before,
        "end": lambda: held() and len(ledger.read(house.workspace).entries) > recorded,
    }


def machine_killed(chance: random.Random, folder: Path) -> Outcome:
    """The flow's process, the Prefect server, the worker or all of them are killed at the start, in the
    middle, at the end or at any moment of a night: Prefect and `status` say so within three minutes, and the
    next night needs no help.
    """
    victim, moment = chance.choice(sorted(VICTIMS)), chance.choice(MOMENTS)
    at = chance.uniform(0.0, LONGEST_S)
    with _used() as site:
        return _killed(site, victim, moment, at)


def _killed(site: Site, victim: str, moment: str, at: float) -> Outcome:
    house = site.house
    run = house.run(DEPLOYMENT, as_of=next(site.days), strategy="retrain")
    if moment == "any":
        time.sleep(at)
    else:
        reached = until(_moments(house)[moment], 180, pause=0.005)
        assert reached, f"{moment} was not reached: {house.state(run)}"
    house.kill(*VICTIMS[victim])
    killed = time.monotonic()
    shown = _shown(house) if "flow" in VICTIMS[victim] else ""
    status = house.status()
    verdict_s = time.monotonic() - killed
    time.sleep(max(0.0, DOWN_S - verdict_s))
    if "server" in VICTIMS[victim]:
        house.start_server()
    if "worker" in VICTIMS[victim]:
        house.start_worker()
    up = time.monotonic()
    state = house.ended(run, LIMIT_S + 60)
    state_s = time.monotonic() - killed
    # A killed worker's run lives until it writes to the worker's pipe.
    if state["type"] == "CRASHED" and status["verdict"] != "dead":
        status = house.status()
    began = time.monotonic()
    after = house.ended(house.run(DEPLOYMENT, as_of=next(site.days)), 240)
    took = time.monotonic() - began
    assert after["type"] == "COMPLETED", after
    newest, _ = audited(house.workspace)
    assert newest != shown, "the next night published nothing"
    assert leftovers(house.workspace) == []
    site.look()
    if moment != "any":
        assert state["type"] in EXPECTED[victim], state
    if state["type"] == "CRASHED" and moment != "any":
        assert status["verdict"] == "dead", status
        assert state_s <= LIMIT_S + (up - killed - DOWN_S), state_s
        assert any(line["kind"] == ledger.DIED for line in ledger.read(house.workspace).entries)
    what = f"{victim} killed at {moment}{f' ({at:.1f} s)' if moment == 'any' else ''}: {state['name']} after"
    return Outcome(f"{what} {state_s:.0f} s, status {status['verdict']} after {verdict_s:.0f} s", (), took)


def _shown(house: Machine) -> str:
    """The published run; every block of the published tables is read. A killed process may have left the
    working database one line ahead of the ledger.
    """
    inspection.published_rows(house.workspace)
    shown = reader.query(house.workspace, "SELECT run_id, count(*) AS n FROM latest_forecasts GROUP BY 1")
    assert len(shown) == 1, shown
    return str(shown["run_id"][0])


def two_schedulers(chance: random.Random, folder: Path) -> Outcome:
    """Two Prefect servers with a worker each start a night for the same workspace, together or some seconds
    apart: each night is done whole, or says that another holds the workspace; the next one needs no help.
    """
    with _used() as site:
        houses, day = [site.house, site.second()], next(site.days)
        chance.shuffle(houses)
        runs = [houses[0].run(DEPLOYMENT, as_of=day, strategy="retrain")]
        time.sleep(chance.choice((0.0, chance.uniform(0.0, LONGEST_S))))
        runs.append(houses[1].run(DEPLOYMENT, as_of=day, strategy="retrain"))
        states = [house.ended(run, 300) for house, run in zip(houses, runs, strict=True)]
        kinds = sorted(state["type"] for state in states)
        assert "COMPLETED" in kinds, states
        busy = [state for state in states if state["type"] != "COMPLETED"]
        assert all(
            "holds the workspace" in (state["message"] or "") or "is held by" in (state["message"] or "")
            for state in busy
        ), busy
        began = time.monotonic()
        after = houses[0].ended(houses[0].run(DEPLOYMENT, as_of=next(site.days)), 240)
        took = time.monotonic() - began
        assert after["type"] == "COMPLETED", after
        audited(site.house.workspace)
        site.look()
        return Outcome(f"two schedulers: {', '.join(kinds)}", (), took, 2)


MACHINES = (machine_killed, two_schedulers)
