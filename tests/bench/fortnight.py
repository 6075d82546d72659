"""Two weeks of a market in some minutes: `python -m tests.bench fortnight`.

A real Prefect server and a real `serve` with one schedule for each evening, 20 May to 2 June 2024: nights on
weekdays (Memorial Day among them), the full retrain on Saturdays, the backtest on Sundays. Prices come
from a file of the simulated market. Things go wrong: the process of a night is killed; the price file is
away for two evenings; the server is killed and comes back; and the whole machine is killed in the
middle of a night. At the end every evening is accounted for in a table: what was expected, what Prefect says
of its run, which run the tables have for it, whether it was made up for later, and what readers saw. Exit
code 1 where one is not.
"""

import datetime as dt
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from forecast_lib.domain import Ticker
from forecast_lib.jobs.monitor.standing import read_holder
from forecast_lib.prices.sources.simulated import SimulatedMarket
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store.disk import ledger
from forecast_lib.store.published import reader
from tests.bench._evenings import days, kind_of
from tests.flows.machine import ENDED, Machine, ask, audited, leftovers, machine, until

LIMIT_S = 3000.0
FRIDAY_BEFORE = "2024-05-17"
KILL_FLOW, KILL_SERVER, KILL_ALL = (dt.date(2024, 5, day) for day in (22, 28, 30))
OUTAGE = (dt.date(2024, 5, 23), dt.date(2024, 5, 24))
SHOWN = "SELECT DISTINCT f.run_id, r.as_of FROM latest_forecasts AS f JOIN runs AS r USING (run_id)"
NIGHTS = """
SELECT r.as_of, r.status, r.config LIKE '%"backfilled": true%' AS backfilled, t.last_session
FROM runs AS r JOIN run_tickers AS t USING (run_id) WHERE r.kind = 'nightly' ORDER BY r.finished_at
"""


