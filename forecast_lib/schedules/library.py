"""What `exchange_calendars` says of an exchange, and what is done where it has nothing to say.

The library reads the clock for its default range; here the range is always given, so that the same question
has the same answer on every day. It knows no holidays outside a calendar's reach (Shanghai's ends with the
last published year): there every weekday counts as a session that closes at the usual time.
"""

import contextlib
import datetime as dt
import warnings
from collections.abc import Iterator

import exchange_calendars as ec
import numpy as np
import pandas as pd
from pandas.tseries.holiday import AbstractHolidayCalendar

from forecast_lib.schedules.schedule import MONDAY_TO_FRIDAY, Schedule, Times, days, frozen

__all__ = ["built"]

# Tel Aviv traded Sunday to Thursday until it moved to Monday to Friday on 2026-01-05; the library's Friday
# closes break before.
_RELIABLE_FROM = {"XTAE": "2026-01-05"}
_WEEK_OUTSIDE_REACH = {"XTAE": "1111001", "24/7": "1111111"}


def built(name: str, first: dt.date, last: dt.date) -> Schedule:
    """The schedule of the library's calendar of that name from `first` to `last`, both inclusive."""
    begins, ends = pd.Timestamp(first), pd.Timestamp(last)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.Pandas4Warning)
        calendar = _library_calendar(name, begins, ends)
    closes = calendar.closes.dt.tz_localize(None).to_numpy().astype("M8[us]")
    inside = Schedule(
        calendar.sessions.to_numpy().astype("M8[us]"), closes, calendar.tz, _unplanned(calendar)
    )
    return _extended(name, inside, begins, ends, calendar)


def _unplanned(calendar: ec.ExchangeCalendar) -> Times:
    """Days of the calendar on which its exchange stayed closed as nobody knew long before.

    The library lists them, and for exchanges whose holidays follow the moon those holidays too: where they
    come more than twice a year they are planned.
    """
    listed = np.array([pd.Timestamp(day).date() for day in calendar.adhoc_holidays], "M8[us]")
    first, last = (
        each.to_datetime64().astype("M8[us]") for each in (calendar.first_session, calendar.last_session)
    )
    inside = np.unique(listed[(listed >= first) & (listed <= last)])
    years = (last - first) / np.timedelta64(365, "D")
    return inside if len(inside) <= 2 * max(years, 1.0) else inside[:0]


@contextlib.contextmanager
def _holidays_within(first: pd.Timestamp, last: pd.Timestamp) -> Iterator[None]:
    """Let pandas reckon a calendar's holidays for its span, and a year around it: whatever the span,
    `exchange_calendars` asks for those of 1970 to 2200, which is most of what building one takes.
    """
    usual = AbstractHolidayCalendar.start_date, AbstractHolidayCalendar.end_date
    year = pd.Timedelta(days=366)
    AbstractHolidayCalendar.start_date = max(usual[0], first - year)
    AbstractHolidayCalendar.end_date = min(usual[1], last + year)
    try:
        yield
    finally:
        AbstractHolidayCalendar.start_date, AbstractHolidayCalendar.end_date = usual


def _library_calendar(name: str, first: pd.Timestamp, last: pd.Timestamp) -> ec.ExchangeCalendar:
    """The library's calendar for as much of the span as it can answer for."""
    if name in _RELIABLE_FROM:
        first = max(first, pd.Timestamp(_RELIABLE_FROM[name]))
    try:
        with _holidays_within(first, last):
            return ec.get_calendar(name, start=first, end=last)
    except ValueError:  # the span leaves the calendar's reach, which it tells only once built
        probe = ec.get_calendar(name, start=pd.Timestamp(2025, 1, 1), end=pd.Timestamp(2025, 12, 31))
        earliest, latest = probe.bound_min() or first, probe.bound_max() or last
        return ec.get_calendar(name, start=max(first, earliest), end=min(last, latest))


def _extended(
    name: str, inside: Schedule, first: pd.Timestamp, last: pd.Timestamp, calendar: ec.ExchangeCalendar
) -> Schedule:
    """With every weekday before and after the library's reach, closing at the time of day of the nearest
    sessions.
    """
    week = _WEEK_OUTSIDE_REACH.get(name, MONDAY_TO_FRIDAY)
    # A calendar begins and ends with a session, and the days of its last holidays are its own: look no nearer
    # than two weeks.
    margin = pd.Timedelta(days=14)
    begins, ends = calendar.first_session, calendar.last_session
    before = (
        days(first, begins - pd.Timedelta(days=1), week) if begins - first > margin else inside.sessions[:0]
    )
    after = days(ends + pd.Timedelta(days=1), last, week) if last - ends > margin else inside.sessions[:0]
    lengths = inside.closes - inside.sessions
    early, late = np.median(lengths[:20].astype(int)), np.median(lengths[-20:].astype(int))
    return frozen(
        np.concatenate([before, inside.sessions, after]),
        np.concatenate(
            [
                before + np.timedelta64(int(early), "us"),
                inside.closes,
                after + np.timedelta64(int(late), "us"),
            ]
        ),
        inside.zone,
        inside.unplanned,
    )
