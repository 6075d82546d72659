"""Prices in: ask the source for what is missing, check it, and say what is new.

Each ticker is asked from a few sessions before its last stored one, or from its oldest open gap. Where that overlap differs from
what is stored, or a corporate action turns up that was not known, the whole history is read again, because sources rewrite it.
Nothing is stored here: the new rows travel with the run and are written with everything else it made.
"""

import contextlib
import dataclasses
import datetime as dt
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.config import Rename
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import FatalError, FileRefused, TickercastError, TickerError, UnknownTicker
from forecast_lib.jobs.absence import SAID_BEFORE, judged_absence
from forecast_lib.jobs.ends import End
from forecast_lib.jobs.gaps import changed_gaps, first_open_gap
from forecast_lib.prices.actions import WITHDRAWN, checked_actions, standing
from forecast_lib.prices.checks import CheckedPrices, check_prices
from forecast_lib.prices.linked import linked
from forecast_lib.prices.plain import TAIL_SESSIONS, plain_tickers, rows_beside
from forecast_lib.prices.refusals import GOOD_COLUMNS
from forecast_lib.prices.rules import severities_from
from forecast_lib.prices.source import ACTION_COLUMNS, FetchedPrices, PriceSource
from forecast_lib.sessions import TickerCalendar, calendar_for
from forecast_lib.store import database, reads, revisions
from forecast_lib.store.bulk import CleanRows
from forecast_lib.store.hashing import Digests, prices_hash, stored_digests
from forecast_lib.store.histories import read_histories
from forecast_lib.tables import empty
from forecast_lib.windows.histories import FIGURES, Histories, Splits, series_from, splits_of
from forecast_lib.windows.series import TickerSeries

__all__ = [
    "OVERLAP_SESSIONS",
    "Fetched",
    "Known",
    "Market",
    "Problem",
    "Taken",
    "fetch_ticker",
    "first_asked",
    "join_market",
    "nothing_taken",
    "overlaid_actions",
    "read_known",
    "reading_digests",
    "stored_market",
    "with_whole_past",
]

OVERLAP_SESSIONS = 10
"""Sources revise the last days for about a week (facts of daily Yahoo bars): so many stored sessions are asked for again."""

_TAIL = dt.timedelta(days=450)
"""TAIL_SESSIONS of every calendar, with some to spare."""

_STATUS_COLUMNS = ("ticker", "as_of", "known_at", "kind", "reason", "trigger", "calendar", "problem")
_NO_CALENDAR = "weekdays"

Fetch = Callable[[PriceSource, Ticker, dt.date | None, dt.date], FetchedPrices]


@dataclass(frozen=True)
class Problem:
    """Why a ticker is not as it should be: a short stable name, and a sentence for people."""

    rule: str
    reason: str


