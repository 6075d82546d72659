"""Rules that a row keeps or breaks by itself: its figures, and its session on the exchange's calendar."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pandera.pandas as pa

from forecast_lib.domain import AsOf
from forecast_lib.prices.actions import LARGEST_PRICE
from forecast_lib.prices.refusals import GOOD_COLUMNS, breaches_of
from forecast_lib.sessions import TickerCalendar
from forecast_lib.tables import PRICE_VALUES

__all__ = ["TOLERANCE", "row_breaches"]

TOLERANCE = 1e-6
"""Relative; re-based prices carry single-precision noise of about 1e-7, real breaches are cents."""

Passes = Callable[[pd.DataFrame], pd.Series]
_FIGURES = list(PRICE_VALUES)
_FRIDAY = 4
_STRAY_SHARE = 0.1
"""Markets with another week trade on a fifth of such days or more."""
_PRICES = ["open", "high", "low", "close", "adj_close"]


def _at_most(lower: str, upper: str) -> Passes:
    """Passes where `lower` is not above `upper`, or where either is missing."""
    return lambda rows: ~(rows[lower] > rows[upper] * (1 + TOLERANCE))


def _value_rules() -> dict[str, tuple[Passes, str]]:
    """Rule -> what a good row passes, and the reason for one that does not; in the order in which a row's rule is chosen."""
    return {
        "close_missing": (lambda rows: rows["close"].notna(), "no close"),
        "not_finite": (lambda rows: ~np.isinf(rows[_FIGURES]).any(axis=1), "an infinite value"),
        "not_positive": (lambda rows: ~(rows[_PRICES] <= 0).any(axis=1), "a price that is zero or negative"),
        "too_large": (
            lambda rows: ~((rows[_PRICES] > LARGEST_PRICE) & (rows[_PRICES] < np.inf)).any(axis=1),
            f"a price above {LARGEST_PRICE:g}",
        ),
        "low_above_open": (_at_most("low", "open"), "low {low:.10g} is above open {open:.10g}"),
        "low_above_close": (_at_most("low", "close"), "low {low:.10g} is above close {close:.10g}"),
        "low_above_high": (_at_most("low", "high"), "low {low:.10g} is above high {high:.10g}"),
        "open_above_high": (_at_most("open", "high"), "open {open:.10g} is above high {high:.10g}"),
        "close_above_high": (_at_most("close", "high"), "close {close:.10g} is above high {high:.10g}"),
        "negative_volume": (lambda rows: ~(rows["volume"] < 0), "volume {volume:.10g} is negative"),
    }


def _session_rules(calendar: TickerCalendar, as_of: AsOf) -> dict[str, tuple[Passes, str]]:
    day, closed = pd.Timestamp(as_of.day), calendar.last_closed(as_of.now)
    return {
        "future_session": (lambda rows: rows["session"] <= day, f"later than the as-of day {day.date()}"),
        "weekend_session": (lambda rows: ~_strays_into_weekend(rows["session"], calendar), f"a weekend, no session of {calendar.name}"),
        "unknown_session": (
            lambda rows: _are_sessions(rows["session"], calendar) | (rows["session"].dt.day_of_week > _FRIDAY),
            f"no session of {calendar.name}",
        ),
        "unfinished_session": (
            lambda rows: (rows["session"] <= closed) | (rows["session"] > day),
            f"not over by {as_of.now:%Y-%m-%d %H:%M} UTC, settling time included",
        ),
        "repeated_row": (lambda rows: ~rows.duplicated(list(GOOD_COLUMNS)), "the same row stands above"),
        "duplicate_session": (_no_rival, "several rows of this session, with different figures"),
    }


def _are_sessions(days: pd.Series, calendar: TickerCalendar) -> pd.Series:
    if calendar.recorded_fallback or days.empty:  # Monday to Friday is only a stand-in: it can refuse nothing
        return pd.Series(True, index=days.index)
    return days.isin(calendar.sessions(days.min(), days.max()))


def _strays_into_weekend(days: pd.Series, calendar: TickerCalendar) -> pd.Series:
    """Saturdays and Sundays that are no session. Without a calendar of its own, a market that often trades then is open then."""
    weekend = days.dt.day_of_week > _FRIDAY
    if calendar.recorded_fallback:
        return weekend & (weekend.mean() < _STRAY_SHARE)
    return weekend & ~_are_sessions(days, calendar)


def _no_rival(rows: pd.DataFrame) -> pd.Series:
    """Passes where no row of the same session says something else."""
    distinct = rows.drop_duplicates(list(GOOD_COLUMNS))
    contested = distinct.loc[distinct.duplicated("session"), "session"]
    return ~rows["session"].isin(contested)


_RAW_SCHEMA = pa.DataFrameSchema(
    {
        "session": pa.Column(nullable=False),
        **{figure: pa.Column(float, nullable=True) for figure in _FIGURES},
        "origin": pa.Column(str),
    },
    strict=True,
)


def row_breaches(prices: pd.DataFrame, calendar: TickerCalendar, as_of: AsOf) -> pd.DataFrame:
    """Every breach of a row rule: `index` of the row, `rule` and `reason`.

    Raises:
        pandera.errors.SchemaErrors: a source that does not keep to RAW_COLUMNS; a fault of the program, not of the data.
    """
    if not _keeps_to_raw_columns(prices):
        _RAW_SCHEMA.validate(prices, lazy=True)
    return breaches_of(prices, {rule: (~passes(prices), reason) for rule, (passes, reason) in _all_rules(calendar, as_of).items()})


def _keeps_to_raw_columns(prices: pd.DataFrame) -> bool:
    """What the schema says, in a hundredth of its time; where this fails, the schema names the column."""
    figures = all(prices[name].dtype == np.float64 for name in _FIGURES)
    return figures and pd.api.types.is_string_dtype(prices["origin"].dtype) and bool(prices[["session", "origin"]].notna().all(axis=None))


def _all_rules(calendar: TickerCalendar, as_of: AsOf) -> dict[str, tuple[Passes, str]]:
    return _value_rules() | _session_rules(calendar, as_of)
