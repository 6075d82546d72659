"""Yahoo's replies, heard on the wire, and what each of them means for a ticker.

The Yahoo client reports a server error, a page of HTML and an unknown ticker by the same words ("possibly
delisted"), so its errors cannot tell them apart. The session here listens: it notes status and body of every
reply about prices, and the verdict is taken from what Yahoo really said. It also bounds what a reply may
cost: time, and bytes after decompression.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from curl_cffi.const import CurlECode
from curl_cffi.requests import Response, Session
from curl_cffi.requests.exceptions import RequestException

from forecast_lib.domain import Ticker
from forecast_lib.errors import (
    BadReply,
    NoPrices,
    RateLimited,
    SourceOutage,
    TickercastError,
    TransientError,
    UnknownTicker,
)

__all__ = [
    "BODY_LIMIT",
    "Reply",
    "YahooSession",
    "listening",
    "other_symbol",
    "reply_sample",
    "verdict",
    "verdict_on_all",
]

BODY_LIMIT = 20 * 1024 * 1024
"""Bytes of one reply, after decompression. Sixty years of one ticker are about 2 MB."""

SAMPLE_LENGTH = 200
_CHART_PATH = "/v8/finance/chart/"
_SECRETS = re.compile(r"""crumb["']?\s*[=:]\s*["']?[^&\s"'<>]+|(?<=//)[^\s/@"'<>]+@""", re.IGNORECASE)
_BROKEN_BODY = {CurlECode.PARTIAL_FILE, CurlECode.BAD_CONTENT_ENCODING, CurlECode.WRITE_ERROR}


@dataclass(frozen=True)
class Reply:
    """One answer to a request for prices.

    Attributes:
        status: HTTP status; 0 when none came.
        body: as decompressed, at most BODY_LIMIT bytes; empty when the transport failed.
        failure: why no whole body arrived, in words without addresses; empty when it did.
        broken_body: the failure lies in the body, not in the line to Yahoo.
    """

    status: int
    body: bytes = b""
    failure: str = ""
    broken_body: bool = False


_heard: ContextVar[list[Reply] | None] = ContextVar("heard_replies", default=None)


@contextmanager
def listening() -> Iterator[list[Reply]]:
    """The replies to this thread's requests for prices, in order, as they come in while the block runs."""
    replies: list[Reply] = []
    token = _heard.set(replies)
    try:
        yield replies
    finally:
        _heard.reset(token)


class _BodyTooLarge(OSError):
    """More bytes than allowed; an OSError, so that the client treats it as a failed transfer."""


class _BoundedBody(BytesIO):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def write(self, chunk: Any) -> int:
        if self.tell() + len(chunk) > self._limit:
            raise _BodyTooLarge(f"more than {self._limit} bytes")
        return super().write(chunk)


class YahooSession(Session[Response]):
    """A browser-like session that bounds every reply and lets `listening` hear those about prices.

    Args:
        proxy: address of an HTTP proxy, credentials included; appears in no message.
        timeout_s: seconds for one whole request. The client's own wishes (up to 30 s for cookies) are
            overruled.
        body_limit: bytes of one reply, after decompression.
    """

    def __init__(
        self, *, proxy: str | None = None, timeout_s: float = 10.0, body_limit: int = BODY_LIMIT
    ) -> None:
        super().__init__(impersonate="chrome", proxy=proxy)
        self._timeout_s = timeout_s
        self._body_limit = body_limit

    def request(self, method: Any, url: str, **options: Any) -> Response:  # type: ignore[override]  # forwards all the rest
        """As curl_cffi's, with the time and size bounds, and no redirect followed where prices are asked for.

        Raises `RequestException`, or an OSError for a body too large.
        """
        body = _BoundedBody(self._body_limit)
        options.update(timeout=self._timeout_s, content_callback=body.write)
        if _asks_for_prices(url):
            options.update(allow_redirects=False)  # another host's rows are not Yahoo's
        try:
            response = super().request(method, url, **options)
        except (RequestException, _BodyTooLarge) as problem:
            _note(url, _failed(problem))
            raise
        response.content = body.getvalue()
        _note(url, Reply(response.status_code, response.content))
        return response


def _note(url: str, reply: Reply) -> None:
    replies = _heard.get()
    if replies is not None and _asks_for_prices(url):
        replies.append(reply)


def _asks_for_prices(url: str) -> bool:
    return urlsplit(url).path.startswith(_CHART_PATH)


def _failed(problem: RequestException | _BodyTooLarge) -> Reply:
    # Neither curl's text nor the address goes into a message: they may hold the crumb or the proxy's
    # password.
    if isinstance(problem, _BodyTooLarge):
        return Reply(200, failure=str(problem), broken_body=True)
    status = problem.response.status_code if problem.response is not None else 0
    failure = f"{type(problem).__name__}, curl code {int(problem.code)}"
    return Reply(status, failure=failure, broken_body=problem.code in _BROKEN_BODY)


def reply_sample(body: bytes) -> str:
    """The beginning of a body for an error message: one printable line without secrets, at most 200
    characters.

    >>> reply_sample(b"<a href='/x?crumb=s3cret&y=1'>\\nno</a>")
    "<a href='/x?[hidden]&y=1'> no</a>"
    """
    text = _SECRETS.sub("[hidden]", body[: 20 * SAMPLE_LENGTH].decode("utf-8", "replace"))
    return ascii(" ".join(text.split()))[1:-1][:SAMPLE_LENGTH]


def verdict_on_all(ticker: Ticker, replies: list[Reply]) -> TickercastError | None:
    """What stood in the way of prices in a fetch that failed; None if every reply looks like a price table.

    Trouble on the line outweighs an answer about the ticker: "not found" beside a server error is no news
    about the ticker.
    """
    if not replies:
        return None
    verdicts = [verdict(ticker, reply) for reply in replies]
    troubles = [found for found in verdicts if isinstance(found, TransientError)]
    return troubles[-1] if troubles else verdicts[-1]


def verdict(ticker: Ticker, reply: Reply) -> TickercastError | None:
    """What one reply about prices says, None for a price table. "Unknown ticker" needs Yahoo's own words for
    it.
    """
    return _verdict_on_line(ticker, reply) or _verdict_on_body(ticker, reply)


def _verdict_on_line(ticker: Ticker, reply: Reply) -> TransientError | None:
    if reply.status == 429:
        return RateLimited(
            f"{ticker}: Yahoo refuses for too many requests (HTTP 429): wait, or ask for fewer tickers at"
            " once"
        )
    if reply.status >= 500:
        return SourceOutage(
            f"{ticker}: Yahoo is out of order (HTTP {reply.status}), no news of the ticker: try again later"
        )
    if reply.status in (401, 403, 407):
        return SourceOutage(
            f"{ticker}: Yahoo or the proxy refuses access (HTTP {reply.status}): check the proxy, or try"
            " later"
        )
    if 300 <= reply.status < 400:
        return BadReply(
            f"{ticker}: Yahoo's reply leads to another address (HTTP {reply.status}), which is not followed:"
            " try again later"
        )
    if reply.broken_body:
        return BadReply(
            f"{ticker}: Yahoo's reply broke off or could not be unpacked ({reply.failure}): try again later"
        )
    if reply.failure:
        return SourceOutage(
            f"{ticker}: no answer from Yahoo ({reply.failure}): check network and proxy, or try again later"
        )
    return None


def _verdict_on_body(ticker: Ticker, reply: Reply) -> TickercastError | None:
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):  # RecursionError: brackets nested by the thousand
        answer = None
    match answer:
        case {"chart": {"error": dict(error)}}:
            said = reply_sample(str(error.get("description", "")).encode())
            if reply.status == 404 and error.get("code") == "Not Found":
                return UnknownTicker(
                    ticker, f"Yahoo has no such ticker ({said!r}): check its spelling", rule="not_found"
                )
            if said.startswith("Data doesn't exist for startDate"):
                return NoPrices(ticker, f"Yahoo has no prices in the time asked for ({said!r})")
            return _bad(ticker, reply, "it is an error")
        case {"chart": {"result": [{"meta": {"symbol": said}}, *_]}} if other := other_symbol(ticker, said):
            return other
        case {
            "chart": {"result": [{"meta": dict(), "indicators": {"quote": [] | [{}] as quotes}} as one, *_]}
        }:
            if "timestamp" in one or any(quotes):
                return None
            return NoPrices(ticker, "Yahoo knows the ticker but has no prices in the time asked for")
        case {"chart": {"result": [dict(), *_]}}:
            return None
        case {"chart": dict()}:
            return _bad(ticker, reply, "it holds no result")
    if b"Too Many Requests" in reply.body:
        return RateLimited(
            f"{ticker}: Yahoo refuses for too many requests: wait, or ask for fewer tickers at once"
        )
    if b"Will be right back" in reply.body:
        return SourceOutage(f"{ticker}: Yahoo says it will be right back: try again later")
    return _bad(ticker, reply, "it is no chart")


