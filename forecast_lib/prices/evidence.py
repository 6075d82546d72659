"""What an odd move of a close is: a real move, a split that nobody recorded, another unit, or a bad print; the rows themselves tell.

A share that halves because its company is in trouble trades all the way down, in a wide day with many times the usual volume, or opens
far below and goes on in a wide day. A share that was split 2:1 opens at half and has an ordinary day, with about twice the number of
shares. A bad print has an ordinary day, the ordinary volume, and is taken back by the next close. Each *hypothesis* says how probable
each *observation* is; the products, with how often each happens at all, are its posterior probability (Bayes' rule; the
observations are taken as independent; their densities have long tails, so that none decides alone).

    hypothesis   move of the close           open to close      range       volume             next close
    real         cubic tail, own scale       any share of it    wide        many times usual   anywhere, wide days go on
    split n:1    -ln n, and a usual day      a usual day        usual       n times usual      a usual day
    unit         ln 100 ..., a usual day     a usual day        usual       usual              a usual day, or all taken back
    bad print    any size                    usual, or all      usual       usual              all taken back, hardly ever stays

What is not clear the same evening is `undecided`; the next sessions are observations too, and after DECIDED_WITHIN of them the
likeliest hypothesis is the verdict. A level that so many sessions in a row have kept is no bad print, however it came about: what is
neither a split nor a unit is then real, though nobody saw it traded (a spin-off, a payout, the price of a bid). The judge has no memory:
the same rows give the same verdicts.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DECIDED_WITHIN",
    "ODD",
    "UNIT_STAYS",
    "VERDICTS",
    "Bars",
    "Verdict",
    "judge_moves",
    "market_moves",
    "odd_rows",
    "sentence",
    "split_that_fits",
    "split_words",
    "unit_that_fits",
]

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Days = NDArray[np.datetime64]

VERDICTS = ("real", "split", "unit", "bad_print", "undecided")

ODD = 4.5
"""A move of so many usual days is looked at: 15 in 10,000 moves of large companies (2006 to 2013), 22 of wilder shares."""

STANDS_OUT = 8.0
"""A real move is worth a word from so many usual days on, or from 40 % up or 29 % down: 6 in 10,000 moves."""

LARGE = float(np.log(1.4))

DECIDED_WITHIN = 3
"""Sessions after an odd one; what they say decides, whatever is left open."""

UNIT_STAYS = 10
"""Sessions. A source mends a wrong unit within days; one that stays for two weeks is the unit from now on."""

_WINDOW = 60
"""Sessions, three months: what is usual is taken from those before the move."""

_FEWEST = 20
"""Moves; with fewer the scale of a lively share is assumed."""

_FEWEST_OTHERS = 5
"""Tickers whose median says what the market did."""

_LIVELY = 0.03

_NIGHT = 0.45
"""Of a usual day's move the part before the open."""

_SMALLEST_SCALE = 0.005
"""A currency peg or a bond fund hardly moves: its ordinary days are no measure of what an odd one is."""

_CLIPPED = 0.15
"""One odd move among sixty must not make the next one look usual."""

_ABS_TO_STD = float(np.sqrt(np.pi / 2))
"""Standard deviation of a normal variable by its mean absolute value."""

SURE = {"real": 0.95, "split": 0.99, "unit": 0.95, "bad_print": 0.95}
"""Posterior probability from which a verdict is given before all is known. A split counts at once for the whole past: it must be surer."""

# How often, in a session. A share splits once in 6,300 sessions (21 splits of 32 companies in 17 years); half of them are taken to be lost,
# as files of traded prices list none. A bad print once in 10 to 20 years of a ticker is what free sources deliver; units and steps rarer.
_SPLIT_LOST = 8e-5
_UNIT = 1e-5
_BAD_PRINT = 2e-5
_STEP = 5e-6
"""A real move that was set and not traded, with usual days before and after it."""

_TAIL = 3.4e-4 * STANDS_OUT**3
"""P(|move| > z usual days) = _TAIL / z**3: the inverse cubic law (Gopikrishnan et al. 1998), scaled to what 2006 to 2013 had."""

_SMALLEST_REAL_SCALE = 0.01
"""Calm shares (before a merger, a fund) are shaken as far as others: below 1 % a day the scale says nothing about the tail."""

