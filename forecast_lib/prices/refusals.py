"""What becomes of rows that break a rule: dropped, without one value, into the quarantine, or forgiven because a person released them."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.prices.rules import RULES
from forecast_lib.tables import PRICE_VALUES

__all__ = [
    "GOOD_COLUMNS",
    "QUARANTINE_COLUMNS",
    "RULE_ORDER",
    "Breach",
    "Broken",
    "Flags",
    "Rows",
    "as_json",
    "breaches_of",
    "kept_rows",
    "quarantine",
    "quarantine_table",
    "refused_rows",
    "unreleased",
]

GOOD_COLUMNS = ("session", *PRICE_VALUES)
QUARANTINE_COLUMNS = ("session", "row", "origin", "rule", "reason")

RULE_ORDER = {rule: place for place, rule in enumerate(RULES)}
"""Of a row with several breaches, the first rule names it."""

RELEASED_TOLERANCE = 1e-5
"""Relative: a released row may come back with other last digits, after a source re-based its history."""

Flags = NDArray[np.bool_]

Rows = Mapping[str, NDArray[Any]]
"""Prices column by column, GOOD_COLUMNS: `session` datetime64[us], figures float64. The rules look at arrays, because a step over a
frame costs more than the rule itself."""

Broken = Mapping[str, tuple[Flags, str]]
"""By rule, which rows break it, and the reason with places for their values."""


class Breach(NamedTuple):
    """A rule that a row breaks.

    Attributes:
        row: the row's place in the fetch, from 0.
        reason: for people, with the values that break the rule.
    """

    row: int
    rule: str
    reason: str


def breaches_of(rows: Rows, broken: Broken) -> list[Breach]:
    """One breach for each row and rule, by rule."""
    return [
        Breach(row, rule, reason.format(**{name: values[row] for name, values in rows.items()}))
        for rule, (flags, reason) in broken.items()
        for row in np.flatnonzero(flags).tolist()
    ]


def unreleased(breaches: list[Breach], rows: Rows, released: pd.DataFrame) -> list[Breach]:
    """The breaches of rows that nobody released. One release forgives all breaches of its row, not only the rule that named it."""
    if not breaches or released.empty:
        return breaches
    days, texts = released["session"].to_numpy("datetime64[us]"), released["row"].to_numpy()
    struck = {breach.row for breach in breaches}
    forgiven = {row for row in struck if any(_says(text, rows, row) for text in texts[days == rows["session"][row]])}
    return [breach for breach in breaches if breach.row not in forgiven]


def _says(text: str, rows: Rows, row: int) -> bool:
    """Whether a released row, as JSON, has the same figures."""
    then = json.loads(text)
    figures = np.array([then.get(name) for name in PRICE_VALUES], dtype=float)
    now = np.array([rows[name][row] for name in PRICE_VALUES])
    return np.allclose(now, figures, rtol=RELEASED_TOLERANCE, atol=0.0, equal_nan=True)


def _refuses_row(rule: str, severities: Mapping[str, str]) -> bool:
    """Whether a breach of the rule costs the whole row."""
    return severities.get(rule) in ("drop_row", "hold_ticker")


def refused_rows(count: int, breaches: Sequence[Breach], severities: Mapping[str, str]) -> Flags:
    """(count,) which of the fetched rows are lost."""
    refused = np.zeros(count, dtype=bool)
    refused[[breach.row for breach in breaches if _refuses_row(breach.rule, severities)]] = True
    return refused


def kept_rows(prices: pd.DataFrame, breaches: Sequence[Breach], severities: Mapping[str, str]) -> pd.DataFrame:
    """What is left, oldest first: rows without the refused ones, refused values missing."""
    good = prices[list(GOOD_COLUMNS)]
    without: dict[str, list[int]] = defaultdict(list)
    for breach in breaches:
        if severities[breach.rule] == "null_field":
            without[str(RULES[breach.rule].field)].append(breach.row)
    for field, places in without.items():
        good.loc[places, field] = np.nan
    refused = refused_rows(len(prices), breaches, severities)
    good = good[~refused] if refused.any() else good
    days = good["session"].to_numpy()
    return good.reset_index(drop=True) if (days[1:] > days[:-1]).all() else good.sort_values("session", ignore_index=True)


def quarantine(prices: pd.DataFrame, rows: Rows, breaches: Sequence[Breach], severities: Mapping[str, str]) -> pd.DataFrame | None:
    """Rows that were refused, or of which a value was, with the first rule in order and every reason.

    Args:
        prices: the rows with their `origin`.
        rows: the same, column by column.
    """
    struck: dict[int, list[Breach]] = defaultdict(list)
    for breach in breaches:
        if severities[breach.rule] != "warn":
            struck[breach.row].append(breach)
    if not struck:
        return None
    places = sorted(struck)
    named = [_in_one(struck[place], severities) for place in places]
    texts = [as_json({name: values[place] for name, values in rows.items()}) for place in places]
    rules, reasons = zip(*named, strict=True)
    return quarantine_table(rows["session"][places], texts, prices["origin"].to_numpy()[places], rules, reasons)


def _in_one(breaches: list[Breach], severities: Mapping[str, str]) -> tuple[str, str]:
    """The rule that names a row, and all reasons. A breach that costs the row goes before one that costs a value."""
    whole = {breach.rule: _refuses_row(breach.rule, severities) for breach in breaches}
    ranked = sorted(breaches, key=lambda breach: (not whole[breach.rule], RULE_ORDER[breach.rule]))
    rule, reason = ranked[0].rule, "; ".join(breach.reason for breach in ranked)
    return rule, reason if whole[rule] else f"{reason}; only {RULES[rule].field} was refused"


def quarantine_table(
    sessions: NDArray[np.datetime64], texts: Sequence[str], origins: Sequence[str], rules: Sequence[str], reasons: Sequence[str]
) -> pd.DataFrame:
    """QUARANTINE_COLUMNS, typed.

    Args:
        texts: the rows as they came, as JSON.
    """
    columns = {"row": texts, "origin": origins, "rule": rules, "reason": reasons}
    typed = {name: pd.array(values, dtype="str") for name, values in columns.items()}
    return pd.DataFrame({"session": sessions.astype("datetime64[us]"), **typed})


def as_json(row: Mapping[Any, object]) -> str:
    """One row as JSON: missing as null, the session as a date, infinities as text (JSON has none)."""
    return json.dumps({str(name): _plain(value) for name, value in row.items()})


def _plain(value: object) -> object:
    if isinstance(value, pd.Timestamp | np.datetime64):
        return pd.Timestamp(value).date().isoformat()
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(value)
    return value
