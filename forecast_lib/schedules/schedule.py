"""The sessions of an exchange over a span of years, as arrays."""

import datetime as dt
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["MONDAY_TO_FRIDAY", "WEEKDAYS", "Schedule", "Times", "days", "frozen"]

Times: TypeAlias = NDArray[np.datetime64]

WEEKDAYS = "weekdays"
"""Name of the calendar that stands in where none is known."""

MONDAY_TO_FRIDAY = "1111100"


class Schedule(NamedTuple):
    """Sessions (dates at midnight, naive) and closes (UTC, naive), both datetime64[us], ascending, read-only,
    equally long; the clock of the exchange; and the days on which it stayed closed as nobody knew long
    before.
    """

    sessions: Times
    closes: Times
    zone: dt.tzinfo
    unplanned: Times


def days(first: dt.date, last: dt.date, week: str) -> Times:
    """The days from `first` to `last`, both inclusive, that are among those of the week, Monday first."""
    every = np.arange(np.datetime64(first).astype("M8[D]"), np.datetime64(last).astype("M8[D]") + 1)
    return every[np.is_busday(every, weekmask=week)].astype("M8[us]")


def frozen(sessions: Times, closes: Times, zone: dt.tzinfo, unplanned: Times) -> Schedule:
    """A schedule that nobody can change."""
    sessions.flags.writeable = closes.flags.writeable = unplanned.flags.writeable = False
    return Schedule(sessions, closes, zone, unplanned)