@dataclass(frozen=True)
class Known:
    """What the store knew before the run, as of its evening.

    Attributes:
        histories: the prices of all tickers asked for.
        ends_only: of each ticker maybe only those of the last year and more (`read_known`).
        actions, gaps, released, statuses: as `reads` has them: the newest state of each action and gap; rows that a person released;
            how the tickers fared in the runs that still tell something, newest first.
    """

    histories: Histories
    actions: pd.DataFrame = field(default_factory=lambda: empty("corporate_actions"))
    gaps: pd.DataFrame = field(default_factory=lambda: empty("price_gaps"))
    released: pd.DataFrame = field(default_factory=lambda: empty("quarantined_prices"))
    statuses: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(_STATUS_COLUMNS)))
    ends_only: bool = False

    def of(self, ticker: str) -> "KnownTicker":
        """One ticker's part."""
        place = self._place[ticker]
        histories = self.histories.of_ticker(place, slice(*self._bounds[place : place + 2]))
        parts = zip(self._frames, self._places, strict=True)
        frames = [frame.iloc[places[ticker]] if ticker in places else frame.iloc[:0] for frame, places in parts]
        splits = {ticker: self.splits[ticker]} if ticker in self.splits else {}
        return KnownTicker(histories, self.calendar_of(ticker), splits, *frames)

    def sessions_of(self, ticker: str) -> NDArray[np.datetime64]:
        """Of one ticker's stored rows, ascending."""
        place = self._place[ticker]
        return self.histories.sessions[slice(*self._bounds[place : place + 2])]

    def first_session_of(self, ticker: str) -> dt.date | None:
        """The first of the stored sessions that were read; None where there is none."""
        sessions = self.sessions_of(ticker)
        first: dt.date | None = sessions[0].item() if len(sessions) else None
        return first

    def calendar_of(self, ticker: str) -> TickerCalendar:
        """The calendar that the ticker's newest run used, the source's time zone considered; else the one its name tells."""
        name = self._calendars.get(ticker)
        usual = calendar_for(ticker)
        if name is None or name == usual.name:
            return usual
        return TickerCalendar(name, recorded_fallback=name == _NO_CALENDAR)

    @functools.cached_property
    def waiting(self) -> pd.DataFrame:
        """The gaps that no price has filled yet, those that a person closed among them."""
        return self.gaps[self.gaps["state"] != "filled"]

    @functools.cached_property
    def missing(self) -> dict[str, pd.Timestamp]:
        """The oldest open gap of the tickers that have one."""
        return {str(ticker): rows.min() for ticker, rows in self.gaps.loc[self.gaps["state"] == "missing"].groupby("ticker")["session"]}

    @functools.cached_property
    def splits(self) -> Splits:
        """Of the tickers that have any."""
        return splits_of(self.actions)

    @property
    def _frames(self) -> tuple[pd.DataFrame, ...]:
        return self.actions, self.gaps, self.released, self.statuses

    @functools.cached_property
    def _places(self) -> tuple[dict[str, NDArray[np.intp]], ...]:
        """Where each ticker's rows lie in each frame: found once, not once a ticker."""
        return tuple(frame.groupby("ticker").indices for frame in self._frames)

    @functools.cached_property
    def _place(self) -> dict[str, int]:
        return {ticker: place for place, ticker in enumerate(self.histories.tickers)}

    @functools.cached_property
    def _bounds(self) -> list[int]:
        bounds: list[int] = self.histories.bounds().tolist()
        return bounds

    @functools.cached_property
    def _calendars(self) -> dict[str, str]:
        used = self.statuses[["ticker", "calendar"]].dropna().drop_duplicates("ticker")
        return dict(zip(used["ticker"], used["calendar"], strict=True))


@dataclass(frozen=True)
class KnownTicker:
    """What was known of one ticker: its part of `Known`, and its calendar."""

    histories: Histories
    calendar: TickerCalendar
    splits: Splits
    actions: pd.DataFrame
    gaps: pd.DataFrame
    released: pd.DataFrame
    statuses: pd.DataFrame

    @functools.cached_property
    def prices(self) -> pd.DataFrame:
        """The rows as a frame: ticker, session, figures, currency."""
        return self.histories.frame()

    @functools.cached_property
    def waiting(self) -> NDArray[np.datetime64]:
        """The sessions without a price that are known, closed ones among them."""
        return self.gaps.loc[self.gaps["state"] != "filled", "session"].to_numpy("datetime64[D]")

    @functools.cached_property
    def closed(self) -> NDArray[np.datetime64]:
        """The sessions of which a person said that there was no trading."""
        return self.gaps.loc[self.gaps["state"] == "closed", "session"].to_numpy("datetime64[D]")


@dataclass(frozen=True)
class Fetched:
    """One ticker's answer, checked. `good` and `actions` are empty where a problem holds the ticker back.

    Attributes:
        good: rows fit to be stored: columns of `prices` without revision, known_at, run_id.
        actions: ticker, session, kind, value.
        quarantined: ticker, session, row, origin, rule, reason.
        findings: ticker, rule, severity, rows, session: how often each rule struck.
        sessions: those that the source has a good row of, where a gap between them holds the ticker back.
        seconds: how long it took to come and be checked.
    """

    ticker: Ticker
    calendar: TickerCalendar
    good: pd.DataFrame
    actions: pd.DataFrame
    quarantined: pd.DataFrame
    problem: Problem | None = None
    findings: pd.DataFrame = field(default_factory=lambda: _no_rows("quality_counts", "run_id"))
    sessions: pd.DatetimeIndex = field(default_factory=lambda: pd.DatetimeIndex([], dtype="datetime64[us]"))
    seconds: float = 0.0


