"""Tickers whose rows break no rule and say nothing new about the past: found for all at once, in a few passes over columns.

Most answers of a source are plain: some sessions that are stored already, with the same figures, and the next ones. For these
`prices.checks` would find nothing, at a hundred times the price, so it need not be asked. What is plain is decided on the safe side:
a ticker with the slightest doubt is left to the rules, which say what is wrong and what becomes of it.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.prices.actions import LARGEST_PRICE
from forecast_lib.prices.jumps import FRESH_SESSIONS, JUMP, RECENT_SESSIONS, SPLIT_LIKE_JUMP
from forecast_lib.prices.past import CURRENCY_FACTOR, FROZEN_SESSIONS, REVERSAL, UNIT_TOLERANCE
from forecast_lib.prices.row_rules import TOLERANCE
from forecast_lib.prices.table_rules import REFUSED_ROWS
from forecast_lib.windows.histories import FIGURES, Histories, Splits, key_of, shares_since

__all__ = ["TAIL_SESSIONS", "Gaps", "plain_tickers", "rows_beside"]

TAIL_SESSIONS = RECENT_SESSIONS + FRESH_SESSIONS + FROZEN_SESSIONS
"""So many of the last stored sessions lie beside the offered ones: as far back as a rule reaches."""

SAME = 1e-6
"""Relative: figures that differ by more are a revision (`store.revisions`)."""

_AT_ONCE = 100_000
"""Rows."""

_A_YEAR = np.timedelta64(2 * RECENT_SESSIONS, "D")
"""More than RECENT_SESSIONS of any calendar."""

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]
Days = NDArray[np.datetime64]
Places = NDArray[np.int32]
Keys = NDArray[np.int64]
Gaps = tuple[Places, Days]

_LOW_TO_HIGH = (("low", "open"), ("low", "close"), ("low", "high"), ("open", "high"), ("close", "high"))
_NO_GAPS: Gaps = np.empty(0, dtype=np.int32), np.empty(0, dtype="datetime64[D]")


def rows_beside(offered: Histories, stored: Histories) -> Histories:
    """The stored rows that the rules look at beside the offered ones, of the same tickers: the last TAIL_SESSIONS of each, or all from a
    week before the first offered one on.

    Args:
        stored: of these tickers and maybe more.
    """
    places, bounds = pd.Index(stored.tickers).get_indexer(offered.tickers), stored.bounds()
    lows, highs = bounds[places], bounds[places + 1]
    begins, firsts = np.maximum(lows, highs - TAIL_SESSIONS), offered.bounds()
    further = np.flatnonzero((np.diff(firsts) > 0) & (begins > lows))
    for place in further[offered.sessions[firsts[further]] <= stored.sessions[begins[further]]].tolist():
        low = lows[place]
        at = low + np.searchsorted(stored.sessions[low : highs[place]], offered.sessions[firsts[place]])
        begins[place] = max(low, at - FROZEN_SESSIONS)
    counts = highs - begins
    rows = np.arange(counts.sum()) + np.repeat(begins - np.append(0, counts.cumsum()[:-1]), counts) if len(places) else places
    of = np.repeat(np.arange(len(places), dtype=np.int32), counts)
    return dataclasses.replace(stored.rows(rows), tickers=offered.tickers, of=of)


def plain_tickers(
    offered: Histories, stored: Histories, splits: Splits, sessions: Sequence[Days], calendar: NDArray[np.intp], gaps: Gaps = _NO_GAPS
) -> Flags:
    """Whether the offered rows of each ticker are plain.

    They are if there is at least one; if offered and stored rows together fill every session from the first to the last, but for few
    that are known to be missing; if an offered row of a stored session says the same; if the offered rows keep every row rule and every
    past rule; and if no move of the last year could be a split, and none a change of unit.

    Args:
        offered: what the source answered, maybe with `adj_close`.
        stored: of the same tickers, as `rows_beside` chooses them, or more.
        splits: of the tickers that have any, as known tonight.
        sessions: of each calendar the sessions that are known tonight, ascending.
        calendar: (tickers,) place of each ticker's calendar in `sessions`.
        gaps: the sessions that are recorded as missing or closed: place of the ticker, and day.

    Returns:
        (tickers,)
    """
    starts, before = offered.bounds(), stored.bounds()
    plain: Flags = np.diff(starts) > 0
    missing = _still_missing(gaps, offered, sessions, calendar)
    for low, high in _portions(starts + before):
        now, then = (part.rows(slice(ends[low], ends[high])) for part, ends in ((offered, starts), (stored, before)))
        if not len(now):
            continue
        with np.errstate(all="ignore"):  # missing and infinite figures are doubtful by themselves
            doubts = _doubts(now, then, splits, sessions, calendar, missing)
        for doubtful in doubts:
            plain[doubtful] = False
    return plain


def _still_missing(gaps: Gaps, offered: Histories, sessions: Sequence[Days], calendar: NDArray[np.intp]) -> Keys:
    of, days = gaps
    known = np.zeros(len(of), dtype=bool)
    for place, each in enumerate(sessions):
        known |= (calendar[of] == place) & np.isin(days, each)
    keys = np.sort(key_of(of[known], days[known]))
    return keys[~np.isin(keys, offered.keys())] if len(keys) else keys


def _portions(ends: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Tickers from one place to another, so few that their columns stay in the processor's cache."""
    cuts = np.searchsorted(ends, np.arange(0, ends[-1], _AT_ONCE), side="left")
    places = np.unique(np.concatenate([[0], cuts, [len(ends) - 1]])).tolist()
    return list(itertools.pairwise(places))


