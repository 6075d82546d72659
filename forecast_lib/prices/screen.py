"""Which rows of an answer are good: every rule's predicate over the rows of all tickers, some hundred
thousand at a time.

    rows as they came ──> rules about single rows ──> what is left,
        beside what is stored ──> rules about neighbours ──> good rows

The screen is the rules: nothing restates them, so none can be forgotten. Only where a predicate strikes is
more done than that: the row, or the value, goes to the quarantine as it came, with every reason.
"""

import dataclasses
import itertools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import AsOf
from forecast_lib.prices.rules import NEIGHBOUR_RULES, ROW_RULES, RULE_ORDER, RULES
from forecast_lib.prices.rules.rule import ROW, Rule
from forecast_lib.prices.rules.view import Exchanges, Flags, View
from forecast_lib.prices.source import REFUSED_COLUMNS, VALUES, Offered, as_json
from forecast_lib.tables import typed
from forecast_lib.windows.histories import Histories, Splits, key_of

__all__ = ["TAIL_SESSIONS", "Screened", "Strike", "portions", "rows_beside", "screen"]

TAIL_SESSIONS = 110
"""So many of the last stored sessions lie beside the offered ones, as far back as the evidence reaches: what
is usual before the oldest move that is judged anew (60 sessions before the last 30), and what waited there.
"""

RELEASED_TOLERANCE = 1e-5
"""Relative: a released row may come back with other last digits, after a source re-based its history."""

_AT_ONCE = 100_000
"""Rows whose columns stay in the processor's cache."""

_FEW_BEFORE = 10
"""Stored sessions before the first offered one, where that lies far back."""

_PLAUSIBLE = np.datetime64("1602-01-01"), np.datetime64("2200-12-31")
"""Days that a reader's calendar can show; the others stand in the row's text only."""


@dataclass(frozen=True)
class Strike:
    """Where a rule is broken.

    Attributes:
        field: the figure concerned, or ROW.
        rows: places among the offered rows, ascending.
        reason: in place of the rule's words.
    """

    rule: str
    field: str
    rows: NDArray[np.intp]
    reason: str | None = None


@dataclass(frozen=True)
class Screened:
    """What the rules left of an answer.

    Attributes:
        offered: the answer.
        left: its rows, refused values missing.
        kept: (rows,) which of them are good.
        strikes: what was broken, whatever was done about it.
        severities: by rule.
    """

    offered: Offered
    left: Histories
    kept: Flags
    strikes: tuple[Strike, ...]
    severities: Mapping[str, str]
    as_of: AsOf
    exchanges: Exchanges

    def good(self) -> Histories:
        """The good rows, refused values missing."""
        return self.left if self.kept.all() else self.left.rows(self.kept)

    def with_strikes(self, strikes: Sequence[Strike]) -> "Screened":
        """With more rows refused."""
        kept = self.kept.copy()
        for strike in strikes:
            kept[strike.rows] = False
        return dataclasses.replace(self, kept=kept, strikes=(*self.strikes, *strikes))

    def quarantined(self) -> pd.DataFrame:
        """Ticker, session, row, origin, rule, reason and field of what was refused; of each row the first
        rule in order (what costs the row goes first) and every reason; fields where only values were refused.
        """
        struck = [
            (place, not costs_row(strike, self.severities), RULE_ORDER[strike.rule], at)
            for at, strike in enumerate(self.strikes)
            if self.severities[strike.rule] != "warn"
            for place in strike.rows.tolist()
        ]
        rows, lines = self.offered.rows, []
        for place, group in itertools.groupby(sorted(struck), key=lambda each: each[0]):
            strikes = [self.strikes[at] for *_, at in group]
            reason, fields = "; ".join(dict.fromkeys(self._reason(place, strike) for strike in strikes)), None
            if not costs_row(strikes[0], self.severities):
                names = [name for name in VALUES if any(strike.field == name for strike in strikes)]
                fields, were = ", ".join(names), "was" if len(names) == 1 else "were"
                listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
                reason = f"{reason}; only {listed} {were} refused"
            day = rows.sessions[place]
            session = day if _PLAUSIBLE[0] <= day <= _PLAUSIBLE[1] else np.datetime64("NaT")
            text = as_json({"session": day, **{name: float(rows.figures[name][place]) for name in VALUES}})
            ticker = rows.tickers[rows.of[place]]
            lines.append((ticker, session, text, place, strikes[0].rule, reason, fields))
        frame = pd.DataFrame(lines, columns=["ticker", *REFUSED_COLUMNS, "field"])
        origins = list(self.offered.origins(frame["origin"].to_numpy(np.intp)))
        return typed("quarantined_prices", frame.assign(origin=origins))

    def _reason(self, place: int, strike: Strike) -> str:
        if strike.reason is not None:
            return strike.reason
        rows = self.offered.rows
        seen = {
            **{name: values[place] for name, values in rows.figures.items()},
            "calendar": self.exchanges.calendars[self.exchanges.of[rows.of[place]]].name,
            "now": f"{self.as_of.now:%Y-%m-%d %H:%M}",
        }
        return RULES[strike.rule].words.format(**seen, field=strike.field, as_of=self.as_of.day)


def costs_row(strike: Strike, severities: Mapping[str, str]) -> bool:
    """Whether a strike costs the whole row."""
    severity = severities[strike.rule]
    return severity in ("drop_row", "hold_ticker") or (
        severity == "null_field" and strike.field in (ROW, "close")
    )