_RATIOS = ((5, 4), (4, 3), (3, 2), (5, 3), (2, 1), (5, 2), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (10, 1), (12, 1), (15, 1),
           (20, 1), (25, 1), (30, 1), (40, 1), (50, 1), (100, 1))  # fmt: skip
"""New shares for old, and the other way round. Smaller ones (6:5, spin-offs) move less than a lively share does in a day."""

_UNITS = {100.0: 0.5, 10.0: 0.2, 1000.0: 0.2, 10_000.0: 0.1}
"""Pence for pounds first; the others are slipped decimals. Either way round."""

_PRINT_SIZE = 0.5
"""Mean size of a bad print and of a step, in logs."""

_PRINT_STAYS = 0.15
"""Share of bad prints that the next session repeats."""

_UNIT_STAYS_ON = 0.7
"""Share of wrong units that the next session has too."""


class _Shape(NamedTuple):
    """A log ratio: centre and standard deviation. Measured on moves beyond ODD, 2006 to 2013; quiet: on all days."""

    centre: float
    spread: float
    freedom: int


_QUIET_RANGE = _Shape(0.0, 0.45, 20)
_WIDE_RANGE = _Shape(-0.8, 0.55, 20)
"""By the size of the move: a real one is traded, not set; one day in twenty has a range below a quarter of it."""

_QUIET_AFTER, _WIDE_AFTER = _Shape(0.0, 0.35, 20), _Shape(0.3, 0.55, 20)
_QUIET_VOLUME, _HIGH_VOLUME = _Shape(0.0, 0.4, 8), _Shape(2.0, 0.7, 8)

_VOLUME_SCALED = 0.8
"""Share of lost splits after which the source counts the new shares."""


_STIR = 0.25
"""On days on which the market moves by k usual days of a share, its range and volume are (1 + k**2) ** 0.25 times the usual: 2006 to 2013,
times 1.1 at k = 1.25, 1.6 at 3.5, 2.2 at 5 and 3.0 at 8."""


@dataclass(frozen=True)
class Bars:
    """One ticker's rows, oldest first, one a session, on one share basis; NaN where a value is missing."""

    sessions: Days
    open: Values
    high: Values
    low: Values
    close: Values
    adj_close: Values
    volume: Values

    def __len__(self) -> int:
        return len(self.sessions)


@dataclass(frozen=True)
class Verdict:
    """What an odd move is taken to be tonight.

    Attributes:
        session: the first one after the move.
        verdict: one of VERDICTS.
        ratio: what prices before `session` are divided by to go with those after it: new shares for one old (`split`; volumes are
            multiplied by it), 0.01 for a unit a hundred times as large that has stayed (`unit`; volumes stay); else 1.
        rows: sessions whose rows wait tonight; none for a real move, a split, and a unit that has stayed.
        evidence: what the judge saw, in plain numbers, and the probabilities it came to.
    """

    session: np.datetime64
    verdict: str
    ratio: float
    rows: Days
    evidence: Mapping[str, float | str]


class _Levels(NamedTuple):
    """Where a hypothesis moves the close to: (levels,) logs, and how often it does in a session."""

    move: Values
    log_prior: Values


def _split_levels() -> _Levels:
    """Simple ratios are the common ones: n:m has a prior as 1 / (n m), either way round."""
    new, old = np.array([*_RATIOS, *(ratio[::-1] for ratio in _RATIOS)], dtype=float).T
    share = 1 / (new * old)
    return _Levels(np.log(old / new), np.log(_SPLIT_LOST * share / share.sum()))


def _unit_levels() -> _Levels:
    factors, shares = np.array([*_UNITS.items(), *((1 / factor, share) for factor, share in _UNITS.items())]).T
    return _Levels(np.log(factors), np.log(_UNIT * shares / shares.sum()))


_ANYWHERE = np.array([np.nan])
_LEVELS = {
    "real": _Levels(_ANYWHERE, np.zeros(1)),
    "bad_print": _Levels(_ANYWHERE, np.log([_BAD_PRINT])),
    "unit": _unit_levels(),
    "split": _split_levels(),
}


