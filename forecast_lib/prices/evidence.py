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

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from forecast_lib.prices.hypotheses import LEVELS, posterior
from forecast_lib.prices.odd import ODD, SMALLEST_SCALE, WINDOW, Days, Flags, Values
from forecast_lib.prices.seen import DECIDED_WITHIN, Bars, Places, Rows, Seen, look

__all__ = ["Case", "Verdict", "judge_moves", "sentence", "split_words"]


STANDS_OUT, LARGE = 8.0, float(np.log(1.4))
"""A real move is worth a word from so many usual days on, or from 40 % up or 29 % down: 6 in 10,000 moves."""

SURE = {"real": 0.95, "split": 0.99, "unit": 0.95, "bad_print": 0.95}
"""Posterior probability from which a verdict is given before all is known. A split counts at once for the
whole past: it must be surer.
"""

_NEAR = np.timedelta64(5, "D")
"""An announced split may take effect so much earlier or later: lists are often a few days wrong."""


@dataclass(frozen=True)
class Case:
    """One ticker whose moves are to be judged.

    Attributes:
        can_split: whether tickers of this kind do; coins, currency pairs and indices do not.
        market_move: (n,) what the other tickers of the exchange did on each session (`market_moves`); NaN
            where unknown.
        overruled: sessions whose moves a person has called `real`.
        announced: by day, new shares for an old one of the splits that were announced.
    """

    bars: Bars
    can_split: bool
    market_move: Values | None = None
    overruled: Mapping[np.datetime64, str] = field(default_factory=dict)
    announced: Mapping[np.datetime64, float] = field(default_factory=dict)


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


def judge_moves(cases: Sequence[Case]) -> list[tuple[Verdict, ...]]:
    """Verdicts on the odd moves of each ticker, oldest first, from what is known by its last row.

    A row that waits is passed over: the one after it is compared with the last that was trusted.
    """
    if not cases:
        return []
    with np.errstate(all="ignore"):
        rows = Rows([case.bars for case in cases], [case.market_move for case in cases])
        can_split = np.repeat([case.can_split for case in cases], np.diff(rows.ends))
        odd = _Looks.at(rows, rows.odd, rows.odd - 1, can_split[rows.odd])
        spans = itertools.pairwise(rows.ends.tolist())
        judges = [_Judge(case, rows, *span, odd) for case, span in zip(cases, spans, strict=True)]
        return [tuple(judge.verdicts()) for judge in judges]


@dataclass(frozen=True)
class _Looks:
    """What was seen of some moves, and how probable it makes each story.

    Attributes:
        chances: by story, (moves, levels).
        likeliest: by story, (moves,) that of its likeliest level.
    """

    seen: Seen
    chances: Mapping[str, Values]
    likeliest: Mapping[str, Values]

    @classmethod
    def at(cls, rows: Rows, at: Places, trusted: Places, can_split: Flags) -> "_Looks":
        seen = look(rows, at, trusted)
        chances = posterior(seen, can_split)
        return cls(seen, chances, {kind: each.max(axis=1) for kind, each in chances.items()})


