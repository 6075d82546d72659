"""Prefect's server for the length of one run, started before the run begins.

A flow that finds no server starts one itself, but only when it begins, after importing the server's modules
into its own process too, and waits until it answers: seconds in which nothing else is done. This is the same
server, begun earlier, in a process of its own: the one that runs this file. It ends when its standard input
does, and so with the run's process however that ends.

Where Prefect's own settings name a server, or forbid a temporary one, it ends at once and all is as without
it. Where it cannot start, for example because another release of Prefect has been at its database, the run
says so.
"""

import atexit
import contextlib
import gc
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from flows.settings.layers import environment, prefect_address
from forecast_lib.errors import FatalError

__all__ = ["TemporaryServer", "main"]

HOST = "127.0.0.1"
_START_S = 120.0
_LEFT_OUT = {
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
}
"""What no run needs, unless the environment says otherwise: Prefect's own kinds of blocks, which it looks for
in all that is installed of it, and writes into a new database for two seconds.
"""
_ERROR = re.compile(r"[\w.]+(Error|Exception): ")


class TemporaryServer:
    """A server that is starting; it ends after this process, which does not wait for that. Created before
    Prefect is imported, it outlives Prefect's own last words.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as this does
        if prefect_address() is None:
            self._process = subprocess.Popen(
                # -P: a folder of the user's named flows is not ours.
                [sys.executable, "-P", "-m", "flows.running.temporary_server"],
                env={**_LEFT_OUT, **environment(), "PREFECT_UI_ENABLED": "0"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,  # an interrupted run still has to say how it ended
            )
            atexit.register(self._stop, self._process)

    def answered(self) -> bool:
        """Whether nobody needs to wait for it any more: it is there, has stepped aside, or cannot start."""
        if self._process is None or self._process.stdout is None:
            return True
        return bool(select.select([self._process.stdout], [], [], 0)[0])

    def _address(self) -> str:
        """Of its API as soon as it answers; empty where it has stepped aside.

        Raises:
            FatalError: it did not start.
        """
        if self._process is None or self._process.stdout is None:
            return ""
        answers, _, _ = select.select([self._process.stdout], [], [], _START_S)
        address = self._process.stdout.readline().decode().strip() if answers else ""
        if not address and (not answers or self._process.wait(_START_S)):
            raise FatalError(
                f"Prefect's own server did not start: {self._why()}; run without it (--plain), or give"
                " Prefect a folder of its own (PREFECT_HOME) if another release has used the one it has"
            )
        return address

    def _why(self) -> str:
        """The last error that it named before it gave up."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").splitlines()
        named = [line.strip() for line in lines if _ERROR.match(line)]
        return named[-1][:200] if named else "it gave no reason"

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Wait for it; flows in the block use it. Where it has stepped aside all is as Prefect has it."""
        if not (address := self._address()):
            yield
            return
        from prefect.settings import (
            PREFECT_API_URL,
            PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
            temporary_settings,
        )

        with temporary_settings(
            {
                PREFECT_API_URL: address,
                PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False,  # it is this very one
                # It ends with this process, so nobody misses its heartbeats; whoever sends them would be
                # waited for, up to a second.
                PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            }
        ):
            yield

    @staticmethod
    def _stop(process: "subprocess.Popen[bytes]") -> None:
        with contextlib.suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]


def main() -> None:
    """Be the server: say the API's address on standard output once it answers, and end when standard input
    does.
    """
    gc.disable()  # until it answers: what is loaded stays, looking through it takes a seventh of the start
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    if settings.api.url or not settings.server.ephemeral.enabled:
        return
    import socket

    import uvicorn
    from prefect.server.api.server import create_app

    class Announcing(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            if not self.started:
                os._exit(0)  # nobody knows it yet; half begun, it would end with a traceback
            super().handle_exit(sig, frame)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            gc.freeze()
            gc.enable()
            print(f"http://{HOST}:{listener.getsockname()[1]}/api", flush=True)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads on

    with socket.create_server((HOST, 0)) as listener:
        server = Announcing(uvicorn.Config(create_app(ephemeral=True), log_level="error", lifespan="on"))

        def end_with_input() -> None:
            sys.stdin.buffer.read()
            # It says goodbye to its clients, and does not tidy up what ends anyway.
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=end_with_input, daemon=True).start()
        server.run([listener])


if __name__ == "__main__":
    main()