def odd_rows(of: NDArray[np.integer], close: Values) -> Flags:
    """Which rows of many tickers follow a move that is to be judged.

    Args:
        of: (rows,) ascending, the ticker of each row; within a ticker oldest first.
        close: (rows,) on the basis of the splits that are recorded.

    >>> close = np.append(100 * 1.01 ** (np.arange(40) % 2), 50.0)
    >>> np.flatnonzero(odd_rows(np.zeros(41, dtype=int), close)).tolist()
    [40]
    """
    moves = _moves(of, close)
    noticeable = np.flatnonzero(np.abs(moves) > ODD * _SMALLEST_SCALE)
    flags = np.zeros(len(of), dtype=bool)
    flags[noticeable] = np.abs(moves[noticeable]) > ODD * _usual(of, moves, noticeable)
    return flags


def market_moves(exchange: NDArray[np.integer], of: NDArray[np.integer], sessions: Days, close: Values) -> Values:
    """What the other tickers of the exchange did on each session: their mean move, moves beyond _CLIPPED counted as that.

    Args:
        exchange, of, sessions, close: (rows,) ordered by ticker, then session.

    Returns:
        (rows,) NaN where fewer than _FEWEST_OTHERS other tickers have a move.
    """
    moves = _moves(of, close)
    known = np.isfinite(moves)
    clipped = np.clip(np.where(known, moves, 0.0), -_CLIPPED, _CLIPPED)
    days = sessions.astype("datetime64[D]").astype(np.int64)
    first = int(days.min(initial=0))
    cell = exchange * (int(days.max(initial=0)) - first + 1) + (days - first)
    others = np.bincount(cell, known)[cell] - known
    with np.errstate(all="ignore"):
        mean = (np.bincount(cell, clipped)[cell] - clipped) / others
    return np.where(others >= _FEWEST_OTHERS, mean, np.nan)


def _moves(of: NDArray[np.integer], close: Values) -> Values:
    """Log returns; NaN where a ticker begins."""
    moves = np.empty(len(close))
    with np.errstate(all="ignore"):
        logs = np.log(close)
        np.subtract(logs[1:], logs[:-1], out=moves[1:])
    moves[:1] = np.nan
    moves[np.flatnonzero(of[1:] != of[:-1]) + 1] = np.nan
    return moves


def _usual(of: NDArray[np.integer], moves: Values, places: NDArray[np.intp]) -> Values:
    """Standard deviation of a usual day at some rows, by the mean absolute move of the _WINDOW rows before each."""
    sizes = np.abs(moves)
    np.minimum(sizes, _CLIPPED, out=sizes)
    sizes[np.isnan(sizes)] = 0.0
    sizes = np.append(0.0, sizes.cumsum())
    first = np.maximum(np.searchsorted(of, of[places]) + 1, places - _WINDOW)  # the first row of a ticker has no move
    number = places - first
    with np.errstate(all="ignore"):
        scale = _ABS_TO_STD * (sizes[places] - sizes[np.minimum(first, places)]) / number
    return np.where(number < _FEWEST, _LIVELY, np.maximum(scale, _SMALLEST_SCALE))


def judge_moves(
    bars: Bars,
    *,
    can_split: bool,
    market_move: Values | None = None,
    overruled: Mapping[np.datetime64, str] = MappingProxyType({}),
) -> tuple[Verdict, ...]:
    """Verdicts on the odd moves of one ticker, oldest first, from what is known by the last row.

    A row that waits is passed over: the one after it is compared with the last that was trusted.

    Args:
        can_split: whether tickers of this kind do; coins, currency pairs and indices do not.
        market_move: (n,) what the other tickers of the exchange did on each session (`market_moves`); NaN where unknown.
        overruled: sessions whose moves a person has called `real`.
    """
    with np.errstate(all="ignore"):
        return tuple(_Judge(bars, can_split, market_move, overruled).verdicts())


class _Seen(NamedTuple):
    """What can be observed about one move, in logs; NaN where it cannot."""

    move: float
    beyond_market: float
    scale: float
    """Of a usual day's move, over the time between the two rows."""
    night: float
    """From the close before to the open."""
    night_scale: float
    range: float
    """Highest by lowest."""
    span_spread: float
    """Standard deviation of the figure that follows, on the days before; of `volume_spread` likewise."""
    span: float
    """Range by the usual one, the market's part taken out, as of the other figures that are by the usual one."""
    volume: float
    """Of this session, by the usual one; those of the next are much like it."""
    volume_spread: float
    unlike_adjusted: float
    """Move of the close less that of `adj_close`."""
    after: Values
    """(k,) closes of the next sessions by the close after the move, less what the market did."""
    span_after: float
    """Mean log range of the next sessions."""


