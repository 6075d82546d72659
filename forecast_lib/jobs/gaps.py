"""Sessions of the exchange that lack a price: found, asked for again, filled, or declared closed by a person."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from forecast_lib.domain import AsOf
from forecast_lib.sessions import TickerCalendar
from forecast_lib.tables import empty

__all__ = ["changed_gaps", "first_open_gap"]

Sessions = Mapping[str, pd.DatetimeIndex]
_COLUMNS = ["ticker", "session", "state", "note", "known_at"]


def first_open_gap(gaps: pd.DataFrame) -> pd.Timestamp | None:
    """The oldest session that is still missing, from one ticker's newest states; None where none is."""
    missing = gaps.loc[gaps["state"] == "missing", "session"]
    return None if missing.empty else missing.min()


def changed_gaps(
    sessions: Sessions, calendars: Mapping[str, TickerCalendar], gaps: pd.DataFrame, as_of: AsOf, held: Sessions = MappingProxyType({})
) -> pd.DataFrame:
    """What has become of the gaps tonight: newly missing sessions, and known ones that were filled.

    Sessions after a ticker's last price are no gap: the data are then old, which its status says. Where no calendar is known
    nothing can be missing. A session that a person closed stays closed until a price for it comes.

    Args:
        sessions: by ticker, the sessions with a price, in order.
        gaps: the newest state of every gap known before: columns of `price_gaps`.
        held: of tickers that a gap holds back, the sessions with a price that is stored or waits to be.

    Returns:
        Columns of `price_gaps` without run_id and source.
    """
    before = {str(ticker): rows for ticker, rows in gaps.groupby("ticker")}
    parts = [
        _changed(ticker, there, held.get(ticker, there), calendars[ticker], before.get(ticker, gaps.iloc[:0]))
        for ticker, there in {**dict.fromkeys(held, pd.DatetimeIndex([])), **sessions}.items()
        if len(held.get(ticker, there)) and ticker in calendars and not calendars[ticker].recorded_fallback
    ]
    parts = [part for part in parts if part is not None]
    if not parts:
        return empty("price_gaps")[_COLUMNS]
    found = pd.concat(parts, ignore_index=True).assign(note=None, known_at=pd.Timestamp(as_of.now).tz_localize(None))
    types = empty("price_gaps").dtypes.to_dict()
    return found[_COLUMNS].astype({name: types[name] for name in _COLUMNS})


def _changed(
    ticker: str, there: pd.DatetimeIndex, to_come: pd.DatetimeIndex, calendar: TickerCalendar, before: pd.DataFrame
) -> pd.DataFrame | None:
    """Args:
    to_come: `there`, and the sessions of rows that wait to be stored.
    """
    due = calendar.sessions(to_come[0], to_come[-1])
    if before.empty and len(due) == len(to_come):  # the usual case: every price lies on a session, so none is missing
        return None
    waited_for = before.loc[before["state"] != "filled", "session"]
    missing = due[~due.isin(to_come) & ~due.isin(waited_for)]
    filled = waited_for[waited_for.isin(there)]
    if not len(missing) and not len(filled):
        return None
    states = np.repeat(["missing", "filled"], [len(missing), len(filled)])
    return pd.DataFrame({"ticker": ticker, "session": [*missing, *filled], "state": states})
