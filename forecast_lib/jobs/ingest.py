"""Prices in: ask the source for what is missing, check it, and say what is new.

Each ticker is asked from a few sessions before its last stored one. Where that overlap differs from what is stored, or a corporate
action turns up that was not known, the whole history is read again, because sources rewrite it. Nothing is stored here: the
new rows travel with the run and are written with everything else it made.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import FatalError, FileRefused, TickercastError, TickerError
from forecast_lib.prices.adjust import split_adjusted
from forecast_lib.prices.checks import CheckedPrices, check_prices
from forecast_lib.prices.source import ACTION_COLUMNS, FetchedPrices, PriceSource
from forecast_lib.sessions import TickerCalendar, calendar_for
from forecast_lib.store import database, reads, revisions
from forecast_lib.tables import PRICE_VALUES, empty
from forecast_lib.windows.series import TickerSeries, series_of

__all__ = ["OVERLAP_SESSIONS", "Fetched", "Known", "Market", "Problem", "fetch_ticker", "join_market", "read_known", "stored_market"]

OVERLAP_SESSIONS = 10
"""Sources revise the last days for about a week (facts of daily Yahoo bars): so many stored sessions are asked for again."""

Fetch = Callable[[PriceSource, Ticker, dt.date | None, dt.date], FetchedPrices]


@dataclass(frozen=True)
class Problem:
    """Why a ticker is not as it should be: a short stable name, and a sentence for people."""

    rule: str
    reason: str


@dataclass(frozen=True)
class Known:
    """What the store knew before the run, as of its evening: columns of `prices` and of `corporate_actions`."""

    prices: pd.DataFrame
    actions: pd.DataFrame

    def of(self, ticker: str) -> "Known":
        """One ticker's part."""
        return Known(self.prices[self.prices["ticker"] == ticker], self.actions[self.actions["ticker"] == ticker])


@dataclass(frozen=True)
class Fetched:
    """One ticker's answer, checked. `good` and `actions` are empty where a problem holds the ticker back.

    Attributes:
        good: rows fit to be stored: columns of `prices` without revision, known_at, run_id.
        actions: ticker, session, kind, value.
        quarantined: ticker, session, row, origin, rule, reason.
    """

    ticker: Ticker
    calendar: TickerCalendar
    good: pd.DataFrame
    actions: pd.DataFrame
    quarantined: pd.DataFrame
    problem: Problem | None = None


@dataclass(frozen=True)
class Market:
    """Everything known about the tickers at the run's evening, stored and new.

    Attributes:
        series: split-adjusted history of each ticker that has one.
        prices, actions, quarantined: new rows, as they will be stored (without run_id).
        seen: every price row that the run looked at, columns of `prices` without run_id.
        problems: by ticker, why its newest prices are not here.
        rows_new, rows_refused: by ticker.
    """

    series: dict[str, TickerSeries]
    calendars: dict[str, TickerCalendar]
    currencies: dict[str, str | None]
    prices: pd.DataFrame
    actions: pd.DataFrame
    quarantined: pd.DataFrame
    seen: pd.DataFrame
    problems: dict[str, Problem] = field(default_factory=dict)
    rows_new: dict[str, int] = field(default_factory=dict)
    rows_refused: dict[str, int] = field(default_factory=dict)


def read_known(workspace: Path, tickers: Sequence[Ticker], as_of: AsOf) -> Known:
    """Prices and actions of the tickers, as the store knows them at `as_of`."""
    with database.open_working(workspace, as_of.now) as con:
        return Known(reads.read_prices(con, tickers, as_of), reads.read_actions(con, tickers, as_of))


def _nothing(ticker: Ticker, calendar: TickerCalendar, problem: Problem, quarantined: pd.DataFrame | None = None) -> Fetched:
    prices = empty("prices").drop(columns=["revision", "known_at", "run_id"])
    actions = empty("corporate_actions").drop(columns=["known_at", "run_id"])
    refused = empty("quarantined_prices").drop(columns=["run_id", "known_at", "released_at"])
    return Fetched(ticker, calendar, prices, actions, refused if quarantined is None else quarantined, problem)


def _differs(checked: CheckedPrices, known: Known) -> bool:
    """Whether what the source says about sessions already stored is not what is stored, or an action is new."""
    both = checked.good.merge(known.prices, on="session", suffixes=("", "_known"))
    for column in ("open", "high", "low", "close", "volume"):
        now, then = both[column].to_numpy(float), both[f"{column}_known"].to_numpy(float)
        if not np.allclose(now, then, rtol=revisions.TOLERANCE, atol=0.0, equal_nan=True):
            return True
    listed = checked.actions.merge(known.actions, on=["session", "kind"], how="left", suffixes=("", "_known"))
    return bool(listed["value_known"].isna().any())


def _currency_problem(fetched: FetchedPrices, known: Known) -> Problem | None:
    stored = known.prices["currency"].dropna().unique()
    if fetched.currency is None or len(stored) == 0 or fetched.currency == stored[-1]:
        return None
    return Problem(
        "currency_changed",
        f"{fetched.ticker}: the source now quotes {fetched.currency}, the stored prices are in {stored[-1]}; held until that is explained",
    )