class _Judge:
    def __init__(
        self,
        bars: Bars,
        can_split: bool,
        market_move: Values | None,
        overruled: Mapping[np.datetime64, str],
    ) -> None:
        self.bars, self.can_split, self.overruled = bars, can_split, overruled
        self.close = np.log(bars.close)  # on the basis of the newest split found so far
        self.volume = np.log(np.where(bars.volume > 0, bars.volume, np.nan))
        self.night = np.log(bars.open / np.append(np.nan, bars.close[:-1]))
        self.span = np.log(bars.high / bars.low)
        self.span[~(self.span > 0)] = np.nan
        self.unlike_adjusted = np.log(bars.close / bars.adj_close)
        self.market = np.zeros(len(bars)) if market_move is None else np.nan_to_num(market_move)
        moves = np.diff(self.close, prepend=np.nan)
        self.usual = _usual(np.zeros(len(bars), dtype=np.intp), moves, np.arange(len(bars)))
        self.candidates = np.flatnonzero(np.abs(moves) > ODD * self.usual).tolist()

    def verdicts(self) -> Iterator[Verdict]:
        at, trusted = 0, -1
        while at < len(self.bars):
            if trusted == at - 1:  # no row waits: on to the next odd move
                at = next((place for place in self.candidates if place >= at), len(self.bars))
                trusted = at - 1
                if at == len(self.bars):
                    return
            verdict, waiting = self._verdict(at, trusted)
            if verdict is not None:
                yield verdict
            if not waiting:
                trusted = at
            at += max(waiting, 1)

    def _verdict(self, at: int, trusted: int) -> tuple[Verdict | None, int]:
        """The verdict on the move between two rows, if it is odd, and how many rows wait for it."""
        seen = self._seen(at, trusted)
        size = abs(seen.beyond_market)
        if not size > ODD * seen.scale:
            return None, 0
        session = self.bars.sessions[at]
        if self.overruled.get(session) == "real":
            return Verdict(session, "real", 1.0, self.bars.sessions[:0], self._evidence(seen) | {"by": "person"}), 0
        chances = _posterior(seen, self.can_split)
        decided = len(seen.after) == DECIDED_WITHIN
        kinds = [each for each in chances if each != "real" or not decided or chances[each].sum() > 0.5]
        kind = max(kinds, key=lambda each: float(chances[each].max()))
        level = float(_LEVELS[kind].move[chances[kind].argmax()])
        evidence = self._evidence(seen) | {f"chance_{each}": round(float(found.sum()), 4) for each, found in chances.items()}
        if kind == "unit":
            evidence["factor"] = round(float(np.exp(level)), 6)
        if chances[kind].max() < SURE[kind] and not decided:
            return Verdict(session, "undecided", 1.0, self.bars.sessions[at:], evidence), len(self.bars) - at
        if kind == "real":
            worth_saying = size > STANDS_OUT * seen.scale or abs(seen.move) > LARGE
            return (Verdict(session, kind, 1.0, self.bars.sessions[:0], evidence) if worth_saying else None), 0
        if kind == "split":
            self._rebase(at, level, volume=True)
            return Verdict(session, kind, float(np.exp(-level)), self.bars.sessions[:0], evidence), 0
        waiting = self._wrong_level(at, trusted, level if kind == "unit" else seen.move)
        if kind == "unit" and waiting > UNIT_STAYS:
            self._rebase(at, level, volume=False)
            return Verdict(session, kind, float(np.exp(-level)), self.bars.sessions[:0], evidence), 0
        rows = waiting if kind == "unit" else min(waiting, DECIDED_WITHIN)
        return Verdict(session, kind, 1.0, self.bars.sessions[at : at + rows], evidence), rows

    def _rebase(self, at: int, level: float, *, volume: bool) -> None:
        self.close[:at] += level
        if volume:
            self.volume[:at] -= level

    def _wrong_level(self, at: int, trusted: int, level: float) -> int:
        """How many rows from `at` on lie nearer to the wrong level than to the one before."""
        away = (self.close[at : at + UNIT_STAYS + 1] - self.close[trusted]) / level
        back = np.flatnonzero(away < 0.5)
        return int(back[0]) if len(back) else len(away)

    def _seen(self, at: int, trusted: int) -> _Seen:
        before, after = slice(max(0, at - _WINDOW), max(at, 1)), slice(at + 1, at + 1 + DECIDED_WITHIN)
        move = self.close[at] - self.close[trusted] if trusted >= 0 else np.nan
        days = (self.bars.sessions[at] - self.bars.sessions[trusted]) / np.timedelta64(1, "D") if trusted >= 0 else 1.0
        longer = np.sqrt(max(1.0, days * 5 / 7)) if days > 5 else 1.0  # a long weekend counts as a night
        scale = float(self.usual[at]) * longer
        lately = slice(max(0, at - _FEWEST), max(at, 1))
        usual_span, usual_volume = _median(self.span[lately]), _median(self.volume[lately])
        nights = np.minimum(np.abs(self.night[before]), _CLIPPED)
        night = _ABS_TO_STD * _mean(nights) if np.isfinite(nights).sum() >= _FEWEST else _NIGHT * self.usual[at]
        stir = _STIR * np.log1p((self.market[at : after.stop] / self.usual[at]) ** 2)
        return _Seen(
            move=float(move),
            beyond_market=float(move - self.market[at]),
            scale=float(np.hypot(scale, self.market[at])),
            night=float(np.log(self.bars.open[at] / self.bars.close[at]) + move),
            night_scale=float(np.hypot(max(night, _SMALLEST_SCALE / 2) * longer, self.market[at])),
            range=float(self.span[at]),
            span=float(np.log(self.span[at] / usual_span) - stir[0]),
            span_spread=_spread(np.log(self.span[before]), np.log(usual_span)),
            volume=float(self.volume[at] - stir[0] - usual_volume),
            volume_spread=_spread(self.volume[before], usual_volume),
            unlike_adjusted=float(self.unlike_adjusted[at] - self.unlike_adjusted[trusted]),
            after=self.close[after] - self.close[at] - self.market[after].cumsum(),
            span_after=_mean(np.log(self.span[after] / usual_span) - stir[1:]),
        )

    def _evidence(self, seen: _Seen) -> dict[str, float | str]:
        """What was seen, for people: shares, and multiples of the usual."""
        found = {
            "move": np.expm1(seen.move),
            "usual_days": abs(seen.beyond_market) / seen.scale,
            "before_the_open": seen.night / seen.move,
            "range_times": np.exp(seen.span),
            "volume_times": np.exp(seen.volume),
            "adj_close_move": np.expm1(seen.move - seen.unlike_adjusted),
            "market_move": np.expm1(seen.move - seen.beyond_market),
            "taken_back": -seen.after[0] / seen.move if len(seen.after) else np.nan,
        }
        said: dict[str, float | str] = {name: round(float(value), 4) for name, value in found.items() if np.isfinite(value)}
        return said | {"sessions_after": len(seen.after)}