def other_symbol(ticker: Ticker, symbol: object) -> BadReply | None:
    """What is wrong with a reply that names `symbol`: it is about another company. None for the ticker by any
    of its spellings.

    Yahoo writes class shares with a hyphen where others write a point; behind other letters a point names an
    exchange.

    >>> other_symbol(Ticker("BRK.B"), "brk-b"), other_symbol(Ticker("VOD.L"), "VOD.L")
    (None, None)
    >>> print(other_symbol(Ticker("VOD"), "VOD.L"))
    VOD: Yahoo answers for another symbol ('VOD.L'): try again later
    """
    if symbol is None or _one_spelling(str(symbol)) == _one_spelling(ticker):
        return None
    sample = reply_sample(str(symbol).encode())[:40]
    return BadReply(f"{ticker}: Yahoo answers for another symbol ({sample!r}): try again later")


def _one_spelling(symbol: str) -> str:
    return re.sub(r"\.([A-C])$", r"-\1", symbol.upper())


def _bad(ticker: Ticker, reply: Reply, what: str) -> BadReply:
    came = f"HTTP {reply.status}, {len(reply.body)} bytes: {reply_sample(reply.body)!r}"
    return BadReply(f"{ticker}: Yahoo's reply is no price table: {what} ({came}); try again later")
