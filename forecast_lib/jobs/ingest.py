"""Prices in: ask the source for what is missing, check it, and say what is new.

Each ticker is asked from a few sessions before its last stored one, or from its oldest open gap. Where that overlap differs from
what is stored, or a corporate action turns up that was not known, the whole history is read again, because sources rewrite it.
Nothing is stored here: the new rows travel with the run and are written with everything else it made.
"""

import dataclasses
import datetime as dt
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import FatalError, FileRefused, TickercastError, TickerError, UnknownTicker
from forecast_lib.jobs.absence import judged_absence
from forecast_lib.jobs.gaps import changed_gaps, first_open_gap
from forecast_lib.prices.adjust import split_adjusted, split_factors
from forecast_lib.prices.checks import FINDING_COLUMNS, CheckedPrices, check_prices
from forecast_lib.prices.rules import severities_from
from forecast_lib.prices.source import ACTION_COLUMNS, FetchedPrices, PriceSource
from forecast_lib.sessions import TickerCalendar, calendar_for
from forecast_lib.store import database, reads, revisions
from forecast_lib.tables import PRICE_VALUES, empty
from forecast_lib.windows.series import TickerSeries, series_of

__all__ = ["OVERLAP_SESSIONS", "Fetched", "Known", "Market", "Problem", "fetch_ticker", "join_market", "read_known", "stored_market"]

OVERLAP_SESSIONS = 10
"""Sources revise the last days for about a week (facts of daily Yahoo bars): so many stored sessions are asked for again."""

_STATUS_COLUMNS = ("ticker", "as_of", "known_at", "kind", "reason", "trigger", "calendar")
_NOWHERE = np.empty(0, dtype=np.intp)
_NO_CALENDAR = "weekdays"

Fetch = Callable[[PriceSource, Ticker, dt.date | None, dt.date], FetchedPrices]


@dataclass(frozen=True)
class Problem:
    """Why a ticker is not as it should be: a short stable name, and a sentence for people."""

    rule: str
    reason: str


@dataclass(frozen=True)
class Known:
    """What the store knew before the run, as of its evening. Each frame has the rows of a ticker beside each other.

    Attributes:
        prices, actions: columns of `prices` and of `corporate_actions`.
        gaps: the newest state of every gap: columns of `price_gaps`.
        released: rows that a person released: columns of `quarantined_prices`.
        statuses: how the tickers fared in earlier runs (`reads.read_statuses`), newest run first.
    """

    prices: pd.DataFrame
    actions: pd.DataFrame
    gaps: pd.DataFrame = field(default_factory=lambda: empty("price_gaps"))
    released: pd.DataFrame = field(default_factory=lambda: empty("quarantined_prices"))
    statuses: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(_STATUS_COLUMNS)))

    def of(self, ticker: str) -> "Known":
        """One ticker's part."""
        return Known(*(frame.iloc[places.get(ticker, _NOWHERE)] for frame, places in zip(self._frames, self._places, strict=True)))

    def calendar_of(self, ticker: str) -> TickerCalendar:
        """The calendar that the ticker's newest run used, the source's time zone considered; else the one its name tells."""
        mine = self.statuses.iloc[self._places[-1].get(ticker, _NOWHERE)]
        names = mine["calendar"].dropna()
        usual = calendar_for(ticker)
        if names.empty or names.iloc[0] == usual.name:
            return usual
        return TickerCalendar(names.iloc[0], recorded_fallback=names.iloc[0] == _NO_CALENDAR)

    @property
    def _frames(self) -> tuple[pd.DataFrame, ...]:
        return self.prices, self.actions, self.gaps, self.released, self.statuses

    @functools.cached_property
    def _places(self) -> tuple[dict[str, NDArray[np.intp]], ...]:
        """Where each ticker's rows lie in each frame: found once, not once a ticker."""
        return tuple(frame.groupby("ticker").indices for frame in self._frames)


@dataclass(frozen=True)
class Fetched:
    """One ticker's answer, checked. `good` and `actions` are empty where a problem holds the ticker back.

    Attributes:
        good: rows fit to be stored: columns of `prices` without revision, known_at, run_id.
        actions: ticker, session, kind, value.
        quarantined: ticker, session, row, origin, rule, reason.
        findings: ticker, rule, severity, rows, session: how often each rule struck.
        seconds: how long it took to come and be checked.
    """

    ticker: Ticker
    calendar: TickerCalendar
    good: pd.DataFrame
    actions: pd.DataFrame
    quarantined: pd.DataFrame
    problem: Problem | None = None
    findings: pd.DataFrame = field(default_factory=lambda: _no_rows("quality_counts", "run_id"))
    seconds: float = 0.0


