"""How probable each story about an odd move is, given what was seen of it (Bayes' rule).

    story        move of the close        opens at            range    volume             next closes
    real         cubic tail, own scale    anywhere            wide     many times usual   go on from it
    split n:1    -ln n and a usual day    the new level       usual    n times usual      go on, usually
    unit         ln 100 and a usual day   the new level       usual    usual              either
    bad print    any size                 the new or the old  usual    usual              take it back

Each story says how often it happens at all, and how probable each observation is if it did. The observations
are taken as independent; their densities have the tails that quiet days and real moves had in 2006 to 2013,
so that none decides alone.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from forecast_lib.prices.odd import Flags, Values
from forecast_lib.prices.seen import Seen

__all__ = ["LEVELS", "Levels", "posterior"]

# How often, in a session. A share splits once in 6,300 sessions (21 splits of 32 companies in 17 years);
# files of traded prices list none of them. A bad print comes once in 200 years of a share: the 70,000 rows of
# 2006 to 2013 have none. Units and steps are rarer.
_SPLIT_LOST = 1.6e-4
_UNIT = 1e-5
_BAD_PRINT = 2e-5
_STEP = 5e-6
"""A real move that was set and not traded, with usual days before and after it."""

_TAIL = 3.4e-4 * 8**3
"""P(|move| > z usual days) = _TAIL / z**3: the inverse cubic law (Gopikrishnan et al. 1998), scaled to what
2006 to 2013 had beyond the market's moves.
"""

_SMALLEST_REAL_SCALE = 0.01
"""Calm shares (before a merger, a fund) are shaken as far as others: below 1 % a day the scale says nothing
about the tail.
"""

_RATIOS = ((5, 4), (4, 3), (3, 2), (5, 3), (2, 1), (5, 2), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1),
(10, 1), (12, 1), (15, 1),
           (20, 1), (25, 1), (30, 1), (40, 1), (50, 1))  # fmt: skip
"""New shares for old; n:m has a prior as 1 / (n m). Smaller ones (6:5, spin-offs) move less than a lively
share does in a day; a hundred times is a unit.
"""

_UNITS = {100.0: 0.5, 10.0: 0.2, 1000.0: 0.2, 10_000.0: 0.1}
"""Factors and their shares: pence for pounds first; the others are slipped decimals."""

_PRINT_SIZE, _STEP_SIZE = 0.5, 0.2
"""Mean size of a bad print, and of a step, in logs: a spin-off takes some hundredths, a bid gives some
tenths.
"""

_PRINT_STAYS = 0.15
"""Share of bad prints that the next session repeats."""

_UNIT_STAYS_ON = 0.7
"""Share of wrong units that the next session has too."""

_VOLUME_SCALED = 0.8
"""Share of lost splits after which the source counts the new shares."""

_OPENS_ANYWHERE = 0.9
"""Share of real moves that begin before the open (2006 to 2013); the others have a usual night first."""

_CALM_AFTER = 0.5
"""Share of real moves after which the days are as large as before; after the others they have a quarter of
the move.
"""


class _Shape(NamedTuple):
    """A log ratio, as Student's t: centre, standard deviation, degrees of freedom. Quiet: all days from 2006
    to 2013; the others: the moves of that time beyond six usual days.
    """

    centre: float
    spread: float
    freedom: int


_QUIET_RANGE, _WIDE_RANGE = _Shape(0.0, 0.45, 20), _Shape(-0.8, 0.55, 20)
"""By the usual range; by the size of the move, for a real one is traded, not set."""

_RANGE_OF_CLOSE = _Shape(0.0, 0.25, 8)
"""By the size of the move, where a wrong close is what makes it."""

_CLOSES_AT_EDGE, _CLOSES_AT_EDGE_IF_WRONG = (0.91, 0.09), (0.02, 0.98)
"""Share of odd moves whose close is not, and is, the highest or lowest price of its day (2006 to 2013); and
where it alone is wrong.
"""

_QUIET_AFTER, _WIDE_AFTER = _Shape(0.0, 0.35, 20), _Shape(0.3, 0.55, 20)
"""Ranges of the next sessions by the usual one."""

_QUIET_VOLUME, _HIGH_VOLUME = _Shape(0.0, 0.4, 8), _Shape(2.0, 0.7, 8)

_DAY, _NIGHT = 4, 3
"""Degrees of freedom of usual moves from close to close, and from close to open: news comes at night."""


class Levels(NamedTuple):
    """Where a story moves the close to: (levels,) logs, and how often it does in a session."""

    move: Values
    log_prior: Values


def _levels(shares: Mapping[float, float], often: float) -> Levels:
    """Of factors with the share that each has, either way round."""
    both = [*shares.items(), *((1 / factor, share) for factor, share in shares.items())]
    factors, parts = np.array(both).T
    return Levels(np.log(factors), np.log(often * parts / parts.sum()))


_ANYWHERE = np.array([np.nan])
LEVELS = {
    "real": Levels(_ANYWHERE, np.zeros(1)),
    "bad_print": Levels(_ANYWHERE, np.log([_BAD_PRINT])),
    "unit": _levels(_UNITS, _UNIT),
    "split": _levels({new / old: 1 / (new * old) for new, old in _RATIOS}, _SPLIT_LOST),
}


def posterior(seen: Seen, can_split: Flags) -> dict[str, Values]:
    """Story -> (moves, levels) the probability of each of its LEVELS, all that was seen considered.

    Args:
        can_split: (moves,) whether the ticker can; else no split is probable.
    """
    stories = {"real": _real, "bad_print": _bad_print, "unit": _unit, "split": _split}
    logs = {kind: LEVELS[kind].log_prior + likelihood(seen) for kind, likelihood in stories.items()}
    logs["split"][~can_split] = -np.inf
    total = np.logaddexp.reduce(np.concatenate(list(logs.values()), axis=1), axis=1)
    return {kind: np.exp(each - total[:, None]) for kind, each in logs.items()}


# Log likelihoods of what was seen: of a story (moves, levels), of a part of it (moves,) or one for each
# level; what is missing says nothing.


def _real(seen: Seen) -> Values:
    """It opens anywhere between the levels, or beyond, or where it closed. Once the new level has stayed it
    may be a step too.
    """
    size, scale = np.abs(seen.move), np.maximum(seen.scale, _SMALLEST_REAL_SCALE)
    usual_days = np.maximum(np.abs(seen.beyond_market) / scale, 1.0)
    traded = np.log(1.5 * _TAIL / usual_days**4 / scale) + _like(np.log(seen.range / size), _WIDE_RANGE)
    traded += _mixed(_within(seen, size), _student(seen.night, seen.night_scale, _NIGHT), _OPENS_ANYWHERE)
    traded += _like(seen.volume, _HIGH_VOLUME, seen.volume_spread) + _like(seen.span_after, _WIDE_AFTER)
    lively = np.hypot(1.0, 0.25 * size / seen.scale)
    traded += _mixed(_goes_on(seen), _goes_on(seen, lively), _CALM_AFTER)
    step = np.log(_STEP) + _any_size(seen, _STEP_SIZE) + _quiet_bar(seen)
    step = step + _quiet_days(seen) + _goes_on(seen)
    traded = np.where(seen.has_stayed, np.logaddexp(traded, step), traded)
    return (traded + _adjusted(seen, 0.002))[:, None]


def _bad_print(seen: Seen) -> Values:
    """The whole bar is off, or its close (and the high or low that it makes) alone; not where the next
    sessions all say the same.
    """
    close_alone = _student(seen.night, seen.night_scale, _NIGHT)
    close_alone = close_alone + _like(np.log(seen.range / np.abs(seen.move)), _RANGE_OF_CLOSE)
    edges = np.log(np.divide(_CLOSES_AT_EDGE_IF_WRONG, _CLOSES_AT_EDGE))
    close_alone += edges[seen.at_edge.astype(np.intp)]
    bar = _mixed(_quiet_bar(seen), close_alone, 0.5)
    story = _any_size(seen, _PRINT_SIZE) + bar + _quiet_days(seen)
    story = story + _goes_on_or_back(seen, _PRINT_STAYS) + _adjusted(seen, 0.2)
    return np.where(seen.has_stayed, -np.inf, story)[:, None]


def _unit(seen: Seen) -> Values:
    bar = _opens_at(LEVELS["unit"].move, seen) + _quiet_bar(seen)[:, None]
    bar = bar + _quiet_days(seen)[:, None] + _goes_on_or_back(seen, _UNIT_STAYS_ON)[:, None]
    return bar + _adjusted(seen, 0.2)[:, None]


def _split(seen: Seen) -> Values:
    """A usual day, with so many more shares traded (where the source counts the new ones)."""
    levels = LEVELS["split"].move
    bar = _opens_at(levels, seen) + _quiet_bar(seen)[:, None] + _like(seen.span_after, _QUIET_AFTER)[:, None]
    spread = seen.volume_spread[:, None]
    told, untold = (_like(seen.volume[:, None] + shares, _QUIET_VOLUME, spread) for shares in (levels, 0.0))
    bar = bar + _mixed(told, untold, _VOLUME_SCALED)
    return bar + _goes_on(seen)[:, None] + _adjusted(seen, 0.3)[:, None]


def _any_size(seen: Seen, mean: float) -> Values:
    return -np.abs(seen.move) / mean - np.log(2 * mean)


def _opens_at(levels: Values, seen: Seen) -> Values:
    """A usual night from the new level; where there is no open, a usual day."""
    night = _student(seen.night[:, None] - levels, seen.night_scale[:, None], _NIGHT)
    day = _student(seen.beyond_market[:, None] - levels, seen.scale[:, None], _DAY)
    return np.where(np.isfinite(seen.night)[:, None], night, day)


def _quiet_bar(seen: Seen) -> Values:
    return _like(seen.span, _QUIET_RANGE, seen.span_spread) + _within(seen, np.inf)


def _within(seen: Seen, size: Values | float) -> Values:
    """The close is anywhere within the range around the open, as far as a move of that size allows."""
    width = 2 * np.fmin(seen.range, 0.65 * size)
    return np.where(np.isfinite(seen.night) & np.isfinite(width), -np.log(width), 0.0)


def _quiet_days(seen: Seen) -> Values:
    """The usual volume, and days after as any others."""
    return _like(seen.volume, _QUIET_VOLUME, seen.volume_spread) + _like(seen.span_after, _QUIET_AFTER)


def _adjusted(seen: Seen, without_it: float) -> Values:
    """Whether the file's own adjusted close made no such move.

    Args:
        without_it: probability of that.
    """
    apart = np.abs(seen.unlike_adjusted) > 0.5 * np.abs(seen.move)
    found = np.where(apart, np.log(without_it), np.log(1 - without_it))
    return np.where(np.isfinite(seen.unlike_adjusted), found, 0.0)


def _goes_on(seen: Seen, times: Values | float = 1.0) -> Values:
    """The prices that follow go on from the new level, by so many times the usual moves."""
    total, level = np.zeros(len(seen.move)), np.zeros(len(seen.move))
    for price, there, scale, freedom in _path(seen):
        total += np.where(there, _student(price - level, scale * times, freedom), 0.0)
        level = np.where(there, price, level)
    return total


def _goes_on_or_back(seen: Seen, stays: float) -> Values:
    """Each price that follows goes on from the wrong level, or from the one before; from there it does not
    return.
    """
    total, level = np.zeros(len(seen.move)), np.zeros(len(seen.move))
    for price, there, scale, freedom in _path(seen):
        on = _student(price - level, scale, freedom)
        returned = np.abs(level + seen.move) < 0.5 * np.abs(seen.move)
        back = _student(price + seen.move, np.hypot(scale, seen.scale), freedom)
        total += np.where(there, np.where(returned, on, _mixed(on, back, stays)), 0.0)
        level = np.where(there, price, level)
    return total


def _path(seen: Seen) -> Iterator[tuple[Values, Flags, Values, int]]:
    """The first open after the move and the closes that follow: each by the close after the move, whether it
    is there, and how far it usually goes.
    """
    yield seen.open_after, np.isfinite(seen.open_after), seen.night_scale, _NIGHT
    for place, closes in enumerate(seen.after.T):
        yield closes, place < seen.sessions_after, seen.scale, _DAY


def _like(value: Values, shape: _Shape, spread: Values | float = 0.0) -> Values:
    """Log density of a log ratio; of one that is known to vary more, by its own `spread`."""
    return _student(value - shape.centre, np.fmax(shape.spread, spread), shape.freedom)


def _student(value: Values, scale: Values, freedom: int) -> Values:
    """Log density of Student's t about zero, of standard deviation `scale`; 0 where the value is missing."""
    unit = scale * math.sqrt((freedom - 2) / freedom)
    at_centre = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - 0.5 * math.log(math.pi * freedom)
    density = at_centre - np.log(unit) - (freedom + 1) / 2 * np.log1p((value / unit) ** 2 / freedom)
    return np.where(np.isfinite(density), density, 0.0)


def _mixed(first: Values, second: Values, share: float) -> Values:
    """Log of a mixture: the first by its share, the second by the rest."""
    return np.logaddexp(first + np.log(share), second + np.log1p(-share))
