"""Closes, what had been forecast for them, and the fan of what is to come, drawn by matplotlib."""

from typing import Any

import numpy as np
import pandas as pd

from forecast_lib.api.frames import brought_by_extra, pandas_of
from forecast_lib.api.long import Bounds, models_in
from forecast_lib.errors import UsageError

__all__ = ["draw", "plot_long"]

SHOWN = 120
"""Sessions before the forecast."""
_FAN = (95, 80, 50)
_BEFORE = (95, 80)
_INK, _ACCENT, _BAD = "#1b222c", "#1c6787", "#ab2419"
_SHADES = {95: "#dce8ec", 80: "#b1cad5", 50: "#84a9ba"}


def plot_long(
    frame: Any,
    forecasts: Any,
    unique_id: Any = None,
    *,
    model: str | None = None,
    sessions: int = SHOWN,
    ax: Any = None,
) -> Any:
    """One series of a long frame and the fan of a model's forecast of it.

    Args:
        frame: `unique_id`, `ds`, `y`.
        forecasts: `unique_id`, `ds` and the model's columns, made by `forecast_long`, `Networks.forecast` or
            others.
        unique_id: which series; may be left out where there is one.
        model: whose forecast; may be left out where there is one.
        sessions: so many of the last rows of the series.
        ax: what to draw on; a new figure where there is none.

    Returns:
        The `matplotlib.axes.Axes`; a notebook shows the figure by itself, `ax.figure.savefig` keeps it.

    Raises:
        UsageError: it is not clear which series or model is meant, a column is missing, or matplotlib is not
            installed.
    """
    known, made = pandas_of(frame, ("unique_id", "ds", "y")), pandas_of(forecasts, ("unique_id", "ds"))
    name = _only("unique_id", unique_id, list(known["unique_id"].unique()))
    found = models_in(made)
    chosen = _only("model", model, list(found))
    closes, fan = known[known["unique_id"] == name], made[made["unique_id"] == name].sort_values("ds")
    return draw(str(name), closes.sort_values("ds").tail(sessions), fan, chosen, found[chosen], ax=ax)


def _only(what: str, asked: Any, there: list[Any]) -> Any:
    if asked in there:
        return asked
    if asked is None and len(there) == 1:
        return there[0]
    came = "none was named" if asked is None else f"came {asked!r}"
    raise UsageError(f"which {what}? {came}: expected one of {', '.join(map(str, there[:20]))}")


def draw(
    title: str,
    closes: pd.DataFrame,
    fan: pd.DataFrame,
    model: str,
    bounds: Bounds,
    *,
    before: pd.DataFrame | None = None,
    ax: Any = None,
) -> Any:
    """Sessions side by side, without room for weekends.

    Args:
        closes: `ds`, `y`. fan: `ds`, the point and its bounds. before: `ds` and bounds named alike of
            forecasts that have come true.
    """
    ax = (
        ax
        or brought_by_extra("matplotlib.pyplot", "plot").subplots(figsize=(9, 3.6), layout="constrained")[1]
    )
    days = pd.DatetimeIndex(closes["ds"])
    place = pd.Series(range(len(days)), index=days)
    if before is not None:
        _draw_before(ax, before[before["ds"].isin(days)], place, bounds, closes)
    ax.plot(range(len(days)), closes["y"], color=_INK, linewidth=1.1, label="close")
    # The fan opens at the last close.
    last, coming = (closes["y"].iloc[-1], range(len(days) - 1, len(days) + len(fan)))
    for level in [level for level in _FAN if level in bounds]:
        low, high = (np.array([last, *fan[name]], float) for name in bounds[level])
        ax.fill_between(coming, low, high, color=_SHADES[level], linewidth=0, label=f"{level} % range")
    ax.plot(coming, [last, *fan[model]], color=_ACCENT, linewidth=1.6, label=model)
    every = pd.DatetimeIndex([*days, *pd.DatetimeIndex(fan["ds"])])
    ticks = range(0, len(every), max(len(every) // 6, 1))
    ax.set_xticks(ticks, [f"{every[at]:%Y-%m-%d}" for at in ticks])
    ax.set_title(title, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, ncols=6, fontsize="small")
    return ax


def _draw_before(
    ax: Any, before: pd.DataFrame, place: pd.Series, bounds: Bounds, closes: pd.DataFrame
) -> None:
    at = place[pd.DatetimeIndex(before["ds"])].to_numpy()
    for level in [level for level in _BEFORE if level in bounds]:
        low, high = bounds[level]
        ax.bar(at, before[high] - before[low], 0.9, bottom=before[low], color=_SHADES[level])
    came = closes.set_index("ds")["y"].reindex(before["ds"]).to_numpy()
    missed = (came < before[bounds[95][0]].to_numpy()) | (came > before[bounds[95][1]].to_numpy())
    if missed.any():
        ax.plot(at[missed], came[missed], "o", color=_BAD, markersize=4, label="came outside 95 %")
