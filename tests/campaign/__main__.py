"""The campaign's command: trials of every kind in turn until the time is over, then a table of what was tried
and what was broken.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tests.campaign import actors
from tests.campaign.dask_workers import DASK
from tests.campaign.machines import MACHINES
from tests.campaign.sources import SOURCES
from tests.campaign.trials import STORE, Outcome, Trial
from tests.campaign.whole import WHOLE

KINDS: dict[str, Trial] = {
    each.__name__.replace("_", "-"): each for each in (*STORE, *SOURCES, *WHOLE, *DASK, *MACHINES)
}


def one(kind: str, seed: int, folder: Path) -> Outcome:
    """The trial of a kind and a seed; what it leaves stays where it broke a promise."""
    place = folder / f"{kind}-{seed}"
    place.mkdir(parents=True)
    try:
        outcome = KINDS[kind](random.Random(f"{kind} {seed}"), place)
    except Exception as error:  # the campaign goes on, and says so
        outcome = Outcome("the trial itself", (f"{type(error).__name__}: {error}",))
    for violation in outcome.violations:
        print(f"{kind} {seed}: {outcome.what}: {violation}", flush=True)
    if not outcome.violations:
        shutil.rmtree(place, ignore_errors=True)
    return outcome


def table(outcomes: dict[str, list[Outcome]]) -> str:
    """By kind: trials, how much was tried in them, how often a promise was broken, and the longest recovery.
    With so much tried and nothing broken, the rate is below the bound (95 %).
    """
    lines = [
        "| kind | trials | tried | broken | bound on the rate | longest recovery |",
        "|---|---|---|---|---|---|",
    ]
    for kind, trials in outcomes.items():
        tried = sum(each.tried for each in trials)
        broken = sum(min(len(each.violations), max(each.tried, 1)) for each in trials)
        longest = max((each.recovery_s for each in trials if each.recovery_s is not None), default=None)
        bound = "" if broken or not tried else f"{min(1.0, 3 / tried):.3%}"
        lines.append(
            f"| {kind} | {len(trials)} | {tried} | {broken} | {bound} |"
            f" {'' if longest is None else f'{longest:.1f} s'} |"
        )
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Exit code 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument(
        "--minutes",
        type=float,
        default=10.0,
        help="how long (default 10; or until SIGINT or SIGTERM); trials of a seed that have begun are ended",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first trial; the others count on from it")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="these kinds alone")
    parser.add_argument("--replay", nargs=2, metavar=("KIND", "SEED"), help="one trial again")
    asked = parser.parse_args(argv)
    kinds = [asked.replay[0]] if asked.replay else asked.only
    if not actors.has_disk() and "failing-disk" in kinds:
        print("no gcc here: the disk is never made to fail", file=sys.stderr)
        kinds = [kind for kind in kinds if kind != "failing-disk"]
    folder, outcomes, seed = (
        Path(tempfile.mkdtemp(prefix="tickercast-campaign-")),
        defaultdict(list),
        asked.seed,
    )
    until = time.monotonic() + 60 * asked.minutes
    ended: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda given, _: ended.append(given))
    if asked.replay:
        outcomes[kinds[0]].append(outcome := one(kinds[0], int(asked.replay[1]), folder))
        print(outcome.what)
    while not asked.replay and not ended and time.monotonic() < until:
        for kind in kinds:
            outcomes[kind].append(one(kind, seed, folder))
        seed += 1
    print(f"seeds {asked.seed} to {seed - 1}" if not asked.replay else "")
    print(table(outcomes))
    broken = any(each.violations for tried in outcomes.values() for each in tried)
    print(f"what broke a promise is kept in {folder}" if broken else "no promise was broken")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
