"""What became of a run whose process was told to end while it worked. Everything is read, nothing is
written.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from forecast_lib.errors import TickercastError
from forecast_lib.store.disk import ledger
from forecast_lib.store.disk.files import WORKING
from forecast_lib.store.published import publication, reader

__all__ = ["Fate", "fate_of"]

_ROW = "SELECT status, message FROM runs WHERE run_id = $run"


@dataclass(frozen=True)
class Fate:
    """How far a run came.

    Attributes:
        stored: its rows are in the working database, and no later run will lack them.
        published: (status, message) as readers see them; None where readers have an earlier publication.
    """

    stored: bool
    published: tuple[str, str] | None


def fate_of(workspace: Path, run_id: str) -> Fate:
    """Look at the publication, the ledger and the working database; what cannot be read counts as not
    there.
    """
    found = None
    with contextlib.suppress(TickercastError), reader.open_published(workspace) as con:
        found = con.execute(_ROW, {"run": run_id}).fetchone()
    published = (str(found[0]), str(found[1])) if found else None
    return Fate(published is not None or _is_stored(workspace, run_id), published)


def _is_stored(workspace: Path, run_id: str) -> bool:
    with contextlib.suppress(TickercastError):
        if run_id in ledger.read(workspace).runs():
            return True
    if not (workspace / WORKING).exists():
        return False
    with contextlib.suppress(TickercastError), publication.attached(workspace / WORKING) as con:
        return con.execute(_ROW, {"run": run_id}).fetchone() is not None
    return False