class _Judge:
    """Of the ticker whose rows are those from `begin` to `end`.

    Args:
        odd: all odd moves, looked at together before anything was found.
    """

    def __init__(self, case: Case, rows: Rows, begin: int, end: int, odd: _Looks) -> None:
        self.case, self.rows, self.begin, self.end, self.odd = case, rows, begin, end, odd
        self.announced = case.announced if case.can_split else {}
        self.kinds = [kind for kind in LEVELS if case.can_split or kind != "split"]
        low, high = np.searchsorted(rows.odd, [begin, end]).tolist()
        self.looked_at = dict(zip(rows.odd[low:high].tolist(), range(low, high), strict=True))
        self.unit = 0.0  # log factor of the newest unit found so far to the first row's
        self.seen_anew_until = begin  # what is seen of moves up to here has changed by what was found

    def verdicts(self) -> Iterator[Verdict]:
        at, trusted = self.begin, self.begin - 1
        while at < self.end:
            if trusted == at - 1:  # no row waits: on to the next odd move
                at = next((place for place in self.looked_at if place >= at), self.end)
                trusted = at - 1
                if at == self.end:
                    return
            verdict = self._verdict(at, trusted)
            waiting = 0 if verdict is None else len(verdict.rows)
            if verdict is not None:
                yield verdict
            if not waiting:
                trusted = at
            at += max(waiting, 1)

    def _look(self, at: int, trusted: int) -> tuple[_Looks, int]:
        """The look at the move between two rows, and its place in it."""
        if at in self.looked_at and trusted == at - 1 and at >= self.seen_anew_until:
            return self.odd, self.looked_at[at]
        can_split = np.array([self.case.can_split])
        return _Looks.at(self.rows, np.array([at]), np.array([trusted]), can_split), 0

    def _verdict(self, at: int, trusted: int) -> Verdict | None:
        """The verdict on the move between two rows, if it is odd."""
        looks, place = self._look(at, trusted)
        seen, session = looks.seen.of(place), self.rows.bars.sessions[at]
        size = abs(seen.beyond_market)
        if not size > ODD * seen.scale:
            return None
        if self.case.overruled.get(session) == "real":
            return Verdict(session, "real", 1.0, self._rows(at, 0), _evidence(seen) | {"by": "person"})
        if (ratio := self._announced(at, seen)) is not None:
            self._rebase(at, -np.log(ratio), volume=True)
            evidence = _evidence(seen) | {"by": "announcement"}
            return Verdict(session, "split", ratio, self._rows(at, 0), evidence)
        # A split or a unit, though neither is likelier than a real move alone.
        level_changed = seen.decided and looks.chances["real"][place] < 0.5
        kinds = [kind for kind in self.kinds if kind != "real" or not level_changed]
        kind = max(kinds, key=lambda each: float(looks.likeliest[each][place]))
        decided = seen.decided or not looks.likeliest[kind][place] < SURE[kind]
        if decided and kind == "real" and not (size > STANDS_OUT * seen.scale or abs(seen.move) > LARGE):
            return None
        level = float(LEVELS[kind].move[looks.chances[kind][place].argmax()])
        evidence = _evidence(seen) | {
            f"chance_{each}": round(float(looks.chances[each][place].sum()), 4) for each in self.kinds
        }
        if kind == "unit":
            evidence["factor"] = round(float(np.exp(level)), 6)
        if not decided:
            return Verdict(session, "undecided", 1.0, self._rows(at, self.end - at), evidence)
        ratio, waits = self._found(kind, level, at, trusted, seen)
        return Verdict(session, kind, ratio, self._rows(at, waits), evidence)

    def _found(self, kind: str, level: float, at: int, trusted: int, seen: Seen) -> tuple[float, int]:
        """The ratio of what a move is taken to be, and how many rows wait for it."""
        if kind == "real":
            return 1.0, 0
        if kind == "split":
            self._rebase(at, level, volume=True)
            return float(np.exp(-level)), 0
        waits = self._wrong_level(at, trusted, level if kind == "unit" else float(seen.move))
        back = self.unit != 0 and abs(self.unit + level) < SMALLEST_SCALE
        if kind == "unit" and (back or waits > DECIDED_WITHIN):
            self.unit = 0.0 if back else self.unit + level
            self._rebase(at, level, volume=False)
            return round(float(np.exp(-level)), 6), 0
        return 1.0, min(waits, DECIDED_WITHIN)

    def _rows(self, at: int, waits: int) -> Days:
        return self.rows.bars.sessions[at : at + waits]

    def _announced(self, at: int, seen: Seen) -> float | None:
        """The ratio of a split that was announced for about this session, if the move is that and either a
        usual day or one that is small beside it.
        """
        for day, ratio in self.announced.items():
            level = np.log(ratio)
            left = abs(seen.beyond_market + level)
            near = abs(self.rows.bars.sessions[at] - day) <= _NEAR
            fits = left <= max(ODD * seen.scale, abs(level) / 4) and left < abs(seen.beyond_market) / 2
            if near and fits:
                return ratio
        return None

    def _rebase(self, at: int, level: float, *, volume: bool) -> None:
        """Prices before a row move to another basis, and volumes with them."""
        self.rows.close[self.begin : at] += level
        if volume:
            self.rows.volume[self.begin : at] -= level
        self.seen_anew_until = at + WINDOW

    def _wrong_level(self, at: int, trusted: int, level: float) -> int:
        """How many rows from `at` on lie nearer to the wrong level than to the one before."""
        close = self.rows.close[at : min(at + DECIDED_WITHIN + 1, self.end)]
        back = np.flatnonzero((close - self.rows.close[trusted]) / level < 0.5)
        return int(back[0]) if len(back) else len(close)


def _evidence(seen: Seen) -> dict[str, float | str]:
    """What was seen of a move, for people: shares, and multiples of the usual."""
    found = {
        "move": np.expm1(seen.move),
        "usual_days": abs(seen.beyond_market) / seen.scale,
        "before_the_open": seen.night / seen.move,
        "range_times": np.exp(seen.span),
        "volume_times": np.exp(seen.volume),
        "adj_close_move": np.expm1(seen.move - seen.unlike_adjusted),
        "market_move": np.expm1(seen.move - seen.beyond_market),
        "taken_back": -seen.after[0] / seen.move,
    }
    said: dict[str, float | str] = {
        name: round(float(value), 4) for name, value in found.items() if np.isfinite(value)
    }
    return said | {"sessions_after": int(seen.sessions_after)}


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
