"""What becomes of a source's answer: its good rows, its refused ones, what the evidence says of odd moves,
and who must wait tonight.

    answer ──> screen (rules) ──> evidence on odd moves ──> rules about whole tickers ──> good rows,
        quarantine, verdicts, holds

Each ticker is judged by its own rows alone, and what is wrong with it costs as little as can be: a value, a
row, or what is new of it tonight.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.prices.actions import INFERRED, new_actions, overlaid_actions, unusable, withdrawn
from forecast_lib.prices.evidence import sentence
from forecast_lib.prices.moves import Judged, judged, set_aside, word_of_person
from forecast_lib.prices.rules import HARMLESS_RULES, RULE_ORDER, severities_from
from forecast_lib.prices.rules.view import Exchanges
from forecast_lib.prices.screen import Screened, rows_beside, screen
from forecast_lib.prices.source import Offered, Told, actions_frame
from forecast_lib.sessions import TickerCalendar, calendar_for
from forecast_lib.tables import empty, stacked, typed
from forecast_lib.windows.histories import Histories, splits_of

__all__ = ["Before", "Checked", "Hold", "check", "counting", "nothing_before"]

_DEFAULTS = severities_from(())
_RECENT, _FEWEST_REFUSED = 20, 5
"""Doubt about a whole table needs evidence about its newest rows: more than half of the last month refused,
and five rows.
"""

_APART, _STEPS_APART = np.timedelta64(5, "D"), 20
"""Daily prices never lie so many times in a row so far apart; those of weeks and months always do."""

_CURRENCY_STAYS = 10
"""New sessions in another currency, after which it is taken for the ticker's: neither a reply with a slipped
label nor a company that changes its currency holds it for good.
"""

_CHECK = "the currency {}; check the listing (it is believed if it stays so for two weeks)"

_MOST_SENTENCES = 3
"""About a ticker's moves, in its flags."""


class Hold(NamedTuple):
    """Why what is new of a ticker is not taken tonight: from `since` on, or all of it."""

    rule: str
    reason: str
    since: np.datetime64 | None = None


@dataclass(frozen=True)
class Before:
    """What was known of the tickers before the answer came; columns as `store.reads` has them.

    Attributes:
        rows: stored prices as traded.
        actions: ticker, session, kind, value and source.
        released: rows that a person released: ticker, session, row.
        verdicts: ticker, session, verdict, evidence.
        announced: ticker, session, kind and value of splits that lists of events announced.
    """

    rows: Histories
    actions: pd.DataFrame = field(default_factory=lambda: empty("corporate_actions"))
    released: pd.DataFrame = field(default_factory=lambda: empty("quarantined_prices"))
    verdicts: pd.DataFrame = field(default_factory=lambda: empty("price_verdicts"))
    announced: pd.DataFrame = field(default_factory=lambda: empty("events"))

    def about(self, tickers: Sequence[str]) -> Self:
        """What was known of some of the tickers; the rows stay as they are."""
        names = ("actions", "released", "verdicts", "announced")
        frames: dict[str, Any] = {
            name: frame[frame["ticker"].isin(tickers)] for name in names if len(frame := getattr(self, name))
        }
        return dataclasses.replace(self, **frames)


def nothing_before(tickers: tuple[str, ...] = ()) -> Before:
    """Of tickers that are asked for the first time."""
    return Before(Histories.none(tickers, "adj_close"))


@dataclass(frozen=True)
class Checked:
    """What was made of an answer.

    Attributes:
        screened: what the rules left of it.
        told: what the source says of each ticker beside its rows.
        judged: the evidence on odd moves.
        verdicts: ticker, session, verdict and evidence: what is judged otherwise than before.
        good: rows fit to be stored, refused values missing, with the currency that they are in.
        actions: ticker, session, kind, value and source (missing: the answer's own): usable ones, those taken
            back, inferred ones.
        quarantined: ticker, session, row, origin, rule, reason, field.
        findings: ticker, rule, severity, rows, session: how often each rule struck, and the first session.
        holds: by ticker, why what is new of it waits.
        flags: by ticker, what is odd and holds nobody, in short texts.
        other_actions: tickers with actions that are new or gone: their whole past counts anew.
    """

    screened: Screened
    told: Mapping[Ticker, Told]
    judged: Judged
    verdicts: pd.DataFrame
    good: Histories
    actions: pd.DataFrame
    quarantined: pd.DataFrame
    findings: pd.DataFrame
    holds: Mapping[str, Hold]
    flags: Mapping[str, tuple[str, ...]]
    calendars: Mapping[str, TickerCalendar]
    other_actions: frozenset[str] = frozenset()

    def overruled_by(self, again: "Checked") -> "Checked":
        """With what was made of some tickers the second time in place of the first; `screened` and `judged`
        stay those of the first.
        """
        tickers = again.good.tickers
        mine = self.good.rows(~np.isin(self.good.of, np.flatnonzero(np.isin(self.good.tickers, tickers))))
        frames: dict[str, Any] = {
            name: pd.concat(
                [(first := getattr(self, name))[~first["ticker"].isin(tickers)], getattr(again, name)],
                ignore_index=True,
            )
            for name in ("verdicts", "actions", "quarantined", "findings")
        }
        by_ticker: dict[str, Any] = {
            name: (
                {ticker: said for ticker, said in getattr(self, name).items() if ticker not in tickers}
                | {**getattr(again, name)}
            )
            for name in ("told", "holds", "flags", "calendars")
        }
        good, _ = Histories.side_by_side([mine, again.good], self.good.tickers)
        return dataclasses.replace(self, good=good, **frames, **by_ticker)


