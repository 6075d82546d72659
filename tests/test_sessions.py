"""Expected dates come from the exchanges' published lists; each test says which."""

import datetime as dt
import warnings

import exchange_calendars as ec
import numpy as np
import pandas as pd
import pytest

from forecast_lib.domain import AsOf
from forecast_lib.schedules.library import built
from forecast_lib.sessions import TickerCalendar, calendar_for

NEW_YORK = TickerCalendar("XNYS")


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


def closed(calendar: TickerCalendar, session: dt.date, now: dt.datetime) -> bool:
    return calendar.is_session(session) and pd.Timestamp(session) <= calendar.last_closed(now)


def weekdays_without_session(calendar: TickerCalendar, year: int) -> list[str]:
    first, last = dt.date(year, 1, 1), dt.date(year, 12, 31)
    return list(pd.bdate_range(first, last).difference(calendar.sessions(first, last)).strftime("%m-%d"))


@pytest.mark.parametrize(
    ("ticker", "timezone", "name"),
    [
        ("AAPL", None, "XNYS"),
        ("SIM12", None, "XNYS"),
        ("BRK-B", None, "XNYS"),
        ("BRK.B", None, "XNYS"),
        ("VOD.L", None, "XLON"),
        ("SAP.DE", None, "XETR"),
        ("7203.T", None, "XTKS"),
        ("OMV.VI", None, "XWBO"),
        ("ENI.MI", None, "XMIL"),
        ("SAN.MC", None, "XMAD"),
        ("INFY.NS", None, "XBOM"),
        ("000001.SZ", None, "XSHG"),
        ("035420.KQ", None, "XKRX"),
        ("6488.TWO", None, "XTAI"),
        ("ABC.V", None, "XTSE"),
        ("BTC-USD", None, "24/7"),
        ("ETH-BTC", None, "24/7"),
        ("EURUSD=X", None, "24/5"),
        ("ES=F", None, "us_futures"),
        ("^GSPC", None, "XNYS"),
        ("^VIX", "America/Chicago", "XNYS"),
        ("^N225", None, "XTKS"),
        ("^GDAXI", None, "XFRA"),
        ("^HSI", None, "XHKG"),
        ("^NOSUCH", "Asia/Tokyo", "XTKS"),
        ("QNBK.QA", None, "weekdays"),
        ("^NOSUCH", None, "weekdays"),
        ("^NOSUCH", "Mars/Olympus", "weekdays"),
    ],
)
def test_a_ticker_gets_the_calendar_of_its_exchange(ticker: str, timezone: str | None, name: str) -> None:
    calendar = calendar_for(ticker, timezone)
    assert calendar.name == name
    assert calendar.recorded_fallback == (name == "weekdays")


def test_new_york_holidays_of_2025() -> None:
    """NYSE 'Holidays & Trading Hours' 2025, and the closure of 9 January for President Carter's day of
    mourning.
    """
    expected = [
        "01-01",
        "01-09",
        "01-20",
        "02-17",
        "04-18",
        "05-26",
        "06-19",
        "07-04",
        "09-01",
        "11-27",
        "12-25",
    ]
    assert weekdays_without_session(NEW_YORK, 2025) == expected


def test_london_holidays_of_2024() -> None:
    """London Stock Exchange business days 2024: English bank holidays."""
    expected = ["01-01", "03-29", "04-01", "05-06", "05-27", "08-26", "12-25", "12-26"]
    assert weekdays_without_session(TickerCalendar("XLON"), 2024) == expected


def test_tokyo_holidays_of_2024() -> None:
    """Japan Exchange Group market holidays 2024."""
    expected = (
        "01-01 01-02 01-03 01-08 02-12 02-23 03-20 04-29 05-03 05-06 07-15 08-12 09-16 09-23 10-14 11-04"
        " 12-31".split()
    )
    assert weekdays_without_session(TickerCalendar("XTKS"), 2024) == expected


def test_frankfurt_holidays_of_2024() -> None:
    """Deutsche Börse trading calendar 2024 for Xetra and Frankfurt."""
    expected = ["01-01", "03-29", "04-01", "05-01", "12-24", "12-25", "12-26", "12-31"]
    assert weekdays_without_session(TickerCalendar("XETR"), 2024) == expected


