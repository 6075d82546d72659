"""Daily prices from Yahoo Finance; the only module that knows yfinance.

What is odd about Yahoo, and what is done about it:

- After a split Yahoo re-bases its whole history: a price of 499.23 before a 4:1 split is reported as 124.81, a volume of 46.9
  million as 187.6 million, and earlier dividends are divided too. `PriceSource` wants rows as traded, so the reported splits are
  undone:

      session       reported close   splits after it   as traded
      2020-08-28        124.8075            4           499.23
      2020-08-31        129.04              1           129.04      <- the split's own session is already on the new basis

  The history is on the basis of *today*, whatever range was asked for. So every fetch runs to today and is cut to `last` here;
  else a split after `last` would be missed. Yahoo's figures have about seven digits: the same session fetched before and after a
  split may differ in the last of them.
- `yf.download` turns errors into empty frames; `Ticker.history` with exceptions shown does not. Yet an outage still reads
  "possibly delisted", so outcomes are taken from the replies themselves (`yahoo_replies`).
- The client keeps replies, bad ones too, in a process-wide cache: it is cleared before each fetch.
- The client keeps each ticker's time zone and its cookie in SQLite files, else every fetch would cost one more request. Two processes
  that open the same files wait for each other's locks, or fail: each has a folder of its own (`own_folder`), and the next night's
  process finds the last one's.
- The client merges two rows of one day: the first stays, save for the last day, where the later, live row stays. Days whose
  rows contradict each other are refused here. A missing volume becomes 0.
- Today's unfinished session looks like any other row. It is passed on under its date.
"""

import datetime as dt
import json
import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import yfinance as yf
from yfinance.data import YfData

from forecast_lib.domain import Ticker
from forecast_lib.errors import BadReply, FatalError, NoPrices, SourceOutage, TickercastError, TransientError, UnknownTicker
from forecast_lib.prices.breaker import CircuitBreaker
from forecast_lib.prices.own_folder import own_folder
from forecast_lib.prices.source import ACTION_COLUMNS, RAW_COLUMNS, FetchedPrices
from forecast_lib.prices.yahoo_replies import Reply, YahooSession, listening, other_symbol, verdict_on_all

__all__ = ["YahooSource", "shares_since"]

_BEGINNING = dt.date(1900, 1, 1)
_COLUMNS = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Adj Close": "adj_close", "Volume": "volume"}
_PRICES_AS_TRADED = ["open", "high", "low", "close"]
_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")

_client_lock = threading.Lock()
_client_process: int | None = None
"""The process whose client this is: a forked one inherits its open files and connections."""


