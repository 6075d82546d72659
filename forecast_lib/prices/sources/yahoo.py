"""Daily prices from Yahoo Finance; the only module that knows yfinance.

What is odd about Yahoo, and what is done about it:

- After a split Yahoo re-bases its whole history: a price of 499.23 before a 4:1 split is reported as 124.81,
  a volume of 46.9 million as 187.6 million, and earlier dividends are divided too. `PriceSource` wants rows
  as traded, so the reported splits are undone:

      session       reported close   splits after it   as traded
      2020-08-28        124.8075            4           499.23
      2020-08-31        129.04              1           129.04      <- on the new basis already

  The history is on the basis of *today*, whatever range was asked for. So every fetch runs to today and is
  cut to `last` here; else a split after `last` would be missed. Yahoo's figures have about seven digits: the
  same session fetched before and after a split may differ in the last of them.
- `yf.download` turns errors into empty frames; `Ticker.history` with exceptions shown does not. Yet an outage
  still reads "possibly delisted", so outcomes are taken from the replies themselves (`yahoo_replies`).
- The client keeps replies, bad ones too, in a process-wide cache: it is cleared before each fetch.
- The client keeps each ticker's time zone and its cookie in SQLite files, else every fetch would cost one
  more request. Two processes that open the same files wait for each other's locks, or fail: each has a folder
  of its own (`own_folder`), and the next night's process finds the last one's.
- The client merges two rows of one day: the first stays, save for the last day, where the later, live row
  stays. Days whose rows contradict each other are refused here. A missing volume becomes 0.
- Today's unfinished session looks like any other row. It is passed on under its date.
"""

import datetime as dt
import json
import os
import re
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import yfinance as yf
from numpy.typing import NDArray
from yfinance.data import YfData

from forecast_lib.config import SourceConfig
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import (
    BadReply,
    FatalError,
    NoPrices,
    SourceOutage,
    TickercastError,
    TransientError,
    UnknownTicker,
    UsageError,
)
from forecast_lib.prices.source import (
    Asked,
    Listed,
    Offered,
    PriceSource,
    Told,
    as_json,
    listed_actions,
    nobody,
    one_by_one,
)
from forecast_lib.prices.sources.breaker import CircuitBreaker
from forecast_lib.prices.sources.own_folder import own_folder
from forecast_lib.prices.sources.retrying import Retrying
from forecast_lib.prices.sources.yahoo_calendar import listed_events
from forecast_lib.prices.sources.yahoo_replies import (
    Reply,
    YahooSession,
    listening,
    other_symbol,
    verdict_on_all,
)
from forecast_lib.prices.traded import as_traded
from forecast_lib.windows.histories import shares_since

__all__ = ["YahooSource", "opened"]

_BEGINNING = dt.date(1900, 1, 1)
_COLUMNS = {
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Adj Close": "adj_close",
    "Volume": "volume",
}
_AS_IT_IS = {"auto_adjust": False, "actions": True, "repair": False, "keepna": True}
"""No row and no value shall be made or mended by the client."""

_MOST_WAITING = 8
"""Threads: those that wait before another try leave their place to others."""

_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")

_client_lock = threading.Lock()
_client_process: int | None = None
"""The process whose client this is: a forked one inherits its open files and connections."""


