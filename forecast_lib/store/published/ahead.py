"""The next publication, copied while a run works as far as it is known by then: the working database as the
run found it, and again when the rows that came meanwhile lie in it. When all is stored, only what changed is
left to be copied (`publication.prepared`).
"""

import contextlib
import shutil
import threading
from io import FileIO
from pathlib import Path
from typing import Self

from forecast_lib.store.disk.copying import write_same
from forecast_lib.store.disk.files import PUBLISHED, SPARE, WORKING, temporary_name
from forecast_lib.store.disk.spare import take_spare

__all__ = ["Ahead"]


class Ahead:
    """The copy, made by a thread of its own, under the name that `publication.prepared` goes on with. It ends
    with the context as far as it has come, and is removed unless it was handed over.

    The context goes around that of the connection to the working database: when any handle of a file is
    closed, the process loses the lock that DuckDB holds on it.
    """

    def __init__(self, workspace: Path) -> None:
        self._working, self._copy = workspace / WORKING, temporary_name(workspace / PUBLISHED)
        self._under_way, self._ended, self._wanted = contextlib.ExitStack(), threading.Event(), False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        self._under_way.close()
        if not self._wanted:
            self._copy.unlink(missing_ok=True)

    @property
    def begun(self) -> bool:
        """Whether a copy was begun."""
        return self._thread is not None

    def begin(self) -> None:
        """Copy what is there by now, if the disk has room for that and for as much again, into a publication
        that is no longer kept, where there is one; where an earlier copy is still under way, nothing.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        take_spare(self._working.with_name(SPARE), self._copy)
        size = self._working.stat().st_size
        there = self._copy.stat().st_size if self._copy.exists() else 0
        if shutil.disk_usage(self._working.parent).free > 2 * size - there:
            read = self._under_way.enter_context(FileIO(self._working))
            self._thread = threading.Thread(target=self._write, args=(read,))
            self._under_way.callback(self._thread.join)
            self._thread.start()

    def hand_over(self) -> None:
        """The copy stays when the context ends."""
        self._wanted = True

    def _write(self, read: FileIO) -> None:
        try:
            write_same(read, self._copy, self._ended.is_set, again=False)
        except OSError:  # whoever publishes will say so, if it is still true then
            self._copy.unlink(missing_ok=True)
