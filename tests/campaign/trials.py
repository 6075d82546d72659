"""The kinds of trial on a workspace of the store: a name, what is done, and what the witness finds.

Each is a function of a source of chance and an empty folder. The tables are the product's, the nights made up
(`tests.store.nights`): what trains and what asks Yahoo has trials of its own.
"""

import functools
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tests.campaign import actors
from tests.campaign.actors import DISK_FAULTS, Fault, Told
from tests.campaign.witness import SAID, Witness, digest

__all__ = ["STORE", "Outcome", "Trial"]

POINTS = (
    "appended prices", "appended run_tickers", "appended forecasts", "before commit", "after commit",
    "before ledger", "after ledger", "built", "audited", "before replace", "after replace",
)  # fmt: skip
DAMAGED = ("working.duckdb", "working.duckdb.wal", "published.duckdb", "ledger.jsonl", "snapshots")
SIZES = (1, 2, 40)
MADE = 9
"""Workspaces with one, two and three nights of these sizes; a trial begins with a copy of one of them."""

MOST_KILLS = 6
MOST_CALLS = 60
"""A night changes its files some forty times; a fault beyond that befalls nothing, and the night has to be
well.
"""


@dataclass(frozen=True)
class Outcome:
    """Of one trial.

    Attributes:
        what: was done, in a few words.
        violations: of the promises.
        recovery_s: how long the next night took, where there was one.
        tried: how many kills, damages, inputs or evenings the trial had.
    """

    what: str
    violations: tuple[str, ...]
    recovery_s: float | None = None
    tried: int = 1


Trial = Callable[[random.Random, Path], Outcome]


class House:
    """A workspace with the witness of all its nights."""

    def __init__(self, chance: random.Random, workspace: Path) -> None:
        self.chance, self.workspace = chance, workspace
        self.witness = Witness(workspace)
        self.number, self.seconds = -1, 0.0
        self.violations: list[str] = []

    @classmethod
    def lived_in(cls, chance: random.Random, folder: Path) -> "House":
        """With one to three nights: a copy of one that was made once."""
        made = _made(chance.randrange(MADE))
        house = cls(chance, Path(shutil.copytree(made.workspace, folder / "workspace")))
        house.number, house.seconds, house.violations = made.number, made.seconds, list(made.violations)
        house.witness = made.witness.of_a_copy(house.workspace)
        return house

    def night(self, fault: Fault = Fault(), number: int | None = None) -> Told:
        """The next night; what it reports as stored is what the witness holds the product to."""
        tickers = self.prepare(number)
        return self.told(actors.night(self.workspace, self.number, tickers, fault))

    def prepare(self, number: int | None = None) -> int:
        """The next night's number of tickers; the witness knows what it is given."""
        self.number = self.number + 1 if number is None else number
        tickers = self.chance.choice(SIZES)
        self.witness.given[f"run-{self.number}"] = _given(self.number, tickers)
        return tickers

    def told(self, told: Told) -> Told:
        self.witness.reported += [
            line.removeprefix("stored ") for line in told.lines if line.startswith("stored ")
        ]
        if told.code not in (0, -9, actors.REFUSED):
            self.violations.append(f"a night ended with {told.code}, without a word")
        return told

    def look(self, *, at_rest: bool = False, lost: tuple[str, ...] = (), working: bool = True) -> None:
        self.violations += self.witness.violations(at_rest=at_rest, lost=lost, working=working)

    def well(self, lost: tuple[str, ...] = ()) -> float:
        """A night that nothing befalls: it has to be stored and published; its seconds."""
        began = time.monotonic()
        told = self.night()
        took = time.monotonic() - began
        if told.code != 0:
            self.violations.append(f"the next night did not recover: {told}")
        self.recovered(told, lost)
        self.seconds = took
        return took

    def recovered(self, told: Told, lost: tuple[str, ...] = ()) -> None:
        """What holds after a night that nothing befell."""
        self.look(at_rest=True, lost=lost)
        if told.code == 0 and self.witness.shown[-1:] != [f"run-{self.number}"]:
            self.violations.append(f"the next night was not published: readers see {self.witness.shown[-1:]}")

    def outcome(self, what: str, recovery_s: float | None = None, tried: int = 1) -> Outcome:
        return Outcome(what, tuple(dict.fromkeys(self.violations)), recovery_s, tried)


_made_in = tempfile.TemporaryDirectory(prefix="tickercast-made-")


@functools.cache
def _made(which: int) -> House:
    """The workspaces that trials begin with are made when they are needed first, as any other."""
    house = House(random.Random(which), Path(_made_in.name) / str(which))
    for _ in range(1 + which % 3):
        house.well()
    return house


@functools.cache
def _given(number: int, tickers: int) -> dict[str, str]:
    """Digests of what a night of the store is given, as `witness.SAID` would read it."""
    frames = actors.frames_of(number, tickers)
    found = {}
    with duckdb.connect() as con:
        for table, sql in SAID.items():
            con.register(table, frames[table])
            found[table] = digest(con.execute(sql, {"run": f"run-{number}"}).fetchall())
    return found


def named_kill(chance: random.Random, folder: Path) -> Outcome:
    """One to six nights in a row are killed at a named point each."""
    house, points = House.lived_in(chance, folder), []
    for _ in range(chance.randint(1, MOST_KILLS)):
        points.append(chance.choice(POINTS))
        house.night(Fault(point=points[-1]))
        house.look()
    return house.outcome("killed " + ", then ".join(points), house.well(), len(points))