class YahooSource(PriceSource):
    """Daily prices, dividends and splits from Yahoo Finance.

    One per run. Tickers are asked for one by one, a few at a time, and again after what may pass.

    Args:
        cache_dir: where the client's own time-zone and cookie files lie, in a numbered folder for each
            process that fetches at the same time. The client is process-wide and keeps the folder of its
            first fetch, whichever `cache_dir` later sources have. Only the owner may write there: the client
            unpickles its cookies.
        now: the UTC instant of the run. Splits dated after it are not undone.
        session: for tests, a session that leads elsewhere; `proxy` and `timeout_s` are then its own affair.
        proxy: address of an HTTP proxy.
        requests_at_once: tickers fetched at the same time; Yahoo answers larger crowds with 429.
        pause_s: seconds that a place stays taken after a fetch, to spread the requests.
        timeout_s: seconds for each single request; a fetch needs one or two, up to seven where Yahoo refuses,
            and twice in a process's life fourteen.
        retrying: how often and how long each ticker is asked for.
    """

    name = "yahoo"

    def __init__(
        self,
        cache_dir: Path,
        now: dt.datetime,
        *,
        session: YahooSession | None = None,
        proxy: str | None = None,
        requests_at_once: int = 2,
        pause_s: float = 0.25,
        timeout_s: float = 10.0,
        retrying: Retrying = Retrying(),
    ) -> None:
        self._cache_dir = cache_dir
        self._now = now
        self._session = session if session is not None else YahooSession(proxy=proxy, timeout_s=timeout_s)
        self._places = threading.BoundedSemaphore(requests_at_once)
        self._pause_s = pause_s
        self._retrying = retrying
        self._breaker = CircuitBreaker(self.name)

    def fetch(self, asked: Asked, last: dt.date, done: Callable[[Ticker], None] = nobody) -> Offered:
        """Every row of each ticker from its first session to `last`, as traded.

        A ticker's problem is UnknownTicker where Yahoo says "not found" in its own words (an outage never
        reads so), NoPrices where it knows the ticker and has no row, RateLimited, SourceOutage, BadReply
        where all tries failed, and SourceGivenUp where too many others did.

        Raises:
            FatalError: this process was forked from one that had fetched.
        """
        pool = ThreadPoolExecutor(_MOST_WAITING, thread_name_prefix="yahoo")
        try:
            return one_by_one(
                asked,
                lambda ticker, first: self._retrying(lambda: self._in_turn(ticker, first, last)),
                done,
                spread=pool.map,
            )
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def events(self, tickers: Sequence[Ticker], day: dt.date) -> tuple[Listed, ...]:
        """When companies report, of the American ones, and splits to come."""

        def calendars(first: dt.date, last: dt.date) -> yf.Calendars:
            _prepare_client(self._cache_dir)
            return yf.Calendars(first, last, session=self._session)

        return listed_events(calendars, tickers, day)

    def _in_turn(self, ticker: Ticker, first: dt.date | None, last: dt.date) -> Offered:
        if first is not None and first > last:
            raise NoPrices(ticker, f"no session lies between {first} and {last}: the first is after the last")
        if _ISIN.fullmatch(ticker):
            raise UnknownTicker(ticker, "this is an ISIN, not a ticker: give Yahoo's ticker for it")
        with self._places:
            self._breaker.admit(ticker)
            try:
                fetched = self._fetch_once(ticker, first, last)
            except TickercastError as problem:
                self._breaker.record(ticker, failed=isinstance(problem, TransientError))
                raise
            finally:
                self._retrying.sleep(self._pause_s)
            self._breaker.record(ticker, failed=False)
            return fetched

    def _fetch_once(self, ticker: Ticker, first: dt.date | None, last: dt.date) -> Offered:
        # UTC+14 is a day ahead, and the client's end is exclusive: two days more than today in UTC.
        end = max(last + dt.timedelta(days=1), self._now.date() + dt.timedelta(days=2))
        start = first or _BEGINNING
        with listening() as replies:
            try:
                _prepare_client(self._cache_dir)
                client = yf.Ticker(ticker, session=self._session)
                table = client.history(start=start, end=end, interval="1d", **_AS_IT_IS)
                return self._fetched(ticker, table, client.history_metadata, replies, start, last)
            except TickercastError:
                raise
            except Exception as problem:  # the client raises whatever its parsing ran into
                # From None: the client's texts and frames may hold the crumb or the proxy's password.
                raise _explained(ticker, problem, replies, self._cache_dir) from None

    def _fetched(
        self,
        ticker: Ticker,
        table: pd.DataFrame,
        meta: Mapping[str, Any],
        replies: list[Reply],
        first: dt.date,
        last: dt.date,
    ) -> Offered:
        if other := other_symbol(ticker, meta.get("symbol")):
            raise other
        zone = str(meta["exchangeTimezoneName"])
        currency, step = meta.get("currency"), meta.get("dataGranularity", "1d")
        if step != "1d":
            raise BadReply(f"{ticker}: Yahoo's rows are not daily but per {step!r}: try again later")
        if not isinstance(currency, str | None):
            named = f"Yahoo names its currency by a {type(currency).__name__}, expected a text"
            raise BadReply(f"{ticker}: {named}: try again later")
        table = table.set_axis(_plain_sessions(table.index), axis="index").sort_index(kind="stable")
        asked = np.asarray((table.index >= pd.Timestamp(first)) & (table.index <= pd.Timestamp(last)))
        if not asked.any():
            raise NoPrices(ticker, f"Yahoo has no row from {first} to {last}, only others")
        days = table.index.to_numpy("datetime64[D]")
        splits = _splits(ticker, table, self._now.astimezone(ZoneInfo(zone)).date())
        shares = shares_since(days, days[splits != 0], splits[splits != 0])
        figures = as_traded({ours: table[name].to_numpy(float) for name, ours in _COLUMNS.items()}, shares)
        figures["volume"] = figures["volume"].round()  # traded volumes are whole numbers
        contradicting = asked & table.index.isin(_contradicting_days(replies[-1].body, zone))
        wanted, dividends = asked & ~contradicting, table["Dividends"].to_numpy(float) * shares
        kept, odd = ({name: each[rows] for name, each in figures.items()} for rows in (wanted, contradicting))
        return Offered.of_one(
            ticker,
            days[wanted],
            kept,
            listed_actions(ticker, days[asked], dividends[asked], splits[asked]),
            lambda at: [_origin(ticker, day) for day in days[wanted][at]],
            currency=currency,
            refused=_refused_days(ticker, days[contradicting], odd),
            told=Told(timezone=zone),
        )


