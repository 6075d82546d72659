"""Prices in: ask the source for what is missing, check the answer, and say what is new.

    known ──> ask ──> check ──> whose past looks different: ask for all of it, check again ──> join: new rows, revisions, gaps, problems

All tickers go this one way together, as columns. Each is asked from a few sessions before its last stored
one, or from its oldest open gap. Where that overlap differs from what is stored, or a corporate action turns
up that was not known, the whole history is read again, because
sources rewrite it. Nothing is stored here: the new rows travel with the run and are written with everything
else it made.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.config import Rename, RunConfig
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import FileRefused, TickercastError, TickerError, UnknownTicker
from forecast_lib.jobs.ingest.absence import judged_absence
from forecast_lib.jobs.ingest.ends import End
from forecast_lib.jobs.ingest.gaps import changed_gaps
from forecast_lib.jobs.ingest.known import Known, read_known, with_whole_past
from forecast_lib.prices.actions import overlaid_actions
from forecast_lib.prices.checks import Checked, Hold, check
from forecast_lib.prices.linked import linked
from forecast_lib.prices.moves import can_split, set_aside
from forecast_lib.prices.overlap import Factor, judge_factor
from forecast_lib.prices.rules import HARMLESS_RULES, severities_from
from forecast_lib.prices.source import Asked, Offered
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store.working import database, reads, revisions
from forecast_lib.store.working.hashing import Digests, prices_hash, stored_digests
from forecast_lib.store.working.new_rows import CleanRows, WholeTickers
from forecast_lib.tables import empty
from forecast_lib.windows.histories import FIGURES, Histories, series_from, splits_of
from forecast_lib.windows.series import TickerSeries

__all__ = ["FEWEST_TO_STORE_WHOLE", "Market", "Problem", "reading_digests", "stored_market", "take_in"]

FEWEST_TO_STORE_WHOLE = 200_000
"""Fewer rows reach the table as quickly from the columns that were read already."""

_RESCALED_STAYS = 10
"""Sessions: a past on another scale that no split explains is taken for what it is once so many new rows have
come with it.
"""


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
            only the last year and more.
        prices, actions, quarantined, gaps, findings, verdicts: new rows of `prices`, `corporate_actions`,
            `quarantined_prices`,
            `price_gaps`, `quality_counts` and `price_verdicts`, as they will be stored (without run_id).
        missing: by ticker, how many sessions lack a price and were not declared closed.
        clean: more new rows of `prices`, that need no frame.
        ended: by ticker, of those whose prices have come to an end (`night.with_ends`).
        passed_over: what the source holds and could not hand out, in sentences.
        prices_hash: over every price row that the run looked at, stored and new; None where it saw none.
        problems: by ticker, why its newest prices are not here.
        flags: by ticker, what is odd about its prices and holds nobody, in short texts.
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
    gaps: pd.DataFrame = field(default_factory=lambda: _no_rows("price_gaps"))
    findings: pd.DataFrame = field(default_factory=lambda: _no_rows("quality_counts"))
    missing: dict[str, int] = field(default_factory=dict)
    clean: CleanRows | None = None
    passed_over: tuple[str, ...] = ()
    ended: Mapping[str, End] = field(default_factory=dict)
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    verdicts: pd.DataFrame = field(default_factory=lambda: _no_rows("price_verdicts"))

    @property
    def going_on(self) -> dict[str, TickerSeries]:
        """The series that have not ended."""
        return {ticker: series for ticker, series in self.series.items() if ticker not in self.ended}


def _no_rows(table: str) -> pd.DataFrame:
    return empty(table).drop(columns=["source", "run_id"])


@contextlib.contextmanager
def reading_digests(workspace: Path, tickers: Sequence[Ticker], as_of: AsOf) -> Iterator["Future[Digests]"]:
    """The digests of the stored prices at `as_of`: DuckDB makes them beside what is done inside the block,
    for they take it a while and are not needed before the end of `take_in`.
    """
    with database.open_working(workspace, as_of.now) as con, ThreadPoolExecutor(1) as beside:
        yield beside.submit(stored_digests, con, tickers, as_of)


def take_in(
    config: RunConfig,
    tickers: Sequence[Ticker],
    known: Known,
    ask: Callable[[Asked], Offered],
    digests: Callable[[], Digests],
    *,
    stage: Callable[[str], contextlib.AbstractContextManager[None]] = lambda _: contextlib.nullcontext(),
    fewest_to_store_whole: int = FEWEST_TO_STORE_WHOLE,
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
            return check(offered, known.before, config.as_of, calendars=calendars, severities=severities)

    asked = known.asked(tickers)
    known = with_whole_past(config.workspace, known, known.asked_beyond(asked), config.as_of)
    first = checked(ask(asked))
    again = {ticker for ticker in _to_ask_again(first, known) if asked[Ticker(ticker)] is not None}
    parts = [first]
    if again:
        known = with_whole_past(config.workspace, known, again, config.as_of)
        offered = ask(known.asked([Ticker(ticker) for ticker in sorted(again)], again))
        parts = [first.without(again), _judged_beside_the_past(checked(offered), known, severities)]
    with stage("compare"):
        return _joined(config, known, parts, digests, fewest_to_store_whole)


def _to_ask_again(first: Checked, known: Known) -> set[str]:
    """Tickers whose answer does not go with what is stored: another figure for a stored session, other
    actions, or a hold, which may come from the seam between the last days and a past that the source has
    rewritten.
    """
    stored = known.histories
    good = first.good.placed(stored.tickers)
    differing = np.unique(good.of[_differs(good, stored)])
    return {stored.tickers[of] for of in differing.tolist()} | set(first.holds) | set(first.other_actions)


def _differs(rows: Histories, stored: Histories) -> NDArray[np.bool_]:
    """(rows,) those of a stored session whose figures, or whose currency, are not the stored ones; both of
    the same tickers.
    """
    found = np.zeros(len(rows), dtype=bool)
    again = np.flatnonzero(rows.is_among(stored))
    at = np.searchsorted(stored.keys(), rows.keys()[again])
    for name in FIGURES:
        now, then = rows.figures[name][again], stored.figures[name][at]
        with np.errstate(invalid="ignore"):
            close = np.abs(now - then) <= revisions.TOLERANCE * np.maximum(np.abs(now), np.abs(then))
        found[again] |= ~(close | (np.isnan(now) & np.isnan(then)))
    codes, others = np.array([*rows.currencies, ""]), np.array([*stored.currencies, ""])
    found[again] |= codes[rows.currency[again]] != others[stored.currency[at]]
    return found


def _judged_beside_the_past(checked: Checked, known: Known, severities: Mapping[str, str]) -> Checked:
    """Without the rows of tickers whose whole past comes on another scale that neither a split nor time
    explains; of those whose past has become dividend-adjusted only the new rows.
    """
    holds, flags, stays = dict(checked.holds), dict(checked.flags), np.ones(len(checked.good), dtype=bool)
    bounds = checked.good.bounds().tolist()
    for place, ticker in enumerate(checked.good.tickers):
        mine = slice(bounds[place], bounds[place + 1])
        rows, stored = checked.good.part(place), known.histories.part(known.histories.tickers.index(ticker))
        found = _factor(ticker, rows, stored, known)
        new = rows.sessions > (stored.sessions[-1] if len(stored) else np.datetime64("0001-01-01"))
        says: tuple[str, ...] = ()
        if found.kind == "dividends" or (found.kind == "unexplained" and found.since is not None):
            stays[mine] = new
            why = (
                "begun to adjust its past for dividends"
                if found.kind == "dividends"
                else "changed its past, and not its newest prices"
            )
            says = (f"the source has {why}; what is stored stays",)
        elif found.kind == "split" and can_split(ticker, checked.calendars[ticker].name):
            says = (f"the source has divided its past by {found.ratio:g} and lists no such split",)
        elif (
            found.kind != "none"
            and np.count_nonzero(new) < _RESCALED_STAYS
            and severities["rescaled"] == "hold_ticker"
        ):
            stays[mine] = False
            reason = (
                f"its whole past comes {1 / found.ratio:g} times as high as it is stored, and neither a split"
                " nor a dividend explains it: nothing of it is taken; look at the source (it is believed if"
                " it stays so for two weeks)"
            )
            holds.setdefault(ticker, Hold("rescaled", reason))
        elif found.kind != "none":
            says = (
                f"its whole past comes {1 / found.ratio:g} times as high as before, for two weeks already",
            )
        if says:
            flags[ticker] = (*flags.get(ticker, ()), *says)
    return dataclasses.replace(checked, good=checked.good.rows(stays), holds=holds, flags=flags)


def _factor(ticker: str, rows: Histories, stored: Histories, known: Known) -> Factor:
    """How the offered past goes with the stored one."""
    both = rows.is_among(stored)
    at = np.searchsorted(stored.sessions, rows.sessions[both])
    mine = known.actions[known.actions["ticker"] == ticker]
    paid = mine[mine["kind"] == "dividend"]
    return judge_factor(
        rows.sessions[both],
        stored.figures["close"][at],
        rows.figures["close"][both],
        (paid["session"].to_numpy("datetime64[D]"), paid["value"].to_numpy(float)),
    )


# --- what is new


def _joined(
    config: RunConfig,
    known: Known,
    parts: Sequence[Checked],
    digests: Callable[[], Digests],
    fewest_to_store_whole: int,
) -> Market:
    as_of, stored, names = config.as_of, known.histories, known.histories.tickers
    good, _ = Histories.side_by_side([part.good for part in parts], names)
    good = good.last_of_each()
    is_new = ~good.is_among(stored)
    told = {ticker: said for part in parts for ticker, said in part.told.items()}
    verdicts = pd.concat([part.judged.changed(known.verdicts) for part in parts], ignore_index=True)
    with database.open_working(config.workspace, as_of.now) as con:
        ahead = database.knows_later(
            con, as_of
        )  # the clock went back: only the table knows which revision is next
        changed = good if ahead else good.rows(_differs(good, stored))
        prices = revisions.diff_prices(con, changed.frame().assign(source=config.source.name), as_of)
        actions = revisions.diff_actions(
            con, _typed("corporate_actions", [part.actions for part in parts]), as_of
        )
        refused = _unseen(con, _typed("quarantined_prices", [part.quarantined for part in parts]), as_of)
        fresh = good.rows(is_new & (not ahead))
        new = fresh.overlaid(Histories.from_frame(prices, names))
        digest = prices_hash(con, digests(), new, stored.among(new))
    clean = _clean(config, known, parts, fresh, fewest_to_store_whole)
    newest = pd.concat([known.verdicts, verdicts], ignore_index=True).drop_duplicates(
        ["ticker", "session"], keep="last"
    )
    seen = stored.overlaid(new)
    aside = set_aside(newest, names)
    seen = seen.rows(~np.isin(seen.keys(), aside)) if len(aside) else seen
    calendars = {ticker: calendar for part in parts for ticker, calendar in part.calendars.items()}
    seen, all_actions = linked(seen, overlaid_actions(known.actions, actions), config.renames)
    market = _market(seen, all_actions, calendars, (prices, actions, refused))
    answered = {str(ticker) for ticker, said in told.items() if said.problem is None}
    gaps = changed_gaps(_with_gaps(seen, known, calendars, answered, as_of), calendars, known.gaps, as_of)
    quarantined = pd.concat([part.quarantined for part in parts], ignore_index=True)
    counts = dict(zip(names, np.bincount(fresh.of, minlength=len(names)).tolist(), strict=True))
    revised = prices["ticker"].value_counts().to_dict()
    return dataclasses.replace(
        market,
        prices_hash=digest,
        problems=_problems(parts, quarantined, seen, known, as_of),
        rows_new={ticker: count + int(revised.get(ticker, 0)) for ticker, count in counts.items()},
        rows_refused=quarantined["ticker"].value_counts().to_dict(),
        gaps=gaps,
        findings=_typed("quality_counts", [part.findings for part in parts]).drop(
            columns=["run_id", "source"], errors="ignore"
        ),
        missing=_still_missing(known.gaps, gaps),
        clean=clean,
        flags={ticker: texts for part in parts for ticker, texts in part.flags.items()},
        verdicts=verdicts.assign(known_at=_naive(as_of)),
    )


def _naive(as_of: AsOf) -> pd.Timestamp:
    return pd.Timestamp(as_of.now).tz_localize(None)


def _typed(table: str, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    types = empty(table).dtypes.to_dict()
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return empty(table)
    joined = pd.concat(filled, ignore_index=True)
    return joined.astype({name: kind for name, kind in types.items() if name in joined.columns})


def _unseen(con: database.Connection, refused: pd.DataFrame, as_of: AsOf) -> pd.DataFrame:
    """What is not in the quarantine yet."""
    already = reads.quarantine_keys(con, sorted(set(refused["ticker"])))
    keys = zip(refused["ticker"], refused["row"], refused["rule"], strict=True)
    unseen = refused[np.array([key not in already for key in keys], dtype=bool)]
    return unseen.drop_duplicates(["ticker", "row", "rule", "origin"]).assign(
        known_at=_naive(as_of), released_at=pd.NaT
    )


def _clean(
    config: RunConfig, known: Known, parts: Sequence[Checked], fresh: Histories, fewest_to_store_whole: int
) -> CleanRows | None:
    """How the new rows reach the table: by the source's own way those of whole tickers of which nothing was
    stored and nothing refused, the others from columns.
    """
    whole = None
    for part in parts:
        tickers = _untouched(part, known)
        rows = np.isin(fresh.of, pd.Index(fresh.tickers).get_indexer(tickers))
        if part.offered.whole is not None and np.count_nonzero(rows) >= fewest_to_store_whole:
            names = part.offered.whole.names["ticker"]
            left_out = tuple(names[~names.isin(tickers)].dropna())
            whole = WholeTickers(
                part.offered.whole, tuple(tickers), left_out, config.as_of.day, config.source.currency
            )
            fresh = fresh.rows(~rows)
    return (
        CleanRows(fresh, whole, config.source.name, config.as_of.now)
        if len(fresh) or whole is not None
        else None
    )


def _untouched(part: Checked, known: Known) -> list[str]:
    """Tickers of which nothing is stored, whose rows are all good and as the source has them."""
    rows, struck = part.offered.rows, np.zeros(len(part.offered.rows), dtype=bool)
    struck[~part.screened.kept] = True
    for places in part.screened.values.values():
        struck[places] = True
    touched = {rows.tickers[of] for of in np.unique(rows.of[struck]).tolist()} | set(part.holds)
    touched |= {str(ticker) for ticker, told in part.offered.told.items() if told.undone}
    return [ticker for ticker in rows.tickers if ticker not in touched and not len(known.sessions_of(ticker))]


def _with_gaps(
    seen: Histories, known: Known, calendars: Mapping[str, TickerCalendar], answered: set[str], as_of: AsOf
) -> dict[str, pd.DatetimeIndex]:
    """The sessions of the tickers that lack some, or lacked some before; of most nothing is missing, which
    their number tells.
    """
    waiting = set(known.gaps.loc[known.gaps["state"] != "filled", "ticker"])
    bounds = seen.bounds()
    full: dict[str, bool] = {}
    for calendar in set(calendars.values()):
        mine = np.array(
            [
                place
                for place, ticker in enumerate(seen.tickers)
                if calendars.get(ticker) == calendar and bounds[place] < bounds[place + 1]
            ]
        )
        if not len(mine):
            continue
        first, last = seen.sessions[bounds[mine]], seen.sessions[bounds[mine + 1] - 1]
        days = calendar.sessions(pd.Timestamp(first.min()), pd.Timestamp(last.max())).to_numpy(
            "datetime64[D]"
        )
        due = np.searchsorted(days, last, side="right") - np.searchsorted(days, first)
        full |= {
            seen.tickers[place]: bool(same)
            for place, same in zip(mine, due == bounds[mine + 1] - bounds[mine], strict=True)
        }
    chosen = [
        (place, ticker)
        for place, ticker in enumerate(seen.tickers)
        if ticker in answered and (ticker in waiting or not full.get(ticker, True))
    ]
    return {
        ticker: pd.DatetimeIndex(seen.sessions[bounds[place] : bounds[place + 1]]).as_unit("us")
        for place, ticker in chosen
    }


def _problems(
    parts: Sequence[Checked], quarantined: pd.DataFrame, seen: Histories, known: Known, as_of: AsOf
) -> dict[str, Problem]:
    """By ticker why its newest prices are not here: no answer, a hold, or a newest row that was refused or
    waits.
    """
    problems: dict[str, Problem] = {}
    last = {ticker: seen.sessions[high - 1] for ticker, low, high in seen.spans() if high > low}
    whole = quarantined[
        quarantined["field"].isna()
        & ~quarantined["rule"].isin(HARMLESS_RULES)
        & quarantined["session"].notna()
    ]
    for row in whole[whole["origin"] != "corporate action"].sort_values("session").itertuples():
        if row.ticker not in last or np.datetime64(row.session, "D") > last[row.ticker]:
            problems[row.ticker] = Problem(row.rule, row.reason)
    for part in parts:
        problems |= {ticker: Problem(hold.rule, hold.reason) for ticker, hold in part.holds.items()}
        for ticker, told in part.told.items():
            if told.problem is not None:
                problems[str(ticker)] = _problem_of(
                    ticker, told.problem, known, part.calendars[ticker], as_of
                )
    return problems


def _problem_of(
    ticker: str, error: TickercastError, known: Known, calendar: TickerCalendar, as_of: AsOf
) -> Problem:
    if isinstance(error, FileRefused):
        return Problem("file_refused", str(error))
    if isinstance(error, UnknownTicker):
        once_had = len(known.sessions_of(ticker)) > 0
        return Problem(*judged_absence(error, known.statuses_of(ticker), calendar, as_of, once_had=once_had))
    if isinstance(error, TickerError):
        return Problem(error.rule, error.reason)
    return Problem(type(error).__name__, str(error))


def _market(
    seen: Histories,
    all_actions: pd.DataFrame,
    calendars: Mapping[str, TickerCalendar],
    new: tuple[pd.DataFrame, ...],
) -> Market:
    series = series_from(seen, splits_of(all_actions))
    codes = (*seen.currencies, None)
    last = {ticker: high - 1 for ticker, _, high in seen.spans()}
    return Market(
        series=series,
        calendars=dict(calendars),
        currencies={ticker: codes[seen.currency[last[ticker]]] for ticker in series},
        prices=new[0],
        actions=new[1],
        quarantined=new[2],
    )


def _still_missing(before: pd.DataFrame, tonight: pd.DataFrame) -> dict[str, int]:
    newest = pd.concat(
        [frame[["ticker", "session", "state"]] for frame in (before, tonight)], ignore_index=True
    )
    newest = newest.drop_duplicates(["ticker", "session"], keep="last")
    return {
        str(ticker): int(count)
        for ticker, count in newest.loc[newest["state"] == "missing", "ticker"].value_counts().items()
    }


def stored_market(
    workspace: Path, tickers: Sequence[Ticker], as_of: AsOf, renames: Sequence[Rename] = ()
) -> Market:
    """The market of a past night: what was stored by then, and no source asked.

    A ticker whose prices did not come that night keeps its model as it did then: its problem is recalled from
    the night's status row.
    """
    known = read_known(workspace, tickers, as_of)
    with database.open_working(workspace, as_of.now) as con:
        statuses, learned = reads.read_statuses(con, tickers, as_of), reads.read_learned(con, tickers, as_of)
        digest = prices_hash(con, stored_digests(con, tickers, as_of), Histories.none(), Histories.none())
    nothing = tuple(
        empty(table).drop(columns="run_id") for table in ("prices", "corporate_actions", "quarantined_prices")
    )
    calendars = {str(ticker): known.calendar_of(ticker) for ticker in tickers}
    market = _market(*linked(known.counting, known.actions, renames), calendars, nothing)
    problems = _recalled(statuses, learned, as_of)
    missing = _still_missing(known.gaps, known.gaps.iloc[:0])
    return dataclasses.replace(market, prices_hash=digest, problems=problems, missing=missing)


def _recalled(statuses: pd.DataFrame, learned: Mapping[str, pd.Timestamp], as_of: AsOf) -> dict[str, Problem]:
    """Why prices were not new on that evening, from its last nightly run; not where some came later that was
    known then.

    Args:
        learned: by ticker, when its newest row was.
    """
    of_the_evening = statuses[
        (statuses["as_of"] == pd.Timestamp(as_of.day)) & (statuses["kind"] == "nightly")
    ]
    last = of_the_evening.drop_duplicates("ticker")
    # runs made before problems were kept tell only those of tickers that had a model
    told = last["problem"].where(
        last["problem"].notna() | (last["trigger"] != "no_new_prices"), last["reason"]
    )
    return {
        str(row.ticker): Problem(*str(text).partition(": ")[::2])
        for row, text in zip(last.itertuples(), told, strict=True)
        if pd.notna(text) and not learned.get(str(row.ticker), pd.Timestamp.min) > row.known_at
    }
