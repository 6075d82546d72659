"""When companies report and which splits are to come, from Yahoo's calendars: what they list for the coming
weeks.

yfinance's `Calendars` gives the reports of American companies only, a hundred a page, the largest first, and
the splits of all exchanges. Future dates are often wrong and change until they are near: so each night's
lists are stored, and `event_track_record` says how often a date stood. What companies reported before the
first night is not to be had from it. (Yahoo's list of one ticker's past dates is a page that yfinance takes
apart, and the one before it was no longer kept up.) There is no calendar of dividends with their amounts:
those come from a file.

A report after the close moves the next session: it counts for the day after.
"""

import datetime as dt
from collections.abc import Callable, Collection

import pandas as pd
import yfinance as yf

from forecast_lib.covariates.inputs import SPLIT
from forecast_lib.domain import Ticker
from forecast_lib.prices.source import Listed, dates_frame

__all__ = ["listed_events"]

_AHEAD = dt.timedelta(days=28)
_PAGE, _MOST_PAGES = 100, 30
_ZONE = "America/New_York"
_AFTER_THE_CLOSE = "AMC"
_EARNINGS = "earnings"
_CALLED = {_EARNINGS: "calendar of earnings", SPLIT: "calendar of splits"}

Page = Callable[[yf.Calendars, int], pd.DataFrame]
"""From a client and an offset to the page that begins there."""


def listed_events(
    calendars: Callable[[dt.date, dt.date], yf.Calendars], tickers: Collection[Ticker], day: dt.date
) -> tuple[Listed, ...]:
    """The dates of these tickers from `day` on, four weeks ahead. It raises nothing: what goes wrong is said.

    Args:
        calendars: opens yfinance's calendars of a span of days.
    """

    def reports(client: yf.Calendars, offset: int) -> pd.DataFrame:
        return client.get_earnings_calendar(filter_most_active=False, limit=_PAGE, offset=offset, force=True)

    def splits(client: yf.Calendars, offset: int) -> pd.DataFrame:
        return client.get_splits_calendar(limit=_PAGE, offset=offset, force=True)

    def listed(kind: str, page: Page, dates: Callable[[pd.DataFrame], pd.DataFrame]) -> Listed:
        return _listed(kind, lambda: calendars(day, day + _AHEAD), page, dates, tickers, day + _AHEAD)

    return listed(_EARNINGS, reports, _reports), listed(SPLIT, splits, _splits)


def _listed(
    kind: str,
    client: Callable[[], yf.Calendars],
    page: Page,
    dates: Callable[[pd.DataFrame], pd.DataFrame],
    tickers: Collection[Ticker],
    until: dt.date,
) -> Listed:
    pages = list[pd.DataFrame]()
    try:
        opened = client()
        for number in range(_MOST_PAGES):
            found = page(opened, number * _PAGE)
            pages.append(dates_frame(()) if found.empty else dates(found))
            if len(found) < _PAGE:
                break
    except Exception as problem:  # the client raises whatever its parsing ran into
        kind_of_problem = type(problem).__name__
        said = (
            f"Yahoo's {_CALLED[kind]} could not be read ({kind_of_problem}): dates of earlier nights are used"
        )
        return Listed(left_out=(said,))
    rows = dates_frame([each[each["ticker"].isin(list(tickers))] for each in pages]).drop_duplicates()
    rows = rows.drop_duplicates(["kind", "ticker", "session"], keep=False)  # two values for a day: neither
    if len(pages) == _MOST_PAGES:
        # A company that is not among the first may have been cut off: its dates are not given up.
        named = {Ticker(str(name)) for name in rows["ticker"]}
        most = _MOST_PAGES * _PAGE
        said = f"Yahoo's {_CALLED[kind]} was cut at {most:,} companies, the smallest left out"
        return Listed(rows, (kind,), tuple(sorted(named)), until, (said,))
    return Listed(rows, (kind,), tuple(tickers), until)


def _reports(found: pd.DataFrame) -> pd.DataFrame:
    """Kind, ticker, session and value of a page of the calendar of earnings."""
    starts = pd.to_datetime(found["Event Start Date"], utc=True).dt.tz_convert(_ZONE)
    sessions = starts.dt.tz_localize(None).dt.normalize()
    late = found["Timing"].eq(_AFTER_THE_CLOSE) if "Timing" in found else pd.Series(False, index=found.index)
    sessions = sessions + pd.to_timedelta(late.astype(int), unit="D")
    page = pd.DataFrame(
        {"kind": _EARNINGS, "ticker": found.index.astype(str), "session": sessions.to_numpy(), "value": None}
    )
    return dates_frame([page[page["session"].notna()]])


def _splits(found: pd.DataFrame) -> pd.DataFrame:
    """The same of the calendar of splits: an old share is worth 1, say, and 4 of the new; the day begins at
    midnight in New York, wherever the exchange is.
    """
    days = pd.to_datetime(found["Payable On"], utc=True).dt.tz_convert(_ZONE).dt.tz_localize(None)
    old, new = (pd.to_numeric(found[name], errors="coerce") for name in ("Old Share Worth", "Share Worth"))
    sensible = days.notna() & (old > 0) & (new > 0) & (old != new)
    page = pd.DataFrame(
        {
            "kind": SPLIT,
            "ticker": found.index.astype(str),
            "session": days.dt.normalize().to_numpy(),
            "value": (new / old).to_numpy(float),
        }
    )
    return dates_frame([page[sensible.to_numpy(bool)]])
