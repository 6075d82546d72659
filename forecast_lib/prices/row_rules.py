"""Rules that a row keeps or breaks by itself: its figures, and its session on the exchange's calendar."""

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray

from forecast_lib.domain import AsOf
from forecast_lib.prices.actions import LARGEST_PRICE
from forecast_lib.prices.refusals import Breach, Broken, Flags, Rows, breaches_of
from forecast_lib.sessions import EARLIEST_SESSION, TickerCalendar
from forecast_lib.tables import PRICE_VALUES

__all__ = ["TOLERANCE", "row_breaches", "rows_of"]

Days = NDArray[np.datetime64]
Values = NDArray[np.float64]

TOLERANCE = 1e-6
"""Relative; re-based prices carry single-precision noise of about 1e-7, real breaches are cents."""

_STRAY_SHARE = 0.1
"""Markets with another week trade on a fifth of such days or more."""

_PRICES = ("open", "high", "low", "close", "adj_close")

_RAW_SCHEMA = pa.DataFrameSchema(
    {
        "session": pa.Column(nullable=False),
        **{figure: pa.Column(float, nullable=True) for figure in PRICE_VALUES},
        "origin": pa.Column(str),
    },
    strict=True,
)


def rows_of(prices: pd.DataFrame) -> Rows:
    """The prices of a source column by column, as the rules look at them.

    Raises:
        pandera.errors.SchemaErrors: a source that does not keep to RAW_COLUMNS; a fault of the program, not of the data.
    """
    if not _keeps_to_raw_columns(prices):
        _RAW_SCHEMA.validate(prices, lazy=True)
    return {"session": prices["session"].to_numpy("datetime64[us]"), **{name: prices[name].to_numpy() for name in PRICE_VALUES}}


def _keeps_to_raw_columns(prices: pd.DataFrame) -> bool:
    """What the schema says, in a hundredth of its time; where this fails, the schema names the column."""
    figures = all(prices[name].dtype == np.float64 for name in PRICE_VALUES)
    texts = pd.api.types.is_string_dtype(prices["origin"].dtype)
    return figures and texts and not any(prices[name].isna().any() for name in ("session", "origin"))


def row_breaches(rows: Rows, calendar: TickerCalendar, as_of: AsOf) -> list[Breach]:
    """Every breach of a row rule."""
    with np.errstate(all="ignore"):  # values may be missing, infinite or near the largest number
        return breaches_of(rows, {**_value_rules(rows), **_session_rules(rows["session"], calendar, as_of), **_repeats(rows)})


def _value_rules(rows: Rows) -> Broken:
    """In the order in which a row's rule is chosen."""
    figures, prices = ([rows[name] for name in names] for names in (PRICE_VALUES, _PRICES))
    return {
        "close_missing": (np.isnan(rows["close"]), "no close"),
        "not_finite": (_any([np.isinf(values) for values in figures]), "an infinite value"),
        "not_positive": (_any([values <= 0 for values in prices]), "a price that is zero or negative"),
        "too_large": (_any([(values > LARGEST_PRICE) & (values < np.inf) for values in prices]), f"a price above {LARGEST_PRICE:g}"),
        "low_above_open": (_above(rows["low"], rows["open"]), "low {low:.10g} is above open {open:.10g}"),
        "low_above_close": (_above(rows["low"], rows["close"]), "low {low:.10g} is above close {close:.10g}"),
        "low_above_high": (_above(rows["low"], rows["high"]), "low {low:.10g} is above high {high:.10g}"),
        "open_above_high": (_above(rows["open"], rows["high"]), "open {open:.10g} is above high {high:.10g}"),
        "close_above_high": (_above(rows["close"], rows["high"]), "close {close:.10g} is above high {high:.10g}"),
        "negative_volume": (rows["volume"] < 0, "volume {volume:.10g} is negative"),
    }


def _any(flags: list[Flags]) -> Flags:
    found: Flags = np.logical_or.reduce(flags)
    return found


def _above(lower: Values, upper: Values) -> Flags:
    """Where `lower` is above `upper`; nowhere where either is missing."""
    flags: Flags = lower > upper * (1 + TOLERANCE)
    return flags


def _session_rules(days: Days, calendar: TickerCalendar, as_of: AsOf) -> Broken:
    day, closed = pd.Timestamp(as_of.day), calendar.last_closed(as_of.now)
    weekend = ~np.is_busday(days.astype("datetime64[D]"))
    future, open_still = days > day.to_datetime64(), days > closed.to_datetime64()
    strange = _no_sessions(days, calendar)
    return {
        "future_session": (future, f"later than the as-of day {day.date()}"),
        "weekend_session": (
            _strays(weekend) if calendar.recorded_fallback else weekend & strange,
            f"a weekend, no session of {calendar.name}",
        ),
        "unknown_session": (strange & ~weekend, f"no session of {calendar.name}"),
        "unfinished_session": (open_still & ~future, f"not over by {as_of.now:%Y-%m-%d %H:%M} UTC, settling time included"),
    }


def _no_sessions(days: Days, calendar: TickerCalendar) -> Flags:
    if calendar.recorded_fallback or not len(days):  # Monday to Friday is only a stand-in: it can refuse nothing of our time
        return days < np.datetime64(EARLIEST_SESSION)
    return ~pd.DatetimeIndex(days).isin(calendar.sessions(pd.Timestamp(days.min()), pd.Timestamp(days.max())))


def _strays(weekend: Flags) -> Flags:
    """Saturdays and Sundays of a market without a calendar of its own: if it often trades then, it is open then."""
    return weekend & (weekend.mean() < _STRAY_SHARE) if weekend.any() else weekend


def _repeats(rows: Rows) -> Broken:
    """Rows of a session that has several: the same again, or with other figures."""
    repeated, contested = np.zeros((2, len(rows["session"])), dtype=bool)
    shared = np.flatnonzero(pd.Index(rows["session"]).duplicated(keep=False))
    if len(shared):
        several = pd.DataFrame({name: values[shared] for name, values in rows.items()})
        again = several.duplicated()
        rivals = several["session"][~again]
        repeated[shared] = again
        contested[shared] = several["session"].isin(rivals[rivals.duplicated()])
    return {
        "repeated_row": (repeated, "the same row stands above"),
        "duplicate_session": (contested, "several rows of this session, with different figures"),
    }
