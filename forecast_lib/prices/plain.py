"""Tickers whose rows break no rule and say nothing new about the past: found for all at once, in a few passes over columns.

Most answers of a source are plain: some sessions that are stored already, with the same figures, and the next ones. For these
`prices.checks` would find nothing, at a hundred times the price, so it need not be asked. What is plain is decided on the safe side:
a ticker with the slightest doubt is left to the rules, which say what is wrong and what becomes of it.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast_lib.prices.actions import LARGEST_PRICE
from forecast_lib.prices.jumps import FRESH_SESSIONS, JUMP, RECENT_SESSIONS, SPLIT_LIKE_JUMP
from forecast_lib.prices.past import CURRENCY_FACTOR, FROZEN_SESSIONS, REVERSAL, UNIT_TOLERANCE
from forecast_lib.prices.row_rules import TOLERANCE
from forecast_lib.windows.histories import FIGURES, Histories, Splits, shares_since

__all__ = ["TAIL_SESSIONS", "plain_tickers"]

TAIL_SESSIONS = RECENT_SESSIONS + FRESH_SESSIONS + FROZEN_SESSIONS
"""So many of the last stored sessions lie beside the offered ones: as far back as a rule reaches."""

SAME = 1e-6
"""Relative: figures that differ by more are a revision (`store.revisions`)."""

_AT_ONCE = 30_000
"""Rows."""

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]
Days = NDArray[np.datetime64]

_LOW_TO_HIGH = (("low", "open"), ("low", "close"), ("low", "high"), ("open", "high"), ("close", "high"))


def plain_tickers(offered: Histories, stored: Histories, splits: Splits, sessions: Sequence[Days], calendar: NDArray[np.intp]) -> Flags:
    """Whether the offered rows of each ticker are plain.

    They are if there is at least one; if offered and stored rows together fill every session from the first to the last; if an
    offered row of a stored session says the same; if the offered rows keep every row rule and every past rule; and if no move of the
    last year could be a split, and none a change of unit.

    Args:
        offered: what the source answered, maybe with `adj_close`.
        stored: of the same tickers the last TAIL_SESSIONS rows that are stored, or more.
        splits: of the tickers that have any, as known tonight.
        sessions: of each calendar the sessions that are known tonight, ascending.
        calendar: (tickers,) place of each ticker's calendar in `sessions`.

    Returns:
        (tickers,)
    """
    starts, before = offered.bounds(), stored.bounds()
    plain: Flags = np.diff(starts) > 0
    for low, high in _portions(starts):
        now, then = (part.rows(slice(ends[low], ends[high])) for part, ends in ((offered, starts), (stored, before)))
        if not len(now):
            continue
        with np.errstate(all="ignore"):  # missing and infinite figures are doubtful by themselves
            doubts = _doubts(now, then, splits, sessions, calendar)
        for doubtful in doubts:
            plain[doubtful] = False
    return plain


def _portions(starts: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Tickers from one place to another, so few that their columns stay in the processor's cache."""
    cuts = np.searchsorted(starts, np.arange(0, starts[-1], _AT_ONCE), side="left")
    places = np.unique(np.concatenate([[0], cuts, [len(starts) - 1]])).tolist()
    return list(itertools.pairwise(places))


def _doubts(
    offered: Histories, stored: Histories, splits: Splits, sessions: Sequence[Days], calendar: NDArray[np.intp]
) -> list[NDArray[np.int32]]:
    """The tickers in doubt, for each reason."""
    rows, doubts = _together(offered, stored)
    close = _split_adjusted(rows, offered.tickers, splits)
    moves = np.log(close / _before(close))
    moves[~rows.follows_same] = np.nan  # the first row of a ticker has none before it
    return [
        *doubts,
        rows.of[rows.offered & (_breaks_row_rule(rows.figures) | _breaks_past_rule(rows, close, moves))],
        rows.of[_could_be_split(rows.of, moves)],
        rows.of[~_on_sessions(rows, sessions, calendar)],
        offered.of[_no_price(offered.figures["adj_close"])] if "adj_close" in offered.figures else offered.of[:0],
    ]


@dataclass(frozen=True)
class _Rows:
    """Stored and offered rows, by ticker and session; of a session that is both, the offered row.

    Attributes:
        follows_same: (rows,) the row before is of the same ticker.
    """

    of: NDArray[np.int32]
    days: Days
    figures: Mapping[str, Values]
    offered: Flags
    follows_same: Flags


