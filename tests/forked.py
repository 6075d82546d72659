"""A function in a process of its own, forked from a clean one that has loaded what takes long: a new process
needs a second or two before it begins.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Any

from tests.campaign import actors

__all__ = ["Forked"]


class Forked:
    """As `subprocess.Popen` of the function with pipes for standard input and output; its arguments are
    pickled.
    """

    def __init__(
        self,
        function: Callable[..., object],
        *arguments: object,
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        context = actors.context()
        theirs_in, ours_in = context.Pipe(duplex=False)
        ours_out, theirs_out = context.Pipe(duplex=False)
        started = (function, arguments, dict(env), theirs_in, theirs_out)
        self._process = context.Process(target=_be, args=started, daemon=True)
        self._process.start()
        self.stdin = os.fdopen(os.dup(ours_in.fileno()), "w")
        self.stdout = os.fdopen(os.dup(ours_out.fileno()))
        for end in (theirs_in, ours_in, theirs_out, ours_out):
            end.close()

    def __enter__(self) -> "Forked":
        return self

    def __exit__(self, *_: object) -> None:
        self.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> int | None:
        self._process.join()
        return self.returncode

    def communicate(self, said: str = "") -> tuple[str, None]:
        """End its input, and wait for its end."""
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.stdin.write(said)
            self.stdin.close()
        heard = self.stdout.read()
        self.wait()
        return heard, None


def _be(
    function: Callable[..., object],
    arguments: tuple[Any, ...],
    env: dict[str, str],
    given: Connection,
    said: Connection,
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(env)
    for connection, number in ((given, 0), (said, 1)):
        os.dup2(connection.fileno(), number)
        connection.close()
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    function(*arguments)
    sys.stdout.flush()
