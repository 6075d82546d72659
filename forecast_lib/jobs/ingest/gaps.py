"""Sessions of the exchange that lack a price: found, asked for again, filled, or declared closed by a
person.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from forecast_lib.domain import AsOf
from forecast_lib.sessions import TickerCalendar
from forecast_lib.tables import empty

__all__ = ["changed_gaps"]

Sessions = Mapping[str, pd.DatetimeIndex]
_COLUMNS = ["ticker", "session", "state", "note", "known_at"]


def changed_gaps(
    sessions: Sessions, calendars: Mapping[str, TickerCalendar], gaps: pd.DataFrame, as_of: AsOf
) -> pd.DataFrame:
    """What has become of the gaps tonight: newly missing sessions, and known ones that were filled.

    Sessions after a ticker's last price are no gap: the data are then old, which its status says. Where no
    calendar is known nothing can be missing. A session that a person closed stays closed until a price for it
    comes.

    Args:
        sessions: by ticker, the sessions with a price, in order.
        gaps: the newest state of every gap known before: columns of `price_gaps`.

    Returns:
        Columns of `price_gaps` without run_id and source.
    """
    before = {str(ticker): rows for ticker, rows in gaps.groupby("ticker")}
    parts = [
        _changed(ticker, there, calendars[ticker], before.get(ticker, gaps.iloc[:0]))
        for ticker, there in sessions.items()
        if len(there) and ticker in calendars and not calendars[ticker].recorded_fallback
    ]
    parts = [part for part in parts if part is not None]
    if not parts:
        return empty("price_gaps")[_COLUMNS]
    found = pd.concat(parts, ignore_index=True).assign(
        note=None, known_at=pd.Timestamp(as_of.now).tz_localize(None)
    )
    types = empty("price_gaps").dtypes.to_dict()
    return found[_COLUMNS].astype({name: types[name] for name in _COLUMNS})


def _changed(
    ticker: str, there: pd.DatetimeIndex, calendar: TickerCalendar, before: pd.DataFrame
) -> pd.DataFrame | None:
    due = calendar.sessions(there[0], there[-1])
    if before.empty and len(due) == len(
        there
    ):  # the usual case: every price lies on a session, so none is missing
        return None
    waited_for = before.loc[before["state"] != "filled", "session"]
    missing = due[~due.isin(there) & ~due.isin(waited_for)]
    filled = waited_for[waited_for.isin(there)]
    if not len(missing) and not len(filled):
        return None
    states = np.repeat(["missing", "filled"], [len(missing), len(filled)])
    return pd.DataFrame({"ticker": ticker, "session": [*missing, *filled], "state": states})
