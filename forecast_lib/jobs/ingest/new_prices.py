"""Prices in: ask the source for what is missing, check the answer, and say what is new.

    known ──> ask ──> check ──> whose past looks different: ask for all of it, check again
                                                          ──> join: new rows, revisions, gaps, problems

All tickers go this one way together, as columns. Each is asked from a few sessions before its last stored
one, or from its oldest open gap. Where that overlap differs from what is stored, or a corporate action turns
up that was not known, the whole history is read again, because sources rewrite it. Nothing is stored here:
the new rows travel with the run and are written with everything else it made.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.config import Rename, RunConfig
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import FileRefused, TickercastError, TickerError, UnknownTicker
from forecast_lib.jobs.ingest.absence import judged_absence
from forecast_lib.jobs.ingest.beside import Beside
from forecast_lib.jobs.ingest.ends import End
from forecast_lib.jobs.ingest.gaps import changed_gaps
from forecast_lib.jobs.ingest.known import Known, read_known, with_whole_past
from forecast_lib.prices.actions import overlaid_actions
from forecast_lib.prices.checks import Checked, check, counting
from forecast_lib.prices.linked import linked
from forecast_lib.prices.overlap import beside_the_past
from forecast_lib.prices.rules import HARMLESS_RULES, severities_from
from forecast_lib.prices.source import Asked, Offered
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store.working import database, reads, revisions
from forecast_lib.store.working.hashing import Digests, prices_hash, stored_digests
from forecast_lib.store.working.new_rows import CleanRows
from forecast_lib.store.working.store import Store
from forecast_lib.tables import empty
from forecast_lib.windows.histories import FIGURES, Histories, series_from, splits_of
from forecast_lib.windows.series import TickerSeries

__all__ = ["Market", "Problem", "reading_digests", "stored_market", "take_in"]


@dataclass(frozen=True)
class Problem:
    """Why a ticker is not as it should be: a short stable name, and a sentence for people."""

    rule: str
    reason: str


@dataclass(frozen=True)
class Market:
    """Everything known about the tickers at the run's evening, stored and new.

    Attributes:
        series: split-adjusted history of each ticker that has one; of an ingest that goes no further maybe
            only the last half year.
        prices, actions, quarantined, gaps, findings, verdicts: new rows of `prices`, `corporate_actions`,
            `quarantined_prices`, `price_gaps`, `quality_counts` and `price_verdicts`, as they will be stored
            (without run_id).
        missing: by ticker, how many sessions lack a price and were not declared closed.
        clean: more new rows of `prices`, that need no frame.
        ended: by ticker, of those whose prices have come to an end (`night.with_ends`).
        passed_over: what may be expected in the run and is not: what the source could not hand out, tickers
            of the night before, in sentences.
        prices_hash: over every price row that the run looked at, stored and new; None where it saw none.
        problems: by ticker, why its newest prices are not here.
        flags: by ticker, what is odd about its prices and holds nobody, in short texts.
        rows_new, rows_refused: by ticker.
        beside: what is known beside the prices.
    """

    series: dict[str, TickerSeries]
    calendars: dict[str, TickerCalendar]
    currencies: dict[str, str | None]
    prices: pd.DataFrame = field(default_factory=lambda: _no_rows("prices"))
    actions: pd.DataFrame = field(default_factory=lambda: _no_rows("corporate_actions"))
    quarantined: pd.DataFrame = field(default_factory=lambda: _no_rows("quarantined_prices"))
    prices_hash: str | None = None
    problems: dict[str, Problem] = field(default_factory=dict)
    rows_new: dict[str, int] = field(default_factory=dict)
    rows_refused: dict[str, int] = field(default_factory=dict)
    gaps: pd.DataFrame = field(default_factory=lambda: _no_rows("price_gaps"))
    findings: pd.DataFrame = field(default_factory=lambda: _no_rows("quality_counts"))
    missing: dict[str, int] = field(default_factory=dict)
    clean: CleanRows | None = None
    passed_over: tuple[str, ...] = ()
    ended: Mapping[str, End] = field(default_factory=dict)
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    verdicts: pd.DataFrame = field(default_factory=lambda: _no_rows("price_verdicts"))
    beside: Beside = field(default_factory=Beside)

    BY_TICKER: ClassVar = (
        "calendars",
        "currencies",
        "problems",
        "rows_new",
        "rows_refused",
        "missing",
        "flags",
    )
    """Attributes by ticker beside the series."""

    @property
    def going_on(self) -> dict[str, TickerSeries]:
        """The series that have not ended."""
        return {ticker: series for ticker, series in self.series.items() if ticker not in self.ended}


def _no_rows(table: str) -> pd.DataFrame:
    return empty(table).drop(columns=["source", "run_id"])


@contextlib.contextmanager
def reading_digests(
    store: Store, tickers: Sequence[Ticker], as_of: AsOf
) -> Iterator[Callable[[], "Future[Digests]"]]:
    """Begins to read the digests of the stored prices at `as_of`: DuckDB makes them beside what is done
    inside the block, for they take it a while and are not needed before the end of `take_in`. What else is
    read of the store is best read before: two questions at once only wait for each other.
    """
    with contextlib.closing(store.con.cursor()) as con, ThreadPoolExecutor(1) as beside:
        yield lambda: beside.submit(stored_digests, con, tickers, as_of)


def take_in(
    store: Store,
    config: RunConfig,
    tickers: Sequence[Ticker],
    known: Known,
    ask: Callable[[Asked], Offered],
    digests: Callable[[], Digests],
    *,
    stage: Callable[[str], contextlib.AbstractContextManager[None]] = lambda _: contextlib.nullcontext(),
) -> Market:
    """The market as the run sees it: what was stored, overlaid with what the source says tonight.

    Args:
        tickers: those that the source is asked for.
        known: of these, and maybe of more, before the run (`read_known`).
        ask: asks the source, once for all tickers and once for those whose past looks different.
        digests: of the stored prices (`reading_digests`).
        stage: what is named by a word begins and ends.
    """
    severities = severities_from(config.rules)
    calendars = {str(ticker): known.calendar_of(ticker) for ticker in tickers}

    def checked(offered: Offered) -> Checked:
        with stage("check"):
            return check(offered, known, config.as_of, calendars=calendars, severities=severities)

    asked = known.asked(tickers)
    known = with_whole_past(store, known, known.asked_beyond(asked), config.as_of)
    found = checked(ask(asked))
    rewritten = _to_ask_again(found, known)
    again = {ticker for ticker in rewritten if asked[Ticker(ticker)] is not None}
    if again:
        known = with_whole_past(store, known, again, config.as_of)
        whole = ask(known.asked([Ticker(ticker) for ticker in sorted(again)], again))
        found = found.overruled_by(checked(whole))
    if rewritten:
        found = beside_the_past(found, known, rewritten, severities)
    with stage("compare"):
        return _joined(store, config, known, found, digests)


def _to_ask_again(found: Checked, known: Known) -> set[str]:
    """Tickers whose answer does not go with what is stored: another figure for a stored session, other
    actions, or a hold, which may come from the seam between the last days and a past that the source has
    rewritten.
    """
    good = found.good.placed(known.rows.tickers)
    differing = np.unique(good.of[_differs(good, known.rows)])
    return {good.tickers[of] for of in differing.tolist()} | {*found.holds, *found.other_actions}


def _differs(rows: Histories, stored: Histories) -> NDArray[np.bool_]:
    """(rows,) those of a stored session whose figures, or whose currency, are not the stored ones; both of
    the same tickers.
    """
    found, again = np.zeros(len(rows), dtype=bool), np.flatnonzero(rows.is_among(stored))
    if not len(again):
        return found
    at = np.searchsorted(stored.keys(), rows.keys()[again])
    for name in FIGURES:
        now, then = rows.figures[name][again], stored.figures[name][at]
        found[again] |= ~np.isclose(now, then, rtol=revisions.TOLERANCE, atol=0.0, equal_nan=True)
    codes, others = np.array([*rows.currencies, ""]), np.array([*stored.currencies, ""])
    found[again] |= codes[rows.currency[again]] != others[stored.currency[at]]
    return found


# --- what is new


def _joined(
    store: Store, config: RunConfig, known: Known, found: Checked, digests: Callable[[], Digests]
) -> Market:
    con, as_of, stored, names = store.con, config.as_of, known.rows, known.rows.tickers
    good = found.good.placed(names).last_of_each()
    # The clock went back: only the table knows which revision is next.
    ahead = database.knows_later(con, as_of)
    changed = good if ahead else good.rows(_differs(good, stored))
    prices = revisions.diff_prices(con, changed.frame().assign(source=config.source.name), as_of)
    actions = revisions.diff_actions(con, found.actions, as_of)
    refused = _unseen(con, found.quarantined, as_of)
    fresh = good.rows(~good.is_among(stored) & (not ahead))
    new = fresh.overlaid(Histories.from_frame(prices, names))
    digest = prices_hash(con, digests(), new, stored.among(new))
    newest = pd.concat([known.verdicts, found.verdicts], ignore_index=True).drop_duplicates(
        ["ticker", "session"], keep="last"
    )
    seen, all_actions = linked(
        counting(stored.overlaid(new), newest), overlaid_actions(known.actions, actions), config.renames
    )
    answered = {str(each): found.calendars[each] for each, told in found.told.items() if told.problem is None}
    gaps = changed_gaps(seen, answered, known.gaps, as_of)
    counts = pd.Series(np.bincount(fresh.of, minlength=len(names)), index=names)
    counts = counts.add(prices["ticker"].value_counts(), fill_value=0)
    return _market(
        seen,
        all_actions,
        found.calendars,
        prices=prices,
        actions=actions,
        quarantined=refused,
        prices_hash=digest,
        problems=_problems(found, seen, known, as_of),
        rows_new=counts.astype(int).to_dict(),
        rows_refused=found.quarantined["ticker"].value_counts().to_dict(),
        gaps=gaps,
        findings=found.findings,
        missing=_still_missing(known.gaps, gaps),
        clean=CleanRows(fresh, config.source.name, as_of.now) if len(fresh) else None,
        flags=found.flags,
        verdicts=found.verdicts.assign(known_at=as_of.now.replace(tzinfo=None)),
    )


def _unseen(con: database.Connection, refused: pd.DataFrame, as_of: AsOf) -> pd.DataFrame:
    """What is not in the quarantine yet."""
    already = reads.quarantine_keys(con, sorted(set(refused["ticker"])))
    keys = zip(refused["ticker"], refused["row"], refused["rule"], strict=True)
    unseen = refused[np.array([key not in already for key in keys], dtype=bool)]
    unseen = unseen.drop_duplicates(["ticker", "row", "rule", "origin"])
    return unseen.assign(known_at=as_of.now.replace(tzinfo=None), released_at=pd.NaT)


def _problems(found: Checked, seen: Histories, known: Known, as_of: AsOf) -> dict[str, Problem]:
    """By ticker why its newest prices are not here: no answer, a hold, or a newest row that was refused or
    waits.
    """
    last = {ticker: pd.Timestamp(seen.sessions[high - 1]) for ticker, low, high in seen.spans() if high > low}
    rows = found.quarantined
    whole = rows["field"].isna() & rows["session"].notna() & (rows["origin"] != "corporate action")
    rows = rows[whole & ~rows["rule"].isin(HARMLESS_RULES)].sort_values("session")
    newest = ~(rows["session"] <= rows["ticker"].map(last))
    problems = {row.ticker: Problem(row.rule, row.reason) for row in rows[newest].itertuples()}
    problems |= {ticker: Problem(hold.rule, hold.reason) for ticker, hold in found.holds.items()}
    return problems | {
        str(ticker): _problem_of(ticker, told.problem, known, found.calendars[ticker], as_of)
        for ticker, told in found.told.items()
        if told.problem is not None
    }


def _problem_of(
    ticker: str, error: TickercastError, known: Known, calendar: TickerCalendar, as_of: AsOf
) -> Problem:
    if isinstance(error, FileRefused):
        return Problem("file_refused", str(error))
    if isinstance(error, UnknownTicker):
        before, once_had = known.statuses[known.statuses["ticker"] == ticker], len(known.sessions[ticker]) > 0
        return Problem(*judged_absence(error, before, calendar, as_of, once_had=once_had))
    if isinstance(error, TickerError):
        return Problem(error.rule, error.reason)
    return Problem(type(error).__name__, str(error))


def _market(
    seen: Histories, all_actions: pd.DataFrame, calendars: Mapping[str, TickerCalendar], **more: Any
) -> Market:
    series = series_from(seen, splits_of(all_actions), splits_of(all_actions, "unit"))
    codes = (*seen.currencies, None)
    currencies = {ticker: codes[seen.currency[high - 1]] for ticker, low, high in seen.spans() if high > low}
    return Market(series, dict(calendars), currencies, **more)


def _still_missing(before: pd.DataFrame, tonight: pd.DataFrame) -> dict[str, int]:
    both = [frame[["ticker", "session", "state"]] for frame in (before, tonight)]
    newest = pd.concat(both, ignore_index=True).drop_duplicates(["ticker", "session"], keep="last")
    return newest.loc[newest["state"] == "missing", "ticker"].value_counts().to_dict()


def stored_market(
    store: Store, tickers: Sequence[Ticker], as_of: AsOf, renames: Sequence[Rename] = ()
) -> Market:
    """The market of a past night: what was stored by then, and no source asked.

    A ticker whose prices did not come that night keeps its model as it did then: its problem is recalled from
    the night's status row.
    """
    con, known = store.con, read_known(store, tickers, as_of)
    statuses, learned = reads.read_statuses(con, tickers, as_of), reads.read_learned(con, tickers, as_of)
    digest = prices_hash(con, stored_digests(con, tickers, as_of), Histories.none(), Histories.none())
    calendars = {str(ticker): known.calendar_of(ticker) for ticker in tickers}
    return _market(
        *linked(counting(known.rows, known.verdicts), known.actions, renames),
        calendars,
        prices_hash=digest,
        problems=_recalled(statuses, learned, as_of),
        missing=_still_missing(known.gaps, known.gaps.iloc[:0]),
    )


def _recalled(statuses: pd.DataFrame, learned: Mapping[str, pd.Timestamp], as_of: AsOf) -> dict[str, Problem]:
    """Why prices were not new on that evening, from its last nightly run; not where some came later that was
    known then.

    Args:
        learned: by ticker, when its newest row was.
    """
    nightly = (statuses["as_of"] == pd.Timestamp(as_of.day)) & (statuses["kind"] == "nightly")
    last = statuses[nightly].drop_duplicates("ticker")
    # runs made before problems were kept tell only those of tickers that had a model
    kept = last["problem"].notna() | (last["trigger"] != "no_new_prices")
    told = last["problem"].where(kept, last["reason"])
    return {
        str(row.ticker): Problem(*str(text).partition(": ")[::2])
        for row, text in zip(last.itertuples(), told, strict=True)
        if pd.notna(text) and not learned.get(str(row.ticker), pd.Timestamp.min) > row.known_at
    }
