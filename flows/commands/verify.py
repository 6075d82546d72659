"""`tickercast verify DATE`: a past night once more from what was known then, in a copy, held against what was
published.
"""

import dataclasses
import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING

from flows.commands import Outcome, Request
from flows.settings.layers import prepare_process, utc_now
from flows.settings.options import OPTIONS
from flows.settings.run_config import new_run_id
from forecast_lib.errors import OutOfSpace

if TYPE_CHECKING:
    from forecast_lib.config import RunConfig
    from forecast_lib.jobs.upkeep.verify import Published
    from forecast_lib.store.working.store import Store

__all__ = ["verify"]

_NAMED = 3


def verify(request: Request) -> Outcome:
    """Exit code 0 the same, 1 differs, 10 cannot be compared; one sentence."""
    day: dt.date = OPTIONS["as_of"].parse(request.words[0], "DATE")
    prepare_process(quiet=True)
    from forecast_lib.jobs.upkeep.verify import Incomparable, copied

    try:
        with copied(request.settings.workspace) as aside:
            run_id, rows, found = _compared(aside, day)
    except (Incomparable, OutOfSpace) as error:
        print(f"the night of {day} cannot be compared: {error}")
        return Outcome(10, {"verdict": "cannot be compared", "as_of": day, "message": str(error)})
    values = {
        "as_of": day,
        "run_id": run_id,
        "rows": rows,
        "differences": len(found),
        "first": found[:_NAMED],
    }
    if found:
        more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        print(
            f"the night of {day} (run {run_id}) differs in {len(found)} of {rows} rows:"
            f" {'; '.join(found[:_NAMED])}{more}"
        )
        return Outcome(1, {"verdict": "differs", **values})
    print(f"the night of {day} (run {run_id}) came out the same: all {rows} rows, and the ledger is whole")
    return Outcome(0, {"verdict": "the same", **values})


def _compared(aside: Path, day: dt.date) -> tuple[str, int, list[str]]:
    """The run's id, how many rows it published, and where a second run differs."""
    from forecast_lib.jobs.upkeep.verify import (
        Incomparable,
        config_of,
        differences,
        pruned,
        read_published,
        read_rows,
        refuse_other,
    )
    from forecast_lib.store.working.store import Store

    published = read_published(aside, day)
    refuse_other(published)
    rows = read_rows(aside, published.run_id)
    config = _again(config_of(published), published, aside)
    with Store(config.workspace, config.as_of.now) as store:
        if missing := pruned(store, config, rows):
            raise Incomparable(missing)
        _run(store, config, published)
    again = read_rows(aside, config.run_id)
    return published.run_id, sum(map(len, rows.values())), differences(rows, again)


def _again(config: "RunConfig", published: "Published", aside: Path) -> "RunConfig":
    as_of = dataclasses.replace(config.as_of, now=utc_now(), known_at=published.known_at)
    return dataclasses.replace(config, workspace=aside, as_of=as_of, run_id=new_run_id(as_of.day))


def _run(store: "Store", config: "RunConfig", published: "Published") -> None:
    """The night once more, stored in the copy, so that both are read the same way."""

    from flows.running.stages import ShownInOrder
    from forecast_lib.jobs import results
    from forecast_lib.jobs.night import made
    from forecast_lib.jobs.record import publish
    from forecast_lib.jobs.upkeep.verify import refuse_other

    stages = ShownInOrder(config)
    tonight = made(store, config, stages)
    frames = results.frames(config, "nightly", tonight, stages.now(), stages.seconds)
    refuse_other(published, json.loads(frames["runs"]["libraries"].iloc[0]))
    publish.record(store, frames)
