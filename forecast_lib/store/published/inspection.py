"""Looking at a workspace without changing it: what was published last, and whether the files are sound."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from forecast_lib.store.disk import ledger
from forecast_lib.store.disk.files import WORKING
from forecast_lib.store.published import publication, reader
from forecast_lib.store.working import migrations
from forecast_lib.store.working.database import check_against_ledger
from forecast_lib.tables import TABLES

__all__ = ["WorkingState", "published_rows", "published_weights", "working_state"]

_LAST_NIGHTLY = (
    "(SELECT run_id FROM runs WHERE kind = 'nightly' ORDER BY finished_at DESC, run_id DESC LIMIT 1)"
)
_WEIGHTS = (
    "SELECT DISTINCT m.weights_sha256 AS name FROM models m JOIN run_tickers t USING (model_id) WHERE"
    f" t.run_id = {_LAST_NIGHTLY}"
)


@dataclass(frozen=True)
class WorkingState:
    """The working database as it lies there.

    Attributes:
        exists: whether there is one.
        recorded_runs: finished runs that the ledger records; each is in the tables with all its rows.
        pending: schema files that the next run will apply.
    """

    exists: bool
    recorded_runs: int
    pending: int = 0


def working_state(workspace: Path) -> WorkingState:
    """Opens the working database read-only, reads every block of it, and holds it against the ledger.

    A run that starts meanwhile is told that it is busy.

    Raises:
        LedgerMismatch: it lacks what the ledger records.
        SchemaTooNew: a newer Tickercast made it.
        StoreDamaged: it cannot be read.
        WorkspaceBusy: a run has it open.
    """
    path, known = workspace / WORKING, ledger.read(workspace)
    if not path.is_file():
        return WorkingState(False, len(known.runs()))
    with publication.attached(path) as con:
        waiting = migrations.pending(con, migrations.released())
        check_against_ledger(con, known)
        publication.fingerprints(con, "looked_at")
        return WorkingState(True, len(known.runs()), len(waiting))


def published_rows(where: Path) -> dict[str, int]:
    """Rows of every published table; every block of them is read.

    Raises:
        StoreDamaged: a block is not what was written.
    """
    rows: dict[str, int] = {}
    for table in TABLES:
        found: pd.DataFrame = reader.query(
            where, f"SELECT count(*) AS n, bit_xor(hash(t)) AS seen FROM {table} AS t"
        )
        rows[table] = int(found["n"].iloc[0])
    return rows


def published_weights(where: Path) -> tuple[str, ...]:
    """SHA-256 of the weights of every model that answered in the last nightly run."""
    return tuple(reader.query(where, _WEIGHTS)["name"])
