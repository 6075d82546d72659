"""Inputs by name: what is known at each close beside a ticker's own prices, and what is known to lie ahead.

A name that begins with `covariate ` or `event ` is a candidate: it enters a model only where it pays
(`backtest.selection`). What stands before a `/` in a name says whose input it is.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EX_DIVIDEND", "SPLIT", "Ahead", "AtClose", "Dividends", "Inputs", "candidates", "is_ahead"]

Array = NDArray[np.float64]
Days = NDArray[np.datetime64]

COVARIATE, EVENT = "covariate ", "event "
EX_DIVIDEND, SPLIT = "ex_dividend", "split"
"""Kinds of events that move the price itself, where they come with a value: cash for a share of that day, and
new shares for an old one.
"""
_FAMILIES = {"level": "", "mean": "", "change": "", "year": ", its year"}
"""The inputs of one covariate that are tried together, by what is said of them; all others are its ranges."""


def is_ahead(name: str) -> bool:
    """Whether an input differs by step: it says what falls on the sessions to come."""
    return name.startswith(EVENT)


def candidates(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """What is tried as one, by a label, and the inputs it consists of; both in order.

    >>> candidates(["event month_end", "covariate vix/level", "covariate vix/mean", "common_1_22"])
    {'covariate vix': ('covariate vix/level', 'covariate vix/mean'), 'event month_end': ('event month_end',)}
    """
    asked = sorted({name for name in names if name.startswith((COVARIATE, EVENT))})
    found: dict[str, list[str]] = {}
    for name in asked:
        owner, slash, part = name.partition("/")
        family = _FAMILIES.get(part, ", its range") if slash else ""
        found.setdefault(owner + family, []).append(name)
    return {label: tuple(inputs) for label, inputs in found.items()}


@dataclass(frozen=True, eq=False)
class AtClose:
    """Inputs that have one value a session, as known at its close; one object may serve many tickers.

    Attributes:
        names: of the inputs.
        sessions: (n,) datetime64[D], strictly ascending.
        values: (n, names), NaN where nothing is known.
    """

    names: tuple[str, ...]
    sessions: Days
    values: Array

    def at(self, sessions: Days) -> Array:
        """(m, names) of the sessions asked for, NaN where there is none.

        >>> days = np.array(["2024-06-03", "2024-06-04"], "datetime64[D]")
        >>> AtClose(("a",), days[:1], np.ones((1, 1))).at(days).tolist()
        [[1.0], [nan]]
        """
        if not len(self.sessions):
            return np.full((len(sessions), len(self.names)), np.nan)
        place = np.minimum(np.searchsorted(self.sessions, sessions), len(self.sessions) - 1)
        return np.where((self.sessions[place] == sessions)[:, None], self.values[place], np.nan)


@dataclass(frozen=True, eq=False)
class Ahead:
    """Events on sessions, past and to come, and when each was expected; one object may serve many tickers.

    Attributes:
        names: of the inputs, one a kind of event.
        days: (d,) datetime64[D] the exchange's sessions, past and to come, strictly ascending.
        kind: (n,) place of each event's name in `names`.
        on: (n,) datetime64[D] the day it falls on; of a day without a session the next one counts.
        since: (n,) datetime64[D] the first session at whose evening it was expected.
        until: (n,) datetime64[D] the first session at whose evening it was so no longer.
    """

    names: tuple[str, ...]
    days: Days
    kind: NDArray[np.integer]
    on: Days
    since: Days
    until: Days

    def at(self, sessions: Days, horizon: int) -> NDArray[np.bool_]:
        """(m, names, horizon): whether the event was expected at the cutoff to fall on the session of each
        step.

        >>> days = np.arange("2024-06-03", "2024-06-08", dtype="datetime64[D]")
        >>> always = np.array(["0001-01-01"], "M8[D]"), np.array(["9999-12-31"], "M8[D]")
        >>> Ahead(("e",), days, np.zeros(1, int), days[2:3], *always).at(days[:3], 2)[:, 0].tolist()
        [[False, True], [True, False], [False, False]]
        """
        if not len(self.days):
            return np.zeros((len(sessions), len(self.names), horizon), dtype=bool)
        place = np.searchsorted(self.days, sessions, side="right") - 1
        return _falls(self, horizon)[np.maximum(place, 0)] & (place >= 0)[:, None, None]


@functools.lru_cache(maxsize=32)  # the tickers of an exchange ask for the same, one after the other
def _falls(events: Ahead, horizon: int) -> NDArray[np.bool_]:
    """(days, names, horizon) of `Ahead.at`."""
    falls = np.zeros((len(events.days), len(events.names), horizon), dtype=bool)
    for step in range(1, horizon + 1):
        cutoff, fits = _expected(events, step)
        falls[cutoff[fits], events.kind[fits], step - 1] = True
    return falls


def _expected(events: "Ahead | Dividends", step: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Of each event the place of the cutoff so many sessions before it, and whether it was expected there."""
    place = np.searchsorted(events.days, events.on)
    cutoff = place - step
    fits = (cutoff >= 0) & (place < len(events.days))
    evening = events.days[np.where(fits, cutoff, 0)]
    return cutoff, fits & (events.since <= evening) & (evening < events.until)


