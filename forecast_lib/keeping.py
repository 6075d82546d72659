"""What takes long to make is kept in the folder where Python keeps compiled code."""

import contextlib
import os
from pathlib import Path

__all__ = ["keep"]


def keep(content: bytes, path: Path) -> None:
    """Keep it, whole or not at all; where nothing can be written, nothing is kept."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