@dataclass
class Readers:
    """Somebody who opens the published file all the time, as another process would, and notes what it
    shows.
    """

    workspace: Path
    reads: int = 0
    seen: list[tuple[float, str, dt.date]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        while not self.stop.wait(0.5):
            if not (self.workspace / "published.duckdb").exists():
                continue
            try:
                rows = reader.query(self.workspace, SHOWN)
            except Exception as error:
                self.faults.append(f"{type(error).__name__}: {error}")
                continue
            self.reads += 1
            if len(rows) != 1:
                self.faults.append(f"{len(rows)} runs shown at once")
            elif not self.seen or self.seen[-1][1] != rows["run_id"][0]:
                self.seen.append((time.time(), str(rows["run_id"][0]), rows["as_of"][0].date()))

    def at(self, when: float) -> str:
        """The evening whose forecasts were shown at that second."""
        shown = [day for since, _, day in self.seen if since <= when]
        return str(shown[-1]) if shown else "nothing"


def write_prices(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    prices = (
        SimulatedMarket(0)
        .fetch({Ticker("SIM1"): None}, dt.date(2024, 6, 28))
        .rows.frame()
        .drop(columns=["ticker", "currency"])
    )
    prices.rename(columns={"session": "date"}).to_csv(path, index=False)


@dataclass
class Trouble:
    """What goes wrong, evening by evening; runs beside the schedules."""

    house: Machine
    start: dt.datetime
    pause_s: float
    prices: Path
    said: dict[dt.date, str] = field(default_factory=dict)

    def happen(self) -> None:
        away = self.prices.with_name("away")
        self._wait_for(KILL_FLOW)
        self._in_the_middle_of(KILL_FLOW, lambda: self.house.kill("flow"), "its process killed")
        self._wait_for(OUTAGE[0])
        self._when_idle(lambda: self.prices.rename(away))
        self.said |= dict.fromkeys(OUTAGE, "no prices come")
        self._wait_for(OUTAGE[1] + dt.timedelta(days=1))
        self._when_idle(lambda: away.rename(self.prices))
        self._wait_for(KILL_SERVER)
        self._in_the_middle_of(
            KILL_SERVER, lambda: self.house.kill("server"), "the server killed, back after 8 s"
        )
        time.sleep(8)
        self.house.start_server()
        self._wait_for(KILL_ALL)
        self._in_the_middle_of(
            KILL_ALL, lambda: self.house.kill("serve", "flow", "server"), "everything killed, back after 5 s"
        )
        time.sleep(5)
        self.house.start_server()
        serve(self.house, self.start, self.pause_s)

    def _wait_for(self, day: dt.date) -> None:
        time.sleep(max(0.0, due_at(self.start, self.pause_s, day) - time.time() - 1))

    def _when_idle(self, act: Callable[[], Any]) -> None:
        """Not while a night reads its prices: an outage of the source begins between two nights here."""
        until(lambda: not at_work(self.house), 60, pause=0.02)
        act()

    def _in_the_middle_of(self, day: dt.date, act: Callable[[], None], what: str) -> None:
        stamp = f"{day:%Y%m%d}-"
        found = until(
            lambda: (holder := at_work(self.house)) is not None and holder.run.startswith(stamp),
            600,
            pause=0.02,
        )
        assert found, f"no run of {day} began within 600 s"
        time.sleep(0.4)
        act()
        self.said[day] = what


def at_work(house: Machine) -> Any:
    holder = read_holder(house.workspace)
    return holder if holder is not None and holder.alive else None


def serve(house: Machine, start: dt.datetime, pause_s: float) -> None:
    house.start("serve", "tests.bench._evenings", start.isoformat(), str(pause_s))


def due_at(start: dt.datetime, pause_s: float, day: dt.date) -> float:
    return start.timestamp() + pause_s * days().index(day)


def scheduled_runs(house: Machine) -> dict[dt.date, dict[str, Any]]:
    """Of each evening the run that its schedule made."""
    runs = ask(house.address, "flow_runs/filter", {"limit": 200})
    return {
        dt.date.fromisoformat(run["parameters"]["parameters"]["as_of"]): run
        for run in runs
        if run["auto_scheduled"]
    }


def ended(house: Machine) -> bool:
    """Whether the last evening is over and no run is under way. A run that its schedule made twice would show
    as one that never starts.
    """
    runs = scheduled_runs(house)
    return set(runs) >= {days()[-1]} and all(run["state_type"] in ENDED for run in runs.values())


def accounts(house: Machine, readers: Readers, trouble: dict[dt.date, str]) -> tuple[pd.DataFrame, list[str]]:
    """One row an evening, and what is unaccounted for."""
    runs, nights = scheduled_runs(house), reader.query(house.workspace, NIGHTS)
    calendar, lines = TickerCalendar("XNYS"), ledger.read(house.workspace).entries
    idle = {line["as_of"]: line for line in lines if line["kind"] == ledger.NO_NEW_SESSION}
    rows, faults = [], []
    for day in days():
        session, kind, run = calendar.is_session(day), kind_of(day), runs.get(day)
        state = f"{run['state_name']}" if run else "its schedule was missed"
        of_the_day = nights[nights["as_of"] == pd.Timestamp(day)]
        live, made_up = of_the_day[~of_the_day["backfilled"]], of_the_day[of_the_day["backfilled"]]
        if kind == "backtest":
            good = run is not None and run["state_name"] in ("Fresh", "Degraded")
        elif session or kind == "retrain":
            good = len(of_the_day) > 0
        else:
            good = str(day) in idle and run is not None and run["state_name"] == "NoNewSession"
        if not good:
            faults.append(f"{day}: {kind} is unaccounted for, Prefect says {state}")
        rows.append(
            {
                "evening": f"{day:%a %d %b}",
                "expected": kind if session or kind != "nightly" else "holiday",
                "trouble": trouble.get(day, ""),
                "Prefect": state,
                "in the tables": ", ".join(live["status"]) or ("ledger line" if str(day) in idle else ""),
                "back-filled": ", ".join(made_up["status"]),
                "prices to": ", ".join(f"{last:%d %b}" for last in of_the_day["last_session"]),
                "readers saw": readers.at(_next_began(runs, day)),
            }
        )
    return pd.DataFrame(rows), faults


def _next_began(runs: dict[dt.date, dict[str, Any]], day: dt.date) -> float:
    """When the next evening's run began: until then readers had what this evening left them."""
    began = runs.get(day + dt.timedelta(days=1), {}).get("start_time")
    return pd.Timestamp(began).timestamp() if began else time.time()


def main(argv: list[str]) -> int:
    """The fortnight."""
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        machine(Path(folder), SOURCE="files", FILES=f"{folder}/prices") as house,
    ):
        write_prices(house.folder / "prices" / "SIM1.csv")
        house.start_server()
        took = time.monotonic()
        by_hand = house.call("nightly", "--as-of", FRIDAY_BEFORE)
        assert by_hand.returncode in (0, 10), by_hand.stderr
        # A night that trains nothing is done before the next, on this machine.
        pause_s = max(8.0, 0.7 * (time.monotonic() - took))
        start = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=15 + pause_s)).replace(microsecond=0)
        serve(house, start, pause_s)
        readers = Readers(house.workspace)
        reading = threading.Thread(target=readers.read, daemon=True)
        reading.start()
        trouble = Trouble(house, start, pause_s, house.folder / "prices" / "SIM1.csv")
        faults = []
        try:
            trouble.happen()
        except AssertionError as error:
            faults.append(str(error))
        over = until(lambda: ended(house), LIMIT_S - (time.monotonic() - began), pause=1.0)
        readers.stop.set()
        reading.join()
        table, unaccounted = accounts(house, readers, trouble.said)
        faults += unaccounted
        faults += (
            []
            if over
            else [
                f"not over: { {str(day): run['state_name'] for day, run in scheduled_runs(house).items()} }"
            ]
        )
        faults += [*readers.faults, *(f"left over: {path}" for path in leftovers(house.workspace))]
        faults += (
            []
            if [day for *_, day in readers.seen] == sorted(day for *_, day in readers.seen)
            else ["readers went back in time"]
        )
        audited(house.workspace)
        pd.set_option("display.width", 250)
        print(table.to_string(index=False))
        deaths = [line["run"] for line in ledger.read(house.workspace).entries if line["kind"] == ledger.DIED]
        print(
            f"\n{readers.reads} reads, {len(readers.faults)} faults; {len(readers.seen)} publications seen;"
            f" deaths in the ledger: {deaths}"
        )
    print(
        f"{time.monotonic() - began:.0f} s; "
        + ("; ".join(faults) if faults else "every evening is accounted for")
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
