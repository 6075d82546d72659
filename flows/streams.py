"""Standard output and standard error that outlast whoever reads them.

A night must not end because `head` has read enough, a terminal was closed, or the disk of its log is full:
what is said from then on goes nowhere, and the exit code still tells how it ended.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Collection, Iterator
from typing import Any, TextIO, cast

from forecast_lib.errors import FatalError

__all__ = ["lasting", "lasting_streams"]

_LEFT = (errno.EPIPE, errno.EIO)


class _Lasting:
    def __init__(self, stream: Any, harmless: Collection[int]) -> None:
        self._stream, self._harmless = stream, harmless

    @property
    def buffer(self) -> "_Lasting":
        return _Lasting(self._stream.buffer, self._harmless)

    def write(self, written: str | bytes) -> int:
        with self._going_on():
            self._stream.write(written)
        return len(written)

    def flush(self) -> None:
        with self._going_on():
            self._stream.flush()

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in self._harmless:
                raise FatalError(f"standard output cannot be written: {error.strerror}") from None
            # What is left in the buffer goes there too.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def lasting(stream: TextIO, *, whatever_happens: bool = False) -> TextIO:
    """The stream, that goes on after its reader has left.

    Args:
        whatever_happens: also where it cannot be written for another reason, such as a full disk.
    """
    return cast(TextIO, _Lasting(stream, errno.errorcode.keys() if whatever_happens else _LEFT))


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """Inside the block both streams go on.

    Raises:
        FatalError: a result cannot be written, although its reader is there: to a full disk, for example.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = lasting(sys.stdout), lasting(sys.stderr, whatever_happens=True)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
