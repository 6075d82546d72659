"""The long layout of Nixtla's libraries: `unique_id`, `ds` and `y`, and a model's columns beside them.

A model called `har` has the columns `har` (the point), `har-lo-80`, `har-hi-80` (the bounds of its central 80
% interval) and so on. A frame of past forecasts, as their `cross_validation` makes it, has `cutoff` too: the
last `ds` that a forecast knew.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from forecast_lib.domain import quantile_column
from forecast_lib.errors import UsageError

__all__ = ["LEVELS", "OURS", "Bounds", "long_columns", "models_in", "refuse_nameless"]

LEVELS = (50, 80, 90, 95, 98, 99)
"""Per cent of the central intervals that are published."""
OURS = "tickercast"
"""What a night would answer: networks and baselines together."""
Bounds = Mapping[float, tuple[str, str]]
"""By per cent of a central interval, the names of the columns of its lower and its upper bound."""
_KEYS = ("unique_id", "ds", "cutoff", "y")


def long_columns(model: str, point: Any, quantiles: pd.DataFrame) -> dict[str, Any]:
    """A model's columns: its point, and the bounds of its intervals from columns named as in the tables."""
    bounds: dict[str, Any] = {}
    for level in LEVELS:
        low, high = (quantile_column(round(0.5 + side * level / 200, 4)) for side in (-1, 1))
        bounds |= {f"{model}-lo-{level}": quantiles[low], f"{model}-hi-{level}": quantiles[high]}
    return {model: point, **bounds}


def refuse_nameless(frame: pd.DataFrame, keys: Iterable[str]) -> None:
    """Each row must have its keys; a row without one would be dropped in silence.

    Raises:
        UsageError: says how many rows have none.
    """
    for key in keys:
        if nameless := int(frame[key].isna().sum()):
            raise UsageError(f"{nameless} of {len(frame)} rows have no {key}: expected one in each")


def models_in(frame: pd.DataFrame) -> dict[str, dict[float, tuple[str, str]]]:
    """The models of a long frame, each with the columns of its bounds by per cent of the interval.

    >>> models_in(pd.DataFrame(columns=["unique_id", "ds", "y", "A", "A-lo-80", "A-hi-80", "B"]))
    {'A': {80.0: ('A-lo-80', 'A-hi-80')}, 'B': {}}
    """
    columns = [str(name) for name in frame.columns if name not in _KEYS]
    bounds = [name for name in columns if "-lo-" in name and name.replace("-lo-", "-hi-") in columns]
    both = {*bounds, *(name.replace("-lo-", "-hi-") for name in bounds)}
    found: dict[str, dict[float, tuple[str, str]]] = {name: {} for name in columns if name not in both}
    for low in bounds:
        model, _, level = low.rpartition("-lo-")
        if model in found:
            found[model][float(level)] = (low, low.replace("-lo-", "-hi-"))
    return found
