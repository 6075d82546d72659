"""Folders that no two processes use at once: `PARENT/0`, `PARENT/1`, ...

A process takes the first that is free, so that what it leaves there is found again by the one that comes
after it. Whose a folder is says an advisory `flock` on its file `.lock`, as for the workspace: the operating
system drops it with the process, however that ends. Not for network file systems.
"""

import fcntl
import functools
import itertools
import os
from pathlib import Path

__all__ = ["own_folder"]


def own_folder(parent: Path) -> Path:
    """The first folder of `parent` that no process has, made where it is missing; this process's own until it
    ends.

    Each call takes another one. A forked child has no part in the folder: it stays its parent's alone, and is
    free when that has ended.

    Raises:
        OSError: a folder cannot be made or written, or its file system knows no locks.
    """
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return next(folder for number in itertools.count() if _taken(folder := parent / str(number)))


def _taken(folder: Path) -> bool:
    folder.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            return False
        raise
    os.register_at_fork(after_in_child=functools.partial(os.close, handle))
    return True  # the handle stays open: closing it would give the folder away
