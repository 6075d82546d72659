"""Which intervals are wider or narrower than in the run before, and why, in a sentence each.

A sentence names the largest drivers of the change (`forecast_drivers`), each with the share by which it alone
made the interval wider or narrower: multiplied they are the whole. What the last session did stands as its
own move.
"""

import datetime as dt
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecast_lib.report.frames import NO_CLOSES, Closes, ReportInput, by_ticker, day_of
from forecast_lib.report.sections.drivers import Driver
from forecast_lib.report.words import percent_of

__all__ = ["Changes", "WidthChange", "changes", "sentence", "width_change"]

_NOTABLE = 0.1
"""A width that moved by a smaller share is not spoken of."""
_NAMED, _SMALLEST = 4, 0.02
_SHOWN = 100
_SWINGS, _SMALL_MOVE = 0.05, 0.01
_OF_THE_SESSION = ("last session", "falls", "recent sessions")
_WORDS = {
    "usual level": ("its usual level higher", "its usual level lower"),
    "last week": ("the last week wilder", "the last week calmer"),
    "last months": ("the last months wilder", "the last months calmer"),
    "weekday": ("the weekday", "the weekday"),
    "season": (
        "it moved more at this time of earlier quarters",
        "it moved less at this time of earlier quarters",
    ),
    "market-wide": ("the market wilder", "the market calmer"),
    "network": ("the network sees more risk", "the network sees less risk"),
    "calibration": ("its ranges were too narrow of late", "its ranges held better of late"),
    "combination": ("the other models say more", "the other models say less"),
    "revised prices": ("revised prices", "revised prices"),
    "other tickers": ("other tickers are asked for", "other tickers are asked for"),
    "new weights": ("a new model", "a new model"),
}
_EVENTS = {
    "short_session": "a short session",
    "before_holiday": "the session before a holiday",
    "after_holiday": "the session after a holiday",
    "month_end": "a month end",
    "quarter_end": "a quarter end",
    "third_friday": "a third Friday",
    "index_review": "an index review",
}
"""Those that the calendar knows; others stand by their own names."""
_WHY_NOT = {
    "first": "there was no forecast before",
    "version": "the run before was made by another version of Tickercast or of a library",
    "settings": "the run before looked another number of sessions ahead",
    "weights": "the model that answered then is no longer there",
    "session": "the session that the run before started from is no longer among the prices",
    "width": "a range had no width",
}


@dataclass(frozen=True)
class WidthChange:
    """A ticker whose next session's 80 % interval is notably wider or narrower.

    Attributes:
        share: by which its width grew; below 0 it is narrower.
        text: the sentence.
    """

    ticker: str
    share: float
    text: str


@dataclass(frozen=True)
class Changes:
    """The widths that changed notably, the most changed first.

    Attributes:
        compared: tickers whose width could be held against that of the run before.
        left_out: why others could not, and how many.
    """

    widths: tuple[WidthChange, ...]
    compared: int
    left_out: tuple[tuple[str, int], ...]

    @property
    def shown(self) -> tuple[WidthChange, ...]:
        """Those on the first page; every ticker's sentence is on its own."""
        return self.widths[:_SHOWN]


def changes(
    report: ReportInput, drivers: Mapping[str, Sequence[Driver]], closes: Mapping[str, Closes]
) -> Changes:
    """What the run's drivers say of the next session's widths.

    Args:
        drivers, closes: of each ticker.
    """
    nights = by_ticker(report.nights, ("ticker", "made_by", "last_session", "as_of"))
    as_of = day_of(report.run["as_of"].iloc[0]) or dt.date.min
    found, left_out, compared = list[WidthChange](), dict[str, int](), 0
    for ticker, first in drivers.items():
        own = {driver.name: (driver.effect, driver.change) for driver in first if driver.change is not None}
        if len(own) < len(first):
            why = _WHY_NOT.get(first[0].why_no_change or "", "nothing is known of it")
            left_out[why] = left_out.get(why, 0) + 1
            continue
        compared += 1
        last = next((night for night in nights.get(ticker, ()) if night["made_by"]), {})
        since, before = day_of(last.get("last_session")), day_of(last.get("as_of"))
        if change := width_change(ticker, own, closes.get(ticker, NO_CLOSES), since, before, as_of):
            found.append(change)
    found.sort(key=lambda each: (-abs(math.log1p(each.share)), each.ticker))
    return Changes(tuple(found), compared, tuple(sorted(left_out.items())))