def check(
    offered: Offered,
    before: Before,
    as_of: AsOf,
    *,
    calendars: Mapping[str, TickerCalendar] | None = None,
    severities: Mapping[str, str] = _DEFAULTS,
) -> Checked:
    """Hold an answer against every rule and the evidence.

    Args:
        before: what was known of the same tickers.
        calendars: by ticker; where the source knows the exchange's time zone it counts too, as in
            `sessions.calendar_for`.
        severities: by rule.
    """
    rows, tickers = offered.rows, offered.rows.tickers
    before = before.about(tickers)
    own = {ticker: _calendar(ticker, offered, calendars) for ticker in tickers}
    beside = rows_beside(rows, before.rows)
    exchanges = Exchanges.spanning(
        [own[ticker] for ticker in tickers], [rows.sessions, beside.sessions], as_of
    )
    said = word_of_person(before.verdicts, before.released)
    by_person = before.verdicts[before.verdicts["evidence"].str.contains('"person"')]
    beside = counting(beside, by_person)

    known_actions = (
        _known_by(offered.actions, own, as_of)
        .drop_duplicates()
        .sort_values(["ticker", "session", "kind"], ignore_index=True)
    )
    actions, bad_actions = unusable(known_actions, rows, beside)
    gone = withdrawn(offered, actions, before.actions)
    recorded = before.actions[before.actions["source"] != INFERRED]
    splits = splits_of(overlaid_actions(recorded, actions_frame([actions, gone])))

    refused = np.isin(rows.keys(), aside) if len(aside := set_aside(by_person, tickers)) else None
    screened = screen(
        offered,
        beside,
        exchanges,
        splits,
        as_of,
        severities=severities,
        released=before.released,
        refused=refused,
    )
    moves = judged(
        screened.good(),
        np.flatnonzero(screened.kept),
        beside,
        splits,
        exchanges,
        said,
        splits_of(before.announced),
        {
            *before.verdicts.loc[before.verdicts["verdict"] != "real", "ticker"],
            *before.actions.loc[before.actions["source"] == INFERRED, "ticker"],
        },
    )
    screened = screened.with_strikes(moves.strikes) if moves.strikes else screened
    breaches = _breaches(screened, offered.refused, bad_actions)
    currencies = list(_other_currencies(rows, before.rows))
    doubts = [
        *(
            (ticker, Hold("currency_changed", _CHECK.format(words)))
            for ticker, words, stays in currencies
            if not stays
        ),
        *_without_rows(screened, breaches, beside),
        *_doubtful(screened, breaches, beside),
        *_not_daily(screened.good(), beside),
        *(
            (each, Hold("assumed_split_basis", told.assumption))
            for each, told in offered.told.items()
            if told.assumption
        ),
        *((each, Hold("split_basis", told.torn)) for each, told in offered.told.items() if told.torn),
    ]
    holds: dict[str, Hold] = {}
    for ticker, hold in [*doubts, *_by_choice(breaches, severities)]:
        if severities[hold.rule] == "hold_ticker":
            holds.setdefault(ticker, hold)
    all_actions = pd.concat([actions, gone, moves.inferred(before.actions, actions)], ignore_index=True)
    listed = [screened.quarantined(), offered.refused.assign(field=None), bad_actions.assign(field=None)]
    return Checked(
        screened,
        offered.told,
        moves,
        moves.changed(before.verdicts),
        _good(screened, holds, before.rows),
        all_actions.astype({"source": "str"}),
        stacked(listed).astype({"field": "str"}),
        _counted(breaches, doubts, severities),
        holds,
        _flags(screened, moves, {ticker: words for ticker, words, stays in currencies if stays}),
        own,
        frozenset(new_actions(actions, before.actions) | set(gone["ticker"])),
    )