@dataclass(frozen=True, eq=False)
class Dividends:
    """Ex-dividend days of one ticker, past and to come, what each pays, and when it was expected.

    Attributes:
        days, on, since, until: as of `Ahead`.
        cash: (n,) for one share, on the share basis of the ticker's series.
    """

    days: Days
    on: Days
    since: Days
    until: Days
    cash: Array

    def at(self, sessions: Days, horizon: int) -> Array:
        """(m, horizon): the cash that a share was expected at the cutoff to have paid by the session of each
        step.

        >>> days = np.arange("2024-06-03", "2024-06-08", dtype="datetime64[D]")
        >>> always = np.array(["0001-01-01"], "M8[D]"), np.array(["9999-12-31"], "M8[D]")
        >>> Dividends(days, days[2:3], *always, np.array([0.5])).at(days[:3], 2).tolist()
        [[0.0, 0.5], [0.5, 0.5], [0.0, 0.0]]
        """
        if not len(self.days) or not len(self.on):
            return np.zeros((len(sessions), horizon))
        paid = np.zeros((len(self.days), horizon))
        for step in range(1, horizon + 1):
            cutoff, fits = _expected(self, step)
            np.add.at(paid[:, step - 1], cutoff[fits], self.cash[fits])
        place = np.searchsorted(self.days, sessions, side="right") - 1
        return np.where((place >= 0)[:, None], paid.cumsum(axis=1)[np.maximum(place, 0)], 0.0)


@dataclass(frozen=True, eq=False)
class Inputs:
    """What is known of a ticker's sessions beside its own prices; it may know later sessions and events,
    which are asked for at no earlier cutoff.

    Attributes:
        at_close: of parts with an input of the same name the first counts.
        ahead: of parts with an event of the same name all count.
        dividends: None: none is known.
    """

    at_close: tuple[AtClose, ...] = ()
    ahead: tuple[Ahead, ...] = ()
    dividends: Dividends | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of all inputs, in order, those that differ by step last."""
        groups: tuple[Sequence[AtClose | Ahead], ...] = (self.at_close, self.ahead)
        return tuple(name for group in groups for name in sorted({n for part in group for n in part.names}))

    def known(self, names: Sequence[str], sessions: Days) -> Array:
        """(sessions, names) at each session's close, NaN where nothing is known."""
        found = np.full((len(sessions), len(names)), np.nan)
        for part in reversed(self.at_close):
            mine = [place for place, name in enumerate(names) if name in part.names]
            if mine:
                found[:, mine] = part.at(sessions)[:, [part.names.index(names[place]) for place in mine]]
        return found

    def falling(self, names: Sequence[str], sessions: Days, horizon: int) -> Array:
        """(sessions, names, horizon): of the sessions up to each step after the cutoff, the share on which
        the event was expected to fall.
        """
        found = np.zeros((len(sessions), len(names), horizon), dtype=bool)
        for part in self.ahead:
            mine = [place for place, name in enumerate(names) if name in part.names]
            if mine:
                chosen = [part.names.index(names[place]) for place in mine]
                found[:, mine] |= part.at(sessions, horizon)[:, chosen]
        return np.asarray(found.cumsum(axis=2) / np.arange(1, horizon + 1))
