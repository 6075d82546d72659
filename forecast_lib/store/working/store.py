"""What a run has of its workspace: one open database to read from and to write to, and the publication."""

import contextlib
import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from forecast_lib.store.disk import ledger
from forecast_lib.store.published import publication
from forecast_lib.store.published.ahead import Ahead
from forecast_lib.store.working import database
from forecast_lib.store.working.appending import Arriving
from forecast_lib.store.working.new_rows import CleanRows

__all__ = ["Store"]


class Store(contextlib.ExitStack):
    """The working database of a workspace that the caller holds, open until the block ends or the tables are
    published. Args and errors are those of `database.open_working`.

    Attributes:
        con: the connection; another thread takes a `cursor()` of it.
    """

    def __init__(self, workspace: Path, now: dt.datetime) -> None:
        super().__init__()
        self.workspace = workspace
        self._ahead = self.enter_context(Ahead(workspace))
        self.con = self.enter_context(database.open_working(workspace, now))
        self._arriving: Arriving | None = None

    def arriving(self, table: str, source: str) -> Arriving:
        """For rows of one table that are too many to be held until they are recorded; nothing is left of them
        where the block ends before that.
        """
        self._arriving = self.enter_context(Arriving(self.con, table, source))
        return self._arriving

    def record(
        self,
        frames: Mapping[str, pd.DataFrame],
        clean: CleanRows | None = None,
        look: Callable[[database.Connection], object] = lambda con: None,
    ) -> None:
        """Store all that a run made in one transaction (`database.record_run`), and say so in the ledger."""
        if self._arriving is not None and len(self._arriving):
            self._ahead.begin()  # those rows lie in the file already, if unseen
        entry = database.record_run(self.con, frames, clean=clean, arriving=self._arriving, look=look)
        ledger.append(self.workspace, entry)

    def copy_ahead(self) -> None:
        """Have a copy made of what is stored so far, of which the publication will only change what the run
        stores; once.
        """
        if not self._ahead.begun:
            self._ahead.begin()

    def publish(self, run_id: str, keep: int) -> Path:
        """Close the database, and put its tables before the readers (`publication.publish`)."""
        self._ahead.hand_over()
        self.close()
        return publication.publish(self.workspace, run_id, keep)

    def prepared(self, run_id: str) -> contextlib.AbstractContextManager[Callable[[int], Path]]:
        """Close the database, and build its publication beside what the block does
        (`publication.prepared`).
        """
        self._ahead.hand_over()
        self.close()
        return publication.prepared(self.workspace, run_id)