class YahooSource:
    """Daily prices, dividends and splits from Yahoo Finance.

    One per run; threads may share it. It never repeats a request: `jobs.retrying` does.

    Args:
        cache_dir: where the client's own time-zone and cookie files lie, in a numbered folder for each process that fetches at the
            same time. The client is process-wide and keeps the folder of its first fetch, whichever `cache_dir` later sources have.
            Only the owner may write there: the client unpickles its cookies.
        now: the UTC instant of the run. Splits dated after it are not undone.
        session: for tests, a session that leads elsewhere; `proxy` and `timeout_s` are then its own affair.
        proxy: address of an HTTP proxy.
        requests_at_once: tickers fetched at the same time; Yahoo answers larger crowds with 429.
        pause_s: seconds that a place stays taken after a fetch, to spread the requests.
        timeout_s: seconds for each single request; a fetch needs one or two, up to seven where Yahoo refuses, and twice in a process's
            life fourteen.
        sleep: how to wait.
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
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._cache_dir = cache_dir
        self._now = now
        self._session = session if session is not None else YahooSession(proxy=proxy, timeout_s=timeout_s)
        self._places = threading.BoundedSemaphore(requests_at_once)
        self._pause_s = pause_s
        self._sleep = sleep
        self._breaker = CircuitBreaker(self.name)

    def default_tickers(self) -> tuple[Ticker, ...]:
        """None: Yahoo knows too many."""
        return ()

    def passed_over(self) -> tuple[str, ...]:
        return ()

    def fetch(self, ticker: Ticker, first: dt.date | None, last: dt.date) -> FetchedPrices:
        """Every row of `ticker` from `first` (None: from the beginning) to `last`, both inclusive, oldest first, as traded.

        Raises:
            UnknownTicker: Yahoo says "not found" in its own words; an outage never reads so.
            NoPrices: Yahoo knows the ticker, but has no row for these sessions.
            RateLimited, SourceOutage, BadReply: try again later.
            SourceGivenUp: too many other tickers failed; nothing was asked.
            FatalError: this process was forked from one that had fetched.
        """
        if first is not None and first > last:
            raise NoPrices(ticker, f"no session lies between {first} and {last}: the first is after the last", rule="no_prices")
        if _ISIN.fullmatch(ticker):
            raise UnknownTicker(ticker, "this is an ISIN, not a ticker: give Yahoo's ticker for it", rule="unknown_ticker")
        with self._places:
            self._breaker.admit(ticker)
            try:
                fetched = self._fetch_once(ticker, first, last)
            except TickercastError as problem:
                self._breaker.record(ticker, failed=isinstance(problem, TransientError))
                raise
            finally:
                self._sleep(self._pause_s)
            self._breaker.record(ticker, failed=False)
            return fetched

    def _fetch_once(self, ticker: Ticker, first: dt.date | None, last: dt.date) -> FetchedPrices:
        # UTC+14 is a day ahead, and the client's end is exclusive: two days more than today in UTC.
        end = max(last + dt.timedelta(days=1), self._now.date() + dt.timedelta(days=2))
        with listening() as replies:
            try:
                _prepare_client(self._cache_dir)
                client = yf.Ticker(ticker, session=self._session)
                table = client.history(
                    start=first or _BEGINNING, end=end, interval="1d", auto_adjust=False, actions=True, repair=False, keepna=True
                )
                return self._fetched(ticker, table, client.history_metadata, replies, first or _BEGINNING, last)
            except TickercastError:
                raise
            except Exception as problem:  # the client raises whatever its parsing ran into
                # From None: the client's texts and frames may hold the crumb or the proxy's password.
                raise _explained(ticker, problem, replies, self._cache_dir) from None

    def _fetched(
        self, ticker: Ticker, table: pd.DataFrame, meta: Mapping[str, Any], replies: list[Reply], first: dt.date, last: dt.date
    ) -> FetchedPrices:
        if other := other_symbol(ticker, meta.get("symbol")):
            raise other
        zone = str(meta["exchangeTimezoneName"])
        if meta.get("dataGranularity", "1d") != "1d":
            raise BadReply(f"{ticker}: Yahoo's rows are not daily but per {meta['dataGranularity']!r}: try again later")
        currency = meta.get("currency")
        if not isinstance(currency, str | None):
            raise BadReply(f"{ticker}: Yahoo names its currency by a {type(currency).__name__}, expected a text: try again later")
        table = table.set_axis(_plain_sessions(table.index), axis="index")
        splits = _splits(ticker, table, self._now.astimezone(ZoneInfo(zone)).date())
        as_traded = _as_traded(table, splits)
        asked = as_traded[(as_traded.index >= pd.Timestamp(first)) & (as_traded.index <= pd.Timestamp(last))]
        if asked.empty:
            raise NoPrices(ticker, f"Yahoo has no row from {first} to {last}, only others", rule="no_prices")
        contradicting = asked.index.isin(_contradicting_days(replies[-1].body, zone))
        refused = [_refused_days(ticker, asked[contradicting]), _refused_dividends(ticker, asked)]
        return FetchedPrices(
            ticker,
            _prices(ticker, asked[~contradicting]),
            _actions(asked),
            currency=currency,
            exchange_timezone=zone,
            refused=pd.concat(refused, ignore_index=True),
        )


def _prepare_client(cache_dir: Path) -> None:
    """Sets what yfinance keeps for the whole process. Cheap, and safe to repeat."""
    global _client_process
    with _client_lock:
        if _client_process is None:
            yf.set_tz_cache_location(str(own_folder(cache_dir)))
            _client_process = os.getpid()
    if _client_process != os.getpid():
        raise FatalError("this process was forked from one that had asked Yahoo, whose connections it must not share: spawn it instead")
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
        return BadReply(f"{ticker}: Yahoo's reply looks like prices but cannot be read ({kind}): try again later")
    return SourceOutage(
        f"{ticker}: the Yahoo client failed before it asked for prices ({kind}): see that {cache_dir} can be written, or try again later"
    )


def _plain_sessions(index: pd.Index) -> pd.DatetimeIndex:
    """The exchange's own dates, at midnight, without a zone; the index is in the exchange's zone already."""
    return pd.DatetimeIndex(index).tz_localize(None).normalize().as_unit("us")


def shares_since(sessions: pd.DatetimeIndex, splits: pd.Series) -> np.ndarray:
    """How many shares one share of each session has become since: the product of all splits *after* it.

    Args:
        sessions: (n,) dates.
        splits: new shares per old, indexed by session, oldest first.

    Returns:
        (n,) float64, 1.0 where no split follows. A split's own session trades on the new basis already.

    >>> days = pd.DatetimeIndex(["2014-06-06", "2014-06-09", "2020-08-28", "2020-08-31"])
    >>> shares_since(days, pd.Series([7.0, 4.0], index=days[[1, 3]])).tolist()
    [28.0, 4.0, 4.0, 1.0]
    """
    products = np.append(np.cumprod(splits.to_numpy(dtype=float)[::-1])[::-1], 1.0)
    since: np.ndarray = products[splits.index.searchsorted(sessions, side="right")]
    return since


def _splits(ticker: Ticker, table: pd.DataFrame, today: dt.date) -> pd.Series:
    """The splits that have happened by the exchange's `today`; `BadReply` for one that cannot be undone."""
    ratios = table["Stock Splits"].astype(float)
    splits = ratios[(ratios != 0) & (ratios.index <= pd.Timestamp(today))].sort_index()
    impossible = splits[~((splits > 0) & np.isfinite(splits))]
    if not impossible.empty:
        day, ratio = impossible.index[0].date(), impossible.iloc[0]
        raise BadReply(f"{ticker}: Yahoo reports a split of {ratio} new shares per old on {day}, expected above 0: try later")
    return splits


