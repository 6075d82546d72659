"""A Yahoo Finance on the loopback: the real client runs against it, failures included.

It plays the cookie, crumb, time-zone and chart addresses from `Listing`s, whose rows are *as traded*. Like
Yahoo it re-bases rows and dividends to the latest split it knows (`Listing.rebased_through`), and stamps rows
with the instant of the session's opening.

    with FakeYahoo([Listing("ACME", rows)]) as yahoo:
        source = YahooSource(folder, now, session=yahoo.session(timeout_s=2.0))
        yahoo.script("ACME", "503", "ok")     # the next chart reply is a 503, then it is well again

A scripted reply is used up by one request for the ticker's chart, the time-zone step included; the last one
stays.
"""

import datetime as dt
import functools
import json
import math
import socket
import struct
import sys
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo

from curl_cffi.requests import Response

from forecast_lib.prices.sources.yahoo_replies import YahooSession

__all__ = ["CRUMB", "Bar", "FakeYahoo", "Listing", "LoopbackSession"]

CRUMB = "Cr.mb-s3cret"
BOMB_MEGABYTES = 200


@dataclass(frozen=True)
class Bar:
    """One session as traded. None plays Yahoo's null."""

    session: dt.date
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    stamp: dt.time | None = None
    """Local time of the row's stamp, if not the opening: Yahoo's live row carries the time of the last trade.
    """


@dataclass
class Listing:
    ticker: str
    bars: list[Bar]
    currency: str | None = "USD"
    zone: str = "America/New_York"
    opens: dt.time = dt.time(9, 30)
    instrument: str = "EQUITY"
    splits: dict[dt.date, tuple[float, float]] = field(default_factory=dict)
    """New shares, old shares; by session."""
    dividends: dict[dt.date, float] = field(default_factory=dict)
    """Cash per share of that day."""
    rebased_through: dt.date = dt.date.max
    """Yahoo knows of splits up to this day only: moving it on rewrites the history."""

    def stamp(self, session: dt.date, time_of_day: dt.time | None = None) -> int:
        return int(dt.datetime.combine(session, time_of_day or self.opens, ZoneInfo(self.zone)).timestamp())

    def known_splits(self) -> dict[dt.date, tuple[float, float]]:
        return {day: split for day, split in self.splits.items() if day <= self.rebased_through}

    def shares_since(self, session: dt.date) -> float:
        return math.prod(new / old for day, (new, old) in self.known_splits().items() if day > session)

    def chart(self, start: int, end: int) -> dict[str, Any]:
        """The `chart` object for bars stamped within [start, end)."""
        bars = [bar for bar in self.bars if start <= self.stamp(bar.session, bar.stamp) < end]
        result: dict[str, Any] = {"meta": self._meta(), "indicators": {"quote": [{}], "adjclose": [{}]}}
        if bars:
            result["timestamp"] = [self.stamp(bar.session, bar.stamp) for bar in bars]
            result["indicators"] = self._indicators(bars)
            result["events"] = self._events(start, end)
        return {"result": [result], "error": None}

    def _meta(self) -> dict[str, Any]:
        return {
            "symbol": self.ticker,
            "currency": self.currency,
            "instrumentType": self.instrument,
            "exchangeTimezoneName": self.zone,
            "exchangeName": "FAK",
            "dataGranularity": "1d",
            "validRanges": ["1d", "5d", "1mo", "max"],
        }

    def _indicators(self, bars: list[Bar]) -> dict[str, Any]:
        def rebased(value: float | None, bar: Bar) -> float | None:
            return value if value is None else value / self.shares_since(bar.session)

        quote = {
            name: [rebased(getattr(bar, name), bar) for bar in bars]
            for name in ("open", "high", "low", "close")
        }
        quote["volume"] = [
            bar.volume if bar.volume is None else round(bar.volume * self.shares_since(bar.session))
            for bar in bars
        ]
        return {"quote": [quote], "adjclose": [{"adjclose": list(quote["close"])}]}

    def _events(self, start: int, end: int) -> dict[str, Any]:
        dividends = {
            str(self.stamp(day)): {"amount": cash / self.shares_since(day), "date": self.stamp(day)}
            for day, cash in self.dividends.items()
            if start <= self.stamp(day) < end
        }
        splits = {
            str(self.stamp(day)): {
                "date": self.stamp(day),
                "numerator": new,
                "denominator": old,
                "splitRatio": f"{new}:{old}",
            }
            for day, (new, old) in self.known_splits().items()
            if start <= self.stamp(day) < end
        }
        return {name: events for name, events in (("dividends", dividends), ("splits", splits)) if events}