@dataclass(frozen=True)
class Market:
    """Everything known about the tickers at the run's evening, stored and new.

    Attributes:
        series: split-adjusted history of each ticker that has one; of an ingest that goes no further maybe only the last year and more.
        prices, actions, quarantined, gaps, findings: new rows of `prices`, `corporate_actions`, `quarantined_prices`, `price_gaps`
            and `quality_counts`, as they will be stored (without run_id).
        missing: by ticker, how many sessions lack a price and were not declared closed.
        clean: more new rows of `prices`, that need no frame.
        ended: by ticker, of those whose prices have come to an end (`night.with_ends`).
        flags: by ticker, what is odd in its prices and needs nobody, in short texts.
        verdicts: on odd moves, where they are new or changed: columns of `price_verdicts` without run_id and source.
        passed_over: what the source holds and could not hand out, in sentences.
        prices_hash: over every price row that the run looked at, stored and new; None where it saw none.
        problems: by ticker, why its newest prices are not here.
        rows_new, rows_refused: by ticker.
    """

    series: dict[str, TickerSeries]
    calendars: dict[str, TickerCalendar]
    currencies: dict[str, str | None]
    prices: pd.DataFrame
    actions: pd.DataFrame
    quarantined: pd.DataFrame
    prices_hash: str | None = None
    problems: dict[str, Problem] = field(default_factory=dict)
    rows_new: dict[str, int] = field(default_factory=dict)
    rows_refused: dict[str, int] = field(default_factory=dict)
    gaps: pd.DataFrame = field(default_factory=lambda: _no_rows("price_gaps", "run_id"))
    findings: pd.DataFrame = field(default_factory=lambda: _no_rows("quality_counts", "run_id"))
    missing: dict[str, int] = field(default_factory=dict)
    clean: CleanRows | None = None
    ended: Mapping[str, End] = field(default_factory=dict)
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    verdicts: pd.DataFrame = field(default_factory=lambda: _no_rows("price_verdicts", "run_id"))
    passed_over: tuple[str, ...] = ()

    @property
    def going_on(self) -> dict[str, TickerSeries]:
        """The series that have not ended."""
        return {ticker: series for ticker, series in self.series.items() if ticker not in self.ended}


@dataclass(frozen=True)
class Taken:
    """What was taken of many tickers at once (`jobs.bulk`): they are plain, so there is nothing to say about them but their rows.

    Attributes:
        new: the rows that are not stored yet.
        calendars, rows_new: by ticker.
        actions: ticker, session, kind, value; stored ones may be among them.
        clean: the new rows as they will be stored.
    """

    new: Histories
    calendars: Mapping[str, TickerCalendar]
    rows_new: Mapping[str, int]
    actions: pd.DataFrame
    clean: CleanRows | None = None


def nothing_taken() -> Taken:
    """Every ticker goes its own way."""
    _, actions, _, _ = _empty_answer()
    return Taken(Histories.none(), {}, {}, actions)


def _no_rows(table: str, *left_out: str) -> pd.DataFrame:
    return empty(table).drop(columns=["source", *left_out])


def read_known(workspace: Path, tickers: Sequence[Ticker], as_of: AsOf, *, tails: bool = False) -> Known:
    """What the store knows about the tickers at `as_of`.

    Args:
        tails: of each ticker no more prices than the rules need that look back (`prices.plain`); `with_whole_past` adds the others.
    """
    names = sorted(tickers)
    with database.open_working(workspace, as_of.now) as con:
        return Known(
            _read_tails(con, names, as_of) if tails else read_histories(con, names, as_of),
            reads.read_actions(con, names, as_of),
            reads.read_gaps(con, names, as_of),
            reads.read_released(con, names, as_of),
            reads.read_telling_statuses(con, names, as_of, SAID_BEFORE),
            ends_only=tails,
        )


def _read_tails(con: database.Connection, names: Sequence[str], as_of: AsOf) -> Histories:
    """At least the last TAIL_SESSIONS rows of each ticker, all where it has fewer."""
    recent = read_histories(con, names, as_of, since=as_of.day - _TAIL)
    short = np.diff(recent.bounds()) < TAIL_SESSIONS
    if not short.any():
        return recent
    return recent.overlaid(read_histories(con, names, as_of, only=[name for name, few in zip(names, short, strict=True) if few]))


def with_whole_past(workspace: Path, known: Known, tickers: Sequence[Ticker], as_of: AsOf) -> Known:
    """All stored prices of some tickers, where only the last ones had been read; the others stay as they are."""
    if not tickers or not known.ends_only:
        return known
    with database.open_working(workspace, as_of.now) as con:
        whole = read_histories(con, known.histories.tickers, as_of, only=tickers)
    return dataclasses.replace(known, histories=known.histories.overlaid(whole))