def _as_traded(table: pd.DataFrame, splits: pd.Series) -> pd.DataFrame:
    """The client's table by session in our columns, with the splits undone; `adj_close` as it came."""
    shares = shares_since(pd.DatetimeIndex(table.index), splits)
    rows = table[list(_COLUMNS)].rename(columns=_COLUMNS).astype(float)
    rows[_PRICES_AS_TRADED] = rows[_PRICES_AS_TRADED].mul(shares, axis="index")
    rows["volume"] = (rows["volume"] / shares).round()  # traded volumes are whole numbers
    rows["dividend"] = table["Dividends"].astype(float) * shares
    rows["split"] = splits.reindex(rows.index, fill_value=0.0)
    return rows.sort_index()


def _prices(ticker: Ticker, rows: pd.DataFrame) -> pd.DataFrame:
    frame = rows.rename_axis("session").reset_index()
    frame["origin"] = _origins(ticker, rows.index)
    return frame[list(RAW_COLUMNS)]


def _actions(rows: pd.DataFrame) -> pd.DataFrame:
    found = rows.rename_axis("session")[["dividend", "split"]].reset_index().melt("session", var_name="kind")
    good = found[(found["value"] > 0) & np.isfinite(found["value"])]
    return good.sort_values(["session", "kind"], ignore_index=True)[list(ACTION_COLUMNS)]


def _origins(ticker: Ticker, sessions: pd.Index) -> list[str]:
    return [f"yahoo {ticker} {day:%Y-%m-%d}" for day in sessions]


def _refused(ticker: Ticker, rows: pd.DataFrame, rule: str, reason: str) -> pd.DataFrame:
    texts = [row.to_json() for _, row in rows.iterrows()]
    columns = {"session": rows.index, "row": texts, "origin": _origins(ticker, rows.index), "rule": rule, "reason": reason}
    return pd.DataFrame(columns)


def _refused_days(ticker: Ticker, rows: pd.DataFrame) -> pd.DataFrame:
    reason = "Yahoo gave two different rows for this session; this is the one that its client kept"
    return _refused(ticker, rows, "duplicate_session", reason)


def _refused_dividends(ticker: Ticker, rows: pd.DataFrame) -> pd.DataFrame:
    impossible = rows[(rows["dividend"] != 0) & ~((rows["dividend"] > 0) & np.isfinite(rows["dividend"]))]
    return _refused(ticker, impossible[["dividend"]], "bad_dividend", "a dividend must be a number above 0")


def _contradicting_days(body: bytes, zone: str) -> pd.DatetimeIndex:
    """Days for which the reply has rows that differ, the last one left out: there the live row beside the day's row is usual."""
    result = json.loads(body)["chart"]["result"][0]
    quotes = pd.DataFrame(result["indicators"]["quote"][0])
    quotes["day"] = _plain_sessions(pd.to_datetime(result["timestamp"], unit="s", utc=True).tz_convert(zone))
    distinct = quotes.drop_duplicates()
    twice = distinct.loc[distinct["day"].duplicated(), "day"]
    return pd.DatetimeIndex(twice[twice < quotes["day"].max()].unique())