class LoopbackSession(YahooSession):
    """The production session, led to the loopback whatever address is asked for."""

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(**options)
        self._address = address

    def request(self, method: Any, url: str, **options: Any) -> Response:  # type: ignore[override]  # as in YahooSession
        parts = urlsplit(url)
        return super().request(
            method, self._address + parts.path + (f"?{parts.query}" if parts.query else ""), **options
        )


@dataclass(frozen=True)
class _Sent:
    """A reply as it goes over the wire; `length` is what Content-Length claims."""

    status: int
    body: bytes
    content_type: str = "application/json"
    encoding: str | None = None
    length: int | None = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up in the middle are part of the play; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Tally:
    """Counts of one case. A new case gets a new one, so that a slow reply left over from the last case does
    not count in it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests: dict[str, int] = defaultdict(int)
        self.most_at_once = self._at_once = 0

    def count(self, path: str) -> None:
        with self._lock:
            self.requests[path] += 1

    @contextmanager
    def serving(self) -> Iterator[None]:
        self._step(1)
        try:
            yield
        finally:
            self._step(-1)

    def _step(self, step: int) -> None:
        with self._lock:
            self._at_once += step
            self.most_at_once = max(self.most_at_once, self._at_once)


class FakeYahoo:
    """The server; a context manager. `tally` counts the requests by path, and those of all paths served at
    the same time.
    """

    def __init__(self, listings: Iterable[Listing] = ()) -> None:
        self.listings = {listing.ticker: listing for listing in listings}
        self.drip_s = 0.2
        self.elsewhere = "http://127.0.0.1:9"
        """Where the reply `elsewhere` leads."""
        self.work_s = 0.0
        self._lock = threading.Lock()
        self.reset()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def reset(self) -> None:
        """Forgets scripts and counts, keeps the listings."""
        self._scripts: dict[str, list[str]] = {}
        self.tally = _Tally()
        self.crumb_status = 200
        self.reports: list[tuple[str, str, str]] = []
        """Of the calendar of earnings: ticker, start in UTC, kind."""
        self.splits: list[tuple[str, str, float, float]] = []
        """Of the calendar of splits: ticker, start in UTC, what an old share is worth, and a new one."""
        self.calendar_reply: _Sent | None = None

    def __enter__(self) -> "FakeYahoo":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def session(self, **options: Any) -> LoopbackSession:
        return LoopbackSession(self.address, **options)

    def script(self, ticker: str, *replies: str) -> None:
        """What the next requests for the chart of `ticker` get, one by one; the last reply stays. Names: see
        `REPLIES`.
        """
        unknown = [reply for reply in replies if reply not in REPLIES]
        assert not unknown, f"no such replies: {unknown}"
        if "bomb" in replies:
            _zipped_blanks(BOMB_MEGABYTES)  # packed before the client's time begins to run
        self._scripts[ticker] = list(replies)

    def charts_asked(self, ticker: str) -> int:
        return self.tally.requests[f"/v8/finance/chart/{ticker}"]

    def _next_reply(self, ticker: str) -> str:
        with self._lock:
            left = self._scripts.get(ticker, ["ok"])
            return left.pop(0) if len(left) > 1 else left[0]


def _handler(yahoo: FakeYahoo) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each reply waits 40 ms for an acknowledgement

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path = unquote(parts.path)
            tally = yahoo.tally
            tally.count(path)
            with tally.serving():
                time.sleep(yahoo.work_s)
                self.answer(path, parts.query)

        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            yahoo.tally.count(parts.path)
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if parts.path != "/v1/finance/visualization":
                self.send(_Sent(404, _error("Not Found", "No such address")))
            elif yahoo.calendar_reply is not None:
                self.send(yahoo.calendar_reply)
            else:
                self.send(_Sent(200, json.dumps(_calendar(yahoo, asked)).encode()))

        def answer(self, path: str, query: str) -> None:
            if path == "/v1/test/getcrumb":
                self.send(
                    _Sent(
                        yahoo.crumb_status,
                        CRUMB.encode() if yahoo.crumb_status == 200 else b"no",
                        "text/plain",
                    )
                )
            elif path.startswith("/v8/finance/chart/"):
                self.chart(path.removeprefix("/v8/finance/chart/"), parse_qs(query))
            elif path in ("/", "/consent"):
                self.send(_Sent(200, b"<html>cookie</html>", "text/html"))
            else:
                self.send(_Sent(404, _error("Not Found", "No such address")))

        def chart(self, ticker: str, query: dict[str, list[str]]) -> None:
            reply = REPLIES[yahoo._next_reply(ticker)]
            start, end = int(query.get("period1", ["0"])[0]), int(query.get("period2", ["9999999999"])[0])
            listing = yahoo.listings.get(ticker)
            good = listing.chart(start, end) if listing else None
            sent = reply(good, self.path) if good is not None else _Sent(404, NOT_FOUND)
            if isinstance(sent, str):
                getattr(self, sent)(json.dumps({"chart": good}).encode())
            else:
                self.send(sent)

        def send(self, sent: _Sent) -> None:
            self.send_response(sent.status)
            self.send_header("Content-Type", sent.content_type)
            self.send_header("Content-Length", str(len(sent.body) if sent.length is None else sent.length))
            if sent.encoding:
                self.send_header("Content-Encoding", sent.encoding)
            if sent.length is not None:
                self.close_connection = True
            self.end_headers()
            try:
                self.wfile.write(sent.body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def reset_connection(self, _: bytes) -> None:
            # A linger of 0 s closes by RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()

        def redirect(self, _: bytes) -> None:
            self.send_response(302)
            self.send_header("Location", yahoo.elsewhere + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def drip(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                for place in range(len(body)):
                    self.wfile.write(body[place : place + 1])
                    self.wfile.flush()
                    time.sleep(yahoo.drip_s)
            except OSError:
                self.close_connection = True

    return Handler


def _error(code: str, description: str) -> bytes:
    return json.dumps(
        {"chart": {"result": None, "error": {"code": code, "description": description}}}
    ).encode()


_CALENDAR_COLUMNS = [
    ("Symbol", "STRING"),
    ("Company Name", "STRING"),
    ("Market Cap (Intraday)", "NUMBER"),
    ("Event Name", "STRING"),
    ("Event Start Date", "DATE"),
    ("Event Start Date", "STRING"),
    ("EPS Estimate", "NUMBER"),
    ("Reported EPS", "NUMBER"),
    ("Surprise (%)", "NUMBER"),
]
"""Labels and types of the calendar of earnings; the second `Event Start Date` is its kind: before the market
opens (BMO), after it closes (AMC), not supplied (TNS).
"""


_SPLIT_COLUMNS = [
    ("Symbol", "STRING"),
    ("Company", "STRING"),
    ("Payable On", "DATE"),
    ("Optionable?", "BOOLEAN"),
    ("Old Share Worth", "NUMBER"),
    ("Share Worth", "NUMBER"),
]
"""Labels and types of the calendar of splits."""


def _calendar(yahoo: FakeYahoo, asked: dict[str, Any]) -> dict[str, Any]:
    """The reply to a question for a page of a calendar."""
    span = {
        each["operator"]: each["operands"][1]
        for each in asked["query"]["operands"]
        if "startdatetime" in each["operands"]
    }
    of_splits = asked["entityIdType"] == "splits"
    listed: list[Any] = yahoo.splits if of_splits else yahoo.reports
    inside = [each for each in listed if span["GTE"] <= each[1][:10] <= span["LTE"]]
    page = inside[asked["offset"] : asked["offset"] + asked["size"]]
    rows = [
        [each[0], f"{each[0]} Inc.", each[1], True, *each[2:]]
        if of_splits
        else [each[0], f"{each[0]} Inc.", 1e9, "Q1 Earnings Announcement", *each[1:], 1.5, None, None]
        for each in page
    ]
    labels = _SPLIT_COLUMNS if of_splits else _CALENDAR_COLUMNS
    columns = [{"label": label, "type": kind} for label, kind in labels]
    document = {"entityIdType": asked["entityIdType"], "columns": columns, "rows": rows}
    return {"finance": {"result": [{"total": len(inside), "documents": [document]}], "error": None}}


NOT_FOUND = _error("Not Found", "No data found, symbol may be delisted")


def _whole(change: Callable[[dict[str, Any]], None] | None = None) -> Callable[[dict[str, Any], str], _Sent]:
    """A reply of status 200 with the chart after `change`."""

    def reply(good: dict[str, Any], _: str) -> _Sent:
        chart = json.loads(json.dumps(good))
        if change:
            change(chart)
        return _Sent(200, json.dumps({"chart": chart}).encode())

    return reply


def _fixed(
    status: int, body: bytes, content_type: str = "text/html"
) -> Callable[[dict[str, Any], str], _Sent]:
    return lambda _good, _path: _Sent(status, body, content_type)


def _quote(chart: dict[str, Any]) -> dict[str, list[Any]]:
    quote: dict[str, list[Any]] = chart["result"][0]["indicators"]["quote"][0]
    return quote


def _columns(chart: dict[str, Any]) -> list[list[Any]]:
    """Every column that runs along the rows, the stamps first."""
    result = chart["result"][0]
    return [result["timestamp"], *_quote(chart).values(), result["indicators"]["adjclose"][0]["adjclose"]]


def _second_bar(**values: Any) -> Callable[[dict[str, Any]], None]:
    def change(chart: dict[str, Any]) -> None:
        for name, value in values.items():
            if _quote(chart).get(name):
                _quote(chart)[name][1] = value

    return change


def _blank_second_bar(chart: dict[str, Any]) -> None:
    if "timestamp" in chart["result"][0]:
        for column in _columns(chart)[1:]:
            column[1] = None


def _repeat_second_bar(close: float | None) -> Callable[[dict[str, Any]], None]:
    def change(chart: dict[str, Any]) -> None:
        if "timestamp" in chart["result"][0]:
            for column in _columns(chart):
                column.insert(1, column[1])
            if close is not None:
                _quote(chart)["close"][2] = close

    return change


def _without_stamps(chart: dict[str, Any]) -> None:
    chart["result"][0].pop("timestamp", None)


def _without_volume(chart: dict[str, Any]) -> None:
    _quote(chart).pop("volume", None)


def _newest_first(chart: dict[str, Any]) -> None:
    if "timestamp" in chart["result"][0]:
        for column in _columns(chart):
            column.reverse()


def _short_column(chart: dict[str, Any]) -> None:
    _quote(chart).get("close", [None]).pop()


def _with_split(numerator: float, denominator: float) -> Callable[[dict[str, Any]], None]:
    def change(chart: dict[str, Any]) -> None:
        result = chart["result"][0]
        if "timestamp" in result:
            stamp = result["timestamp"][1]
            split = {"date": stamp, "numerator": numerator, "denominator": denominator}
            result.setdefault("events", {})["splits"] = {str(stamp): split}

    return change


def _with_dividend(amount: float) -> Callable[[dict[str, Any]], None]:
    def change(chart: dict[str, Any]) -> None:
        result = chart["result"][0]
        if "timestamp" in result:
            stamp = result["timestamp"][1]
            result.setdefault("events", {})["dividends"] = {str(stamp): {"date": stamp, "amount": amount}}

    return change


def _meta(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda chart: chart["result"][0]["meta"].update(values)


def _own_spelling(chart: dict[str, Any]) -> None:
    meta = chart["result"][0]["meta"]
    meta["symbol"] = meta["symbol"].replace(".", "-").lower()


def _echo(_: dict[str, Any], path: str) -> _Sent:
    return _Sent(
        200, f"<html>bad request: {path} via http://user:hunter2@proxy/</html>".encode(), "text/html"
    )


def _cut(good: dict[str, Any], _: str) -> _Sent:
    body = json.dumps({"chart": good}).encode()
    return _Sent(200, body[: len(body) // 2])


def _short(good: dict[str, Any], _: str) -> _Sent:
    body = json.dumps({"chart": good}).encode()
    return _Sent(200, body, length=len(body) + 1000)


@functools.cache
def _zipped_blanks(megabytes: int) -> bytes:
    zipper = zlib.compressobj(wbits=31)  # 31: with gzip's header
    return b"".join(zipper.compress(b" " * 1024 * 1024) for _ in range(megabytes)) + zipper.flush()


def _bomb(_good: dict[str, Any], _: str) -> _Sent:
    return _Sent(200, _zipped_blanks(BOMB_MEGABYTES), encoding="gzip")


REPLIES: dict[str, Callable[[dict[str, Any], str], _Sent | str]] = {
    "ok": _whole(),
    "429": _fixed(429, b"Edge: Too Many Requests"),
    "429 in disguise": _fixed(200, b"Too Many Requests\r\n"),
    "401": _fixed(401, _error("Unauthorized", "Invalid Crumb"), "application/json"),
    "403": _fixed(403, b"<html>Forbidden</html>"),
    "500": _fixed(500, _error("Internal Server Error", "oops"), "application/json"),
    "502": _fixed(502, b"<html>Bad Gateway</html>"),
    "503": _fixed(503, _error("Service Unavailable", "try later"), "application/json"),
    "404": _fixed(404, NOT_FOUND, "application/json"),
    "404 other": _fixed(404, _error("Gateway", "No route"), "application/json"),
    "200 not found": _fixed(200, NOT_FOUND, "application/json"),
    "404 html": _fixed(404, b"<html>no such page</html>"),
    "400 no data": _fixed(
        400, _error("Bad Request", "Data doesn't exist for startDate = 1, endDate = 2"), "application/json"
    ),
    "400": _fixed(
        400, _error("Bad Request", "Invalid input - interval=1q is not supported"), "application/json"
    ),
    "right back": _fixed(200, b"<html>Will be right back</html>"),
    "html": _fixed(200, b"<html><body>Please log in</body></html>"),
    "html echo": _echo,
    "empty": _fixed(200, b""),
    "nul": _fixed(200, b"\x00\xff\x00"),
    "json list": _fixed(200, b"[1, 2]", "application/json"),
    "json deep": _fixed(200, b"[" * 100_000, "application/json"),
    "result null": _fixed(200, b'{"chart": {"result": null, "error": null}}', "application/json"),
    "result empty": _fixed(200, b'{"chart": {"result": [], "error": null}}', "application/json"),
    "no timestamp": _whole(_without_stamps),
    "no volume": _whole(_without_volume),
    "no meta": _whole(lambda chart: chart["result"][0].update(meta={})),
    "short column": _whole(_short_column),
    "words": _whole(_second_bar(close="soon")),
    "cut": _cut,
    "short": _short,
    "drip": lambda _good, _path: "drip",
    "reset": lambda _good, _path: "reset_connection",
    "oversize": _fixed(200, b" " * (21 * 1024 * 1024), "application/json"),
    "bomb": _bomb,
    "not gzip": lambda _good, _path: _Sent(200, b"plain text", encoding="gzip"),
    "nan row": _whole(_blank_second_bar),
    "negative": _whole(_second_bar(close=-5.0)),
    "zero": _whole(_second_bar(close=0.0)),
    "huge": _whole(_second_bar(close=1e308, volume=1e308)),
    "infinite": _whole(_second_bar(close="Infinity")),
    "bare infinity": _whole(_second_bar(close=float("inf"))),
    "same day twice": _whole(_repeat_second_bar(None)),
    "two stories of a day": _whole(_repeat_second_bar(77.0)),
    "newest first": _whole(_newest_first),
    "another symbol": _whole(_meta(symbol="OTHER")),
    "its own spelling": _whole(_own_spelling),
    "elsewhere": lambda _good, _path: "redirect",
    "monthly": _whole(_meta(dataGranularity="1mo")),
    "pence": _whole(_meta(currency="GBp")),
    "no currency": _whole(_meta(currency=None)),
    "currency is no text": _whole(_meta(currency={"code": "USD"})),
    "split of nothing": _whole(_with_split(-1.0, 2.0)),
    "negative dividend": _whole(_with_dividend(-0.3)),
}
