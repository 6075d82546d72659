"""What an odd move of a close is: a real move, a split that nobody recorded, another unit, or a bad print;
the rows themselves tell.

A share that halves because its company is in trouble trades all the way down, in a wide day with many times
the usual volume. A share that was split 2:1 opens at half the last close, to within a usual night, and has an
ordinary day with about twice the number of shares. A bad print has an ordinary day, the ordinary volume, and
is taken back by the next close. What each of these stories makes of what was seen is in `hypotheses`.

A split that was announced for these days, by a list of events, needs no probabilities: a move of about its
ratio is that split, and what is left of it the day's own.

What is not clear the same evening is `undecided`; the next sessions are observations too, and after
DECIDED_WITHIN of them the likeliest story is the verdict. A level that so many sessions in a row have kept is
no bad print, however it came about: what is neither a split nor a unit is then real, though nobody saw it
traded (a spin-off, a payout, the price of a bid). Another unit that so many have kept is the unit from then
on; the way back to the one before is believed at once. The judge has no memory: the same rows give the same
verdicts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import numpy as np

from forecast_lib.prices.hypotheses import DECIDED_WITHIN, LEVELS, Seen, posterior
from forecast_lib.prices.odd import (
    ABS_TO_STD,
    CLIPPED,
    FEWEST,
    ODD,
    SMALLEST_SCALE,
    WINDOW,
    Days,
    Values,
    usual_moves,
)

__all__ = ["Bars", "Verdict", "judge_moves", "sentence", "split_words"]


STANDS_OUT, LARGE = 8.0, float(np.log(1.4))
"""A real move is worth a word from so many usual days on, or from 40 % up or 29 % down: 6 in 10,000 moves."""

SURE = {"real": 0.95, "split": 0.99, "unit": 0.95, "bad_print": 0.95}
"""Posterior probability from which a verdict is given before all is known. A split counts at once for the
whole past: it must be surer.
"""

_NEAR = np.timedelta64(5, "D")
"""An announced split may take effect so much earlier or later: lists are often a few days wrong."""

_NIGHT = 0.45
"""Of a usual day's move the part before the open."""