def fetch_ticker(source: PriceSource, ticker: Ticker, known: Known, as_of: AsOf, fetch: Fetch) -> Fetched:
    """Ask the source for one ticker and check the answer; whatever goes wrong is that ticker's problem, not an exception.

    Args:
        known: the ticker's stored rows.
        fetch: asks the source, with retries.
    """
    calendar = calendar_for(ticker)
    try:
        stored = known.prices["session"]
        first = stored.iloc[-OVERLAP_SESSIONS:].min().date() if len(stored) else None
        fetched = fetch(source, ticker, first, as_of.day)
        calendar = calendar_for(ticker, fetched.exchange_timezone)
        checked = check_prices(fetched, calendar, as_of, known=known.prices, known_actions=known.actions[list(ACTION_COLUMNS)])
        if first is not None and checked.hold is None and _differs(checked, known):
            fetched = fetch(source, ticker, None, as_of.day)
            checked = check_prices(fetched, calendar, as_of, known=known.prices, known_actions=known.actions[list(ACTION_COLUMNS)])
    except FileRefused as error:
        return _nothing(ticker, calendar, Problem("file_refused", str(error)))
    except FatalError:
        raise
    except TickerError as error:
        return _nothing(ticker, calendar, Problem(error.rule, error.reason))
    except TickercastError as error:
        return _nothing(ticker, calendar, Problem(type(error).__name__, str(error)))
    except Exception as error:  # one odd reply must not end everybody's night
        return _nothing(ticker, calendar, Problem("internal_error", f"{ticker}: unexpected {type(error).__name__}: {error}"))
    quarantined = checked.quarantined.assign(ticker=ticker)
    problem = _currency_problem(fetched, known)
    if checked.hold is not None:
        problem = Problem(checked.hold.rule, checked.hold.reason)
    if problem is not None:
        return _nothing(ticker, calendar, problem, quarantined)
    good = checked.good[["session", *PRICE_VALUES]].assign(ticker=ticker, currency=fetched.currency, source=source.name)
    return Fetched(ticker, calendar, good, checked.actions.assign(ticker=ticker), quarantined)


def _typed(table: str, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    types = empty(table).dtypes.to_dict()
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return empty(table)
    joined = pd.concat(filled, ignore_index=True)
    return joined.astype({name: kind for name, kind in types.items() if name in joined.columns})


def _new_rows(workspace: Path, fetched: Sequence[Fetched], as_of: AsOf) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    good = _typed("prices", [each.good for each in fetched])
    actions = _typed("corporate_actions", [each.actions for each in fetched])
    refused = _typed("quarantined_prices", [each.quarantined for each in fetched])
    with database.open_working(workspace, as_of.now) as con:
        prices = revisions.diff_prices(con, good, as_of)
        actions = revisions.diff_actions(con, actions, as_of)
        already = reads.quarantine_keys(con, [each.ticker for each in fetched])
    keys = zip(refused["ticker"], refused["row"], refused["rule"], strict=True)
    unseen = np.array([key not in already for key in keys], dtype=bool)
    refused = refused[unseen].drop_duplicates(["ticker", "row", "rule", "origin"])
    return prices, actions, refused.assign(known_at=pd.Timestamp(as_of.now).tz_localize(None), released_at=pd.NaT)


def _overlaid(stored: pd.DataFrame, new: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    joined = pd.concat([stored.drop(columns="run_id"), new.drop(columns="run_id", errors="ignore")], ignore_index=True)
    return joined.drop_duplicates(key, keep="last").sort_values(key, ignore_index=True)


def _market(
    seen: pd.DataFrame, all_actions: pd.DataFrame, calendars: Mapping[str, TickerCalendar], new: tuple[pd.DataFrame, ...]
) -> Market:
    by_ticker = {str(name): rows for name, rows in seen.groupby("ticker")}
    actions_of = {str(name): rows for name, rows in all_actions.groupby("ticker")}
    none = all_actions.iloc[:0]
    currencies = {name: rows["currency"].iloc[-1] for name, rows in by_ticker.items()}
    return Market(
        series={name: series_of(name, split_adjusted(rows, actions_of.get(name, none))) for name, rows in by_ticker.items()},
        calendars=dict(calendars),
        currencies={name: currency if pd.notna(currency) else None for name, currency in currencies.items()},
        prices=new[0],
        actions=new[1],
        quarantined=new[2],
        seen=seen,
    )


def join_market(workspace: Path, fetched: Sequence[Fetched], known: Known, as_of: AsOf) -> Market:
    """The market as the run sees it: what was stored, overlaid with what the source said tonight."""
    prices, actions, quarantined = _new_rows(workspace, fetched, as_of)
    seen = _overlaid(known.prices, prices, ["ticker", "session"])
    all_actions = _overlaid(known.actions, actions, ["ticker", "session", "kind"])
    market = _market(seen, all_actions, {str(each.ticker): each.calendar for each in fetched}, (prices, actions, quarantined))
    return dataclasses.replace(
        market,
        problems={each.ticker: each.problem for each in fetched if each.problem is not None},
        rows_new=prices["ticker"].value_counts().to_dict(),
        rows_refused={each.ticker: len(each.quarantined) for each in fetched},
    )


def stored_market(known: Known, tickers: Sequence[Ticker]) -> Market:
    """The market of a past night: what was stored by then, and no source asked."""
    nothing = tuple(empty(table).drop(columns="run_id") for table in ("prices", "corporate_actions", "quarantined_prices"))
    calendars: Mapping[str, TickerCalendar] = {str(ticker): calendar_for(ticker) for ticker in tickers}
    return _market(known.prices.drop(columns="run_id"), known.actions.drop(columns="run_id"), calendars, nothing)
