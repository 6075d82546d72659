"""Rules about a row's session: the exchange's calendar, the evening, and other rows of the same session."""

import numpy as np
import pandas as pd

from forecast_lib.prices.rules.rule import DROP, DROP_OR_HOLD, ROW, Found, Rule
from forecast_lib.prices.rules.view import Flags, View
from forecast_lib.prices.source import VALUES

__all__ = ["RULES"]

_STRAY_SHARE = 0.1
"""Markets with another week trade on a fifth of such days or more."""


def _future(view: View) -> Found:
    return {ROW: view.days > np.datetime64(view.as_of.day, "D")}


def _unfinished(view: View) -> Found:
    over = view.exchanges.closed[view.exchanges.of[view.rows.of]]
    return {ROW: (view.days > over) & (view.days <= np.datetime64(view.as_of.day, "D"))}


def _weekend(view: View) -> Found:
    if view.is_session.all() and not any(each.recorded_fallback for each in view.exchanges.calendars):
        return {}
    weekend = ~np.is_busday(view.days)
    return {ROW: (weekend & ~view.is_session) | _strays(view, weekend)}


def _strays(view: View, weekend: Flags) -> Flags:
    """Saturdays and Sundays of a market without a calendar of its own: if it often trades then, it is open
    then.
    """
    guessed = np.array([each.recorded_fallback for each in view.exchanges.calendars])[view.exchanges.of]
    rows = np.bincount(view.rows.of, minlength=len(guessed))
    share = np.bincount(view.rows.of, weights=weekend, minlength=len(guessed)) / np.maximum(rows, 1)
    strays: Flags = weekend & (guessed & (share < _STRAY_SHARE))[view.rows.of]
    return strays


def _no_session(view: View) -> Found:
    return {} if view.is_session.all() else {ROW: ~view.is_session & np.is_busday(view.days)}


def _several(view: View) -> Flags:
    """Rows of a session that has more than one."""
    again = view.follows & (view.days == view.before(view.days))
    return again | np.append(again[1:], False)[: len(again)]


def _repeats(view: View) -> Flags:
    """Rows that say what another row of their session has said before them."""
    shared, repeated = np.flatnonzero(_several(view)), np.zeros(len(view.rows), dtype=bool)
    if len(shared):
        keys = {"of": view.rows.of[shared], "day": view.days[shared].astype(np.int64)}
        repeated[shared] = pd.DataFrame(
            {**keys, **{name: view[name][shared] for name in VALUES}}
        ).duplicated()
    return repeated


def _repeated(view: View) -> Found:
    return {ROW: _repeats(view)}


def _contested(view: View) -> Found:
    shared = np.flatnonzero(_several(view) & ~_repeats(view))
    contested = np.zeros(len(view.rows), dtype=bool)
    if len(shared):
        contested[shared] = pd.Series(view.rows.keys()[shared]).duplicated(keep=False)
    return {ROW: contested}


RULES = (
    Rule("future_session", "drop_row", DROP, "a session after the as-of day", "later than the as-of day {as_of}", _future, True),
    Rule(
        "weekend_session", "drop_row", DROP_OR_HOLD, "a Saturday or Sunday on which the exchange does not trade",
        "a weekend, no session of {calendar}", _weekend, True,
    ),
    Rule(
        "unknown_session", "drop_row", DROP_OR_HOLD, "any other day that is no session of the exchange", "no session of {calendar}",
        _no_session, True,
    ),
    Rule(
        "unfinished_session", "drop_row", DROP, "the session had not been closed for 30 minutes",
        "not over by {now} UTC, settling time included", _unfinished, True,
    ),
    Rule("repeated_row", "drop_row", DROP, "the same row again; the first stays", "the same row stands above", _repeated, True),
    Rule(
        "duplicate_session", "drop_row", DROP_OR_HOLD, "several rows of one session with different figures: all are refused",
        "several rows of this session, with different figures", _contested,
    ),
)  # fmt: skip
