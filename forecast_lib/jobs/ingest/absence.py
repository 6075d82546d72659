"""When a source says that it has no such ticker: how often it must say so before it is believed.

Yahoo answers "not found" in outages, for tickers listed today, and for days on end after a renaming. Such an
answer means "no data yet"; only the same answer on three sessions in a row, as the stored status rows tell,
makes the ticker unknown.
"""

import pandas as pd

from forecast_lib.domain import AsOf
from forecast_lib.errors import UnknownTicker
from forecast_lib.sessions import TickerCalendar

__all__ = ["HEARD_IN_A_ROW", "SAID_BEFORE", "UNKNOWN", "judged_absence"]

HEARD_IN_A_ROW = 3
UNKNOWN = "unknown_ticker"
SAID_BEFORE = ("no_data_yet: ", f"{UNKNOWN}: ")
"""How the problem of a status row begins where the ticker was not found."""


def judged_absence(
    error: UnknownTicker, statuses: pd.DataFrame, calendar: TickerCalendar, as_of: AsOf, *, once_had: bool
) -> tuple[str, str]:
    """The rule and the reason for a ticker that was not found tonight.

    Args:
        error: a rule other than `not_found` says that the source is sure: it knows all its tickers.
        statuses: how the ticker fared before, the newest run first: `as_of`, `problem` and `reason`. Several
            runs that look at the
            same session count once.
        once_had: there are prices of it: then not even a source that is sure is believed at once, for files
            are mislaid.
    """
    if error.rule != "not_found" and not once_had:
        return error.rule, error.reason
    tonight = _session(calendar, pd.Timestamp(as_of.day))
    heard = {tonight, *_heard_before(statuses, calendar, tonight)}
    if len(heard) >= HEARD_IN_A_ROW:
        return UNKNOWN, f"{error.reason}; said on {HEARD_IN_A_ROW} sessions in a row or more"
    return (
        "no_data_yet",
        f"{error.reason}; said on {len(heard)} of {HEARD_IN_A_ROW} sessions in a row before it is believed",
    )


def _heard_before(
    statuses: pd.DataFrame, calendar: TickerCalendar, tonight: pd.Timestamp
) -> set[pd.Timestamp]:
    """Sessions before tonight's on which the source had said so, back to the first on which it said something
    else.
    """
    heard: set[pd.Timestamp] = set()
    # runs made before problems were kept have only a reason
    told = statuses["problem"].where(statuses["problem"].notna(), statuses["reason"])
    for day, problem in zip(statuses["as_of"], told, strict=True):
        session = _session(calendar, day)
        if session >= tonight:
            continue
        if not (isinstance(problem, str) and problem.startswith(SAID_BEFORE)):
            break
        heard.add(session)
    return heard


def _session(calendar: TickerCalendar, day: pd.Timestamp) -> pd.Timestamp:
    """The last session up to an evening; the day itself where there is none for weeks."""
    sessions = calendar.sessions(day - pd.Timedelta(days=30), day)
    return pd.Timestamp(sessions[-1]) if len(sessions) else day