def _nothing(ticker: Ticker, calendar: TickerCalendar, problem: Problem | None, quarantined: pd.DataFrame | None = None) -> Fetched:
    prices, actions, refused, findings = _empty_answer()
    return Fetched(ticker, calendar, prices, actions, refused if quarantined is None else quarantined, problem, findings)


@functools.cache
def _empty_answer() -> tuple[pd.DataFrame, ...]:
    """Typed frames without rows, made once; nobody changes a frame in place."""
    return (
        empty("prices").drop(columns=["revision", "known_at", "run_id"]),
        empty("corporate_actions").drop(columns=["known_at", "run_id"]),
        empty("quarantined_prices").drop(columns=["run_id", "known_at", "released_at"]),
        _no_rows("quality_counts", "run_id"),
    )


def _differs(checked: CheckedPrices, known: KnownTicker) -> bool:
    """Whether what the source says about sessions already stored is not what is stored."""
    stored, offered = known.histories, Histories.of_one(str(checked.ticker), checked.good, None)
    again = offered.is_among(stored)
    at = np.searchsorted(stored.sessions, offered.sessions[again])
    return not all(
        np.allclose(offered.figures[name][again], stored.figures[name][at], rtol=revisions.TOLERANCE, atol=0.0, equal_nan=True)
        for name in FIGURES
    )


def _withdrawn(fetched: FetchedPrices, actions: pd.DataFrame, known: KnownTicker) -> pd.DataFrame:
    """Known actions of sessions that an answer speaks of, but that are not in it, with the value that takes them back.

    Args:
        actions: the answer's, as far as they can be used.
    """
    sessions = fetched.prices["session"]
    first = sessions.min() if fetched.actions_from is None else fetched.actions_from
    told = known.actions["kind"].isin(fetched.action_kinds) & known.actions["session"].between(first, sessions.max())
    before = standing(known.actions[told])
    if before.empty:
        return before[list(ACTION_COLUMNS)]
    now = set(zip(actions["session"], actions["kind"], strict=True))
    gone = before[[each not in now for each in zip(before["session"], before["kind"], strict=True)]]
    return gone[list(ACTION_COLUMNS)].assign(value=gone["kind"].map(WITHDRAWN))


@dataclass(frozen=True)
class _Answer:
    """What the source said of a ticker.

    Attributes:
        calendar: the ticker's, the source's time zone considered.
        actions, bad_actions: as `checked_actions` has them.
        gone: known actions that it takes back, with the values that do so.
    """

    fetched: FetchedPrices
    calendar: TickerCalendar
    actions: pd.DataFrame
    bad_actions: pd.DataFrame | None
    gone: pd.DataFrame


def _other_actions(answer: _Answer, known: KnownTicker) -> bool:
    """Whether an answer has an action of a kind and session of which none was known, or lacks one that was."""
    before = standing(known.actions)
    stored = set(zip(before["session"], before["kind"], strict=True))
    return len(answer.gone) > 0 or any(each not in stored for each in zip(answer.actions["session"], answer.actions["kind"], strict=True))


def first_asked(sessions: NDArray[np.datetime64], gap: pd.Timestamp | None) -> dt.date | None:
    """From the overlap's first session, or the oldest open gap; None: the whole history.

    Args:
        sessions: of one ticker's stored rows, ascending.
        gap: the ticker's oldest open gap.
    """
    if not len(sessions):
        return None
    overlap = pd.Timestamp(sessions[-OVERLAP_SESSIONS:][0])
    first: dt.date = (overlap if gap is None else min(overlap, gap)).date()
    return first


def _first_asked_of(known: KnownTicker) -> dt.date | None:
    """As `first_asked`; the whole history too where nothing is stored but single rows that a person released."""
    sessions = known.histories.sessions
    if np.isin(sessions, known.released["session"].to_numpy("datetime64[D]")).all():
        return None
    return first_asked(sessions, first_open_gap(known.gaps))


def fetch_ticker(source: PriceSource, ticker: Ticker, known: KnownTicker, as_of: AsOf, fetch: Fetch, rules: Sequence[str] = ()) -> Fetched:
    """Ask the source for one ticker and check the answer; whatever goes wrong is that ticker's problem, not an exception.

    Args:
        known: what is stored of it.
        fetch: asks the source, with retries.
        rules: severities that differ from the usual ones.
    """
    began = time.perf_counter()
    fetched = _fetched(source, ticker, known, as_of, fetch, rules)
    return dataclasses.replace(fetched, seconds=time.perf_counter() - began)


