"""What an exchange's calendar knows ahead: short sessions, holidays, ends of months and quarters, third
Fridays.

Index options and futures expire on third Fridays; those of March, June, September and December are also when
most index providers put their reviews into effect. Days on which an exchange stayed closed because of a storm
or a funeral were known to nobody ahead, and are no holidays here.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from forecast_lib.covariates.inputs import EVENT, Ahead
from forecast_lib.domain import MAX_HORIZON
from forecast_lib.sessions import Day, TickerCalendar

__all__ = ["ALWAYS", "KINDS", "NEVER", "calendar_events"]

KINDS = (
    "short_session",
    "before_holiday",
    "after_holiday",
    "month_end",
    "quarter_end",
    "third_friday",
    "index_review",
)
ALWAYS, NEVER = np.datetime64("0001-01-01", "D"), np.datetime64("9999-12-31", "D")
"""Since when, and until when, something is expected that always was, and always will be."""

Flags = NDArray[np.bool_]


@functools.lru_cache(maxsize=16)
def calendar_events(calendar: TickerCalendar, first: Day, last: Day) -> Ahead:
    """The events of the calendar's sessions from `first` to the farthest target of `last`.

    >>> import datetime as dt
    >>> known = calendar_events(TickerCalendar("XNYS"), dt.date(2024, 6, 1), dt.date(2024, 7, 10))
    >>> falls = {kind: known.on[known.kind == place] for place, kind in enumerate(KINDS)}
    >>> [str(day) for day in falls["before_holiday"]], str(falls["short_session"][0])
    (['2024-06-18', '2024-07-03'], '2024-07-03')
    """
    farthest = calendar.following(last, MAX_HORIZON + 1)[-1]
    plan = calendar.plan(first, farthest)
    days = plan.sessions
    month, quarter = days.astype("datetime64[M]"), (days.astype("datetime64[M]").astype(int)) // 3
    next_month = np.append(month[1:] != month[:-1], False)
    next_quarter = np.append(quarter[1:] != quarter[:-1], False)
    third = _third_fridays(days)
    held = _holiday_after(days, plan.unplanned)
    of_kind = {
        "short_session": plan.short,
        "before_holiday": held,
        "after_holiday": np.append(False, held[:-1]),
        "month_end": next_month,
        "quarter_end": next_quarter,
        "third_friday": third,
        "index_review": third & (days.astype("datetime64[M]").astype(int) % 3 == 2),
    }
    falls = [np.flatnonzero(of_kind[kind]) for kind in KINDS]
    on = days[np.concatenate(falls)]
    return Ahead(
        tuple(EVENT + kind for kind in KINDS),
        days,
        np.repeat(np.arange(len(KINDS)), [len(each) for each in falls]),
        on,
        np.full(len(on), ALWAYS),
        np.full(len(on), NEVER),
    )


def _third_fridays(days: NDArray[np.datetime64]) -> Flags:
    """Whether it is its month's third Friday, or the last session before one without a session."""
    if not len(days):
        return np.zeros(0, dtype=bool)
    months = np.unique(days.astype("datetime64[M]"))
    fridays = np.busday_offset(months.astype("datetime64[D]"), 2, roll="forward", weekmask="Fri")
    place = np.searchsorted(days, fridays, side="right") - 1
    near = (
        (place >= 0)
        & (fridays <= days[-1])
        & (fridays - days[np.maximum(place, 0)] <= np.timedelta64(6, "D"))
    )
    found = np.zeros(len(days), dtype=bool)
    found[place[near]] = True
    return found


def _holiday_after(days: NDArray[np.datetime64], unplanned: NDArray[np.datetime64]) -> Flags:
    """Whether a day of the usual week without a session follows, as the calendar knew before."""
    if not len(days):
        return np.zeros(0, dtype=bool)
    every = np.arange(days[0], days[-1] + 1)
    weekday, year = (every.astype(int) + 3) % 7, every.astype("datetime64[Y]").astype(int)
    traded = np.isin(every, days)
    key = (year - year.min()) * 7 + weekday
    usual = np.bincount(key, traded) > 0.5 * np.bincount(key)
    held = usual[key] & ~traded & ~np.isin(every, unplanned)
    # Before each session, how many such days there were.
    count = np.concatenate([[0], np.cumsum(held)])[np.searchsorted(every, days)]
    return np.append(count[1:] > count[:-1], False)
