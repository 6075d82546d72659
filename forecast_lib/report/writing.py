"""The pages of a run -> their place in the workspace. A reader sees the old pages or the new ones, never a
part.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from forecast_lib.errors import UsageError
from forecast_lib.report.pages import INDEX

__all__ = ["REPORTS", "show_latest", "write_report"]

REPORTS = "reports"
LATEST = "latest.html"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def write_report(workspace: Path, run_id: str, pages: Iterable[tuple[str, str]]) -> Path:
    """Put the pages into `reports/RUN_ID/`, all of them in one step. The files' mode is 0644.

    Only the first page is forced to the disk: the others say nothing that the tables do not.

    Args:
        pages: file name and HTML text; one of them `index.html`.

    Returns:
        The path of the first page.

    Raises:
        UsageError: a run id that is no plain file name.
        OSError: the disk refuses; older pages are untouched then.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(
            f"run id {run_id[:40]!r} cannot name a folder: expected 1 to 128 of A-Z a-z 0-9 . _ -, no"
            " leading dot"
        )
    reports = workspace / REPORTS
    reports.mkdir(parents=True, exist_ok=True)
    built = Path(tempfile.mkdtemp(dir=reports, prefix=".", suffix=".new"))
    try:
        for name, html in pages:
            _write(built / name, _bytes(html), force=name == INDEX)
        built.chmod(0o755)
        _swap(built, reports / run_id)
    except BaseException:
        shutil.rmtree(built, ignore_errors=True)
        raise
    _sync_folder(reports)
    return reports / run_id / INDEX


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
