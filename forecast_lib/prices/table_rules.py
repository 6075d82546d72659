"""Rules about a ticker's table as a whole: whether it may go on with tonight's rows."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import Ticker
from forecast_lib.errors import TickerHeld
from forecast_lib.prices.jumps import RECENT_SESSIONS
from forecast_lib.prices.rules import HARMLESS_RULES
from forecast_lib.prices.source import FetchedPrices
from forecast_lib.sessions import TickerCalendar

__all__ = ["broken_for_good", "currency_changed", "gap", "no_rows", "too_many_refused"]

REFUSED_SHARE, REFUSED_ROWS = 0.01, 3
"""More than this share *and* more than so many rows refused: then the table is bad. Three are forgiven in a short fetch."""

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


def no_rows(ticker: Ticker, good: pd.DataFrame, quarantined: pd.DataFrame, known: pd.DataFrame | None) -> TickerHeld | None:
    """An empty table breaks no row rule; it must not pass for that. Nothing new since the last run is no breach."""
    nothing_new = known is not None and len(known) > 0 and quarantined["rule"].isin(HARMLESS_RULES).any()
    if len(good) or nothing_new:
        return None
    rules = ", ".join(sorted(set(quarantined["rule"]))) or "none came"
    return TickerHeld(ticker, f"no usable row ({rules}); look at quarantined_prices", rule="no_rows")


def too_many_refused(ticker: Ticker, quarantined: pd.DataFrame, rows: int) -> TickerHeld | None:
    """`rows`: of the fetch, or of the whole history where that is longer: a few bad days must not hold a ticker of many years."""
    bad = quarantined[~quarantined["rule"].isin(HARMLESS_RULES)]
    if len(bad) <= REFUSED_ROWS or len(bad) <= REFUSED_SHARE * rows:
        return None
    most, first = bad["rule"].value_counts(), bad.iloc[0]
    reason = f"{len(bad)} of {rows} rows refused, {most.iloc[0]} by {most.index[0]}; first at {first['origin']}: {first['reason']}"
    return TickerHeld(ticker, reason, rule="too_many_refused")


def gap(ticker: Ticker, history: pd.DataFrame, calendar: TickerCalendar) -> TickerHeld | None:
    """Holes between the rows of the last year. Sessions after the last row are no hole: the data are then old, which is said
    elsewhere."""
    if history.empty:
        return None
    sessions = calendar.sessions(history["session"].iloc[0], history["session"].iloc[-1])[-RECENT_SESSIONS:]
    missing = ~sessions.isin(history["session"])
    longest = _longest_run(missing)
    # Where Monday to Friday stands in for an unknown calendar, holidays are among the missing.
    allowed = np.inf if calendar.recorded_fallback else max(REFUSED_ROWS, MISSING_SHARE * len(sessions))
    if longest <= LONGEST_GAP and missing.sum() <= allowed:
        return None
    first = sessions[missing][0].date()
    reason = f"{missing.sum()} of the last {len(sessions)} sessions are missing, {longest} in a row; first missing {first}"
    return TickerHeld(ticker, reason, rule="gap")


def _longest_run(flags: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def broken_for_good(ticker: Ticker, struck: pd.DataFrame, severities: Mapping[str, str]) -> TickerHeld | None:
    """A rule about rows whose severity is to hold the ticker.

    Args:
        struck: `rule` and `reason` of each breach, those that the source itself found among them.
    """
    holding = struck[struck["rule"].map(dict(severities)) == "hold_ticker"]
    if holding.empty:
        return None
    first = holding.iloc[0]
    reason = f"{len(holding)} rows refused by rules that hold the ticker; first {first['rule']}: {first['reason']}"
    return TickerHeld(ticker, reason, rule=str(first["rule"]))
