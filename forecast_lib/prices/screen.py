"""Which rows of an answer are good: every rule's predicate over the rows of all tickers, some hundred
thousand at a time.

    rows as they came ──> rules about single rows ──> what is left, beside what is stored ──> rules about neighbours ──> good rows

The screen is the rules: nothing restates them, so none can be forgotten. Only where a predicate strikes is
more done than that: the row, or the value, goes to the quarantine as it came, with every reason.
"""

import dataclasses
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import AsOf
from forecast_lib.prices.rules import NEIGHBOUR_RULES, ROW_RULES, RULE_ORDER, RULES
from forecast_lib.prices.rules.rule import ROW, Rule
from forecast_lib.prices.rules.view import Exchanges, Flags, View
from forecast_lib.prices.source import VALUES, Offered, as_json
from forecast_lib.windows.histories import Histories, Splits

__all__ = ["TAIL_SESSIONS", "Screened", "Strike", "portions", "rows_beside", "screen"]

TAIL_SESSIONS = 310
"""So many of the last stored sessions lie beside the offered ones: a year and a quarter, as far back as a
rule or the evidence reaches.
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
        kept: (rows,) which of its rows are good.
        values: by figure, which of its values are refused.
        strikes: what was broken, whatever was done about it.
        severities: by rule.
    """

    offered: Offered
    kept: Flags
    values: Mapping[str, NDArray[np.intp]]
    strikes: tuple[Strike, ...]
    severities: Mapping[str, str]
    as_of: AsOf
    exchanges: Exchanges

    def good(self) -> Histories:
        """The good rows, refused values missing."""
        rows = self.offered.rows
        if self.values:
            figures = dict(rows.figures)
            for name, places in self.values.items():
                figures[name] = figures[name].copy()
                figures[name][places] = np.nan
            rows = dataclasses.replace(rows, figures=figures)
        return rows if self.kept.all() else rows.rows(self.kept)

    def with_strikes(self, strikes: Sequence[Strike]) -> "Screened":
        """With more rows refused."""
        if not strikes:
            return self
        kept = self.kept.copy()
        for strike in strikes:
            kept[strike.rows] = False
        return dataclasses.replace(self, kept=kept, strikes=(*self.strikes, *strikes))

    def refused_rows(self) -> NDArray[np.intp]:
        """Places of the rows that were refused by rules that tell bad data."""
        places = [strike.rows for strike in self.strikes if not RULES[strike.rule].harmless]
        struck = np.unique(np.concatenate(places)) if places else np.empty(0, np.intp)
        return struck[~self.kept[struck]]

    def quarantined(self) -> pd.DataFrame:
        """Ticker, session, row, origin, rule, reason and field of what was refused; of each row the first
        rule in order, every reason.
        """
        struck: dict[int, list[Strike]] = defaultdict(list)
        for strike in self.strikes:
            if self.severities[strike.rule] != "warn":
                for row in strike.rows.tolist():
                    struck[row].append(strike)
        if not struck:
            return _quarantine_frame([])
        places = np.array(sorted(struck), dtype=np.intp)
        rows = self.offered.rows
        days = np.where(
            (rows.sessions < _PLAUSIBLE[0]) | (rows.sessions > _PLAUSIBLE[1]),
            np.datetime64("NaT"),
            rows.sessions,
        )
        origins = self.offered.origins(places)
        return _quarantine_frame(
            (
                rows.tickers[rows.of[place]],
                days[place],
                self._text(place),
                origin,
                *self._named(place, struck[place]),
            )
            for place, origin in zip(places.tolist(), origins, strict=True)
        )

    def _named(self, place: int, strikes: Sequence[Strike]) -> tuple[str, str, str | None]:
        """The rule that names a row, every reason, and the fields where only values were refused. What costs
        the row goes first.
        """
        ranked = sorted(
            strikes, key=lambda strike: (not costs_row(strike, self.severities), RULE_ORDER[strike.rule])
        )
        reasons = "; ".join(dict.fromkeys(self._reason(place, strike) for strike in ranked))
        if costs_row(ranked[0], self.severities):
            return ranked[0].rule, reasons, None
        fields = [name for name in VALUES if any(strike.field == name for strike in ranked)]
        return ranked[0].rule, f"{reasons}; only {_listed(fields)} refused", ", ".join(fields)

    def _reason(self, place: int, strike: Strike) -> str:
        rows, rule = self.offered.rows, RULES[strike.rule]
        if strike.reason is not None:
            return strike.reason
        calendar = self.exchanges.calendars[self.exchanges.of[rows.of[place]]].name
        figures = {name: values[place] for name, values in rows.figures.items()}
        more = {
            "field": strike.field,
            "calendar": calendar,
            "as_of": self.as_of.day,
            "now": f"{self.as_of.now:%Y-%m-%d %H:%M}",
        }
        return rule.words.format(**figures, **more)

    def _text(self, place: int) -> str:
        rows = self.offered.rows
        return as_json(
            {"session": rows.sessions[place], **{name: float(rows.figures[name][place]) for name in VALUES}}
        )