def test_half_days_close_early() -> None:
    """NYSE: 13:00 Eastern on 2024-07-03, 2024-11-29 and 2024-12-24; 16:00 on other days (standard time from 3
    November).
    """
    assert NEW_YORK.close(dt.date(2024, 7, 3)) == pd.Timestamp("2024-07-03 17:00")
    assert NEW_YORK.close(dt.date(2024, 11, 29)) == pd.Timestamp("2024-11-29 18:00")
    assert NEW_YORK.close(dt.date(2024, 12, 24)) == pd.Timestamp("2024-12-24 18:00")
    assert NEW_YORK.close(dt.date(2024, 11, 1)) == pd.Timestamp("2024-11-01 20:00")
    assert NEW_YORK.close(dt.date(2024, 11, 4)) == pd.Timestamp("2024-11-04 21:00")


@pytest.mark.parametrize(
    ("name", "session", "time", "shown"),
    [
        ("XNYS", dt.date(2024, 1, 3), dt.time(20), utc(2024, 1, 4, 1)),
        ("XNYS", dt.date(2024, 7, 5), dt.time(20), utc(2024, 7, 6, 0)),  # an hour earlier in summer
        # Only known from 16:30 on: the next day's.
        ("XNYS", dt.date(2024, 7, 5), dt.time(16, 15), utc(2024, 7, 6, 20, 15)),
        ("XTKS", dt.date(2024, 1, 5), dt.time(20), utc(2024, 1, 5, 11)),
        ("24/7", dt.date(2024, 1, 6), dt.time(3), utc(2024, 1, 7, 3)),  # the day ends at midnight
        ("weekdays", dt.date(2024, 1, 5), dt.time(20), utc(2024, 1, 6, 20)),  # known at 00:30 UTC
    ],
)
def test_the_exchange_s_clock_is_read_after_its_session_is_known(
    name: str, session: dt.date, time: dt.time, shown: dt.datetime
) -> None:
    assert TickerCalendar(name).clock_after(session, time) == shown


def test_a_session_is_known_half_an_hour_after_its_close() -> None:
    """The half day 2024-11-29 closes at 18:00 UTC."""
    assert not closed(NEW_YORK, dt.date(2024, 11, 29), utc(2024, 11, 29, 18, 29, 59))
    assert closed(NEW_YORK, dt.date(2024, 11, 29), utc(2024, 11, 29, 18, 30))
    assert not closed(NEW_YORK, dt.date(2024, 11, 28), utc(2024, 12, 24)), "Thanksgiving is no session"


def test_last_known_needs_both_the_day_and_the_close() -> None:
    during, evening, years_later = utc(2024, 7, 5, 15, 0), utc(2024, 7, 5, 22, 0), utc(2026, 1, 1)
    friday, holiday = dt.date(2024, 7, 5), dt.date(2024, 7, 4)
    assert NEW_YORK.last_known(AsOf(friday, during, during)) == pd.Timestamp("2024-07-03")
    assert NEW_YORK.last_known(AsOf(friday, evening, evening)) == pd.Timestamp("2024-07-05")
    assert NEW_YORK.last_known(AsOf(friday, years_later, years_later)) == pd.Timestamp("2024-07-05")
    assert NEW_YORK.last_known(AsOf(holiday, evening, evening)) == pd.Timestamp("2024-07-03")


def test_tokyo_knows_its_session_before_new_york_opens() -> None:
    now = utc(2024, 7, 5, 7, 0)  # Tokyo closed at 15:00 local, 06:00 UTC
    assert TickerCalendar("XTKS").last_known(AsOf(dt.date(2024, 7, 5), now, now)) == pd.Timestamp(
        "2024-07-05"
    )
    assert NEW_YORK.last_known(AsOf(dt.date(2024, 7, 5), now, now)) == pd.Timestamp("2024-07-03")


def test_crypto_trades_at_weekends_and_its_day_ends_at_midnight_utc() -> None:
    always = calendar_for("BTC-USD")
    saturday = dt.date(2024, 7, 6)
    assert always.is_session(saturday)
    assert not closed(always, saturday, utc(2024, 7, 7, 0, 29))
    assert closed(always, saturday, utc(2024, 7, 7, 0, 30))


def test_following_skips_weekend_and_good_friday() -> None:
    """NYSE: closed on Good Friday, 2024-03-29."""
    expected = ["2024-03-28", "2024-04-01", "2024-04-02"]
    assert list(NEW_YORK.following(dt.date(2024, 3, 27), 3).strftime("%Y-%m-%d")) == expected
    assert NEW_YORK.following(dt.date(2024, 3, 27), 0).empty


def test_following_starts_after_a_cutoff_that_is_no_session() -> None:
    assert NEW_YORK.following(dt.date(2024, 7, 6), 1)[0] == pd.Timestamp("2024-07-08")


