"""Rules about a row beside its neighbours: contradictory bars, repeated ones, closes that stand still."""

import numpy as np
import pandas as pd

from forecast_lib.prices.rules.rule import ANY, ANY_FIELD, DROP_OR_HOLD, ROW, Found, Rule
from forecast_lib.prices.rules.view import View, above
from forecast_lib.windows.histories import FIGURES

__all__ = ["FROZEN_SESSIONS", "RULES"]

FROZEN_SESSIONS = 5
"""A week of the same close."""

FAR = 5.0
"""Of 183,000 real bars, wild ones among them, the farthest high is 3.1 times, the farthest low half of open
and close.
"""

_BAR = ("open", "high", "low")


def _contradicted_close(view: View) -> Found:
    return {ROW: view.doubts_close} if view.contradicted.any() else {}


def _outside(lower: str, upper: str, *fields: str):  # type: ignore[no-untyped-def]  # a rule's `find`
    """Rows where one figure is above another that it cannot exceed, and the close is not what is doubted."""

    def find(view: View) -> Found:
        if not view.contradicted.any():
            return {}
        return dict.fromkeys(fields, view.contradicted & ~view.doubts_close & above(view[lower], view[upper]))

    return find


def _far(view: View) -> Found:
    """A high or low so far from open and close that its decimal point has slipped."""
    top, bottom = np.fmax(view["open"], view["close"]), np.fmin(view["open"], view["close"])
    return {
        "high": view.offered & (view["high"] > FAR * top),
        "low": view.offered & (FAR * view["low"] < bottom),
    }


def _stale(view: View) -> Found:
    """A thin share may repeat its price, not also its range and its volume."""
    same = view.follows & view.offered & (view["close"] == view.before(view["close"]))
    if same.any():
        for name in FIGURES:
            same = same & (view[name] == view.before(view[name]))
        same &= (view["volume"] > 0) & (view["high"] > view["low"])
    return {ROW: same}


def _zero_volume(view: View) -> Found:
    none = view.offered & (view["volume"] == 0)
    usual = (
        pd.Series(view["volume"]).groupby(view.rows.of).transform("median") if none.any() else pd.Series(0.0)
    )
    return {"volume": none & (usual > 0).to_numpy()}


def _frozen(view: View) -> Found:
    still = view.follows & (view.close == view.before(view.close))
    frozen = still.copy()
    for back in range(1, FROZEN_SESSIONS - 1):
        frozen[back:] &= still[: len(still) - back]
        frozen[:back] = False
    return {ROW: frozen & view.offered}


RULES = (
    Rule(
        "close_contradicted",
        "drop_row",
        DROP_OR_HOLD,
        "close outside low to high, where the sessions beside it or the adjusted close speak against the"
        " close",
        "close {close:.10g} contradicts low {low:.10g} to high {high:.10g} and the sessions beside it",
        _contradicted_close,
    ),
    Rule(
        "low_above_high",
        "null_field",
        ANY_FIELD,
        "low above high",
        "low {low:.10g} is above high {high:.10g}",
        _outside("low", "high", *_BAR),
    ),
    Rule(
        "low_above_close",
        "null_field",
        ANY_FIELD,
        "close below low, where the close is trusted",
        "low {low:.10g} is above close {close:.10g}",
        _outside("low", "close", *_BAR),
    ),
    Rule(
        "close_above_high",
        "null_field",
        ANY_FIELD,
        "close above high, where the close is trusted",
        "close {close:.10g} is above high {high:.10g}",
        _outside("close", "high", *_BAR),
    ),
    Rule(
        "low_above_open",
        "null_field",
        ANY_FIELD,
        "open below low",
        "low {low:.10g} is above open {open:.10g}",
        _outside("low", "open", "open"),
    ),
    Rule(
        "open_above_high",
        "null_field",
        ANY_FIELD,
        "open above high",
        "open {open:.10g} is above high {high:.10g}",
        _outside("open", "high", "open"),
    ),
    Rule(
        "far_from_close",
        "null_field",
        ANY_FIELD,
        "high above five times open and close, or low below a fifth of them",
        "{field} is more than five times away from open {open:.10g} and close {close:.10g}",
        _far,
    ),
    Rule(
        "stale_bar",
        "drop_row",
        ANY,
        "open, high, low, close and volume all as in the session before, with trades and a range",
        "the bar of the session before again, volume {volume:.10g} included",
        _stale,
    ),
    Rule(
        "zero_volume",
        "warn",
        ANY_FIELD,
        "no trades, where the ticker usually has some",
        "no trades",
        _zero_volume,
    ),
    Rule(
        "frozen_price",
        "warn",
        ANY,
        "the fifth session in a row, or a later one, with the same close",
        "close {close:.10g} has not moved for a week or longer",
        _frozen,
    ),
)