def _quarantine_frame(lines: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    columns = ["ticker", "session", "row", "origin", "rule", "reason", "field"]
    return pd.DataFrame(list(lines), columns=columns).astype(
        {"session": "datetime64[us]", **dict.fromkeys(columns[2:], "str"), "ticker": "str"}
    )


def _listed(names: Sequence[str]) -> str:
    """`open was`, or `open, high and low were`."""
    return f"{names[0]} was" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} were"


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
    rows, kept, values = offered.rows, np.ones(len(offered.rows), dtype=bool), defaultdict(list)
    forgiven = _released(rows, released)
    strikes: list[Strike] = []

    def note(found: Iterator[tuple[Rule, str, NDArray[np.intp]]]) -> None:
        for rule, field, places in found:
            places = places[~forgiven[places]] if forgiven is not None else places
            if not len(places):
                continue
            strike = Strike(rule.name, field, places)
            strikes.append(strike)
            if costs_row(strike, severities):
                kept[places] = False
            elif severities[rule.name] == "null_field":
                values[field].append(places)

    bounds, before = rows.bounds(), stored.bounds()
    with np.errstate(all="ignore"):  # values may be missing, infinite or near the largest number
        for low, high in portions(bounds + before):
            mine = slice(bounds[low], bounds[high])
            came = rows.rows(mine)
            if not len(came):
                continue
            everything = np.ones(len(came), dtype=bool)
            note(
                _found(
                    ROW_RULES,
                    View(came, everything, exchanges, splits, as_of),
                    np.arange(mine.start, mine.stop),
                )
            )
            if refused is not None and refused[mine].any():
                note(iter([(RULES["refused_by_person"], ROW, mine.start + np.flatnonzero(refused[mine]))]))
            left = _left(came, mine, kept, values)
            beside = stored.rows(slice(before[low], before[high]))
            together, offered_rows, places = _together(left[0], left[1], beside)
            note(_found(NEIGHBOUR_RULES, View(together, offered_rows, exchanges, splits, as_of), places))
    refused_values = {name: np.unique(np.concatenate(parts)) for name, parts in values.items()}
    return Screened(offered, kept, refused_values, tuple(_joined(strikes)), severities, as_of, exchanges)


def _found(
    rules: Sequence[Rule], view: View, places: NDArray[np.intp]
) -> Iterator[tuple[Rule, str, NDArray[np.intp]]]:
    """Rule, figure and places of what is broken; `places` are those of the view's rows among all offered
    ones.
    """
    for rule in rules:
        assert rule.find is not None
        for field, flags in rule.find(view).items():
            if flags.any():
                yield rule, field, places[flags]


def _joined(strikes: Sequence[Strike]) -> list[Strike]:
    """One a rule and figure, in the order of the rules."""
    parts: dict[tuple[str, str], list[NDArray[np.intp]]] = defaultdict(list)
    for strike in strikes:
        parts[strike.rule, strike.field].append(strike.rows)
    ordered = sorted(parts, key=lambda key: RULE_ORDER[key[0]])
    return [Strike(rule, field, np.concatenate(parts[rule, field])) for rule, field in ordered]


