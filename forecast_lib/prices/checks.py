"""What becomes of a source's answer: its good rows, its refused ones, what the evidence says of odd moves,
and who must wait tonight.

    answer ──> screen (rules) ──> evidence on odd moves ──> rules about whole tickers ──> good rows, quarantine, verdicts, holds

Each ticker is judged by its own rows alone, and what is wrong with it costs as little as can be: a value, a
row, or what is new of it tonight.
"""

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.prices.actions import INFERRED, in_order, new_actions, overlaid_actions, unusable, withdrawn
from forecast_lib.prices.evidence import sentence
from forecast_lib.prices.moves import Judged, judged, set_aside, word_of_person
from forecast_lib.prices.rules import HARMLESS_RULES, RULE_ORDER, severities_from
from forecast_lib.prices.rules.view import Exchanges
from forecast_lib.prices.screen import Screened, rows_beside, screen
from forecast_lib.prices.source import ACTION_COLUMNS, REFUSED_COLUMNS, Offered, Told, actions_frame, as_json
from forecast_lib.sessions import TickerCalendar, calendar_for
from forecast_lib.windows.histories import Histories, splits_of

__all__ = ["Before", "Checked", "Hold", "check", "nothing_before"]

_DEFAULTS = severities_from(())
_RECENT, _FEWEST_REFUSED = 20, 5
"""Doubt about a whole table needs evidence about its newest rows: more than half of the last month refused,
and five rows.
"""


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
    """

    rows: Histories
    actions: pd.DataFrame
    released: pd.DataFrame
    verdicts: pd.DataFrame


def nothing_before(tickers: tuple[str, ...] = ()) -> Before:
    """Of tickers that are asked for the first time."""
    texts = {name: pd.Series(dtype=str) for name in ("ticker", "row", "verdict", "evidence")}
    days = pd.Series(dtype="datetime64[us]")
    actions = actions_frame(()).assign(source=pd.Series(dtype=str))
    released = pd.DataFrame({"ticker": texts["ticker"], "session": days, "row": texts["row"]})
    verdicts = pd.DataFrame(
        {
            "ticker": texts["ticker"],
            "session": days,
            **{name: texts[name] for name in ("verdict", "evidence")},
        }
    )
    return Before(Histories.none(tickers, "adj_close"), actions, released, verdicts)


@dataclass(frozen=True)
class Checked:
    """What was made of an answer.

    Attributes:
        offered, screened: the answer, and what the rules left of it.
        told: what the source says of each ticker beside its rows.
        judged: the evidence on odd moves.
        good: rows fit to be stored, refused values missing, with the currency that they are in.
        actions: ticker, session, kind, value and source (missing: the answer's own): usable ones, those taken
            back, inferred ones.
        quarantined: ticker, session, row, origin, rule, reason, field.
        findings: ticker, rule, severity, rows, session: how often each rule struck, and the first session.
        holds: by ticker, why what is new of it waits.
        flags: by ticker, what is odd and holds nobody, in short texts.
        rows: by ticker, how many came, readable or not.
        other_actions: tickers with actions that are new or gone: their whole past counts anew.
    """

    offered: Offered
    screened: Screened
    told: Mapping[Ticker, Told]
    judged: Judged
    good: Histories
    actions: pd.DataFrame
    quarantined: pd.DataFrame
    findings: pd.DataFrame
    holds: Mapping[str, Hold]
    flags: Mapping[str, tuple[str, ...]]
    calendars: Mapping[str, TickerCalendar]
    other_actions: frozenset[str] = field(default_factory=frozenset)

    def without(self, tickers: Collection[str]) -> "Checked":
        """What was made of the others; `offered` and `screened` stay whole."""
        if not tickers:
            return self
        gone = [place for place, ticker in enumerate(self.good.tickers) if ticker in tickers]
        frames = {name: getattr(self, name) for name in ("actions", "quarantined", "findings")}
        return dataclasses.replace(
            self,
            told=_others(self.told, tickers),
            judged=dataclasses.replace(
                self.judged,
                verdicts=_others(self.judged.verdicts, tickers),
                since=_others(self.judged.since, tickers),
            ),
            good=self.good.rows(~np.isin(self.good.of, gone)),
            **{name: frame[~frame["ticker"].isin(list(tickers))] for name, frame in frames.items()},
            holds=_others(self.holds, tickers),
            flags=_others(self.flags, tickers),
            other_actions=self.other_actions.difference(tickers),
        )


def _others(values: Mapping[Any, Any], tickers: Collection[str]) -> dict[Any, Any]:
    return {ticker: value for ticker, value in values.items() if ticker not in tickers}


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
    own = {ticker: _calendar(ticker, offered, calendars) for ticker in tickers}
    beside = rows_beside(rows, before.rows)
    exchanges = Exchanges.spanning(
        [own[ticker] for ticker in tickers], [rows.sessions, beside.sessions], as_of
    )
    said = word_of_person(before.verdicts, before.released)
    aside = set_aside(before.verdicts[before.verdicts["evidence"].str.contains('"person"')], tickers)
    beside = beside.rows(~np.isin(beside.keys(), aside)) if len(aside) else beside

    known_actions = in_order(_known_by(offered.actions, own, as_of))
    bad, rules, reasons = unusable(known_actions, _latest(rows, beside) if len(known_actions) else rows)
    actions = known_actions[~bad]
    gone = withdrawn(offered, actions, before.actions)
    recorded = before.actions[before.actions["source"] != INFERRED]
    splits = splits_of(overlaid_actions(recorded, actions_frame([actions, gone])))

    screened = screen(
        offered, beside, exchanges, splits, as_of, severities=severities, released=before.released,
        refused=np.isin(rows.keys(), aside) if len(aside) else None,
    )  # fmt: skip
    moves = judged(screened.good(), np.flatnonzero(screened.kept), beside, splits, exchanges, said)
    screened = screened.with_strikes(moves.strikes)
    unusable_actions = _as_quarantined(known_actions[bad], rules, reasons)
    found = _findings(screened, offered.refused, unusable_actions)
    holds, counted = _holds(screened, moves, offered, before, beside, unusable_actions, severities)
    listed = [screened.quarantined(), _unread(offered), unusable_actions]
    return Checked(
        offered,
        screened,
        offered.told,
        moves,
        _good(screened, holds, before.rows),
        pd.concat(
            [actions.assign(source=None), gone.assign(source=None), moves.inferred(before.actions)],
            ignore_index=True,
        ),
        pd.concat([part for part in listed if len(part)] or listed[:1], ignore_index=True),
        _counted([*found, *counted], severities),
        holds,
        _flags(screened, moves),
        own,
        frozenset(new_actions(actions, before.actions) | set(gone["ticker"])),
    )


def _calendar(
    ticker: str, offered: Offered, calendars: Mapping[str, TickerCalendar] | None
) -> TickerCalendar:
    zone = offered.told[Ticker(ticker)].timezone
    if zone is None and calendars is not None:
        return calendars[ticker]
    return calendar_for(ticker, zone)


def _known_by(actions: pd.DataFrame, calendars: Mapping[str, TickerCalendar], as_of: AsOf) -> pd.DataFrame:
    """The actions of sessions that are known at the as-of."""
    if actions.empty:
        return actions
    last = {calendar: calendar.last_known(as_of) for calendar in set(calendars.values())}
    until = actions["ticker"].map({ticker: last[calendar] for ticker, calendar in calendars.items()})
    return actions[actions["session"] <= until]


def _latest(rows: Histories, beside: Histories) -> Histories:
    """Both together, one row a session."""
    joined = Histories.side_by_side([beside, rows], rows.tickers)[0] if len(beside) else rows
    return joined.last_of_each()


def _as_quarantined(actions: pd.DataFrame, rules: list[str], reasons: list[str]) -> pd.DataFrame:
    texts = [as_json(row) for row in actions[list(ACTION_COLUMNS)].to_dict("records")]
    columns = {"ticker": actions["ticker"].tolist(), "session": actions["session"].to_numpy("datetime64[us]")}
    texts_of = {"row": texts, "origin": ["corporate action"] * len(texts), "rule": rules, "reason": reasons}
    frame = pd.DataFrame(
        {**columns, **{name: pd.array(values, dtype="str") for name, values in texts_of.items()}}
    )
    return frame.assign(field=None).astype({"ticker": "str", "field": "str"})


def _unread(offered: Offered) -> pd.DataFrame:
    """Rows that the source itself could not read."""
    return offered.refused[["ticker", *REFUSED_COLUMNS]].assign(field=None).astype({"field": "str"})


def _good(screened: Screened, holds: Mapping[str, Hold], stored: Histories) -> Histories:
    """The rows to be stored: not those that a hold keeps out, and with the newest known currency where the
    source names none.
    """
    good = screened.good()
    if holds:
        places = [place for place, ticker in enumerate(good.tickers) if ticker in holds]
        stays = ~np.isin(good.of, places)
        for place in places:
            since = holds[good.tickers[place]].since
            if since is not None:
                stays |= (good.of == place) & (good.sessions < since)
        good = good.rows(stays)
    return good.with_currencies_of(stored)


# --- whole tickers


class _Found(NamedTuple):
    """How often a rule struck a ticker, and the first session concerned."""

    ticker: str
    rule: str
    rows: int
    session: np.datetime64


_NO_DAY = np.datetime64("NaT", "D")


def _holds(
    screened: Screened,
    moves: Judged,
    offered: Offered,
    before: Before,
    beside: Histories,
    bad_actions: pd.DataFrame,
    severities: Mapping[str, str],
) -> tuple[dict[str, Hold], list[_Found]]:
    """By ticker the first reason to wait; and what the rules about whole tickers found."""
    struck: list[tuple[str, Hold]] = [*_other_currency(offered.rows, before.rows)]
    struck += _without_rows(screened, offered, beside)
    struck += _doubtful_tables(screened, offered, beside)
    for ticker, told in offered.told.items():
        if told.assumption is not None:
            struck.append((ticker, Hold("assumed_split_basis", told.assumption)))
        if told.torn is not None:
            struck.append((ticker, Hold("split_basis", told.torn)))
    counted = [_Found(ticker, hold.rule, 1, _NO_DAY) for ticker, hold in struck]
    struck += _by_choice(screened, offered, bad_actions, severities)
    holds: dict[str, Hold] = {}
    for name, hold in struck:
        if severities[hold.rule] == "hold_ticker":
            holds.setdefault(name, hold)
    return holds, counted


def _other_currency(rows: Histories, stored: Histories) -> list[tuple[str, Hold]]:
    """The source quotes another currency than the newest stored row that has one."""
    now, then = rows.newest_currencies(), stored.newest_currencies()
    return [
        (
            ticker,
            Hold(
                "currency_changed",
                f"the currency came as {code}, stored rows have {then[ticker]}; check the listing",
            ),
        )
        for ticker, code in now.items()
        if ticker in then and then[ticker] != code
    ]


def _without_rows(screened: Screened, offered: Offered, beside: Histories) -> list[tuple[str, Hold]]:
    """An empty table breaks no row rule; it must not pass for that. Nothing new since the last run is no
    breach.
    """
    rows, left = (
        offered.rows,
        np.bincount(offered.rows.of[screened.kept], minlength=len(offered.rows.tickers)),
    )
    stored = np.diff(beside.bounds())
    none = [
        place
        for place in np.flatnonzero(left == 0).tolist()
        if offered.told[Ticker(rows.tickers[place])].problem is None
    ]
    holds = []
    for place in none:
        ticker = rows.tickers[place]
        names = {strike.rule for strike in screened.strikes if (rows.of[strike.rows] == place).any()}
        names |= set(offered.refused.loc[offered.refused["ticker"] == ticker, "rule"])
        if stored[place] and not HARMLESS_RULES.isdisjoint(names):
            continue
        named = ", ".join(sorted(names)) or "none came"
        holds.append((ticker, Hold("no_rows", f"no usable row ({named}); look at quarantined_prices")))
    return holds


def _doubtful_tables(screened: Screened, offered: Offered, beside: Histories) -> list[tuple[str, Hold]]:
    """Tickers of whose newest rows more than half were refused."""
    rows, refused = offered.rows, screened.refused_rows()
    unread = offered.refused.dropna(subset=["session"])
    counts = Counter(rows.tickers[of] for of in rows.of[refused].tolist())
    counts.update(unread["ticker"].tolist())
    holds = []
    for ticker, count in counts.items():
        if count < _FEWEST_REFUSED or ticker not in rows.tickers:
            continue
        place = rows.tickers.index(ticker)
        bad = np.concatenate(
            [
                rows.sessions[refused[rows.of[refused] == place]],
                unread.loc[unread["ticker"] == ticker, "session"].to_numpy("datetime64[D]"),
            ]
        )
        fine = np.concatenate(
            [rows.sessions[(rows.of == place) & screened.kept], beside.sessions[beside.of == place]]
        )
        recent = np.union1d(bad, fine)[-_RECENT:]
        wrong = recent[np.isin(recent, bad) & ~np.isin(recent, fine)]
        if len(wrong) >= _FEWEST_REFUSED and 2 * len(wrong) > len(recent):
            names = Counter(
                strike.rule for strike in screened.strikes for at in strike.rows if rows.of[at] == place
            )
            most = next(
                (name for name, _ in names.most_common() if name not in HARMLESS_RULES),
                "its source's own reading",
            )
            reason = (
                f"{len(wrong)} of the last {len(recent)} rows refused, most by {most}; first on {wrong[0]}"
            )
            holds.append((ticker, Hold("too_many_refused", reason, wrong[0])))
    return holds


def _by_choice(
    screened: Screened, offered: Offered, bad_actions: pd.DataFrame, severities: Mapping[str, str]
) -> list[tuple[str, Hold]]:
    """What a rule about rows holds back because a universe says so."""
    holds = []
    for strike in screened.strikes:
        if severities[strike.rule] == "hold_ticker":
            for place in np.unique(offered.rows.of[strike.rows]).tolist():
                count = int((offered.rows.of[strike.rows] == place).sum())
                holds.append(
                    (
                        offered.rows.tickers[place],
                        Hold(strike.rule, f"{count} rows refused by a rule that holds the ticker"),
                    )
                )
    for frame in (offered.refused, bad_actions):
        for row in frame.itertuples():
            if severities.get(row.rule) == "hold_ticker":
                holds.append(
                    (row.ticker, Hold(row.rule, f"refused by a rule that holds the ticker: {row.reason}"))
                )
    return holds


def _findings(screened: Screened, refused: pd.DataFrame, bad_actions: pd.DataFrame) -> list[_Found]:
    rows, found = screened.offered.rows, []
    for strike in screened.strikes:
        of = rows.of[strike.rows]
        places, first, counts = np.unique(of, return_index=True, return_counts=True)
        days = (
            np.minimum.reduceat(rows.sessions[strike.rows], first)
            if (of[1:] >= of[:-1]).all()
            else rows.sessions[strike.rows][first]
        )
        found += [
            _Found(rows.tickers[place], strike.rule, int(count), day)
            for place, count, day in zip(places.tolist(), counts.tolist(), days, strict=True)
        ]
    for frame in (refused, bad_actions):
        days = frame["session"].to_numpy("datetime64[D]")
        found += [
            _Found(ticker, rule, 1, day)
            for ticker, rule, day in zip(frame["ticker"], frame["rule"], days, strict=True)
        ]
    return found


def _counted(found: list[_Found], severities: Mapping[str, str]) -> pd.DataFrame:
    """Ticker, rule, severity, rows and session: a line for each ticker and rule; several figures of one row
    count once a figure.
    """
    types = {"ticker": "str", "rule": "str", "severity": "str", "rows": "int64", "session": "datetime64[us]"}
    frame = pd.DataFrame(found, columns=["ticker", "rule", "rows", "session"])
    if frame.empty:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})
    frame["session"] = np.array([each.session for each in found], dtype="datetime64[us]")
    counted = frame.groupby(["ticker", "rule"], as_index=False).agg(
        rows=("rows", "sum"), session=("session", "min")
    )
    counted["severity"] = [severities.get(rule, "drop_row") for rule in counted["rule"]]
    order = counted["rule"].map(RULE_ORDER).fillna(-1)
    counted = counted.assign(order=order).sort_values(["ticker", "order"], ignore_index=True)
    return counted[list(types)].astype(types)


def _flags(screened: Screened, moves: Judged) -> dict[str, tuple[str, ...]]:
    """What is odd about a ticker and holds nobody: real moves and inferred splits, values that were
    refused.
    """
    flags: dict[str, list[str]] = {}
    for ticker, verdicts in moves.verdicts.items():
        flags[ticker] = [sentence(each) for each in verdicts if not len(each.rows)][-3:]
    rows = screened.offered.rows
    for name, places in screened.values.items():
        of = rows.of[places]
        for place in np.unique(of).tolist():
            count = int((of == place).sum())
            flags.setdefault(rows.tickers[place], []).append(
                f"{count} {name} {'value' if count == 1 else 'values'} refused"
            )
    for ticker, told in screened.offered.told.items():
        for text in (told.assumption, told.torn):
            if text is not None:
                flags.setdefault(ticker, []).append(text)
    return {ticker: tuple(texts) for ticker, texts in flags.items() if texts}
