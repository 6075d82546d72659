"""Rules that a row keeps or breaks by its own figures."""

import numpy as np

from forecast_lib.prices.actions import LARGEST_PRICE
from forecast_lib.prices.rules.rule import DROP, DROP_OR_HOLD, FIELD, ROW, Found, Rule
from forecast_lib.prices.rules.view import View
from forecast_lib.prices.source import VALUES

__all__ = ["RULES"]

_PRICES = ("open", "high", "low", "close", "adj_close")


def _empty(view: View) -> Found:
    missing = np.isnan(view["close"])
    for name in VALUES if missing.any() else ():
        missing = missing & (np.isnan(view[name]) | (view[name] == 0))
    return {ROW: missing}


RULES = (
    Rule(
        "empty_row",
        "drop_row",
        DROP,
        "no figure at all: the source's way to say that there was no trading",
        "no figures",
        _empty,
        True,
    ),
    Rule(
        "close_missing",
        "drop_row",
        DROP_OR_HOLD,
        "no close",
        "no close",
        lambda view: {ROW: np.isnan(view["close"]) & ~_empty(view)[ROW]},
    ),
    Rule(
        "not_finite",
        "null_field",
        FIELD,
        "an infinite value",
        "an infinite {field}",
        lambda view: {name: np.isinf(view[name]) for name in VALUES},
    ),
    Rule(
        "not_positive",
        "null_field",
        FIELD,
        "a price that is zero or negative",
        "a {field} that is zero or negative",
        lambda view: {name: view[name] <= 0 for name in _PRICES},
    ),
    Rule(
        "too_large",
        "null_field",
        FIELD,
        f"a price above {LARGEST_PRICE:g}",
        f"a {{field}} above {LARGEST_PRICE:g}",
        lambda view: {name: (view[name] > LARGEST_PRICE) & (view[name] < np.inf) for name in _PRICES},
    ),
    Rule(
        "negative_volume",
        "null_field",
        FIELD,
        "volume below zero",
        "volume {volume:.10g} is negative",
        lambda view: {"volume": view["volume"] < 0},
    ),
)
