"""How the last run of each kind ended, in a file of the workspace.

The tables know of runs that stored something. A run that failed before that (no space, no source, a bug)
leaves its last words here, so that `tickercast status` and the metrics can tell a night that failed from one
that was never started.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forecast_lib.store.disk.files import WORKING_MODE, move_into_place, temporary_name

__all__ = ["ENDINGS", "MOST_NAMED", "Ending", "recall", "remember"]

ENDINGS = "endings.json"
MOST_NAMED = 100


@dataclass(frozen=True)
class Ending:
    """The end of a run.

    Attributes:
        kind: of the run, for example `nightly`.
        status: as in `RunSummary`; `failed` also of a run that raised.
        finished_at: UTC, in ISO format.
        run_id: None where the run failed before it had one.
        seconds: by stage, as far as it came.
        degraded: ticker, status and reason of the tickers that were not as they should be, at most
            `MOST_NAMED` of them.
    """

    kind: str
    status: str
    exit_code: int
    message: str
    finished_at: str
    run_id: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    degraded: Sequence[Mapping[str, str]] = ()


def recall(workspace: Path) -> dict[str, Ending]:
    """The last ending of each kind of run, by kind; those that can be read."""
    try:
        content = json.loads((workspace / ENDINGS).read_text(encoding="utf-8"))
        return {
            kind: Ending(**{**values, "degraded": tuple(values.get("degraded", ()))})
            for kind, values in content.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember(workspace: Path, ending: Ending) -> dict[str, Ending]:
    """Put the ending in the place of the one before it of its kind, in one step; all endings as they
    are now.
    """
    endings = {**recall(workspace), ending.kind: ending}
    path = workspace / ENDINGS
    built = temporary_name(path)
    try:
        text = json.dumps(
            {kind: dataclasses.asdict(each) for kind, each in endings.items()}, indent=1, sort_keys=True
        )
        built.write_text(text + "\n", encoding="utf-8")
        move_into_place(built, path, WORKING_MODE)
    finally:
        built.unlink(missing_ok=True)
    return endings
