"""Which rows of a fetch are good, and whether the ticker may go on with them.

Three kinds of rule. A *row rule* looks at one row, a *past rule* at a row beside its neighbours (`prices.past`), a *table rule* at
all rows together. What happens to what breaks them is the rule's severity (`prices.rules`): the row is refused, one of its values
is, the whole ticker is held back for this run, or it is only counted. Refused rows go to the quarantine with the rule and the
reason; rows that a person released from there pass.

A row that is merely early (today's unfinished bar) or a mere repetition is set aside too, but is no sign of bad data and does
not count against the ticker. Rules never repair. All are evaluated, so that the reason names every breach of a row.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import TickerHeld
from forecast_lib.prices.actions import checked_actions
from forecast_lib.prices.jumps import JUMP_RULES, hold_for_jump, jump_limits, last_that_holds, row_of_the_jump, unexplained_jumps
from forecast_lib.prices.past import overlaid, past_breaches
from forecast_lib.prices.refusals import (
    QUARANTINE_COLUMNS,
    RULE_ORDER,
    Breach,
    Rows,
    kept_rows,
    quarantine,
    quarantine_table,
    refused_rows,
    unreleased,
)
from forecast_lib.prices.row_rules import row_breaches, rows_of
from forecast_lib.prices.rules import severities_from
from forecast_lib.prices.source import ACTION_COLUMNS, RAW_COLUMNS, FetchedPrices
from forecast_lib.prices.table_rules import broken_for_good, currency_changed, gap, no_rows, split_basis_assumed, too_many_refused
from forecast_lib.sessions import TickerCalendar

__all__ = ["CheckedPrices", "check_prices"]

_DEFAULTS = severities_from(())
_NEVER_CLOSED = np.empty(0, dtype="datetime64[us]")
_NO_DAYS = pd.Series(dtype="datetime64[us]")
_NO_TEXTS = pd.Series(dtype=str)
_NOTHING_RELEASED = pd.DataFrame({"session": _NO_DAYS, "rule": _NO_TEXTS, "row": _NO_TEXTS})
_NOTHING_QUARANTINED = pd.DataFrame({name: _NO_DAYS if name == "session" else _NO_TEXTS for name in QUARANTINE_COLUMNS})
_NO_SPLITS = pd.DataFrame({"session": _NO_DAYS, "kind": _NO_TEXTS, "value": pd.Series(dtype=float)})
_NO_FINDINGS = pd.DataFrame({"rule": _NO_TEXTS, "severity": _NO_TEXTS, "rows": pd.Series(dtype="int64"), "session": _NO_DAYS})


@dataclass(frozen=True)
class CheckedPrices:
    """What the rules left of a fetch.

    Attributes:
        good: GOOD_COLUMNS, oldest session first, one row a session, as traded; refused values are missing.
        quarantined: QUARANTINE_COLUMNS; `row` is the row as it came, as JSON; with the rows that the source itself could not
            read, with the rows of which one value was refused, and with the row whose jump holds the ticker.
        actions: ACTION_COLUMNS, oldest first, on sessions that are known at the as-of.
        hold: why the whole ticker must not go on tonight, or None.
        older_jumps: moves beyond the limit that lie too far back to hold the ticker.
        rows: how many rows came, readable or not.
        findings: `rule`, `severity`, `rows`, `session`: one row for each rule that was broken: what was done, with how many rows, and
            the first of them.
    """

    ticker: Ticker
    good: pd.DataFrame
    quarantined: pd.DataFrame
    actions: pd.DataFrame
    hold: TickerHeld | None
    older_jumps: int
    rows: int
    currency: str | None = None
    exchange_timezone: str | None = None
    findings: pd.DataFrame = field(default_factory=lambda: _NO_FINDINGS.copy())


def check_prices(
    fetched: FetchedPrices,
    calendar: TickerCalendar,
    as_of: AsOf,
    *,
    known: pd.DataFrame | None = None,
    known_actions: pd.DataFrame | None = None,
    severities: Mapping[str, str] = _DEFAULTS,
    released: pd.DataFrame = _NOTHING_RELEASED,
    closed: NDArray[np.datetime64] = _NEVER_CLOSED,
) -> CheckedPrices:
    """The good rows of a fetch, the refused ones with their reasons, and whether the ticker is held.

    Args:
        fetched: what a source answered.
        calendar: the ticker's own.
        as_of: rows later than its day, or of sessions not over at its now, are set aside.
        known: rows stored before, as traded: `session`, `close`, and open, high, low, volume and `currency` as far as there are
            any. With them a fetch of the last few sessions is judged as the continuation it is. A fetched row takes the place of
            a known one.
        known_actions: ACTION_COLUMNS stored before.
        severities: by rule, as `rules.severities_from` makes them.
        released: session, rule and row (as JSON) of the rows of this ticker that a person released.
        closed: sessions of which a person said that there was no trading.
    """
    prices = fetched.prices[list(RAW_COLUMNS)].reset_index(drop=True)
    rows = rows_of(prices)
    actions, bad_actions = checked_actions(fetched.actions, calendar.last_known(as_of))
    splits = _splits(known_actions, actions)
    breaches = unreleased(row_breaches(rows, calendar, as_of), rows, released)
    candidates = ~refused_rows(len(prices), breaches, severities)
    breaches += unreleased(past_breaches(rows, candidates, known, splits, jump_limits(calendar)[0]), rows, released)
    good = kept_rows(prices, breaches, severities)
    quarantined = _joined([_unread(fetched), quarantine(prices, rows, breaches, severities), bad_actions])
    whole = overlaid(known, {name: good[name].to_numpy() for name in ("session", "close")}, ("close",))
    jumps = unexplained_jumps(whole, splits, calendar, released, severities)
    jump = last_that_holds(jumps)
    came = len(prices) + len(fetched.refused)
    found = [*_found(fetched.refused), *_found_in(rows, breaches), *_found(bad_actions)]
    checks = (
        currency_changed(fetched, known),
        no_rows(fetched.ticker, len(good), quarantined["rule"].tolist(), known),
        too_many_refused(fetched.ticker, quarantined, severities, came, len(whole["session"])),
        gap(fetched.ticker, whole["session"], calendar, closed),
        split_basis_assumed(fetched),
        hold_for_jump(fetched.ticker, jump),
        broken_for_good(fetched.ticker, [(each.rule, each.reason) for each in found], severities),
    )
    struck = [hold for hold in checks if hold is not None]
    holds = [hold for hold in struck if severities.get(hold.rule, "hold_ticker") == "hold_ticker"]
    if jump is not None and holds and holds[0].rule in JUMP_RULES:
        quarantined = _joined([quarantined, row_of_the_jump(prices, jump, holds[0])])
    found += [_Found(hold.rule, hold.reason, None) for hold in struck]
    return CheckedPrices(
        fetched.ticker,
        good,
        quarantined,
        actions,
        holds[0] if holds else None,
        sum(not each.holds for each in jumps),
        came,
        fetched.currency,
        fetched.exchange_timezone,
        _findings(found, severities),
    )


# -- what was found -----------------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """One breach, whoever found it; the session is None where it is of the ticker as a whole, or cannot be read."""

    rule: str
    reason: str
    session: dt.datetime | None


def _found(refused: pd.DataFrame | None) -> list[_Found]:
    """What stands in QUARANTINE_COLUMNS."""
    if refused is None or refused.empty:
        return []
    days = refused["session"].to_numpy("datetime64[us]").tolist()
    return [_Found(str(rule), str(reason), day) for rule, reason, day in zip(refused["rule"], refused["reason"], days, strict=True)]


def _found_in(rows: Rows, breaches: list[Breach]) -> list[_Found]:
    return [_Found(breach.rule, breach.reason, rows["session"][breach.row].item()) for breach in breaches]


def _findings(found: Iterable[_Found], severities: Mapping[str, str]) -> pd.DataFrame:
    """As `CheckedPrices.findings`, in the order of the rules; a rule of a source's own reading refuses the row."""
    sessions: dict[str, list[dt.datetime | None]] = {}
    for each in found:
        sessions.setdefault(each.rule, []).append(each.session)
    if not sessions:
        return _NO_FINDINGS.copy()
    rules = sorted(sessions, key=lambda rule: RULE_ORDER.get(rule, -1))
    first = [min((day for day in sessions[rule] if day is not None), default=None) for rule in rules]
    return pd.DataFrame(
        {
            "rule": pd.array(rules, dtype="str"),
            "severity": pd.array([severities.get(rule, "drop_row") for rule in rules], dtype="str"),
            "rows": [len(sessions[rule]) for rule in rules],
            "session": np.array(first, dtype="datetime64[us]"),
        }
    )


# -- tables -------------------------------------------------------------------------------------------------------------------


def _splits(*actions: pd.DataFrame | None) -> pd.DataFrame:
    """The splits among stored and fetched ACTION_COLUMNS, one a session; a fetched one takes the place of a stored one."""
    parts = [part.loc[part["kind"].to_numpy() == "split", list(ACTION_COLUMNS)] for part in actions if part is not None and len(part)]
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True).drop_duplicates("session", keep="last") if filled else _NO_SPLITS


def _unread(fetched: FetchedPrices) -> pd.DataFrame | None:
    """Rows that the source itself could not read, as QUARANTINE_COLUMNS."""
    own = fetched.refused
    if own.empty:
        return None
    return quarantine_table(own["session"].to_numpy(), *(own[name].tolist() for name in QUARANTINE_COLUMNS[1:]))


def _joined(parts: list[pd.DataFrame | None]) -> pd.DataFrame:
    """QUARANTINE_COLUMNS, the parts that have rows one below the other."""
    filled = [part for part in parts if part is not None and len(part)]
    return pd.concat(filled, ignore_index=True) if filled else _NOTHING_QUARANTINED.copy()