def width_change(
    ticker: str,
    drivers: Mapping[str, tuple[float, float]],
    closes: Closes,
    since: dt.date | None,
    before: dt.date | None,
    as_of: dt.date,
) -> WidthChange | None:
    """The change of a ticker's width and the sentence on it; None where it is not notable.

    Args:
        drivers: by name, effect and change.
        closes: its last ones, oldest first.
        since: session that the run before started from. before, as_of: evenings of the two runs.
    """
    changed = {name: change for name, (_, change) in drivers.items()}
    share = math.expm1(sum(changed.values()))
    if abs(share) <= _NOTABLE:
        return None
    # An event that falls on the next session stands further from the usual than one that does not.
    ahead = {name for name, (effect, change) in drivers.items() if abs(effect) > abs(effect - change)}
    swung = changed.get("last session", 0.0) > _SWINGS
    moved = _move(closes, since, swung) if since else None
    return WidthChange(ticker, share, sentence(changed, moved, _than(before, as_of), ahead))


def sentence(changed: Mapping[str, float], moved: str | None, than: str, ahead: Collection[str] = ()) -> str:
    """Why a width changed, in plain words.

    Args:
        changed: by driver, its part of the change of the log width.
        moved: what the price did since; None where nothing new is known of it.
        than: what the width is compared with.
        ahead: drivers whose event falls on the next session; that of others is over.

    >>> sentence({"falls": 0.1, "last session": 0.115, "market-wide": -0.03}, "Thursday's −6 %", "yesterday")
    "20 % wider than yesterday: Thursday's −6 % (+24 %), the market calmer (−3 %)"
    """
    whole = sum(changed.values())
    session = sum(part for name, part in changed.items() if name in _OF_THE_SESSION)
    parts = [(moved or "the last session", session)]
    parts += [
        (_words(name, part, name in ahead), part)
        for name, part in changed.items()
        if name not in _OF_THE_SESSION
    ]
    parts.sort(key=lambda part: -abs(part[1]))
    named = [(words, part) for words, part in parts if abs(math.expm1(part)) >= _SMALLEST][:_NAMED]
    rest = whole - sum(part for _, part in named)
    if abs(math.expm1(rest)) >= _SMALLEST:
        named.append(("all else", rest))
    said = ", ".join(f"{words} ({percent_of(math.expm1(part))})" for words, part in named)
    share = math.expm1(whole)
    return f"{abs(100 * share):.0f} % {'wider' if share > 0 else 'narrower'} than {than}: {said}"


def _words(driver: str, part: float, ahead: bool) -> str:
    kind, _, name = driver.partition(" ")
    if kind == "event":
        return f"{_EVENTS.get(name, name)} {'ahead' if ahead else 'over'}"
    if kind == "covariate":
        return name
    more, less = _WORDS.get(driver, (driver, driver))
    return more if part > 0 else less


def _than(before: dt.date | None, as_of: dt.date) -> str:
    days = (as_of - before).days if before else 0
    if not before:
        return "in the run before"
    return "yesterday" if days == 1 else f"on {before:%A}" if days < 7 else f"on {before.day} {before:%B}"


def _move(closes: Closes, since: dt.date, swung: bool) -> str | None:
    """What the price did after a session: one session's own move by its weekday, or the move of several.

    Args:
        swung: the last session's range was wider than that of the one before; then a small move is not what
            counts.
    """
    new = closes[closes.sessions.searchsorted(np.datetime64(since)) :]
    if len(new) < 2 or new.sessions[0] != np.datetime64(since):
        return None
    share, weekday = (new.prices[-1] / new.prices[0] - 1).item(), f"{new.sessions[-1].item():%A}"
    if len(new) > 2:
        return f"{percent_of(share)} since {since:%A}"
    if swung and abs(share) < _SMALL_MOVE:
        return f"{weekday}'s swings, {percent_of(share)} in all"
    return f"{weekday}'s {percent_of(share)}"
