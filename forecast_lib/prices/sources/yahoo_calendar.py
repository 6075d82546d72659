"""When companies report, from Yahoo's calendar: what it lists for the coming weeks.

yfinance's `Calendars` gives American companies only, a hundred a page, the largest first. Its future dates
are often wrong and change until they are near: so each night's list is stored, and `event_track_record` says
how often a date stood. What companies reported before the first night is not to be had from it. (Yahoo's list
of one ticker's past dates is a page that yfinance takes apart, and the one before it was no longer kept up.)

A report after the close moves the next session: it counts for the day after.
"""

import datetime as dt
from collections.abc import Callable, Collection

import pandas as pd
import yfinance as yf

from forecast_lib.domain import Ticker
from forecast_lib.prices.source import Listed, dates_frame

__all__ = ["listed_earnings"]

_AHEAD = dt.timedelta(days=28)
_PAGE, _MOST_PAGES = 100, 30
_ZONE = "America/New_York"
_AFTER_THE_CLOSE = "AMC"


def listed_earnings(
    calendars: Callable[[dt.date, dt.date], yf.Calendars], tickers: Collection[Ticker], day: dt.date
) -> Listed:
    """The dates of these tickers from `day` on, four weeks ahead. It raises nothing: what goes wrong is said.

    Args:
        calendars: opens yfinance's calendars of a span of days.
    """
    until, pages = day + _AHEAD, list[pd.DataFrame]()
    try:
        client = calendars(day, until)
        for page in range(_MOST_PAGES):
            found = client.get_earnings_calendar(
                filter_most_active=False, limit=_PAGE, offset=page * _PAGE, force=True
            )
            pages.append(_dates(found))
            if len(found) < _PAGE:
                break
    except Exception as problem:  # the client raises whatever its parsing ran into
        kind = type(problem).__name__
        said = f"Yahoo's calendar of earnings could not be read ({kind}): dates of earlier nights are used"
        return Listed(left_out=(said,))
    rows = dates_frame([page[page["ticker"].isin(list(tickers))] for page in pages]).drop_duplicates()
    if len(pages) == _MOST_PAGES:
        # A company that is not among the largest may have been cut off: its dates are not given up.
        named = {Ticker(str(name)) for name in rows["ticker"]}
        most = _MOST_PAGES * _PAGE
        said = f"Yahoo's calendar of earnings was cut at {most:,} companies, the smallest left out"
        return Listed(rows, tuple(sorted(named)), until, (said,))
    return Listed(rows, tuple(tickers), until)


def _dates(found: pd.DataFrame) -> pd.DataFrame:
    """Kind, ticker and session of a page."""
    if found.empty:
        return dates_frame(())
    starts = pd.to_datetime(found["Event Start Date"], utc=True).dt.tz_convert(_ZONE)
    sessions = starts.dt.tz_localize(None).dt.normalize()
    late = found["Timing"].eq(_AFTER_THE_CLOSE) if "Timing" in found else pd.Series(False, index=found.index)
    sessions = sessions + pd.to_timedelta(late.astype(int), unit="D")
    page = pd.DataFrame(
        {"kind": "earnings", "ticker": found.index.astype(str), "session": sessions.to_numpy()}
    )
    return dates_frame([page[page["session"].notna()]])
