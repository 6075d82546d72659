"""Rules about a ticker's table as a whole: whether it may go on with tonight's rows."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import Ticker
from forecast_lib.errors import TickerHeld
from forecast_lib.prices.jumps import RECENT_SESSIONS
from forecast_lib.prices.rules import HARMLESS_RULES
from forecast_lib.prices.source import FetchedPrices
from forecast_lib.sessions import TickerCalendar

__all__ = ["broken_for_good", "currency_changed", "gap", "no_rows", "split_basis_assumed", "too_many_refused"]

REFUSED_SHARE, REFUSED_ROWS = 0.01, 3
"""More than this share *and* more than so many rows refused: then the table is bad. Three are forgiven in a short fetch."""

_NO_SIGN_OF_A_BAD_TABLE = HARMLESS_RULES | {"currency_block"}
"""A block of another unit is one mistake, however many rows it has; what it leaves is for `gap` to judge."""

_NEVER = np.empty(0, dtype="datetime64[us]")

LONGEST_GAP = 10
"""Consecutive missing sessions, two weeks: longer than closures that a calendar may not know of."""

MISSING_SHARE = 0.05
"""Of the recent sessions; and never fewer than four, so that a young ticker is not held for one day."""


def currency_changed(fetched: FetchedPrices, known: pd.DataFrame | None) -> TickerHeld | None:
    """The source quotes another currency than the newest stored row that has one."""
    if known is None or fetched.currency is None or "currency" not in known.columns:
        return None
    before = known["currency"].dropna()
    if before.empty or before.iloc[-1] == fetched.currency:
        return None
    reason = f"the currency came as {fetched.currency}, stored rows have {before.iloc[-1]}; check the listing"
    return TickerHeld(fetched.ticker, reason, rule="currency_changed")


def no_rows(ticker: Ticker, good: int, rules: Collection[str], known: pd.DataFrame | None) -> TickerHeld | None:
    """An empty table breaks no row rule; it must not pass for that. Nothing new since the last run is no breach.

    Args:
        good: how many rows are left.
        rules: those that refused the others.
    """
    nothing_new = known is not None and len(known) > 0 and not HARMLESS_RULES.isdisjoint(rules)
    if good or nothing_new:
        return None
    named = ", ".join(sorted(set(rules))) or "none came"
    return TickerHeld(ticker, f"no usable row ({named}); look at quarantined_prices", rule="no_rows")


def too_many_refused(
    ticker: Ticker, quarantined: pd.DataFrame, severities: Mapping[str, str], fetched: int, kept: int
) -> TickerHeld | None:
    """A row of which only a value was refused does not count.

    Args:
        quarantined: QUARANTINE_COLUMNS.
        fetched: rows that came.
        kept: rows of the whole history. Where that is longer the share is taken of it: a few bad days must not hold a ticker of
            many years.
    """
    lost = [severities.get(rule) != "null_field" for rule in quarantined["rule"]]
    is_bad = [whole and rule not in _NO_SIGN_OF_A_BAD_TABLE for whole, rule in zip(lost, quarantined["rule"], strict=True)]
    rows = max(fetched, kept + sum(lost))
    if sum(is_bad) <= REFUSED_ROWS or sum(is_bad) <= REFUSED_SHARE * rows:
        return None
    bad = quarantined[is_bad]
    most, first = bad["rule"].value_counts(), bad.iloc[0]
    reason = f"{len(bad)} of {rows} rows refused, {most.iloc[0]} by {most.index[0]}; first at {first['origin']}: {first['reason']}"
    return TickerHeld(ticker, reason, rule="too_many_refused")


def gap(
    ticker: Ticker, days: NDArray[np.datetime64], calendar: TickerCalendar, closed: NDArray[np.datetime64] = _NEVER
) -> TickerHeld | None:
    """Holes between the rows of the last year. Sessions after the last row are no hole: the data are then old, which is said
    elsewhere.

    Args:
        days: of the whole history, ascending.
        closed: sessions of which a person said that there was no trading.
    """
    if not len(days):
        return None
    sessions = calendar.sessions(pd.Timestamp(days[0]), pd.Timestamp(days[-1]))[-RECENT_SESSIONS:]
    missing = ~sessions.isin(days) & ~sessions.isin(closed)
    longest = _longest_run(missing)
    # Where Monday to Friday stands in for an unknown calendar, holidays are among the missing.
    allowed = np.inf if calendar.recorded_fallback else max(REFUSED_ROWS, MISSING_SHARE * len(sessions))
    if longest <= LONGEST_GAP and missing.sum() <= allowed:
        return None
    first = sessions[missing][0].date()
    found = f"{missing.sum()} of the last {len(sessions)} sessions are missing, {longest} in a row"
    reason = f"{found}; first missing {first}; where there was no trading, say so with `tickercast gaps close`"
    return TickerHeld(ticker, reason, rule="gap")


def split_basis_assumed(fetched: FetchedPrices) -> TickerHeld | None:
    """The source took for granted what its prices do not show."""
    return TickerHeld(fetched.ticker, fetched.assumption, rule="assumed_split_basis") if fetched.assumption else None


def _longest_run(flags: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def broken_for_good(ticker: Ticker, struck: Sequence[tuple[str, str]], severities: Mapping[str, str]) -> TickerHeld | None:
    """A rule about rows whose severity is to hold the ticker.

    Args:
        struck: rule and reason of each breach, those that the source itself found among them.
    """
    holding = [(rule, reason) for rule, reason in struck if severities.get(rule) == "hold_ticker"]
    if not holding:
        return None
    first, why = holding[0]
    reason = f"{len(holding)} rows refused by rules that hold the ticker; first {first}: {why}"
    return TickerHeld(ticker, reason, rule=first)
