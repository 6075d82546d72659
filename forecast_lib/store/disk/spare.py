"""A large file that is no longer kept, for the next one that is like it to be built in: of most of it nothing
has to be written then.
"""

import fcntl
import os
import signal
import sys
from io import FileIO
from pathlib import Path

__all__ = ["take_spare"]


def take_spare(spare: Path, target: Path) -> None:
    """Give the file, if there is one, the name under which the next one is built, to be written over. It is
    removed instead where it has another name, or is still open: whoever reads it reads on.
    """
    if spare.exists():
        os.replace(spare, target)
        if not _is_forgotten(target):
            target.unlink()


def _is_forgotten(path: Path) -> bool:
    """Whether nobody can read the file but under this name. Only Linux tells: it leases a file to the one
    who has it open alone.
    """
    with FileIO(path, "r+") as file:
        if sys.platform != "linux" or os.fstat(file.fileno()).st_nlink > 1:
            return False
        try:
            # who opens it meanwhile waits for its end, which this signal asks for: one that ends no process
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            return False
        return True