def _posterior(seen: _Seen, can_split: bool) -> dict[str, Values]:
    """Hypothesis -> probability of each of its levels, all that was seen considered."""
    given = {"real": _given_real, "bad_print": _given_bad_print, "unit": _given_unit, "split": _given_split}
    logs = {kind: _LEVELS[kind].log_prior + of(seen) for kind, of in given.items() if can_split or kind != "split"}
    highest = max(float(each.max()) for each in logs.values())
    total = sum(float(np.exp(each - highest).sum()) for each in logs.values())
    return {kind: np.exp(each - highest) / total for kind, each in logs.items()}


# Log likelihoods of what was seen, for each level of a hypothesis; what is missing says nothing.


def _given_real(seen: _Seen) -> Values:
    """It opens anywhere between the levels, or beyond; the days after are wider than usual, some much. Once the new level has stayed
    it may be a step too."""
    size, scale = abs(seen.move), max(seen.scale, _SMALLEST_REAL_SCALE)
    usual_days = max(abs(seen.beyond_market) / scale, 1.0)
    traded = np.log(1.5 * _TAIL / usual_days**4 / scale) + _like(np.log(seen.range / size), _WIDE_RANGE) + _within(seen, size)
    traded += _like(seen.volume, _at_least(_HIGH_VOLUME, seen.volume_spread)) + _like(seen.span_after, _WIDE_AFTER)
    traded += _mixed(_goes_on(seen, seen.scale), _goes_on(seen, float(np.hypot(seen.scale, 0.25 * size))), 0.5)
    if _has_stayed(seen):
        step = np.log(_STEP) + _any_size(seen) + _quiet_bar(seen) + _quiet_days(seen) + _goes_on(seen, seen.scale)
        traded = np.logaddexp(traded, step)
    return np.array([traded + _adjusted(seen, 0.002)])