@dataclass(frozen=True)
class Market:
    """Everything known about the tickers at the run's evening, stored and new.

    Attributes:
        series: split-adjusted history of each ticker that has one.
        prices, actions, quarantined, gaps, findings: new rows of `prices`, `corporate_actions`, `quarantined_prices`, `price_gaps`
            and `quality_counts`, as they will be stored (without run_id).
        missing: by ticker, how many sessions lack a price and were not declared closed.
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
    gaps: pd.DataFrame = field(default_factory=lambda: _no_rows("price_gaps", "run_id"))
    findings: pd.DataFrame = field(default_factory=lambda: _no_rows("quality_counts", "run_id"))
    missing: dict[str, int] = field(default_factory=dict)


def _no_rows(table: str, *left_out: str) -> pd.DataFrame:
    return empty(table).drop(columns=["source", *left_out])


def read_known(workspace: Path, tickers: Sequence[Ticker], as_of: AsOf) -> Known:
    """What the store knows about the tickers at `as_of`."""
    with database.open_working(workspace, as_of.now) as con:
        return Known(
            reads.read_prices(con, tickers, as_of),
            reads.read_actions(con, tickers, as_of),
            reads.read_gaps(con, tickers, as_of),
            reads.read_released(con, tickers, as_of),
            reads.read_statuses(con, tickers, as_of),
        )


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


def _first_asked(known: Known) -> dt.date | None:
    """From the overlap's first session, or the oldest open gap; None: the whole history."""
    stored = known.prices["session"]
    if stored.empty:
        return None
    overlap, gap = stored.iloc[-OVERLAP_SESSIONS:].min(), first_open_gap(known.gaps)
    first: dt.date = (overlap if gap is None else min(overlap, gap)).date()
    return first


def fetch_ticker(source: PriceSource, ticker: Ticker, known: Known, as_of: AsOf, fetch: Fetch, rules: Sequence[str] = ()) -> Fetched:
    """Ask the source for one ticker and check the answer; whatever goes wrong is that ticker's problem, not an exception.

    Args:
        known: the ticker's stored rows.
        fetch: asks the source, with retries.
        rules: severities that differ from the usual ones.
    """
    began = time.perf_counter()
    fetched = _fetched(source, ticker, known, as_of, fetch, rules)
    return dataclasses.replace(fetched, seconds=time.perf_counter() - began)


def _fetched(source: PriceSource, ticker: Ticker, known: Known, as_of: AsOf, fetch: Fetch, rules: Sequence[str]) -> Fetched:
    calendar = known.calendar_of(ticker)
    severities = severities_from(rules)

    def checked_from(first: dt.date | None) -> tuple[FetchedPrices, TickerCalendar, CheckedPrices]:
        fetched = fetch(source, ticker, first, as_of.day)
        zone = fetched.exchange_timezone
        own = calendar if zone is None else calendar_for(ticker, zone)
        past = {"known": known.prices, "known_actions": known.actions[list(ACTION_COLUMNS)], "released": known.released}
        return fetched, own, check_prices(fetched, own, as_of, severities=severities, **past)

    try:
        first = _first_asked(known)
        fetched, calendar, checked = checked_from(first)
        if first is not None and checked.hold is None and _differs(checked, known):
            fetched, calendar, checked = checked_from(None)
    except FileRefused as error:
        return _nothing(ticker, calendar, Problem("file_refused", str(error)))
    except FatalError:
        raise
    except UnknownTicker as error:
        return _nothing(ticker, calendar, Problem(*judged_absence(error, known.statuses, calendar, as_of)))
    except TickerError as error:
        return _nothing(ticker, calendar, Problem(error.rule, error.reason))
    except TickercastError as error:
        return _nothing(ticker, calendar, Problem(type(error).__name__, str(error)))
    except Exception as error:  # one odd reply must not end everybody's night
        return _nothing(ticker, calendar, Problem("internal_error", f"{ticker}: unexpected {type(error).__name__}: {error}"))
    return _judged(checked, fetched, known, calendar, source.name)


