"""Sessions of the exchange that lack a price: found, asked for again, filled, or declared closed by a
person.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import AsOf
from forecast_lib.sessions import TickerCalendar
from forecast_lib.tables import typed
from forecast_lib.windows.histories import Histories
from forecast_lib.windows.series import TickerSeries

__all__ = ["changed_gaps", "knowing_gaps"]


def changed_gaps(
    seen: Histories, calendars: Mapping[str, TickerCalendar], gaps: pd.DataFrame, as_of: AsOf
) -> pd.DataFrame:
    """What has become of the gaps tonight: newly missing sessions, and known ones that were filled.

    Sessions after a ticker's last price are no gap: the data are then old, which its status says. Where no
    calendar is known nothing can be missing. A session that a person closed stays closed until a price for it
    comes.

    Args:
        seen: every price, tonight's among them.
        calendars: of the tickers that were answered; nothing changes for others.
        gaps: the newest state of every gap known before: columns of `price_gaps`.

    Returns:
        Columns of `price_gaps` without run_id and source.
    """
    waiting = gaps.loc[gaps["state"] != "filled"].groupby("ticker")["session"]
    waited_for = {ticker: days.to_numpy("datetime64[D]") for ticker, days in waiting}
    sessions: dict[TickerCalendar, NDArray[np.datetime64]] = {}
    found: list[tuple[str, np.datetime64, str]] = []
    for ticker, low, high in seen.spans():
        calendar, there = calendars.get(ticker), seen.sessions[low:high]
        if calendar is None or calendar.recorded_fallback or not len(there):
            continue
        if calendar not in sessions:
            first, last = pd.Timestamp(seen.sessions.min()), pd.Timestamp(seen.sessions.max())
            sessions[calendar] = calendar.sessions(first, last).to_numpy("datetime64[D]")
        due = sessions[calendar]
        due = due[due.searchsorted(there[0]) : due.searchsorted(there[-1], side="right")]
        # The usual case: every price lies on a session, so none is missing.
        if ticker not in waited_for and len(due) == len(there):
            continue
        waited = waited_for.get(ticker, there[:0])
        found += [(ticker, day, "missing") for day in due[~np.isin(due, there) & ~np.isin(due, waited)]]
        found += [(ticker, day, "filled") for day in waited[np.isin(waited, there)]]
    frame = pd.DataFrame(found, columns=["ticker", "session", "state"])
    return typed("price_gaps", frame.assign(note=None, known_at=as_of.now.replace(tzinfo=None)))


def knowing_gaps(
    series: Mapping[str, TickerSeries], calendars: Mapping[str, TickerCalendar]
) -> dict[str, TickerSeries]:
    """The series with `missing`, where sessions of their exchange lack a price."""
    return {ticker: _knowing_gaps(each, calendars[ticker]) for ticker, each in series.items()}


def _knowing_gaps(series: TickerSeries, calendar: TickerCalendar) -> TickerSeries:
    due = calendar.sessions(series.sessions[0], series.sessions[-1]).to_numpy("datetime64[D]")
    if calendar.recorded_fallback or np.array_equal(due, series.sessions):
        return series
    steps = np.diff(due.searchsorted(series.sessions), prepend=-1)
    return dataclasses.replace(series, missing=np.maximum(steps - 1, 0))