def _given_bad_print(seen: _Seen) -> Values:
    """The whole bar is off, or its close (and the high or low that it makes) alone; not where the next sessions all say the same."""
    if _has_stayed(seen):
        return np.array([-np.inf])
    close_alone = _usual_night(seen.night, seen.night_scale) + _like(np.log(seen.range / abs(seen.move)), _WIDE_RANGE)
    bar = _mixed(_quiet_bar(seen), close_alone, 0.5)
    return np.array([_any_size(seen) + bar + _quiet_days(seen) + _goes_on_or_back(seen, _PRINT_STAYS) + _adjusted(seen, 0.2)])


def _given_unit(seen: _Seen) -> Values:
    bar = _opens_at(_LEVELS["unit"].move, seen) + _quiet_bar(seen)
    return bar + _quiet_days(seen) + _goes_on_or_back(seen, _UNIT_STAYS_ON) + _adjusted(seen, 0.2)


def _given_split(seen: _Seen) -> Values:
    """A usual day, with so many more shares traded (where the source counts the new ones)."""
    levels = _LEVELS["split"].move
    bar = _opens_at(levels, seen) + _quiet_bar(seen) + _like(seen.span_after, _QUIET_AFTER)
    usual = _at_least(_QUIET_VOLUME, seen.volume_spread)
    volume = _mixed(_like(seen.volume + levels, usual), _like(seen.volume, usual), _VOLUME_SCALED)
    return bar + volume + _goes_on(seen, seen.scale) + _adjusted(seen, 0.3)


def _opens_at(levels: Values, seen: _Seen) -> Values:
    """A usual night from the new level; where there is no open, a usual day."""
    if np.isfinite(seen.night):
        return _usual_night(seen.night - levels, seen.night_scale)
    return _usual_day(seen.beyond_market - levels, seen.scale)


def _any_size(seen: _Seen) -> float:
    return float(-abs(seen.move) / _PRINT_SIZE - np.log(2 * _PRINT_SIZE))


def _quiet_bar(seen: _Seen) -> Values:
    return _like(seen.span, _at_least(_QUIET_RANGE, seen.span_spread)) + _within(seen, np.inf)


def _within(seen: _Seen, size: float) -> float:
    """The close is anywhere within the range around the open, as far as a move of that size allows."""
    width = 2 * np.fmin(seen.range, 0.65 * size)
    return -float(np.log(width)) if np.isfinite(seen.night) and np.isfinite(width) else 0.0


def _quiet_days(seen: _Seen) -> float:
    """The usual volume, and days after as any others."""
    return float(_like(seen.volume, _at_least(_QUIET_VOLUME, seen.volume_spread)) + _like(seen.span_after, _QUIET_AFTER))


def _adjusted(seen: _Seen, without_it: float) -> float:
    """Whether the file's own adjusted close made no such move.

    Args:
        without_it: probability of that.
    """
    if not np.isfinite(seen.unlike_adjusted):
        return 0.0
    apart = abs(seen.unlike_adjusted) > 0.5 * abs(seen.move)
    return float(np.log(without_it if apart else 1 - without_it))


def _has_stayed(seen: _Seen) -> bool:
    """Whether as many sessions as decide have all closed nearer to the new level than to the old one."""
    return len(seen.after) == DECIDED_WITHIN and bool((seen.after / seen.move > -0.5).all())


def _goes_on(seen: _Seen, scale: float) -> float:
    """The closes that follow go on from the new level."""
    return float(_usual_day(np.diff(seen.after, prepend=0.0), scale).sum())


def _goes_on_or_back(seen: _Seen, stays: float) -> float:
    """Each close that follows goes on from the wrong level, or from the one before; from there it does not return."""
    total, level = 0.0, 0.0
    for close in seen.after.tolist():
        on = _usual_day(close - level, seen.scale)
        returned = abs(level + seen.move) < 0.5 * abs(seen.move)
        total += float(on if returned else _mixed(on, _usual_day(close + seen.move, 1.4 * seen.scale), stays))
        level = close
    return total