def counting(rows: Histories, verdicts: pd.DataFrame) -> Histories:
    """The rows without those that the verdicts set aside."""
    aside = set_aside(verdicts, rows.tickers)
    return rows.rows(~np.isin(rows.keys(), aside)) if len(aside) else rows


def _calendar(
    ticker: str, offered: Offered, calendars: Mapping[str, TickerCalendar] | None
) -> TickerCalendar:
    zone = offered.told[Ticker(ticker)].timezone
    return calendars[ticker] if zone is None and calendars is not None else calendar_for(ticker, zone)


def _known_by(actions: pd.DataFrame, calendars: Mapping[str, TickerCalendar], as_of: AsOf) -> pd.DataFrame:
    """The actions of sessions that are known at the as-of."""
    if actions.empty:
        return actions
    last = {calendar: calendar.last_known(as_of) for calendar in set(calendars.values())}
    known = actions["ticker"].map({ticker: last[calendar] for ticker, calendar in calendars.items()})
    return actions[actions["session"] <= known]


def _good(screened: Screened, holds: Mapping[str, Hold], stored: Histories) -> Histories:
    """The rows to be stored: not those that a hold keeps out, and with the newest known currency where the
    source names none.
    """
    good = screened.good()
    if holds:
        since = np.full(len(good.tickers), np.datetime64("9999-12-31"))
        for ticker, hold in holds.items():
            since[good.tickers.index(ticker)] = hold.since or np.datetime64("-9999-01-01")
        good = good.rows(good.sessions < since[good.of])
    return good.with_currencies_of(stored)


# --- whole tickers


def _breaches(screened: Screened, *refused: pd.DataFrame) -> pd.DataFrame:
    """A line for each row, value or action that broke a rule: ticker, session, rule, reason, and whether a
    row of bad data was lost.
    """
    rows, names = screened.offered.rows, np.array(screened.offered.rows.tickers, dtype=object)
    parts = []
    for strike in screened.strikes:
        days = rows.sessions[strike.rows].astype("datetime64[us]")
        lost = ~screened.kept[strike.rows] & (strike.rule not in HARMLESS_RULES)
        struck = {"ticker": names[rows.of[strike.rows]], "session": days, "rule": strike.rule}
        parts.append(pd.DataFrame({**struck, "reason": "", "lost": lost}))
    for frame in refused:
        lost = (frame["origin"] != "corporate action") & frame["session"].notna()
        parts.append(frame[["ticker", "session", "rule", "reason"]].assign(lost=lost))
    return stacked(parts).astype({"lost": bool})


def _other_currencies(rows: Histories, stored: Histories) -> Iterator[tuple[str, str, bool]]:
    """Tickers whose source quotes another currency than the newest stored row that has one, both codes in
    words, and whether it has done so for long enough.
    """
    then, bounds = stored.newest_currencies(), stored.bounds()
    now = rows.newest_currencies()
    for ticker, low, high in rows.spans():
        code, known = now.get(ticker), then.get(ticker)
        if code is None or known is None or code == known:
            continue
        newest = stored.sessions[bounds[stored.tickers.index(ticker) + 1] - 1]
        stays = np.count_nonzero(rows.sessions[low:high] > newest) >= _CURRENCY_STAYS
        yield ticker, f"came as {code}, stored rows have {known}", bool(stays)


def _without_rows(
    screened: Screened, breaches: pd.DataFrame, beside: Histories
) -> Iterator[tuple[str, Hold]]:
    """An empty table breaks no row rule; it must not pass for that. Nothing new since the last run is no
    breach.
    """
    offered = screened.offered
    left = np.bincount(offered.rows.of[screened.kept], minlength=len(offered.rows.tickers))
    none = {offered.rows.tickers[place]: place for place in np.flatnonzero(left == 0).tolist()}
    rules = breaches[breaches["ticker"].isin(list(none))].groupby("ticker")["rule"].agg(set) if none else {}
    stored = np.diff(beside.bounds())
    for ticker, place in none.items():
        names = rules.get(ticker, set())
        if offered.told[Ticker(ticker)].problem is None and not (
            stored[place] and not HARMLESS_RULES.isdisjoint(names)
        ):
            named = ", ".join(sorted(names)) or "none came"
            yield ticker, Hold("no_rows", f"no usable row ({named}); look at quarantined_prices")