def _fetched(source: PriceSource, ticker: Ticker, known: KnownTicker, as_of: AsOf, fetch: Fetch, rules: Sequence[str]) -> Fetched:
    calendar = known.calendar
    severities = severities_from(rules)

    def ask(first: dt.date | None) -> _Answer:
        fetched = fetch(source, ticker, first, as_of.day)
        zone = fetched.exchange_timezone
        own = calendar if zone is None else calendar_for(ticker, zone)
        actions, bad = checked_actions(fetched.actions, own.last_known(as_of))
        return _Answer(fetched, own, actions, bad, _withdrawn(fetched, actions, known))

    def check(answer: _Answer) -> CheckedPrices:
        stored, gone = known.prices if len(known.histories) else None, answer.gone
        past = {"known": stored, "known_actions": overlaid_actions(known.actions, gone.assign(ticker=ticker)), "closed": known.closed}
        checked = check_prices(answer.fetched, answer.calendar, as_of, severities=severities, released=known.released, **past)
        return dataclasses.replace(checked, actions=pd.concat([checked.actions, gone], ignore_index=True)) if len(gone) else checked

    try:
        first = _first_asked_of(known)
        answer = ask(first)
        if first is not None and _other_actions(answer, known):
            first = None
            answer = ask(None)
        calendar = answer.calendar
        if answer.bad_actions is None:
            plain = _plain(answer, known, as_of, source.name)
            if plain is not None:
                return plain
        checked = check(answer)
        # A hold may come from the seam between the last days and a past that the source has rewritten: then the whole tells.
        if first is not None and (checked.hold is not None or _differs(checked, known)):
            answer = ask(None)
            checked = check(answer)
    except FileRefused as error:
        return _nothing(ticker, calendar, Problem("file_refused", str(error)))
    except FatalError:
        raise
    except UnknownTicker as error:
        once_had = len(known.histories) > 0
        return _nothing(ticker, calendar, Problem(*judged_absence(error, known.statuses, calendar, as_of, once_had=once_had)))
    except TickerError as error:
        return _nothing(ticker, calendar, Problem(error.rule, error.reason))
    except TickercastError as error:
        return _nothing(ticker, calendar, Problem(type(error).__name__, str(error)))
    except Exception as error:  # one odd reply must not end everybody's night
        return _nothing(ticker, calendar, Problem("internal_error", f"{ticker}: unexpected {type(error).__name__}: {error}"))
    return _judged(checked, _currency(answer.fetched, known), answer.calendar, source.name)


def _plain(answer: _Answer, known: KnownTicker, as_of: AsOf, source: str) -> Fetched | None:
    """An answer without bad actions as it stands where it is plain (`prices.plain`): the rules would find nothing; None where they must
    be asked."""
    fetched, calendar, actions = answer.fetched, answer.calendar, pd.concat([answer.actions, answer.gone], ignore_index=True)
    if len(fetched.refused) or len(known.released) or calendar.recorded_fallback or fetched.assumption:
        return None
    ticker, currency = str(fetched.ticker), _currency(fetched, known)
    offered = Histories.of_one(ticker, fetched.prices, currency)
    if not len(offered):
        return None
    stored = rows_beside(offered, known.histories)
    first = min([offered.sessions[0], *stored.sessions[:1]])
    sessions = calendar.sessions(pd.Timestamp(first), calendar.last_known(as_of)).to_numpy("datetime64[D]")
    splits = splits_of(overlaid_actions(known.actions, actions.assign(ticker=ticker))) if len(actions) else known.splits
    gaps = np.zeros(len(known.waiting), dtype=np.int32), known.waiting
    if not len(sessions) or not plain_tickers(offered, stored, splits, [sessions], np.zeros(1, dtype=np.intp), gaps)[0]:
        return None
    good = fetched.prices[list(GOOD_COLUMNS)]
    good = good if good["session"].is_monotonic_increasing else good.sort_values("session", ignore_index=True)
    added = good.assign(ticker=ticker, currency=currency, source=source)
    return dataclasses.replace(_nothing(fetched.ticker, calendar, None), good=added, actions=actions.assign(ticker=ticker))