def _prepare_client(cache_dir: Path) -> None:
    """Sets what yfinance keeps for the whole process. Cheap, and safe to repeat."""
    global _client_process
    with _client_lock:
        if _client_process is None:
            yf.set_tz_cache_location(str(own_folder(cache_dir)))
            _client_process = os.getpid()
    if _client_process != os.getpid():
        raise FatalError(
            "this process was forked from one that had asked Yahoo, whose connections it must not share:"
            " spawn it instead"
        )
    yf.config.debug.hide_exceptions = False
    YfData.cache_get.cache_clear()
    # On import yfinance switches its own deprecation warnings on, about ten lines a fetch.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="yfinance")


def _explained(ticker: Ticker, problem: Exception, replies: list[Reply], cache_dir: Path) -> TickercastError:
    """Our error for whatever the client raised, judged by what Yahoo replied."""
    found = verdict_on_all(ticker, replies)
    if found is not None:
        return found
    kind = type(problem).__name__
    if replies:
        return BadReply(
            f"{ticker}: Yahoo's reply looks like prices but cannot be read ({kind}): try again later"
        )
    failed = f"{ticker}: the Yahoo client failed before it asked for prices ({kind})"
    return SourceOutage(f"{failed}: see that {cache_dir} can be written, or try again later")


def _plain_sessions(index: pd.Index) -> pd.DatetimeIndex:
    """The exchange's own dates, at midnight, without a zone; the index is in the exchange's zone already."""
    return pd.DatetimeIndex(index).tz_localize(None).normalize().as_unit("us")


def _splits(ticker: Ticker, table: pd.DataFrame, today: dt.date) -> NDArray[np.float64]:
    """(rows,) the ratios of the splits that have happened by the exchange's `today`, else 0; `BadReply` for
    one that cannot be undone.
    """
    ratios = np.where(table.index <= pd.Timestamp(today), table["Stock Splits"].to_numpy(float), 0.0)
    impossible = np.flatnonzero((ratios != 0) & ~((ratios > 0) & np.isfinite(ratios)))
    if len(impossible):
        day, ratio = table.index[impossible[0]].date(), ratios[impossible[0]]
        split = f"a split of {ratio} new shares per old on {day}"
        raise BadReply(f"{ticker}: Yahoo reports {split}, expected above 0: try later")
    return ratios


def _origin(ticker: Ticker, day: np.datetime64) -> str:
    return f"yahoo {ticker} {day.astype('M8[D]')}"


def _refused_days(
    ticker: Ticker, days: NDArray[np.datetime64], figures: Mapping[str, NDArray[np.float64]]
) -> pd.DataFrame:
    reason = "Yahoo gave two different rows for this session; this is the one that its client kept"
    texts = [as_json(row) for row in pd.DataFrame(figures).to_dict("records")]
    origins = [_origin(ticker, day) for day in days]
    return pd.DataFrame(
        {"session": days, "row": texts, "origin": origins, "rule": "duplicate_session", "reason": reason}
    )


def _contradicting_days(body: bytes, zone: str) -> pd.DatetimeIndex:
    """Days for which the reply has rows that differ, the last one left out: there the live row beside the
    day's row is usual.
    """
    result = json.loads(body)["chart"]["result"][0]
    quotes = pd.DataFrame(result["indicators"]["quote"][0])
    quotes["day"] = _plain_sessions(pd.to_datetime(result["timestamp"], unit="s", utc=True).tz_convert(zone))
    distinct = quotes.drop_duplicates()
    twice = distinct.loc[distinct["day"].duplicated(), "day"]
    return pd.DatetimeIndex(twice[twice < quotes["day"].max()].unique())


def opened(config: SourceConfig, *, as_of: AsOf, cache_dir: Path | None, once: bool, **_: Any) -> YahooSource:
    """With the client's folder in the workspace."""
    if cache_dir is None:
        raise UsageError("source 'yahoo' needs a folder for its cache: give one inside the workspace")
    return YahooSource(
        cache_dir,
        as_of.now,
        proxy=config.proxy,
        requests_at_once=config.requests_at_once,
        pause_s=config.pause_s,
        retrying=Retrying(attempts=1) if once else Retrying(),
    )