def _doubtful(screened: Screened, breaches: pd.DataFrame, beside: Histories) -> Iterator[tuple[str, Hold]]:
    """Tickers of whose newest rows more than half were refused."""
    rows = screened.offered.rows
    for ticker, lost in breaches[breaches["lost"]].groupby("ticker"):
        if len(lost) < _FEWEST_REFUSED or ticker not in rows.tickers:
            continue
        place, bad = rows.tickers.index(ticker), lost["session"].to_numpy("datetime64[D]")
        mine = rows.sessions[(rows.of == place) & screened.kept]
        fine = np.concatenate([mine, beside.sessions[beside.of == place]])
        recent = np.union1d(bad, fine)[-_RECENT:]
        wrong = recent[np.isin(recent, bad) & ~np.isin(recent, fine)]
        if len(wrong) >= _FEWEST_REFUSED and 2 * len(wrong) > len(recent):
            share, most = f"{len(wrong)} of the last {len(recent)} rows", lost["rule"].value_counts().index[0]
            reason = f"{share} refused, most by {most}; first on {wrong[0]}"
            yield str(ticker), Hold("too_many_refused", reason, wrong[0])


def _not_daily(good: Histories, beside: Histories) -> Iterator[tuple[str, Hold]]:
    """Tickers whose newest rows lie days apart each time, as those of weeks and months do."""
    if not len(good):
        return
    first, end = good.bounds()[:-1], good.bounds()[1:]
    near = (np.diff(good.sessions) < _APART) & (np.diff(good.of) == 0)
    nears = np.concatenate([[0], np.cumsum(near)])  # up to each row
    newest = np.maximum(end - 1, 0)
    recent = np.maximum(newest - _STEPS_APART, np.minimum(first, newest))
    apart = (end > first) & (nears[newest] == nears[recent])
    for place in np.flatnonzero(apart).tolist():
        days = np.union1d(good.sessions[first[place] : end[place]], beside.sessions[beside.of == place])
        before = np.flatnonzero(np.diff(days) < _APART)
        begin = int(before[-1]) + 1 if len(before) else 0  # the last row that is one of a day
        if len(days) - 1 - begin >= _STEPS_APART:
            lie = f"its last {len(days) - begin} rows lie {_APART.astype(int)} days or more apart"
            reason = f"{lie}: expected one for each session, not each week or month"
            yield good.tickers[place], Hold("not_daily", reason, days[begin + 1] if len(before) else None)


def _by_choice(breaches: pd.DataFrame, severities: Mapping[str, str]) -> Iterator[tuple[str, Hold]]:
    """What a rule about rows holds back because a universe says so."""
    chosen = breaches[breaches["rule"].map(severities) == "hold_ticker"]
    for (rule, ticker), rows in chosen.groupby(["rule", "ticker"], sort=False):
        reason = [f"{len(rows)} rows refused by a rule that holds the ticker", rows["reason"].iloc[0]]
        yield ticker, Hold(rule, "; ".join(filter(None, reason)))


def _counted(
    breaches: pd.DataFrame, doubts: list[tuple[str, Hold]], severities: Mapping[str, str]
) -> pd.DataFrame:
    """Ticker, rule, severity, rows and session: a line for each ticker and rule; several figures of one row
    count once a figure.
    """
    columns = ["ticker", "rule", "session"]
    whole = pd.DataFrame([(ticker, hold.rule, pd.NaT) for ticker, hold in doubts], columns=columns)
    found = pd.concat([breaches[columns], whole.astype({"session": "datetime64[us]"})], ignore_index=True)
    by_rule = found.groupby(["ticker", "rule"], as_index=False)
    counted = by_rule.agg(rows=("rule", "size"), session=("session", "min"))
    counted = counted.assign(severity=counted["rule"].map(severities), order=counted["rule"].map(RULE_ORDER))
    counted = counted.sort_values(["ticker", "order"], ignore_index=True)
    return typed("quality_counts", counted[["ticker", "rule", "severity", "rows", "session"]])


def _flags(screened: Screened, moves: Judged, currencies: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """What is odd about a ticker and holds nobody: real moves and inferred splits, values that were refused,
    another currency that has stayed.
    """
    flags: dict[str, list[str]] = defaultdict(list)
    for ticker, verdicts in moves.verdicts.items():
        flags[ticker] += [sentence(each) for each in verdicts if not len(each.rows)][-_MOST_SENTENCES:]
    rows = screened.offered.rows
    for name, values in screened.left.figures.items():
        if values is rows.figures[name]:
            continue
        refused = rows.of[np.isnan(values) & ~np.isnan(rows.figures[name])]
        for place, count in zip(*np.unique(refused, return_counts=True), strict=True):
            flags[rows.tickers[place]].append(f"{count} {name} {'value' if count == 1 else 'values'} refused")
    for ticker, told in screened.offered.told.items():
        flags[ticker] += [text for text in (told.assumption, told.torn) if text is not None]
    for ticker, words in currencies.items():
        flags[ticker].append(f"the currency {words}, for two weeks already")
    return {ticker: tuple(texts) for ticker, texts in flags.items() if texts}
