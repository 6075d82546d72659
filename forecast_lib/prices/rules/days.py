"""Rules about a row's session: the exchange's calendar, the evening, and other rows of the same session."""

import numpy as np
import pandas as pd

from forecast_lib.prices.rules.rule import DROP, DROP_OR_HOLD, ROW, Found, Rule
from forecast_lib.prices.rules.view import View
from forecast_lib.prices.source import VALUES

__all__ = ["RULES"]

_STRAY_SHARE = 0.1
"""Markets with another week trade on a fifth of such days or more."""


def _unfinished(view: View) -> Found:
    over = view.exchanges.closed[view.exchanges.of[view.rows.of]]
    return {ROW: (view.days > over) & (view.days <= np.datetime64(view.as_of.day, "D"))}


def _weekend(view: View) -> Found:
    """Saturdays and Sundays; of a market without a calendar of its own those that are strays: if it often
    trades then, it is open then.
    """
    guessed = np.array([each.recorded_fallback for each in view.exchanges.calendars])
    if view.is_session.all() and not guessed.any():
        return {}
    weekend, count = ~np.is_busday(view.days), len(view.rows.tickers)
    share = np.bincount(view.rows.of, weekend, count) / np.maximum(
        np.bincount(view.rows.of, minlength=count), 1
    )
    strays = (guessed[view.exchanges.of] & (share < _STRAY_SHARE))[view.rows.of]
    return {ROW: weekend & (~view.is_session | strays)}


def _no_session(view: View) -> Found:
    return {} if view.is_session.all() else {ROW: ~view.is_session & np.is_busday(view.days)}


def _shared(view: View) -> pd.DataFrame:
    """Session and figures of the rows of sessions that have more than one, by their places."""
    again = view.follows & (view.days == view.before(view.days))
    at = np.flatnonzero(again | np.append(again[1:], False)[: len(again)])
    return pd.DataFrame(
        {"session": view.rows.keys()[at], **{name: view[name][at] for name in VALUES}}, index=at
    )


def _repeated(view: View) -> Found:
    shared = _shared(view)
    return _at(view, shared.index[shared.duplicated()])


def _contested(view: View) -> Found:
    different = _shared(view).drop_duplicates()
    return _at(view, different.index[different["session"].duplicated(keep=False)])


def _at(view: View, places: pd.Index) -> Found:
    flags = np.zeros(len(view.rows), dtype=bool)
    flags[places] = True
    return {ROW: flags}


RULES = (
    Rule(
        "future_session",
        "drop_row",
        DROP,
        "a session after the as-of day",
        "later than the as-of day {as_of}",
        lambda view: {ROW: view.days > np.datetime64(view.as_of.day, "D")},
        True,
    ),
    Rule(
        "weekend_session",
        "drop_row",
        DROP_OR_HOLD,
        "a Saturday or Sunday on which the exchange does not trade",
        "a weekend, no session of {calendar}",
        _weekend,
        True,
    ),
    Rule(
        "unknown_session",
        "drop_row",
        DROP_OR_HOLD,
        "any other day that is no session of the exchange",
        "no session of {calendar}",
        _no_session,
        True,
    ),
    Rule(
        "unfinished_session",
        "drop_row",
        DROP,
        "the session had not been closed for 30 minutes",
        "not over by {now} UTC, settling time included",
        _unfinished,
        True,
    ),
    Rule(
        "repeated_row",
        "drop_row",
        DROP,
        "the same row again; the first stays",
        "the same row stands above",
        _repeated,
        True,
    ),
    Rule(
        "duplicate_session",
        "drop_row",
        DROP_OR_HOLD,
        "several rows of one session with different figures: all are refused",
        "several rows of this session, with different figures",
        _contested,
    ),
)