def _currency(fetched: FetchedPrices, known: KnownTicker) -> str | None:
    """What the source says; where it says nothing, what the newest stored row with a currency has."""
    stored = known.histories.currency[known.histories.currency >= 0]
    return known.histories.currencies[stored[-1]] if fetched.currency is None and len(stored) else fetched.currency


def _judged(checked: CheckedPrices, currency: str | None, calendar: TickerCalendar, source: str) -> Fetched:
    ticker = checked.ticker
    quarantined, findings = checked.quarantined.assign(ticker=ticker), checked.findings.assign(ticker=ticker)
    if checked.hold is not None:
        problem = Problem(checked.hold.rule, checked.hold.reason)
        held = _nothing(ticker, calendar, problem, quarantined)
        sessions = pd.DatetimeIndex(checked.good["session"] if problem.rule == "gap" else [])
        return dataclasses.replace(held, findings=findings, sessions=sessions)
    good = checked.good.assign(ticker=ticker, currency=currency, source=source)
    return Fetched(ticker, calendar, good, checked.actions.assign(ticker=ticker), quarantined, findings=findings)


def _typed(table: str, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    types = empty(table).dtypes.to_dict()
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return empty(table)
    joined = pd.concat(filled, ignore_index=True)
    return joined.astype({name: kind for name, kind in types.items() if name in joined.columns})


def _new_rows(
    con: database.Connection, fetched: Sequence[Fetched], taken: Taken, as_of: AsOf
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    good = _typed("prices", [each.good for each in fetched])
    actions = _typed("corporate_actions", [*(each.actions for each in fetched), taken.actions])
    refused = _typed("quarantined_prices", [each.quarantined for each in fetched])
    prices = revisions.diff_prices(con, good, as_of)
    actions = revisions.diff_actions(con, actions, as_of)
    already = reads.quarantine_keys(con, [each.ticker for each in fetched])
    keys = zip(refused["ticker"], refused["row"], refused["rule"], strict=True)
    unseen = np.array([key not in already for key in keys], dtype=bool)
    refused = refused[unseen].drop_duplicates(["ticker", "row", "rule", "origin"])
    return prices, actions, refused.assign(known_at=pd.Timestamp(as_of.now).tz_localize(None), released_at=pd.NaT, field=None)


def overlaid_actions(stored: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Ticker, session, kind and value: of the same session and kind the newer one."""
    columns = ["ticker", *ACTION_COLUMNS]
    joined = pd.concat([stored[columns], new[columns]], ignore_index=True) if len(new) else stored[columns]
    key = ["ticker", "session", "kind"]
    return joined.drop_duplicates(key, keep="last").sort_values(key, ignore_index=True)


def _market(seen: Histories, all_actions: pd.DataFrame, calendars: Mapping[str, TickerCalendar], new: tuple[pd.DataFrame, ...]) -> Market:
    series = series_from(seen, splits_of(all_actions))
    last = dict(zip(seen.tickers, (seen.bounds()[1:] - 1).tolist(), strict=True))
    codes = (*seen.currencies, None)
    return Market(
        series=series,
        calendars=dict(calendars),
        currencies={ticker: codes[seen.currency[last[ticker]]] for ticker in series},
        prices=new[0],
        actions=new[1],
        quarantined=new[2],
    )


@contextlib.contextmanager
def reading_digests(workspace: Path, tickers: Sequence[Ticker], as_of: AsOf) -> Iterator["Future[Digests]"]:
    """The digests of the stored prices at `as_of`: DuckDB makes them beside what is done inside the block, for they take it a while and
    are not needed before `join_market`."""
    with database.open_working(workspace, as_of.now) as con, ThreadPoolExecutor(1) as beside:
        yield beside.submit(stored_digests, con, tickers, as_of)


def join_market(
    workspace: Path,
    fetched: Sequence[Fetched],
    taken: Taken,
    known: Known,
    digests: Digests,
    as_of: AsOf,
    renames: Sequence[Rename] = (),
) -> Market:
    """The market as the run sees it: what was stored, overlaid with what the source said tonight.

    Args:
        taken: tickers that came all at once.
        digests: of the stored prices (`reading_digests`).
    """
    with database.open_working(workspace, as_of.now) as con:
        prices, actions, quarantined = _new_rows(con, fetched, taken, as_of)
        new = taken.new.overlaid(Histories.from_frame(prices, known.histories.tickers))
        digest = prices_hash(con, digests, new, known.histories.among(new))
    seen = known.histories.overlaid(new)
    fetched_by = {str(each.ticker): each.calendar for each in fetched}
    seen, all_actions = linked(seen, overlaid_actions(known.actions, actions), renames)
    market = _market(seen, all_actions, {**fetched_by, **taken.calendars}, (prices, actions, quarantined))
    waiting = set(known.waiting["ticker"])
    calendars = fetched_by | {ticker: calendar for ticker, calendar in taken.calendars.items() if ticker in waiting}
    sessions = {name: pd.DatetimeIndex(market.series[name].sessions).as_unit("us") for name in calendars if name in market.series}
    gaps = changed_gaps(sessions, calendars, known.gaps, as_of, _between_stored_and_held(fetched, sessions))
    return dataclasses.replace(
        market,
        prices_hash=digest,
        problems={each.ticker: each.problem for each in fetched if each.problem is not None},
        rows_new={**prices["ticker"].value_counts().to_dict(), **taken.rows_new},
        rows_refused={each.ticker: len(each.quarantined) for each in fetched},
        gaps=gaps,
        findings=_typed("quality_counts", [each.findings for each in fetched]).drop(columns=["run_id", "source"], errors="ignore"),
        missing=_still_missing(known.gaps, gaps),
        clean=taken.clean,
    )


def _between_stored_and_held(fetched: Sequence[Fetched], stored: Mapping[str, pd.DatetimeIndex]) -> dict[str, pd.DatetimeIndex]:
    """Of the tickers that a gap holds back the sessions with a row, stored or not, so that a person can say that the gap is none."""
    nothing = pd.DatetimeIndex([], dtype="datetime64[us]")
    return {str(each.ticker): stored.get(str(each.ticker), nothing).union(each.sessions) for each in fetched if len(each.sessions)}


def _still_missing(before: pd.DataFrame, tonight: pd.DataFrame) -> dict[str, int]:
    newest = pd.concat([frame[["ticker", "session", "state"]] for frame in (before, tonight)], ignore_index=True)
    newest = newest.drop_duplicates(["ticker", "session"], keep="last")
    return {str(ticker): int(count) for ticker, count in newest.loc[newest["state"] == "missing", "ticker"].value_counts().items()}


def stored_market(workspace: Path, tickers: Sequence[Ticker], as_of: AsOf, renames: Sequence[Rename] = ()) -> Market:
    """The market of a past night: what was stored by then, and no source asked.

    A ticker whose prices did not come that night keeps its model as it did then: its problem is recalled from the night's status row.
    """
    known = read_known(workspace, tickers, as_of)
    with database.open_working(workspace, as_of.now) as con:
        statuses, learned = reads.read_statuses(con, tickers, as_of), reads.read_learned(con, tickers, as_of)
        digest = prices_hash(con, stored_digests(con, tickers, as_of), Histories.none(), Histories.none())
    nothing = tuple(empty(table).drop(columns="run_id") for table in ("prices", "corporate_actions", "quarantined_prices"))
    calendars = {str(ticker): known.calendar_of(ticker) for ticker in tickers}
    market = _market(*linked(known.histories, known.actions, renames), calendars, nothing)
    problems = _recalled(statuses, learned, as_of)
    missing = _still_missing(known.gaps, known.gaps.iloc[:0])
    return dataclasses.replace(market, prices_hash=digest, problems=problems, missing=missing)


def _recalled(statuses: pd.DataFrame, learned: Mapping[str, pd.Timestamp], as_of: AsOf) -> dict[str, Problem]:
    """Why prices were not new on that evening, from its last nightly run; not where some came later that was known then.

    Args:
        learned: by ticker, when its newest row was.
    """
    of_the_evening = statuses[(statuses["as_of"] == pd.Timestamp(as_of.day)) & (statuses["kind"] == "nightly")]
    last = of_the_evening.drop_duplicates("ticker")
    # runs made before problems were kept tell only those of tickers that had a model
    told = last["problem"].where(last["problem"].notna() | (last["trigger"] != "no_new_prices"), last["reason"])
    return {
        str(row.ticker): Problem(*str(text).partition(": ")[::2])
        for row, text in zip(last.itertuples(), told, strict=True)
        if pd.notna(text) and not learned.get(str(row.ticker), pd.Timestamp.min) > row.known_at
    }
