"""The pages of a run -> their place in the workspace. A reader sees the old pages or the new ones, never a
part.
"""

import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from forecast_lib.errors import UsageError
from forecast_lib.report.pages import INDEX

__all__ = ["REPORTS", "PagesBeside", "show_latest", "write_report"]

REPORTS = "reports"
LATEST = "latest.html"
_TURN_S = 0.0005
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


class PagesBeside:
    """The pages of a run, made and written by a thread of their own where no reader looks, beside what the
    block does. A context: what was not shown when it ends is thrown away.
    """

    def __init__(self, workspace: Path, run_id: str) -> None:
        """Raises:
        UsageError: a run id that is no plain file name.
        """
        if not _RUN_ID.fullmatch(run_id):
            raise UsageError(
                f"run id {run_id[:40]!r} cannot name a folder: expected 1 to 128 of A-Z a-z 0-9 . _ -, no"
                " leading dot"
            )
        self._place = workspace / REPORTS / run_id
        self._thread, self._ended = ThreadPoolExecutor(1), threading.Event()
        self._built: Path | None = None
        self._written = Future[Path]()

    def __enter__(self) -> Self:
        self._turn_s = sys.getswitchinterval()
        sys.setswitchinterval(_TURN_S)
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        try:
            self._thread.shutdown()
        finally:
            sys.setswitchinterval(self._turn_s)
            if self._built is not None:
                shutil.rmtree(self._built, ignore_errors=True)

    def begin(self, pages: Iterable[tuple[str, str]]) -> None:
        """Make the pages, in files of mode 0644. Only the first one is forced to the disk: the others say
        nothing that the tables do not.

        Args:
            pages: file name and HTML text; one of them `index.html`.
        """
        self._written = self._thread.submit(self._write, pages)

    def show(self) -> Path:
        """Wait for the pages, and put them into `reports/RUN_ID/`, all of them in one step; the path of the
        first one.

        Raises:
            OSError: the disk refuses; older pages are untouched then. Whatever else making them raised.
        """
        _swap(self._written.result(), self._place)
        _sync_folder(self._place.parent)
        return self._place / INDEX

    def _write(self, pages: Iterable[tuple[str, str]]) -> Path:
        reports = self._place.parent
        reports.mkdir(parents=True, exist_ok=True)
        built = self._built = Path(tempfile.mkdtemp(dir=reports, prefix=".", suffix=".new"))
        for name, html in pages:
            if self._ended.is_set():
                break
            _write(built / name, _bytes(html), force=name == INDEX)
        built.chmod(0o755)
        return built


def write_report(workspace: Path, run_id: str, pages: Iterable[tuple[str, str]]) -> Path:
    """Make the pages of a run, and show them: `PagesBeside`, with nothing beside it."""
    with PagesBeside(workspace, run_id) as made:
        made.begin(pages)
        return made.show()


def show_latest(page: Path) -> Path:
    """Make a run's first page the report that readers open, `reports/latest.html`, in one step; its links
    lead to that run's pages.
    """
    reports, run_id = page.parent.parent, page.parent.name
    html = page.read_bytes().replace(b'href="./', f'href="./{run_id}/'.encode())
    with tempfile.NamedTemporaryFile(dir=reports, prefix=".", suffix=".new", delete=False) as file:
        built = Path(file.name)
    try:
        _write(built, html, force=True)
        built.replace(reports / LATEST)
    finally:
        built.unlink(missing_ok=True)
    _sync_folder(reports)
    return reports / LATEST


def _bytes(html: str) -> bytes:
    return html.encode("utf-8", errors="replace")  # a lone surrogate in a foreign text must not cost the page


def _write(path: Path, data: bytes, *, force: bool) -> None:
    with path.open("wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), 0o644)
        if force:
            file.flush()
            os.fsync(file.fileno())


def _swap(built: Path, place: Path) -> None:
    """The new folder where the old one was, if there was one."""
    if not place.exists():
        built.rename(place)
        return
    old = built.with_suffix(".old")
    place.rename(old)
    built.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