def _judged(checked: CheckedPrices, fetched: FetchedPrices, known: Known, calendar: TickerCalendar, source: str) -> Fetched:
    ticker = checked.ticker
    quarantined = checked.quarantined.assign(ticker=ticker)
    findings = checked.findings[list(FINDING_COLUMNS)].assign(ticker=ticker)
    problem = _currency_problem(fetched, known)
    if checked.hold is not None:
        problem = Problem(checked.hold.rule, checked.hold.reason)
    if problem is not None:
        return dataclasses.replace(_nothing(ticker, calendar, problem, quarantined), findings=findings)
    good = checked.good[["session", *PRICE_VALUES]].assign(ticker=ticker, currency=fetched.currency, source=source)
    return Fetched(ticker, calendar, good, checked.actions.assign(ticker=ticker), quarantined, findings=findings)


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


def _series(ticker: str, prices: pd.DataFrame, actions: pd.DataFrame) -> TickerSeries:
    return series_of(ticker, split_adjusted(prices, actions), split_factors(prices["session"], actions))


def _market(
    seen: pd.DataFrame, all_actions: pd.DataFrame, calendars: Mapping[str, TickerCalendar], new: tuple[pd.DataFrame, ...]
) -> Market:
    by_ticker = {str(name): rows for name, rows in seen.groupby("ticker")}
    actions_of = {str(name): rows for name, rows in all_actions.groupby("ticker")}
    none = all_actions.iloc[:0]
    currencies = {name: rows["currency"].iloc[-1] for name, rows in by_ticker.items()}
    return Market(
        series={name: _series(name, rows, actions_of.get(name, none)) for name, rows in by_ticker.items()},
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
    gaps = changed_gaps(_sessions_of(market), market.calendars, known.gaps, as_of)
    return dataclasses.replace(
        market,
        problems={each.ticker: each.problem for each in fetched if each.problem is not None},
        rows_new=prices["ticker"].value_counts().to_dict(),
        rows_refused={each.ticker: len(each.quarantined) for each in fetched},
        gaps=gaps,
        findings=_typed("quality_counts", [each.findings for each in fetched]).drop(columns=["run_id", "source"], errors="ignore"),
        missing=_still_missing(known.gaps, gaps),
    )


def _sessions_of(market: Market) -> dict[str, pd.DatetimeIndex]:
    return {ticker: pd.DatetimeIndex(series.sessions).as_unit("us") for ticker, series in market.series.items()}


def _still_missing(before: pd.DataFrame, tonight: pd.DataFrame) -> dict[str, int]:
    newest = pd.concat([frame[["ticker", "session", "state"]] for frame in (before, tonight)], ignore_index=True)
    newest = newest.drop_duplicates(["ticker", "session"], keep="last")
    return {str(ticker): int(count) for ticker, count in newest.loc[newest["state"] == "missing", "ticker"].value_counts().items()}


def stored_market(known: Known, tickers: Sequence[Ticker], as_of: AsOf) -> Market:
    """The market of a past night: what was stored by then, and no source asked.

    A ticker whose prices did not come that night keeps its model as it did then: its problem is recalled from the night's status row.
    """
    nothing = tuple(empty(table).drop(columns="run_id") for table in ("prices", "corporate_actions", "quarantined_prices"))
    calendars = {str(ticker): known.calendar_of(ticker) for ticker in tickers}
    market = _market(known.prices.drop(columns="run_id"), known.actions.drop(columns="run_id"), calendars, nothing)
    none = known.gaps.iloc[:0]
    return dataclasses.replace(market, problems=_recalled(known, as_of), missing=_still_missing(known.gaps, none))


def _recalled(known: Known, as_of: AsOf) -> dict[str, Problem]:
    """Why prices were not new on that evening, from its last nightly run; not where some came later that was known then."""
    of_the_evening = known.statuses[(known.statuses["as_of"] == pd.Timestamp(as_of.day)) & (known.statuses["kind"] == "nightly")]
    last = of_the_evening.drop_duplicates("ticker")
    held = last[last["trigger"] == "no_new_prices"]
    newest = known.prices.groupby("ticker")["known_at"].max()
    return {
        str(row.ticker): Problem(*str(row.reason).partition(": ")[::2])
        for row in held.itertuples()
        if not newest.get(row.ticker, pd.Timestamp.min) > row.known_at
    }