@pytest.mark.parametrize(
    "name", ["XNYS", "XSHG", pytest.param("XKRX", marks=pytest.mark.slow), "24/7", "weekdays"]
)
def test_following_reaches_beyond_the_library(name: str) -> None:
    """Shanghai's list ends in 2026, Seoul's in 2050: weekdays follow, closing at the usual time."""
    calendar = TickerCalendar(name)
    targets = calendar.following(dt.date(2052, 3, 1), 20)
    assert len(targets) == 20
    assert targets.is_monotonic_increasing
    assert targets[0] > pd.Timestamp("2052-03-01")
    assert calendar.close(targets[0]) > targets[0]


def test_shanghai_after_the_published_years_still_closes_at_its_hour() -> None:
    """Shanghai closes at 15:00 local time, 07:00 UTC."""
    assert TickerCalendar("XSHG").close(dt.date(2031, 6, 3)) == pd.Timestamp("2031-06-03 07:00")


def test_tel_aviv_moved_its_week() -> None:
    """TASE: Sunday to Thursday until 2026-01-04, Monday to Friday from 2026-01-05."""
    tel_aviv = calendar_for("TEVA.TA")
    assert [tel_aviv.is_session(dt.date(2025, 6, day)) for day in (6, 8)] == [False, True]
    assert [tel_aviv.is_session(dt.date(2026, 6, day)) for day in (5, 7)] == [True, False]


def test_early_histories_have_sessions() -> None:
    """1929-10-29 was a Tuesday; New York stayed shut on 1933-03-06 for the bank holiday."""
    assert NEW_YORK.is_session(dt.date(1929, 10, 29))
    assert not NEW_YORK.is_session(dt.date(1933, 3, 6))
    assert TickerCalendar("XTKS").is_session(dt.date(1980, 3, 4)), (
        "before the library's reach each weekday counts"
    )


def test_new_york_stayed_closed_after_2001_09_11() -> None:
    assert NEW_YORK.count_between(dt.date(2001, 9, 10), dt.date(2001, 9, 17)) == 1


def test_count_between_leaves_the_first_out_and_takes_the_last() -> None:
    assert NEW_YORK.count_between(dt.date(2024, 7, 3), dt.date(2024, 7, 3)) == 0
    assert NEW_YORK.count_between(dt.date(2024, 7, 3), dt.date(2024, 7, 4)) == 0
    assert NEW_YORK.count_between(dt.date(2024, 7, 3), dt.date(2024, 7, 5)) == 1
    assert NEW_YORK.count_between(dt.date(2024, 7, 5), dt.date(2024, 7, 3)) == 0


def test_sessions_are_naive_midnights_in_microseconds() -> None:
    sessions = NEW_YORK.sessions(dt.date(2024, 7, 1), dt.date(2024, 7, 5))
    assert sessions.dtype == "datetime64[us]"
    assert list(sessions.day) == [1, 2, 3, 5]


def test_asking_for_the_close_of_a_holiday_is_an_error() -> None:
    with pytest.raises(ValueError, match="2024-07-04 is no session of XNYS"):
        NEW_YORK.close(dt.date(2024, 7, 4))


def test_building_a_calendar_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built("XLIM", dt.date(2024, 1, 1), dt.date(2024, 12, 31))


@pytest.mark.slow
def test_every_calendar_in_the_tables_can_be_built() -> None:
    americas, europe = (
        "BA SA SN CL MX TO CME",
        "L IR DE F DU HM SG PA AS BR LS MC MI SW VI PR WA BD IS ST CO HE OL IC TL RG VS",
    )
    for suffix in f"{americas} {europe} T HK SS TW KS BO SI JK KL BK PS AX NZ TA SR JO".split():
        calendar = calendar_for(f"ABC.{suffix}")
        assert not calendar.recorded_fallback, suffix
        found = built(calendar.name, dt.date(1990, 1, 1), dt.date(2035, 12, 31)).sessions
        assert 200 < (found.astype("M8[Y]") == np.datetime64("2025")).sum() < 262, suffix


@pytest.mark.parametrize("name", ["XNYS", "XETR", "XLON"])
def test_sessions_are_those_that_the_library_has_by_itself(name):
    """Ours are made from the holidays of their span alone."""
    first, last = pd.Timestamp(1990, 1, 1), pd.Timestamp(2035, 12, 31)
    theirs = ec.get_calendar(name, start=first, end=last)
    ours = built(name, first.date(), last.date())
    assert pd.DatetimeIndex(ours.sessions).tolist() == theirs.sessions.tolist()
    assert pd.Timestamp(ours.closes[-1]) == theirs.closes.iloc[-1].tz_localize(None)