def _together(offered: Histories, stored: Histories) -> tuple[_Rows, list[NDArray[np.int32]]]:
    """The rows of both, and the tickers in doubt: another figure for a stored session, a session offered twice, two currencies."""
    if not len(stored):
        keys, everywhere = offered.keys(), np.ones(len(offered), dtype=bool)
        twice = np.append(False, keys[1:] == keys[:-1])
        rows = _Rows(offered.of, offered.sessions, offered.figures, everywhere, _follows_same(offered.of))
        return rows, [offered.of[twice]]
    keys = np.concatenate([stored.keys(), offered.keys()])
    order = np.argsort(keys, kind="stable")  # a stored row comes before the offered one of its session
    of = np.concatenate([stored.of, offered.of])[order]
    figures = {name: np.concatenate([stored.figures[name], offered.figures[name]])[order] for name in FIGURES}
    is_offered = np.repeat([False, True], [len(stored), len(offered)])[order]
    again = np.append(False, np.diff(keys[order]) == 0)
    pair = again & is_offered & ~np.append(False, is_offered[:-1])
    same = np.logical_and.reduce([_same(values, _before(values)) for values in figures.values()])
    codes = np.concatenate([_codes(stored), _codes(offered)])[order]
    mixed = _follows_same(of) & (codes != _before(codes))
    last = np.append(~again[1:], True)
    days = np.concatenate([stored.sessions, offered.sessions])[order][last]
    rows = _Rows(of[last], days, {name: values[last] for name, values in figures.items()}, is_offered[last], _follows_same(of[last]))
    return rows, [of[again & ~(pair & same)], of[mixed]]


def _codes(rows: Histories) -> NDArray[np.str_]:
    names = np.array([*rows.currencies, ""])
    found: NDArray[np.str_] = names[rows.currency]  # -1, no currency, is the last
    return found


def _follows_same(of: NDArray[np.int32]) -> Flags:
    return np.append(False, of[1:] == of[:-1])[: len(of)]


def _before(values: NDArray) -> NDArray:
    """Each row's predecessor; the first row's is itself."""
    return np.concatenate([values[:1], values[:-1]])


def _same(now: Values, then: Values) -> Flags:
    close = np.abs(now - then) <= SAME * np.maximum(np.abs(now), np.abs(then))
    flags: Flags = close | (np.isnan(now) & np.isnan(then))
    return flags


def _split_adjusted(rows: _Rows, tickers: Sequence[str], splits: Splits) -> Values:
    close = rows.figures["close"]
    for place in [place for place, ticker in enumerate(tickers) if ticker in splits] if splits else []:
        close = close.copy() if close is rows.figures["close"] else close
        mine = slice(*np.searchsorted(rows.of, [place, place + 1]))
        close[mine] /= shares_since(rows.days[mine], *splits[tickers[place]])
    return close


def _no_price(values: Values) -> Flags:
    """Values that are there and can be no price; infinity is above the largest."""
    flags: Flags = (values <= 0) | (values > LARGEST_PRICE)
    return flags


def _breaks_row_rule(figures: Mapping[str, Values]) -> Flags:
    volume = figures["volume"]
    broken = np.isnan(figures["close"]) | (volume <= 0) | np.isinf(volume)
    for name in ("open", "high", "low", "close"):
        broken |= _no_price(figures[name])
    for lower, upper in _LOW_TO_HIGH:
        broken |= figures[lower] > figures[upper] * (1 + TOLERANCE)
    return broken


def _breaks_past_rule(rows: _Rows, close: Values, moves: Values) -> Flags:
    """A bar that repeats the one before, a close that has not moved for a week, a spike."""
    stale = rows.follows_same.copy()
    for name in FIGURES:
        stale &= rows.figures[name] == _before(rows.figures[name])
    still = (close == _before(close)) & rows.follows_same
    frozen = still.copy()
    for back in range(1, FROZEN_SESSIONS - 1):
        frozen &= np.append(np.zeros(back, dtype=bool), still[:-back])[: len(still)]
    after = np.append(moves[1:], np.nan)
    spike = (np.abs(moves) > JUMP) & (np.abs(moves + after) < REVERSAL * np.abs(moves))
    return stale | frozen | spike


def _could_be_split(of: NDArray[np.int32], moves: Values) -> Flags:
    size = np.abs(moves)
    large = np.flatnonzero(size > JUMP)
    age = np.searchsorted(of, of[large], side="right") - 1 - large
    fresh, recent = age < FRESH_SESSIONS, (age < RECENT_SESSIONS) & (size[large] > SPLIT_LIKE_JUMP)
    unit = np.abs(size[large] - np.log(CURRENCY_FACTOR)) < UNIT_TOLERANCE
    flags = np.zeros(len(moves), dtype=bool)
    flags[large[fresh | recent | unit]] = True
    return flags


def _on_sessions(rows: _Rows, sessions: Sequence[Days], calendar: NDArray[np.intp]) -> Flags:
    """Rows that lie on a known session, the one after the session of the ticker's row before."""
    fits = np.zeros(len(rows.of), dtype=bool)
    for place, known in enumerate(sessions):
        mine = np.flatnonzero(calendar[rows.of] == place) if len(sessions) > 1 else slice(None)
        at = np.searchsorted(known, rows.days[mine])
        found = known[np.minimum(at, len(known) - 1)] == rows.days[mine]
        fits[mine] = found & (~rows.follows_same[mine] | np.append(True, np.diff(at) == 1))
    return fits
