"""A web server on loopback that takes down what it is sent, for notifications and clocks."""

import contextlib
import datetime as dt
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any

__all__ = ["Receiver", "receiver"]


@dataclass
class Receiver:
    """What came: the JSON bodies of every POST. `status` is the answer; `behind` how far its clock is off."""

    port: int = 0
    status: int = 200
    behind: dt.timedelta = dt.timedelta(0)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port of 127.0.0.1, for the length of the block."""
    got = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            got.paths.append(self.path)
            got.bodies.append(json.loads(content or b"{}"))
            self._answer()

        def do_GET(self) -> None:
            got.paths.append(self.path)
            self._answer()

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self) -> None:
            self.send_response_only(got.status)
            self.send_header("Date", format_datetime(dt.datetime.now(dt.UTC) - got.behind, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    got.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield got
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
