"""One run at a time: the workspace's lock.

The lock is an advisory `flock` on `WORKSPACE/.lock`. The operating system drops it with the process, however
that ends, so that there is no stale lock to clear away. The file's text only says who holds it. Not for
network file systems.
"""

import contextlib
import datetime as dt
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forecast_lib.errors import FatalError, WorkspaceBusy

__all__ = ["Left", "hold_workspace", "is_held"]

_NAME = ".lock"
_PAUSE_S = 0.1
_PATIENCE_S = 0.3
"""`is_held` takes the lock for an instant: a run that starts just then tries again."""


@dataclass(frozen=True)
class Left:
    """The run whose process died while it held the workspace: nobody was left to clear the text of
    the lock.
    """

    run: str
    pid: int
    started: str | None


@contextlib.contextmanager
def hold_workspace(
    workspace: Path, who: str, *, started: dt.datetime | None = None, wait_s: float = 0.0
) -> Iterator[Left | None]:
    """Keep every other run out of the workspace for the length of the block; creates the folder.

    Args:
        who: name of the run, told to whoever comes second.
        started: when it began, told likewise.
        wait_s: how long to wait for the holder before giving up; 0 does not wait.

    Yields:
        The run that died here before, or None where the last holder ended by itself.

    Raises:
        WorkspaceBusy: another run holds the workspace; names its process and run.
        FatalError: the folder cannot be made or written.
    """
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        handle = os.open(workspace / _NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        cure = "make it writable for this user, or give another --workspace"
        raise FatalError(f"{workspace} cannot be written: {error.strerror or error}; {cure}") from error
    try:
        _take(handle, workspace, max(wait_s, _PATIENCE_S))
        left = _left(handle)
        _write_text(
            handle,
            json.dumps({"pid": os.getpid(), "run": who, "started": started.isoformat() if started else None}),
        )
        try:
            yield left
        except (Exception, KeyboardInterrupt, GeneratorExit):
            _write_text(handle, "")
            raise
        # Whatever else comes through ends the process from outside, a signal most likely. That run died like
        # one that was killed: its name stays, for `tickercast status` and for the next run.
        _write_text(handle, "")
    finally:
        os.close(handle)


def _take(handle: int, workspace: Path, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while not _taken(handle):
        if time.monotonic() >= deadline:
            raise WorkspaceBusy(
                f"{workspace} is held by {_holder(handle)}: two runs never write together; start again when"
                " it has ended"
            )
        time.sleep(_PAUSE_S)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(workspace: Path) -> bool:
    """Whether a living process holds the workspace, whatever the text of the lock says. A process number
    alone may be another's by now.
    """
    try:
        handle = os.open(workspace / _NAME, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _left(handle: int) -> Left | None:
    try:
        text = json.loads(os.pread(handle, 4096, 0))
        return Left(str(text["run"]), int(text["pid"]), text.get("started"))
    except (ValueError, KeyError, TypeError, OSError):
        return None


def _write_text(handle: int, text: str) -> None:
    """A full disk must not keep a run from taking or releasing the lock: the text is only for people."""
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(), 0)


def _holder(handle: int) -> str:
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
        since = f" since {holder['started']}" if holder["started"] else ""
        return f"process {holder['pid']}, run {holder['run']}{since}"
    except (ValueError, KeyError, TypeError, OSError):
        return "another process"
