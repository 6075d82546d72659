"""Who is killed, and when: the flow's process, the Prefect server, the worker, or all of them, at the start,
in the middle and at the end of a night. `python -m tests.bench kills` prints, for each, what Prefect made of
the run and after how many seconds, what `tickercast status` said and after how many, and how the next night
ended. After each kill, and after the next night, the published tables are read to the last block and held
against the ledger. `python -m tests.bench.kills flow middle` does one of them.

What died stays dead for 5 s; then the machine is up again: server and worker as before, nothing else is done
by hand.
"""

import datetime as dt
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from forecast_lib.jobs.monitor.standing import read_holder
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store.disk import ledger
from tests.flows.machine import Machine, audited, leftovers, machine, until

VICTIMS = {
    "flow": ("flow",),
    "server": ("server",),
    "worker": ("worker",),
    "all": ("worker", "flow", "server"),
}
MOMENTS = ("start", "middle", "end")
DOWN_S, LIMIT_S = 5.0, 180.0
DEPLOYMENT = "nightly/new-york"


@dataclass(frozen=True)
class Outcome:
    """One kill: seconds count from the kill."""

    victim: str
    moment: str
    state: str
    state_s: float
    verdict: str
    verdict_s: float
    next_state: str
    next_s: float


def moments(house: Machine, run_id: str) -> dict[str, Callable[[], bool]]:
    """How each moment of the night shows from outside."""
    models, before = house.workspace / "models", set((house.workspace / "models").glob("*.npz"))
    recorded = len(ledger.read(house.workspace).entries)
    held = lambda: (holder := read_holder(house.workspace)) is not None and holder.alive  # noqa: E731  # three of a kind
    return {
        "start": held,
        "middle": lambda: held() and set(models.glob("*.npz")) > before,
        "end": lambda: held() and len(ledger.read(house.workspace).entries) > recorded,
    }


def trial(house: Machine, victim: str, moment: str, days: list[str]) -> Outcome:
    """Kill in one night; then have the next one."""
    stood = audited(house.workspace)[0]
    run = house.run(DEPLOYMENT, as_of=days[0], strategy="retrain")
    reached = until(moments(house, run)[moment], 90, pause=0.005)
    assert reached, f"{moment} was not reached: {house.state(run)}"
    house.kill(*VICTIMS[victim])
    killed = time.monotonic()
    shown, _ = audited_at_rest(house) if "flow" in VICTIMS[victim] else (stood, 0)
    status = house.status()
    verdict, verdict_s = status["verdict"], time.monotonic() - killed
    time.sleep(max(0.0, DOWN_S - (time.monotonic() - killed)))
    if "server" in VICTIMS[victim]:
        house.start_server()
    if "worker" in VICTIMS[victim]:
        house.start_worker()
    state = house.ended(run, LIMIT_S + 30)
    state_s = time.monotonic() - killed
    # A killed worker's run lives until it writes to the worker's pipe.
    if state["type"] == "CRASHED" and verdict != "dead":
        status = house.status()
        verdict, verdict_s = status["verdict"], time.monotonic() - killed
    began = time.monotonic()
    after = house.ended(house.run(DEPLOYMENT, as_of=days[1]), 120)
    next_s = time.monotonic() - began
    assert after["type"] == "COMPLETED", after
    newest, _ = audited(house.workspace)
    assert newest != shown, "the next night published nothing"
    assert leftovers(house.workspace) == []
    expected = {
        "flow": ("CRASHED",),
        "all": ("CRASHED",),
        "server": ("COMPLETED",),
        "worker": ("COMPLETED", "CRASHED"),
    }[victim]
    assert state["type"] in expected, state
    if state["type"] == "CRASHED":
        assert verdict == "dead", status
        assert state_s <= LIMIT_S, state_s
        assert any(line["kind"] == ledger.DIED for line in ledger.read(house.workspace).entries)
    return Outcome(victim, moment, state["name"], state_s, verdict, verdict_s, after["name"], next_s)


def audited_at_rest(house: Machine) -> tuple[str, int]:
    """As `audited`, of the published tables alone: a killed process may have left the working database one
    line ahead of the ledger.
    """
    from forecast_lib.store.published import inspection, reader

    inspection.published_rows(house.workspace)
    shown = reader.query(house.workspace, "SELECT run_id, count(*) AS n FROM latest_forecasts GROUP BY 1")
    assert len(shown) == 1, shown
    return str(shown["run_id"][0]), int(shown["n"][0])


def show(outcome: Outcome) -> None:
    print(
        f"{outcome.victim:7} {outcome.moment:7} {outcome.state:10} {outcome.state_s:6.1f} s   "
        f"{outcome.verdict:9} {outcome.verdict_s:5.1f} s   {outcome.next_state:9} {outcome.next_s:5.1f} s",
        flush=True,
    )


def main(argv: list[str]) -> int:
    """The whole matrix, or the victims named, or `VICTIM MOMENT`."""
    chosen = [name for name in argv if name in VICTIMS] or VICTIMS
    pairs = [
        (victim, moment)
        for victim in chosen
        for moment in MOMENTS
        if moment in argv or not set(MOMENTS) & set(argv)
    ]
    days = [
        day.strftime("%Y-%m-%d")
        for day in TickerCalendar("XNYS").sessions(*map(_day, ("2024-05-01", "2024-09-30")))
    ]
    with tempfile.TemporaryDirectory() as folder, machine(Path(folder)) as house:
        house.start_server()
        deployed = house.call("deploy")
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        house.start_worker()
        assert house.ended(house.run(DEPLOYMENT, as_of=days[0]), 180)["type"] == "COMPLETED", house.log(
            "worker"
        )
        print("killed  when    Prefect says  after      status says  after   next night    took")
        for number, (victim, moment) in enumerate(pairs):
            show(trial(house, victim, moment, days[1 + 2 * number : 3 + 2 * number]))
    print(f"{len(pairs)} kills: every next night recovered by itself, the published tables stayed good")
    return 0


def _day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
