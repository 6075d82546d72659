"""Today's row of Yahoo is set aside until the session has been over for half an hour: half days, live rows,
three exchanges.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.prices.sources.yahoo import YahooSource
from forecast_lib.sessions import TickerCalendar
from tests.prices.fake_yahoo import Bar, FakeYahoo, Listing
from tests.prices.one_ticker import One, one

# By ticker: calendar, opening hour, time zone, currency, the session in question, and when it was over (UTC).
# The exchanges' own notices: New York closes at 13:00 on the day after Thanksgiving, London at 12:30 on
# Christmas Eve; Tokyo closed at 15:00 until 5 November 2024 and closes at 15:30 since.
CASES = {
    "ACME": ("XNYS", dt.time(9, 30), "America/New_York", "USD", dt.datetime(2024, 11, 27, 21, 0)),
    "HALF": ("XNYS", dt.time(9, 30), "America/New_York", "USD", dt.datetime(2024, 11, 29, 18, 0)),
    "VOD.L": ("XLON", dt.time(8), "Europe/London", "GBp", dt.datetime(2024, 12, 24, 12, 30)),
    "7203.T": ("XTKS", dt.time(9), "Asia/Tokyo", "JPY", dt.datetime(2024, 11, 1, 6, 0)),
    "6758.T": ("XTKS", dt.time(9), "Asia/Tokyo", "JPY", dt.datetime(2024, 11, 6, 6, 30)),
}


def _listing(ticker: str, live: bool) -> Listing:
    calendar, opens, zone, currency, over = CASES[ticker]
    days = [
        day.date()
        for day in TickerCalendar(calendar).sessions(over.date() - dt.timedelta(days=60), over.date())
    ]
    bars = [Bar(day, 100.0, 102.0, 99.0, 100.0 + place % 2, 1000.0 + place) for place, day in enumerate(days)]
    trade = (dt.datetime.combine(days[-1], opens) + dt.timedelta(minutes=65)).time()
    at_the_trade = Bar(days[-1], 100.0, 101.5, 99.5, 101.25, 700.0, stamp=trade)
    return Listing(ticker, [*bars, at_the_trade] if live else bars, currency, zone, opens)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("yahoo")


@pytest.fixture
def yahoo() -> Iterator[FakeYahoo]:
    with FakeYahoo() as running:
        yield running


def ingested(yahoo: FakeYahoo, cache: Path, ticker: str, minutes: int) -> One:
    """The ticker's first answer, so many minutes after the session was over, after the checks."""
    now = (CASES[ticker][-1] + dt.timedelta(minutes=minutes)).replace(tzinfo=dt.UTC)
    source = YahooSource(cache, now, session=yahoo.session(), pause_s=0.0)
    return one(
        source.fetch({Ticker(ticker): None}, now.date()),
        TickerCalendar(CASES[ticker][0]),
        AsOf(now.date(), now, now),
    )


@pytest.mark.parametrize("live", [False, True], ids=["day's row", "live row"])
@pytest.mark.parametrize("ticker", CASES)
def test_row_of_today_waits_for_the_close_and_half_an_hour(
    yahoo: FakeYahoo, cache: Path, ticker: str, live: bool
) -> None:
    yahoo.listings[ticker] = _listing(ticker, live)
    today = pd.Timestamp(CASES[ticker][-1].date())
    early, late = (ingested(yahoo, cache, ticker, minutes) for minutes in (29, 30))
    assert (early.hold, late.hold) == (None, None)
    assert list(early.good["session"]) == list(late.good["session"][:-1])
    assert early.quarantined[["session", "rule"]].to_numpy().tolist() == [[today, "unfinished_session"]]
    assert late.good[["session", "close"]].iloc[-1].tolist() == [
        today,
        101.25 if live else late.good["close"].iloc[-1],
    ]
    assert late.quarantined.empty
