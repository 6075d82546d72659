"""What becomes of rows that break a rule: dropped, without one value, into the quarantine, or forgiven because a person released them."""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from forecast_lib.prices.rules import RULES
from forecast_lib.tables import PRICE_VALUES

__all__ = ["GOOD_COLUMNS", "QUARANTINE_COLUMNS", "as_json", "breaches_of", "kept_rows", "quarantine", "refuses_row", "unreleased"]

GOOD_COLUMNS = ("session", *PRICE_VALUES)
QUARANTINE_COLUMNS = ("session", "row", "origin", "rule", "reason")

RELEASED_TOLERANCE = 1e-5
"""Relative: a released row may come back with other last digits, after a source re-based its history."""


def breaches_of(prices: pd.DataFrame, broken: Mapping[str, tuple[pd.Series, str]]) -> pd.DataFrame:
    """`index`, `rule`, `reason` for each row and rule.

    Args:
        broken: by rule, which rows break it, and the reason with places for their values.
    """
    found = [
        (index, rule, reason.format(**row))
        for rule, (rows, reason) in broken.items()
        if rows.any()
        for index, row in zip(prices.index[rows], prices[rows].to_dict("records"), strict=True)
    ]
    return pd.DataFrame(found, columns=["index", "rule", "reason"]).astype({"index": int, "rule": str, "reason": str})


def unreleased(breaches: pd.DataFrame, prices: pd.DataFrame, released: pd.DataFrame) -> pd.DataFrame:
    """The breaches of rows that nobody released."""
    if breaches.empty or released.empty:
        return breaches
    forgiven = [_is_released(prices.loc[index], rule, released) for index, rule in zip(breaches["index"], breaches["rule"], strict=True)]
    return breaches[~np.array(forgiven)]


def _is_released(row: pd.Series, rule: str, released: pd.DataFrame) -> bool:
    """Whether a row with these figures was released. One release forgives all its breaches, not only the rule that named it."""
    del rule
    for text in released.loc[released["session"] == row["session"], "row"]:
        then = json.loads(text)
        figures = np.array([then.get(name) for name in list(PRICE_VALUES)], dtype=float)
        if np.allclose(row[list(PRICE_VALUES)].to_numpy(float), figures, rtol=RELEASED_TOLERANCE, atol=0.0, equal_nan=True):
            return True
    return False


def refuses_row(breaches: pd.DataFrame, severities: Mapping[str, str]) -> pd.Series:
    """Which breaches cost the whole row."""
    return breaches["rule"].map(dict(severities)).isin(("drop_row", "hold_ticker")).astype(bool)


def kept_rows(prices: pd.DataFrame, breaches: pd.DataFrame, severities: Mapping[str, str]) -> pd.DataFrame:
    """What is left, oldest first: rows without the refused ones, refused values missing."""
    if breaches.empty:
        return prices.sort_values("session", ignore_index=True)[list(GOOD_COLUMNS)]
    good = prices.drop(index=breaches.loc[refuses_row(breaches, severities), "index"].unique())
    for rule, rows in breaches.groupby("rule"):
        if severities[str(rule)] == "null_field":
            good.loc[good.index.isin(rows["index"]), RULES[str(rule)].field] = np.nan
    return good.sort_values("session", ignore_index=True)[list(GOOD_COLUMNS)]


def quarantine(prices: pd.DataFrame, breaches: pd.DataFrame, severities: Mapping[str, str]) -> pd.DataFrame | None:
    """Rows that were refused, or of which a value was, with the first rule in order and every reason."""
    struck = breaches[breaches["rule"].map(dict(severities)) != "warn"]
    if struck.empty:
        return None
    order = {rule: place for place, rule in enumerate(RULES)}
    whole = refuses_row(struck, severities)
    ranked = struck.assign(value_only=~whole, order=struck["rule"].map(order)).sort_values(["index", "value_only", "order"])
    named = ranked.groupby("index").agg(rule=("rule", "first"), reason=("reason", "; ".join), value_only=("value_only", "all"))
    rows = prices.loc[named.index]
    kept = named["rule"].map(lambda rule: f"; only {RULES[rule].field} was refused")
    return rows[["session", "origin"]].assign(
        row=[as_json(row) for row in rows.drop(columns="origin").to_dict("records")],
        rule=named["rule"],
        reason=named["reason"] + kept.where(named["value_only"], ""),
    )


def as_json(row: dict[str, object]) -> str:
    """One row as JSON: missing as null, the session as a date, infinities as text (JSON has none)."""
    return json.dumps({str(name): _plain(value) for name, value in row.items()})


def _plain(value: object) -> object:
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(value)
    return value
