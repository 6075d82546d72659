"""Where DuckDB's and the operating system's errors become ours, in one line each."""

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb

from forecast_lib.errors import FatalError, FileRefused, OutOfSpace, StoreDamaged, WorkspaceBusy
from forecast_lib.store.disk.files import PUBLISHED

__all__ = ["database_errors", "disk_errors", "file_errors", "first_line"]

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_DISK_TEXTS = ("No space left", "Disk quota exceeded", "File too large")
_LOCK_TEXTS = ("Could not set lock", "Conflicting lock")


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without the full stop at its end.

    >>> first_line(ValueError("no such table.\\n\\nLINE 1: SELECT"))
    'no such table'
    """
    return str(error).strip().partition("\n")[0].strip().removesuffix(".")


@contextlib.contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Raise every error of DuckDB inside the block as ours, naming the file.

    Raises:
        WorkspaceBusy: another process has the file open, or this one in another way.
        OutOfSpace: no room on the disk or in memory.
        StoreDamaged: anything else.
    """
    try:
        yield
    except duckdb.Error as error:
        raise _as_ours(error, path) from error


@contextlib.contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Raise DuckDB's errors about a user's Parquet file inside the block as ours.

    Raises:
        FileRefused: the file cannot be read.
        OutOfSpace: no room on the disk or in memory.
    """
    try:
        yield
    except duckdb.Error as error:
        if isinstance(error, duckdb.OutOfMemoryException):
            raise _out_of_space(path, error) from error
        raise FileRefused(
            f"{path.name}: not a readable Parquet file ({first_line(error)}); write it anew"
        ) from error


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise a full disk inside the block as OutOfSpace and one that fails as FatalError; other errors of the
    operating system pass.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise _out_of_space(path, error) from error
        if error.errno == errno.EIO:
            raise FatalError(
                f"{path}: the disk failed ({error.strerror}): see what the system's log says of it, then run"
                " again"
            ) from error
        raise


def _as_ours(error: duckdb.Error, path: Path) -> FatalError:
    text = str(error)
    if any(sign in text for sign in _LOCK_TEXTS):
        named, holder = re.search(r'on file "([^"]+)"', text), re.search(r"PID (\d+)", text)
        who = f"process {holder.group(1)}" if holder else "another process"
        return WorkspaceBusy(
            f"{named.group(1) if named else path} is open in {who}: close it there, then start again"
        )
    if isinstance(error, duckdb.ConnectionException) or "already attached" in text:
        return WorkspaceBusy(f"{path} is open in this program already: close that connection first")
    if isinstance(error, duckdb.OutOfMemoryException) or any(sign in text for sign in _FULL_DISK_TEXTS):
        return _out_of_space(path, error)
    if path.name == PUBLISHED:
        return StoreDamaged(
            f"the published file is damaged: {path}: {first_line(error)}; run `tickercast restore`"
        )
    return StoreDamaged(
        f"{path} cannot be used: {first_line(error)}; `tickercast restore` brings back the newest good state"
    )


def _out_of_space(path: Path, error: BaseException) -> OutOfSpace:
    return OutOfSpace(
        f"no room to write {path}: {first_line(error)}; what was stored is untouched: free some space and"
        " start again"
    )