def portions(ends: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Tickers from one place to another, so few that their columns stay in the processor's cache."""
    cuts = np.searchsorted(ends, np.arange(0, ends[-1], _AT_ONCE), side="left")
    places = np.unique(np.concatenate([[0], cuts, [len(ends) - 1]])).tolist()
    return list(itertools.pairwise(places))


def _left(
    came: Histories, mine: slice, kept: Flags, values: Mapping[str, list[NDArray[np.intp]]]
) -> tuple[Histories, NDArray[np.intp]]:
    """What the rules about single rows left, refused values missing, and the places of it among all offered
    rows.
    """
    places = np.arange(mine.start, mine.stop)
    stays = kept[mine]
    refused = {name: np.concatenate(parts) for name, parts in values.items() if parts}
    refused = {name: at[(at >= mine.start) & (at < mine.stop)] - mine.start for name, at in refused.items()}
    if any(len(at) for at in refused.values()):
        figures = dict(came.figures)
        for name, at in refused.items():
            figures[name] = figures[name].copy()
            figures[name][at] = np.nan
        came = dataclasses.replace(came, figures=figures)
    return (came, places) if stays.all() else (came.rows(stays), places[stays])


def _together(
    offered: Histories, places: NDArray[np.intp], stored: Histories
) -> tuple[Histories, Flags, NDArray[np.intp]]:
    """Stored and offered rows, one a session: the offered one, of several the last; which were offered; and
    their places, -1 for others.
    """
    if len(stored):
        rows, came_from = Histories.side_by_side([stored, offered], offered.tickers)
        of_all = np.concatenate([np.full(len(stored), -1), places])[came_from]
    else:
        rows, of_all = offered, places
    keys = rows.keys()
    last = np.append(keys[1:] != keys[:-1], True)[: len(keys)]
    if not last.all():
        rows, of_all = rows.rows(last), of_all[last]
    return rows, of_all >= 0, of_all


def rows_beside(offered: Histories, stored: Histories) -> Histories:
    """The stored rows that rules and evidence look at beside the offered ones, of the same tickers: the last
    TAIL_SESSIONS of each, or all from some before the first offered one on.

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
        begins[place] = max(low, at - _FEW_BEFORE)
    counts = highs - begins
    rows = (
        np.arange(counts.sum()) + np.repeat(begins - np.append(0, counts.cumsum()[:-1]), counts)
        if len(places)
        else places
    )
    of = np.repeat(np.arange(len(places), dtype=np.int32), counts)
    return dataclasses.replace(stored.rows(rows), tickers=offered.tickers, of=of)


def _released(rows: Histories, released: pd.DataFrame) -> Flags | None:
    """(rows,) those that a person released, with the same figures; None where there are none."""
    mine = released[released["ticker"].isin(rows.tickers)]
    if mine.empty:
        return None
    forgiven = np.zeros(len(rows), dtype=bool)
    bounds = rows.bounds()
    for ticker, day, text in zip(
        mine["ticker"], mine["session"].to_numpy("datetime64[D]"), mine["row"], strict=True
    ):
        place = rows.tickers.index(ticker)
        low, high = bounds[place : place + 2].tolist()
        begin, end = low + np.searchsorted(rows.sessions[low:high], [day, day + 1])
        for row in range(begin, end):
            forgiven[row] |= _says(text, rows, row)
    return forgiven


def _says(text: str, rows: Histories, row: int) -> bool:
    """Whether a released row, as JSON, has the same figures."""
    then = json.loads(text)
    figures = np.array([then.get(name) for name in VALUES], dtype=float)
    now = np.array([rows.figures[name][row] for name in VALUES])
    return np.allclose(now, figures, rtol=RELEASED_TOLERANCE, atol=0.0, equal_nan=True)