def _doubts(
    offered: Histories, stored: Histories, splits: Splits, sessions: Sequence[Days], calendar: NDArray[np.intp], missing: Keys
) -> list[Places]:
    """The tickers in doubt, for each reason."""
    older, beside = _by_age(offered, stored)
    rows, doubts = _together(offered, stored.rows(beside))
    close = _split_adjusted(rows.of, rows.days, rows.figures["close"], offered.tickers, splits)
    moves = _moves(close, rows.follows_same)
    return [
        *doubts,
        *_doubts_of_the_past(stored.rows(older), rows.of, offered.tickers, splits, sessions, calendar, missing),
        rows.of[rows.offered & (_breaks_row_rule(rows.figures) | _breaks_past_rule(rows, close, moves))],
        rows.of[_could_be_split(rows.of, moves)],
        rows.of[~_on_sessions(rows.of, rows.days, rows.follows_same, sessions, calendar, missing)],
        offered.of[_no_price(offered.figures["adj_close"])] if "adj_close" in offered.figures else offered.of[:0],
        _often_missing(rows, missing),
    ]


def _by_age(offered: Histories, stored: Histories) -> tuple[Flags, Flags]:
    """Stored rows that lie before the offered ones and those beside them, a week before included: that is as far as a rule about an
    offered row looks back. The last of the older rows is also the first of the others."""
    mine, theirs = offered.bounds(), stored.bounds()
    there = np.flatnonzero(np.diff(mine) > 0)
    begins = theirs[1:].copy()
    begins[there] = np.maximum(np.searchsorted(stored.keys(), offered.keys()[mine[there]]) - FROZEN_SESSIONS, theirs[there])
    place, border = np.arange(len(stored)), begins[stored.of]
    return place <= border, place >= border


def _doubts_of_the_past(
    stored: Histories,
    later: Places,
    tickers: Sequence[str],
    splits: Splits,
    sessions: Sequence[Days],
    calendar: NDArray[np.intp],
    missing: Keys,
) -> list[Places]:
    """What the stored rows before the offered ones say by themselves.

    Args:
        later: ascending, the ticker of each row that follows them, the last of them among those.
    """
    of, follows_same = stored.of, _follows_same(stored.of)
    close = _split_adjusted(of, stored.sessions, stored.figures["close"], tickers, splits)
    following = np.bincount(later, minlength=len(tickers)) - 1
    return [
        of[_could_be_split(of, _moves(close, follows_same), following)],
        of[~_on_sessions(of, stored.sessions, follows_same, sessions, calendar, missing)],
        of[follows_same & (stored.currency != _before(stored.currency))],
    ]


