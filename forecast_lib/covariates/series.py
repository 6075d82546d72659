"""A named series as it was known, and the inputs that are made of it.

Its level less its mean of 22 values, that mean less the one of 250, and its last change; and, apart from
them, the mean of 250 itself; in logarithms while all of its values so far are positive, else in units of its
own size over the last 250. What drifts over the years, as an index does, is in the last one only, and that is
tried by itself: a regression may take the drift for a cause. Everything is causal: a row uses values up to
its own, and was known when the last of them was.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.covariates.inputs import COVARIATE, Array, AtClose, Days

__all__ = ["CARRIED_SESSIONS", "Covariate", "Described", "as_known", "level_of"]

CARRIED_SESSIONS = 5
"""So many sessions after its own a value still counts, then nothing is known: a week for a weekly series."""

Times = NDArray[np.datetime64]

_MEAN_OF, _SIZE_OF = 22, 250
_CLIP = 6.0  # log units, or sizes


@dataclass(frozen=True, eq=False)
class Covariate:
    """A named series as one run knows it.

    Attributes:
        name: as the user calls it.
        ticker: whose it is; None: of the whole market.
        days: (n,) datetime64[D], strictly ascending.
        values: (n,) finite.
        known: (n,) datetime64[us] UTC from when on each was known; NaT: from the close of its day's session
            on, whichever exchange asks.
    """

    name: str
    ticker: str | None
    days: Days
    values: Array
    known: Times


@dataclass(frozen=True, eq=False)
class Described:
    """Inputs made of a covariate, on its own days.

    Attributes:
        names: of the inputs.
        days: (n,) datetime64[D], strictly ascending.
        values: (n, names), NaN where there are too few values before.
        known: (n,) datetime64[us] from when on the row was known; NaT as in `Covariate`.
    """

    names: tuple[str, ...]
    days: Days
    values: Array
    known: Times


def _rolling(values: Array, of: int) -> Array:
    return pd.Series(values).rolling(of, min_periods=_MEAN_OF).mean().to_numpy()


def level_of(covariate: Covariate) -> Described:
    """Level, mean, last change, and year.

    >>> days = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]")
    >>> rising = Covariate("x", None, days, np.exp(np.arange(60.0)), np.full(60, "NaT", "M8[us]"))
    >>> level_of(rising).values[-1].tolist()  # its level is 10.5 above its mean: cut at 6
    [6.0, 6.0, 1.0, 29.5]
    """
    values = covariate.values
    positive = np.minimum.accumulate(values) > 0 if len(values) else np.zeros(0, dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        in_logs = np.log(np.where(positive, values, 1.0))
        size = np.maximum(_rolling(np.abs(values), _SIZE_OF), 1e-12)
    columns = []
    for units, one in ((in_logs, 1.0), (values, size)):
        mean = _rolling(units, _MEAN_OF)
        change = np.diff(units, prepend=np.nan) if len(units) else units
        year = _rolling(units, _SIZE_OF)
        parts = (units - mean, mean - year, change)
        columns.append([*(np.clip(part / one, -_CLIP, _CLIP) for part in parts), year / one])
    chosen = [np.where(positive, log, raw) for log, raw in zip(*columns, strict=True)]
    names = tuple(f"{COVARIATE}{covariate.name}/{part}" for part in ("level", "mean", "change", "year"))
    return Described(names, covariate.days, np.stack(chosen, axis=1), _since_all_known(covariate.known))


def _since_all_known(known: Times) -> Times:
    """From when on a row and all before it were known."""
    instants = known.astype("datetime64[us]")
    # NaT is the smallest of integers: known ever since.
    return np.maximum.accumulate(instants.view(np.int64)).view("datetime64[us]") if len(known) else instants


def as_known(described: Described, sessions: Days, evenings: Times) -> AtClose:
    """The newest row dated up to each session and known by its evening; NaN where that is more than
    CARRIED_SESSIONS old.

    Args:
        sessions: (n,) datetime64[D] of the ticker's exchange, strictly ascending.
        evenings: (n,) datetime64[us] UTC when each of them is known.
    """
    if not len(described.days) or not len(sessions):
        return AtClose(described.names, sessions, np.full((len(sessions), len(described.names)), np.nan))
    dated = np.searchsorted(described.days, sessions, side="right")
    known = np.searchsorted(
        described.known.view(np.int64), evenings.astype("datetime64[us]").view(np.int64), side="right"
    )
    place = np.minimum(dated, known) - 1
    age = np.arange(len(sessions)) - np.searchsorted(sessions, described.days[np.maximum(place, 0)])
    fits = (place >= 0) & (age <= CARRIED_SESSIONS)
    values = np.where(fits[:, None], described.values[np.maximum(place, 0)], np.nan)
    return AtClose(described.names, sessions, values)
