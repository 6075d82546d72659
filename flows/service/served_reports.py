"""The reports served on loopback: a web page may not link to a file, so Prefect's page needs an address.

Only pages of reports are served, only to this machine, and only when they are asked for under its own name: a
foreign web page that has a name of its own point here gets nothing.
"""

import contextlib
import html
import re
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from forecast_lib.errors import FatalError

__all__ = ["report_link", "serving_reports"]

HOST = "127.0.0.1"
LATEST = "latest.html"
_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_PAGE = re.compile(rf"(?:/({_NAME}))?/({LATEST}|{_NAME}/{_NAME}\.html)", re.ASCII)
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def report_link(report: str | None, address: str | None, market: str | None) -> str | None:
    """Where a browser finds a report's page: under the address that serves it, else as a file; None where
    there is none.

    >>> report_link("workspace/reports/20240503-ab12/index.html", "http://127.0.0.1:4201/", "london")
    'http://127.0.0.1:4201/london/20240503-ab12/index.html'
    """
    if report is None:
        return None
    page = Path(report)
    if address is None:
        return page.absolute().as_uri()
    return "/".join([address.rstrip("/"), *([market] if market else []), page.parent.name, page.name])


@contextlib.contextmanager
def serving_reports(folders: Mapping[str, Path], port: int) -> Iterator[str]:
    """Serve folders of reports for the length of the block, in threads.

    Args:
        folders: by the first part of the address; the name "" serves one folder at the root. They may be
            missing yet.
        port: on loopback; 0 for any free one.

    Yields:
        The address.

    Raises:
        FatalError: the port is taken.
    """
    try:
        server = ThreadingHTTPServer((HOST, port), _handler(folders))
    except OSError as error:
        raise FatalError(
            f"port {port} for the reports cannot be used: {error.strerror or error}; give --reports-port N"
        ) from error
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="reports", daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _found(folders: Mapping[str, Path], path: str) -> Path | None:
    """The file that a path asks for; None for whatever is no page of a report."""
    asked = _PAGE.fullmatch(unquote(path, errors="replace"))
    folder = folders.get(asked[1] or "") if asked else None
    if asked is None or folder is None:
        return None
    page = folder / asked[2]
    return page if page.is_file() and not page.is_symlink() else None


def _handler(folders: Mapping[str, Path]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            host = self.headers.get("Host", "").partition(":")[0]
            if host not in (HOST, "localhost"):
                self._send(HTTPStatus.FORBIDDEN, _said("Reports are served under 127.0.0.1 only."), with_body)
            elif path == "/" and "" in folders:
                self._send(HTTPStatus.FOUND, b"", with_body, {"Location": f"/{LATEST}"})
            elif path == "/":
                self._send(HTTPStatus.OK, _markets(folders), with_body)
            elif page := _found(folders, path):
                self._send(HTTPStatus.OK, page.read_bytes(), with_body)
            else:
                self._send(HTTPStatus.NOT_FOUND, _said("There is no such report, or not yet."), with_body)

        def _send(
            self, status: HTTPStatus, body: bytes, with_body: bool, more: Mapping[str, str] | None = None
        ) -> None:
            self.send_response(status)
            for name, value in {**_HEADERS, **(more or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Who reads what is not noted."""

    return Handler


def _said(sentence: str) -> bytes:
    page = f'<!doctype html><meta charset="utf-8"><title>Tickercast</title><p>{html.escape(sentence)}</p>'
    return page.encode()


def _markets(folders: Mapping[str, Path]) -> bytes:
    """Links to the newest reports of all markets."""
    names = [name for name, folder in folders.items() if (folder / LATEST).is_file()]
    links = "".join(
        f'<li><a href="/{html.escape(name)}/{LATEST}">{html.escape(name)}</a></li>' for name in names
    )
    return _said("The newest reports." if names else "There is no report yet.") + f"<ul>{links}</ul>".encode()