def screen(
    offered: Offered,
    stored: Histories,
    exchanges: Exchanges,
    splits: Splits,
    as_of: AsOf,
    *,
    severities: Mapping[str, str],
    released: pd.DataFrame,
    refused: Flags | None = None,
) -> Screened:
    """The good rows of an answer.

    Args:
        stored: of the same tickers, those that lie beside the offered ones (`rows_beside`).
        exchanges: of the same tickers.
        splits: by ticker, known tonight.
        severities: by rule, as `rules.severities_from` makes them.
        released: ticker, session and row (as JSON) of the rows that a person released: they break no rule.
        refused: (rows,) those that a person refused.
    """
    rows, forgiven = offered.rows, _released(offered.rows, released)
    kept, figures = np.ones(len(rows), dtype=bool), dict(rows.figures)
    strikes: dict[tuple[str, str], list[NDArray[np.intp]]] = defaultdict(list)

    def note(rules: Sequence[Rule], view: View, places: NDArray[np.intp]) -> None:
        found = ((rule, *each) for rule in rules if rule.find for each in rule.find(view).items())
        for rule, field, flags in found:
            if not flags.any():
                continue
            struck = places[flags]
            struck = struck[~forgiven[struck]]
            strikes[rule.name, field].append(struck)
            if costs_row(Strike(rule.name, field, struck), severities):
                kept[struck] = False
            elif severities[rule.name] == "null_field" and len(struck):
                if figures[field] is rows.figures[field]:
                    figures[field] = figures[field].copy()
                figures[field][struck] = np.nan

    if refused is not None:
        strikes["refused_by_person", ROW].append(np.flatnonzero(refused & ~forgiven))
    bounds, before = rows.bounds(), stored.bounds()
    with np.errstate(all="ignore"):  # values may be missing, infinite or near the largest number
        for low, high in portions(bounds + before):
            mine = slice(bounds[low], bounds[high])
            came, places = rows.rows(mine), np.arange(mine.start, mine.stop)
            if not len(came):
                continue
            note(ROW_RULES, View(came, np.ones(len(came), dtype=bool), exchanges, splits, as_of), places)
            if refused is not None:
                kept[mine] &= ~(refused & ~forgiven)[mine]
            left = dataclasses.replace(rows, figures=figures).rows(mine)
            left, places = (left, places) if kept[mine].all() else (left.rows(kept[mine]), places[kept[mine]])
            together, places = _together(left, places, stored.rows(slice(before[low], before[high])))
            note(NEIGHBOUR_RULES, View(together, places >= 0, exchanges, splits, as_of), places)
    in_order = sorted(strikes.items(), key=lambda each: RULE_ORDER[each[0][0]])
    joined = [Strike(*key, np.concatenate(parts)) for key, parts in in_order]
    struck = tuple(strike for strike in joined if len(strike.rows))
    left = dataclasses.replace(rows, figures=figures)
    return Screened(offered, left, kept, struck, severities, as_of, exchanges)


def portions(ends: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Tickers from one place to another, so few that their columns stay in the processor's cache."""
    cuts = np.searchsorted(ends, np.arange(0, ends[-1], _AT_ONCE), side="left")
    return list(itertools.pairwise(np.unique([0, *cuts.tolist(), len(ends) - 1]).tolist()))


def _together(
    offered: Histories, places: NDArray[np.intp], stored: Histories
) -> tuple[Histories, NDArray[np.intp]]:
    """Stored and offered rows, one a session (the offered one, of several the last), and their places among
    all offered rows, -1 for stored ones.
    """
    rows = offered
    if len(stored):
        rows, came_from = Histories.side_by_side([stored, offered], offered.tickers)
        places = np.concatenate([np.full(len(stored), -1), places])[came_from]
    last = rows.is_last()
    return (rows, places) if last.all() else (rows.rows(last), places[last])


def rows_beside(offered: Histories, stored: Histories) -> Histories:
    """The stored rows that rules and evidence look at beside the offered ones, of the same tickers: the last
    TAIL_SESSIONS of each, or all from some before the first offered one on.

    Args:
        stored: of these tickers and maybe more.
    """
    places = pd.Index(stored.tickers).get_indexer(offered.tickers).astype(np.int32)
    bounds, firsts = stored.bounds(), offered.bounds()[:-1]
    came = np.diff(offered.bounds()) > 0
    begin, end = bounds[places + 1] - TAIL_SESSIONS, bounds[places + 1]
    since = np.searchsorted(stored.keys(), key_of(places[came], offered.sessions[firsts[came]]))
    begin[came] = np.minimum(begin[came], since - _FEW_BEFORE)
    begin = np.maximum(begin, bounds[places])
    steps = np.zeros(len(stored) + 1, dtype=np.int8)
    np.add.at(steps, begin, 1)
    np.add.at(steps, end, -1)
    of = np.repeat(np.arange(len(places), dtype=np.int32), end - begin)
    beside = stored.rows(steps.cumsum(dtype=np.int8)[:-1] > 0)
    return dataclasses.replace(beside, tickers=offered.tickers, of=of)


def _released(rows: Histories, released: pd.DataFrame) -> Flags:
    """(rows,) those that a person released, with the same figures."""
    forgiven, keys = np.zeros(len(rows), dtype=bool), rows.keys() if len(released) else np.empty(0, np.int64)
    of = pd.Index(rows.tickers).get_indexer(released["ticker"]).astype(np.int32)
    days = released["session"].to_numpy("datetime64[D]")
    for key, text in zip(key_of(of, days).tolist(), released["row"], strict=True):
        then = np.array([json.loads(text).get(name) for name in VALUES], dtype=float)
        for row in range(*np.searchsorted(keys, [key, key + 1])):
            now = [rows.figures[name][row] for name in VALUES]
            forgiven[row] |= np.allclose(now, then, rtol=RELEASED_TOLERANCE, atol=0.0, equal_nan=True)
    return forgiven
