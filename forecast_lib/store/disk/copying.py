"""Large files made the same as others: piece after piece, and only what differs is written."""

import errno
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forecast_lib.store.disk.files import move_into_place, sync_file, sync_folder, temporary_name

__all__ = ["AT_ONCE", "BLOCK", "Piece", "copy_bytes", "copy_into_place", "link_into_place", "write_same"]

_HEADERS, BLOCK = 3 * 4096, 256 << 10
"""Bytes at the beginning of a database file, and of each block after them."""

AT_ONCE = 16 * BLOCK
"""Bytes. After each piece a copy beside another thread's work may have to wait for Python's lock; larger ones
do not fit a processor's cache.
"""

Piece = NDArray[np.uint8]

_NO_LINKS = (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP)


def copy_bytes(source: Path, target: Path, seen: Callable[[Piece], object] = lambda piece: None) -> bool:
    """Make the target the same as the source, down to the disk, as `write_same` says."""
    with FileIO(source) as read:
        return write_same(read, target, seen=seen)


def write_same(
    read: FileIO,
    target: Path,
    ended: Callable[[], bool] = lambda: False,
    seen: Callable[[Piece], object] = lambda piece: None,
    again: bool = True,
) -> bool:
    """Make the target what the open file is, down to the disk, in large pieces; those that are there already
    are not written. Python's lock is held for none of that.

    `shutil.copyfile` has the kernel hand over page after page, up to twice the processor time.

    Args:
        ended: asked after each piece; the target stays as far as it has come.
        seen: gets each piece of the source: the headers of a database file, then whole blocks.
        again: whether what was written is read again.

    Returns:
        False where something reads otherwise than it was written.
    """
    wanted, there = np.empty(AT_ONCE, np.uint8), np.empty(AT_ONCE, np.uint8)
    size, exact = 0, True
    with FileIO(os.open(target, os.O_RDWR | os.O_CREAT, 0o666), "r+") as written:
        while not ended():
            piece = _filled(read, wanted[: AT_ONCE if size else _HEADERS])
            if not len(piece):
                written.truncate(size)
                os.fsync(written.fileno())
                break
            seen(piece)
            if not _same(_filled(written, there[: len(piece)]), piece):
                written.seek(size)
                _write(written, piece)
                if again:
                    written.seek(size)
                    exact = exact and _same(_filled(written, there[: len(piece)]), piece)
            size += len(piece)
    return exact


def _filled(file: FileIO, room: Piece) -> Piece:
    """As much of the room as the file fills from where it stands."""
    count = 0
    while count < len(room) and (more := file.readinto(room[count:].data)):
        count += more
    return room[:count]


def _write(file: FileIO, piece: Piece) -> None:
    count = 0
    while count < len(piece):
        count += file.write(piece[count:].data)


def _same(some: Piece, other: Piece) -> bool:
    word = "<u8" if len(some) % 8 == 0 == len(other) % 8 else "u1"
    return np.array_equal(some.view(word), other.view(word))


def copy_into_place(source: Path, target: Path, mode: int) -> None:
    """Replace `target` by a copy of `source` in one step. No connection of this process may be open on
    `source`.

    Closing any handle of a file drops the POSIX lock that DuckDB holds on it.
    """
    built = temporary_name(target)
    try:
        copy_bytes(source, built)
        move_into_place(built, target, mode)
    finally:
        built.unlink(missing_ok=True)


def link_into_place(source: Path, target: Path, mode: int) -> None:
    """Replace `target` by a second name of the finished file `source` in one step; by a copy of it where the
    file system gives a file one name only.
    """
    sync_file(source, mode)  # before it has a name under which it is taken for whole
    named = temporary_name(target)
    try:
        try:
            os.link(source, named)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            copy_into_place(source, target, mode)
            return
        os.replace(named, target)
        sync_folder(target.parent)
    finally:
        named.unlink(missing_ok=True)