def random_kill(chance: random.Random, folder: Path) -> Outcome:
    """One to six nights in a row are killed from outside, each at any moment of a night as long as the last
    one.
    """
    house, killed = House.lived_in(chance, folder), []
    for _ in range(chance.randint(1, MOST_KILLS)):
        tickers, at = house.prepare(), chance.uniform(0.0, house.seconds)
        started = actors.start("night", house.workspace, house.number, tickers, Fault())
        time.sleep(at)
        started.kill()
        told = house.told(started.end())
        killed += [f"{at:.2f} s"] if told.code == -9 else []
        house.look()
    return house.outcome(f"killed after {', then '.join(killed)}", house.well(), len(killed))


def failing_disk(chance: random.Random, folder: Path) -> Outcome:
    """The disk fails at the n-th change of a file: the process dies around it, it is torn, refused, short, or
    the power goes.
    """
    house = House.lived_in(chance, folder)
    fault = Fault(
        disk=chance.choice(DISK_FAULTS), nth=chance.randint(1, MOST_CALLS), seed=chance.getrandbits(31)
    )
    befallen = house.night(fault)
    # Half a block may stand in the working file until the next night finds it; readers must never see it.
    house.look(working=fault.disk != "torn")
    began = time.monotonic()
    told = house.night()
    took, lost = time.monotonic() - began, ()
    if told.code == 0:
        house.recovered(told)
    else:
        lost = _restored(house, told)
        house.violations += [
            f"{run} was reported as stored and is lost" for run in lost if run in house.witness.reported
        ]
        took = house.well(lost)
    return house.outcome(
        f"disk {fault.disk} at change {fault.nth}: {befallen.refused or befallen.code}", took
    )


def damage(chance: random.Random, folder: Path) -> Outcome:
    """A file is damaged between two nights. What is noticed may be refused, and `restore` brings it back;
    silence loses nothing.
    """
    house = House.lived_in(chance, folder)
    said = [_damage(chance, house.workspace) for _ in range(1 + (chance.random() < 0.2))]
    told = house.night()
    if told.code == 0:
        house.look(at_rest=True)
        return house.outcome("; ".join(said) + ": not needed or mended", tried=len(said))
    lost = _restored(house, told)
    return house.outcome(
        "; ".join(said) + f": {told.refused[:60]}; lost by name: {', '.join(lost) or 'none'}",
        house.well(lost),
        len(said),
    )


def nights_at_once(chance: random.Random, folder: Path) -> Outcome:
    """Several nights begin at the same moment: one works, the others say so and store nothing."""
    house = House.lived_in(chance, folder)
    asked = [(house.prepare(), house.number) for _ in range(chance.randint(2, 5))]
    started = [actors.start("night", house.workspace, number, tickers, Fault()) for tickers, number in asked]
    told = [house.told(each.end()) for each in started]
    stored = [each for each in told if each.code == 0]
    refused = [each for each in told if each.refused]
    if not stored:
        house.violations.append(f"of {len(told)} nights at once none was stored")
    house.violations += [each.refused for each in refused if not each.refused.startswith("WorkspaceBusy")]
    house.witness.shown.clear()  # which came first is no matter
    house.look(at_rest=True)
    return house.outcome(f"{len(told)} nights at once, {len(refused)} refused", house.well(), len(told))


READERS, READERS_PAUSE_S = 12, 0.2


def crowd(chance: random.Random, folder: Path) -> Outcome:
    """Readers open the published file in a loop while nights are stored and killed: each sees one whole run,
    never an older one than before, and none gets an error.
    """
    house, over = House.lived_in(chance, folder), folder / "over"
    readers = [actors.start("read", house.workspace, over, READERS_PAUSE_S) for _ in range(READERS)]
    for _ in range(3):
        house.night(Fault(point=chance.choice(POINTS)) if chance.random() < 0.5 else Fault())
    took = house.well()
    over.touch()
    reads = 0
    for each in readers:
        told = each.end()
        house.violations += [line for line in told.lines if line.startswith("wrong")][:3]
        reads += sum(int(line.removeprefix("reads ")) for line in told.lines if line.startswith("reads"))
    return house.outcome(f"{READERS} readers, {reads} reads", took, reads)


def _restored(house: House, told: Told) -> tuple[str, ...]:
    """Restore as a person is told to, where the product refuses its files; the runs that it names as lost."""
    if not told.refused:
        return ()
    done = actors.restore(house.workspace)
    if done.code != 0:
        house.violations.append(f"restore did not help after {told.refused[:120]}: {done}")
    house.witness.shown.clear()  # an older publication may have come back
    return tuple(line.removeprefix("lost ") for line in done.lines if line.startswith("lost "))


def _damage(chance: random.Random, workspace: Path) -> str:
    there = [path for name in DAMAGED if (path := workspace / name).exists()]
    path = chance.choice([path for path in there if path.is_file() or any(path.iterdir())])
    if path.is_dir():
        path = chance.choice(sorted(path.iterdir()))
    content, how = (
        path.read_bytes(),
        chance.choice(("flipped", "cut", "zeroed", "emptied", "deleted", "garbage")),
    )
    at = chance.randrange(max(1, len(content)))
    end = min(len(content), at + chance.choice((1, 512, 4096)))
    made = {
        "flipped": (
            content[:at] + bytes([content[at] ^ (1 << chance.randrange(8))]) + content[at + 1 :]
            if content
            else b""
        ),
        "cut": content[:at],
        "zeroed": content[:at] + bytes(end - at) + content[end:],
        "emptied": b"",
        "garbage": chance.randbytes(min(len(content), 1 << 16)),
    }
    if how == "deleted":
        path.unlink()
    else:
        path.write_bytes(made[how])
    return f"{path.relative_to(workspace)} {how}"


STORE = (named_kill, random_kill, failing_disk, damage, nights_at_once, crowd)