_STIR = 0.25
"""On days on which the market moves by k usual days of a share, its range and volume are (1 + k**2) ** 0.25
times the usual: 2006 to 2013, times 1.1 at k = 1.25, 1.6 at 3.5, 2.2 at 5 and 3.0 at 8.
"""


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
        verdict: as in the table `price_verdicts`.
        ratio: what prices before `session` are divided by to go with those after it: new shares for one old
            (`split`), 0.01 where prices are a hundred times as high in a unit that stays (`unit`); else 1.
        rows: sessions whose rows wait tonight; none for a real move, a split, and a unit that stays.
        evidence: what the judge saw, in plain numbers, and the probabilities it came to.
    """

    session: np.datetime64
    verdict: str
    ratio: float
    rows: Days
    evidence: Mapping[str, float | str]


def judge_moves(
    bars: Bars,
    *,
    can_split: bool,
    market_move: Values | None = None,
    overruled: Mapping[np.datetime64, str] = MappingProxyType({}),
    announced: Mapping[np.datetime64, float] = MappingProxyType({}),
) -> tuple[Verdict, ...]:
    """Verdicts on the odd moves of one ticker, oldest first, from what is known by the last row.

    A row that waits is passed over: the one after it is compared with the last that was trusted.

    Args:
        can_split: whether tickers of this kind do; coins, currency pairs and indices do not.
        market_move: (n,) what the other tickers of the exchange did on each session (`market_moves`); NaN
            where unknown.
        overruled: sessions whose moves a person has called `real`.
        announced: by day, new shares for an old one of the splits that were announced.
    """
    with np.errstate(all="ignore"):
        return tuple(_Judge(bars, can_split, market_move, overruled, announced).verdicts())


class _Judge:
    def __init__(
        self,
        bars: Bars,
        can_split: bool,
        market_move: Values | None,
        overruled: Mapping[np.datetime64, str],
        announced: Mapping[np.datetime64, float],
    ) -> None:
        self.bars, self.can_split, self.overruled = bars, can_split, overruled
        self.announced = announced if can_split else {}
        self.close = np.log(bars.close)  # on the basis of the newest split and unit found so far
        self.unit = 0.0  # log factor of that unit to the first row's
        self.volume = np.log(np.where(bars.volume > 0, bars.volume, np.nan))
        self.day = np.log(bars.close / bars.open)
        self.span = np.log(bars.high / bars.low)
        self.span[~(self.span > 0)] = np.nan
        self.unlike_adjusted = np.log(bars.close / bars.adj_close)
        self.market = np.zeros(len(bars)) if market_move is None else np.nan_to_num(market_move)
        moves = np.diff(self.close, prepend=np.nan)
        self.usual = usual_moves(np.zeros(len(bars), dtype=np.intp), moves, np.arange(len(bars)))
        self.candidates = np.flatnonzero(np.abs(moves) > ODD * self.usual).tolist()

    def verdicts(self) -> Iterator[Verdict]:
        at, trusted = 0, -1
        while at < len(self.bars):
            if trusted == at - 1:  # no row waits: on to the next odd move
                at = next((place for place in self.candidates if place >= at), len(self.bars))
                trusted = at - 1
                if at == len(self.bars):
                    return
            verdict = self._verdict(at, trusted)
            waiting = 0 if verdict is None else len(verdict.rows)
            if verdict is not None:
                yield verdict
            if not waiting:
                trusted = at
            at += max(waiting, 1)

    def _verdict(self, at: int, trusted: int) -> Verdict | None:
        """The verdict on the move between two rows, if it is odd."""
        seen = self._seen(at, trusted)
        size = abs(seen.beyond_market)
        if not size > ODD * seen.scale:
            return None
        evidence = self._evidence(seen)

        def given(kind: str, *, ratio: float = 1.0, waits: int = 0) -> Verdict:
            return Verdict(self.bars.sessions[at], kind, ratio, self.bars.sessions[at : at + waits], evidence)

        if self.overruled.get(self.bars.sessions[at]) == "real":
            evidence["by"] = "person"
            return given("real")
        if (ratio := self._announced(at, seen)) is not None:
            evidence["by"] = "announcement"
            self._split_before(at, -np.log(ratio))
            return given("split", ratio=ratio)
        chances = posterior(seen, self.can_split)
        # A split or a unit, though neither is likelier than a real move alone.
        level_changed = seen.decided and chances["real"] < 0.5
        kinds = [each for each in chances if each != "real" or not level_changed]
        kind = max(kinds, key=lambda each: float(chances[each].max()))
        level = float(LEVELS[kind].move[chances[kind].argmax()])
        evidence |= {f"chance_{each}": round(float(found.sum()), 4) for each, found in chances.items()}
        if kind == "unit":
            evidence["factor"] = round(float(np.exp(level)), 6)
        if chances[kind].max() < SURE[kind] and not seen.decided:
            return given("undecided", waits=len(self.bars) - at)
        if kind == "real":
            return given(kind) if size > STANDS_OUT * seen.scale or abs(seen.move) > LARGE else None
        if kind == "split":
            self._split_before(at, level)
            return given(kind, ratio=float(np.exp(-level)))
        waits = self._wrong_level(at, trusted, level if kind == "unit" else seen.move)
        back = self.unit != 0 and abs(self.unit + level) < SMALLEST_SCALE
        if kind == "unit" and (back or waits > DECIDED_WITHIN):
            self.unit = 0.0 if back else self.unit + level
            self.close[:at] += level
            return given(kind, ratio=round(float(np.exp(-level)), 6))
        return given(kind, waits=min(waits, DECIDED_WITHIN))

    def _announced(self, at: int, seen: Seen) -> float | None:
        """The ratio of a split that was announced for about this session, if the move is that and either a
        usual day or one that is small beside it.
        """
        for day, ratio in self.announced.items():
            level = np.log(ratio)
            left = abs(seen.beyond_market + level)
            near = abs(self.bars.sessions[at] - day) <= _NEAR
            fits = left <= max(ODD * seen.scale, abs(level) / 4) and left < abs(seen.beyond_market) / 2
            if near and fits:
                return ratio
        return None

    def _split_before(self, at: int, level: float) -> None:
        self.close[:at] += level
        self.volume[:at] -= level

    def _wrong_level(self, at: int, trusted: int, level: float) -> int:
        """How many rows from `at` on lie nearer to the wrong level than to the one before."""
        away = (self.close[at : at + DECIDED_WITHIN + 1] - self.close[trusted]) / level
        back = np.flatnonzero(away < 0.5)
        return int(back[0]) if len(back) else len(away)

    def _seen(self, at: int, trusted: int) -> Seen:
        before, after = slice(max(0, at - WINDOW), max(at, 1)), slice(at + 1, at + 1 + DECIDED_WITHIN)
        move = self.close[at] - self.close[trusted] if trusted >= 0 else np.nan
        days = np.busday_count(*self.bars.sessions[[trusted, at]].astype("M8[D]")) if trusted >= 0 else 1
        longer = np.sqrt(days) if days > 2 else 1.0  # a long weekend counts as a night
        scale = float(self.usual[at]) * longer
        lately = slice(max(0, at - FEWEST), max(at, 1))
        usual_span, usual_volume = _median(self.span[lately]), _median(self.volume[lately])
        nights = np.minimum(np.abs(np.diff(self.close[before]) - self.day[before][1:]), CLIPPED)
        night = ABS_TO_STD * _mean(nights) if np.isfinite(nights).sum() >= FEWEST else _NIGHT * self.usual[at]
        opens_at = (self.close - self.day)[at + 1 : at + 2] - self.close[at]
        stir = _STIR * np.log1p((self.market[at : after.stop] / self.usual[at]) ** 2)
        return Seen(
            move=float(move),
            beyond_market=float(move - self.market[at]),
            scale=float(np.hypot(scale, self.market[at])),
            night=float(move - self.day[at]),
            night_scale=float(np.hypot(max(night, SMALLEST_SCALE / 2) * longer, self.market[at])),
            range=float(self.span[at]),
            at_edge=bool(
                self.bars.close[at] >= self.bars.high[at] or self.bars.close[at] <= self.bars.low[at]
            ),
            span=float(np.log(self.span[at] / usual_span) - stir[0]),
            span_spread=_spread(np.log(self.span[lately] / usual_span)),
            volume=float(self.volume[at] - stir[0] - usual_volume),
            volume_spread=_spread(self.volume[lately] - usual_volume),
            unlike_adjusted=float(self.unlike_adjusted[at] - self.unlike_adjusted[trusted]),
            after=self.close[after] - self.close[at] - self.market[after].cumsum(),
            open_after=opens_at[0] if len(opens_at) else np.nan,
            span_after=_mean(np.log(self.span[after] / usual_span) - stir[1:]),
        )

    def _evidence(self, seen: Seen) -> dict[str, float | str]:
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
        said: dict[str, float | str] = {
            name: round(float(value), 4) for name, value in found.items() if np.isfinite(value)
        }
        return said | {"sessions_after": len(seen.after)}


def _median(values: Values) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan


def _spread(values: Values) -> float:
    """Standard deviation about zero, by the median of the sizes."""
    return 1.4826 * _median(np.abs(values))


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
    >>> split = Verdict(np.datetime64("2012-08-13"), "split", 2.0, np.empty(0, "M8[D]"), seen)
    >>> print(sentence(split).replace(": ", ":\\n"))
    close moved by -49.8% on 2012-08-13 (31 usual days), 99% of it before the open, range 0.9 times the usual:
    taken as a split of 2:1 that the source does not list
    """
    seen = verdict.evidence
    day = np.datetime_as_string(verdict.session, "D")
    parts = [
        f"close moved by {seen['move']:+.1%} on {day} ({seen['usual_days']:.0f} usual days)",
        f"{seen['before_the_open']:.0%} of it before the open" if "before_the_open" in seen else "",
        " and ".join(
            f"{name} {seen[f'{name}_times']:.1f} times the usual"
            for name in ("range", "volume")
            if f"{name}_times" in seen
        ),
        f"{seen['taken_back']:.0%} of it taken back by the next close" if "taken_back" in seen else "",
    ]
    factor = f"{seen.get('factor', 1.0):g}"
    words = _WORDS[verdict.verdict].format(ratio=split_words(verdict.ratio), factor=factor)
    if seen.get("by") == "announcement":
        words += " yet, as it was announced"
    elif verdict.verdict == "unit" and verdict.ratio != 1:
        words += ", from then on"
    return ", ".join(part for part in parts if part) + ": " + words


def split_words(ratio: float) -> str:
    """New shares for old.

    >>> split_words(2.0), split_words(0.1), split_words(1.5)
    ('2:1', '1:10', '3:2')
    """
    new, old = Fraction(ratio).limit_denominator(100).as_integer_ratio()
    return f"{new}:{old}"