@dataclass(frozen=True)
class _Rows:
    """Stored and offered rows, by ticker and session; of a session that is both, the offered row.

    Attributes:
        follows_same: (rows,) the row before is of the same ticker.
    """

    of: Places
    days: Days
    figures: Mapping[str, Values]
    offered: Flags
    follows_same: Flags


def _together(offered: Histories, stored: Histories) -> tuple[_Rows, list[Places]]:
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


def _follows_same(of: Places) -> Flags:
    return np.append(False, of[1:] == of[:-1])[: len(of)]


def _before(values: NDArray) -> NDArray:
    """Each row's predecessor; the first row's is itself."""
    return np.concatenate([values[:1], values[:-1]])


def _same(now: Values, then: Values) -> Flags:
    close = np.abs(now - then) <= SAME * np.maximum(np.abs(now), np.abs(then))
    flags: Flags = close | (np.isnan(now) & np.isnan(then))
    return flags


def _moves(close: Values, follows_same: Flags) -> Values:
    """Log returns; NaN where a ticker begins."""
    moves: Values = np.log(close / _before(close))
    moves[~follows_same] = np.nan
    return moves


def _split_adjusted(of: Places, days: Days, close: Values, tickers: Sequence[str], splits: Splits) -> Values:
    present = np.unique(of).tolist() if splits else []
    divided = {place: splits[tickers[place]] for place in present if tickers[place] in splits}
    adjusted = close.copy() if divided else close
    for place, split in divided.items():
        mine = slice(*np.searchsorted(of, [place, place + 1]))
        adjusted[mine] /= shares_since(days[mine], *split)
    return adjusted


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


def _could_be_split(of: Places, moves: Values, following: NDArray[np.intp] | None = None) -> Flags:
    """Args:
    following: (tickers,) how many rows of each ticker come after these.
    """
    size = np.abs(moves)
    large = np.flatnonzero(size > JUMP)
    age = np.searchsorted(of, of[large], side="right") - 1 - large + (0 if following is None else following[of[large]])
    fresh, recent = age < FRESH_SESSIONS, (age < RECENT_SESSIONS) & (size[large] > SPLIT_LIKE_JUMP)
    unit = np.abs(size[large] - np.log(CURRENCY_FACTOR)) < UNIT_TOLERANCE
    flags = np.zeros(len(moves), dtype=bool)
    flags[large[fresh | recent | unit]] = True
    return flags


def _on_sessions(of: Places, days: Days, follows_same: Flags, sessions: Sequence[Days], calendar: NDArray[np.intp], missing: Keys) -> Flags:
    """Rows that lie on a known session, the one after the session of the ticker's row before, those known to be missing left out."""
    fits = np.zeros(len(of), dtype=bool)
    for place, known in enumerate(sessions):
        mine = np.flatnonzero(calendar[of] == place) if len(sessions) > 1 else slice(None)
        at = np.searchsorted(known, days[mine])
        found = known[np.minimum(at, len(known) - 1)] == days[mine]
        if len(missing):
            at -= np.searchsorted(missing, key_of(of[mine], days[mine]))
        fits[mine] = found & (~follows_same[mine] | np.append(True, np.diff(at) == 1))
    return fits


def _often_missing(rows: _Rows, missing: Keys) -> Places:
    """Tickers so often without a price in the last year that `table_rules.gap` must be asked."""
    ends = np.flatnonzero(np.append(rows.of[1:] != rows.of[:-1], True))
    last = key_of(rows.of[ends], rows.days[ends])
    recent = np.searchsorted(missing, last) - np.searchsorted(missing, last - _A_YEAR.astype(np.int64))
    return rows.of[ends[recent > REFUSED_ROWS]]
