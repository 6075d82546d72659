"""A large file that is no longer kept, for the next one that is like it to be built in: of most of it nothing
has to be written then.
"""

import fcntl
import os
import signal
import sys
from io import FileIO
from pathlib import Path

__all__ = ["leave_spare", "take_spare"]


def leave_spare(path: Path, spare: Path) -> None:
    """Keep a file that would go as the spare one; it goes where it cannot be moved there."""
    try:
        path.replace(spare)
    except OSError:
        path.unlink()


def take_spare(spare: Path, target: Path) -> None:
    """Give the spare file, if there is one, the name under which the next one is built, to be written over.
    It goes instead where it has another name, or is still open: whoever reads it reads on.
    """
    if spare.exists():
        spare.replace(target)
        if not _is_forgotten(target):
            target.unlink()


def _is_forgotten(path: Path) -> bool:
    """Whether nobody can read the file but under this name. Only Linux tells: it leases a file to the one
    who has it open alone.
    """
    if sys.platform != "linux":
        return False
    try:
        with FileIO(path, "r+") as file:
            # who opens it meanwhile waits for its end, which this signal asks for: one that ends no process
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            return os.fstat(file.fileno()).st_nlink == 1
    except OSError:
        return False