def _usual_day(move: Values | float, scale: float) -> Values:
    """Log density of Student's t with four degrees of freedom, of standard deviation `scale` about zero."""
    return _student(move, scale, 4)


def _usual_night(move: Values | float, scale: float) -> Values:
    """Likewise, with three: news comes after the close."""
    return _student(move, scale, 3)


def _like(value: Values | float, shape: _Shape) -> Values:
    return _student(np.asarray(value) - shape.centre, shape.spread, shape.freedom)


def _student(value: Values | float, scale: float, freedom: int) -> Values:
    """A missing value says nothing."""
    unit = scale * np.sqrt((freedom - 2) / freedom)
    at_centre = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - 0.5 * math.log(math.pi * freedom)
    density = at_centre - np.log(unit) - (freedom + 1) / 2 * np.log1p((np.asarray(value) / unit) ** 2 / freedom)
    return np.where(np.isfinite(density), density, 0.0)


def _mixed(first: Values | float, second: Values | float, share: float) -> Values:
    """Log of a mixture: the first by its share, the second by the rest."""
    return np.asarray(np.logaddexp(np.asarray(first) + np.log(share), np.asarray(second) + np.log1p(-share)))


def _at_least(shape: _Shape, spread: float) -> _Shape:
    """Range and volume of a thin share vary more."""
    return shape._replace(spread=np.fmax(shape.spread, spread))


def _spread(values: Values, centre: float) -> float:
    """Standard deviation, by the median of what is apart from the centre."""
    return 1.4826 * _median(np.abs(values - centre))


def _median(values: Values) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan


def _mean(values: Values) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


_WORDS = {
    "real": "taken as a real move",
    "split": "taken as a split of {ratio} that the source does not list",
    "unit": "taken as another unit, {factor} times",
    "bad_print": "taken as a bad print",
    "undecided": "not decided yet; the next sessions will",
}


def sentence(verdict: Verdict) -> str:
    """The verdict in words, for reports and reasons.

    >>> seen = {"move": -0.498, "usual_days": 31.2, "before_the_open": 0.99, "range_times": 0.9}
    >>> print(sentence(Verdict(np.datetime64("2012-08-13"), "split", 2.0, np.empty(0, "M8[D]"), seen)).replace(": ", ":\\n"))
    close moved by -49.8% on 2012-08-13 (31 usual days), 99% of it before the open, range 0.9 times the usual:
    taken as a split of 2:1 that the source does not list
    """
    seen = verdict.evidence
    parts = [
        f"close moved by {seen['move']:+.1%} on {np.datetime_as_string(verdict.session, 'D')} ({seen['usual_days']:.0f} usual days)",
        f"{seen['before_the_open']:.0%} of it before the open" if "before_the_open" in seen else "",
        " and ".join(f"{name} {seen[f'{name}_times']:.1f} times the usual" for name in ("range", "volume") if f"{name}_times" in seen),
        f"{seen['taken_back']:.0%} of it taken back by the next close" if "taken_back" in seen else "",
    ]
    words = _WORDS[verdict.verdict].format(ratio=split_words(verdict.ratio), factor=f"{seen.get('factor', 1.0):g}")
    return ", ".join(part for part in parts if part) + ": " + words


def split_that_fits(log_move: float, within: float) -> float | None:
    """New shares for one old of the usual split that moves a close so, or None.

    >>> split_that_fits(np.log(0.2501), 0.001), split_that_fits(np.log(0.56), 0.001)
    (4.0, None)
    """
    return _nearest(-_LEVELS["split"].move, -log_move, within)


def unit_that_fits(log_move: float, within: float) -> float | None:
    """The usual factor of a wrong unit that moves a close so, or None."""
    return _nearest(_LEVELS["unit"].move, log_move, within)


def _nearest(levels: Values, log_move: float, within: float) -> float | None:
    best = float(levels[np.abs(levels - log_move).argmin()])
    return round(float(np.exp(best)), 6) if abs(best - log_move) <= within else None


def split_words(ratio: float) -> str:
    """New shares for old.

    >>> split_words(2.0), split_words(0.1), split_words(1.5)
    ('2:1', '1:10', '3:2')
    """
    new, old = Fraction(ratio).limit_denominator(100).as_integer_ratio()
    return f"{new}:{old}"
