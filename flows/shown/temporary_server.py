"""Prefect's server for the length of one run, in the process that keeps the run's page.

A flow that finds no server starts one itself, in a process of its own, and waits until it answers, after
importing the server's modules into its own process too.
"""

import gc
import os
import signal
import socket
import threading
from collections.abc import Callable

__all__ = ["serve"]

HOST = "127.0.0.1"


def serve(inside: Callable[[str], None]) -> None:
    """Be a server while something is done with it: such a one as Prefect starts for a flow where the
    environment says so (PREFECT__SERVER_EPHEMERAL), which its services then take for their own too.

    Args:
        inside: called in a thread with the address of the server's API, once that answers.
    """
    import uvicorn
    from prefect.server.api.server import create_app

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            gc.freeze()
            gc.enable()
            address = f"http://{HOST}:{listener.getsockname()[1]}/api"
            threading.Thread(target=lambda: self._do(address)).start()

        def _do(self, address: str) -> None:
            try:
                inside(address)
            finally:
                # It says goodbye to its clients, and does not tidy up what ends anyway.
                os.kill(os.getpid(), signal.SIGTERM)

    with socket.create_server((HOST, 0)) as listener:
        server = Announcing(uvicorn.Config(create_app(), log_level="error", lifespan="on"))
        server.run([listener])
