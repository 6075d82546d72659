"""What a scheduled run finds to do. New York did not trade on Monday 27 May 2024 (Memorial Day), a coin
trades every day.
"""

import datetime as dt
import shutil
from pathlib import Path

import pytest

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.jobs.monitor.missed import Due, due
from forecast_lib.sessions import calendar_for
from tests.store import nights

pytestmark = pytest.mark.slow

SHARES, COIN = (Ticker("AAPL"), Ticker("MSFT")), Ticker("BTC-USD")
FRIDAY = (dt.date(2024, 5, 24) - nights.FIRST_DAY).days


def live(day: int, hour: int = 22, minute: int = 30) -> AsOf:
    """Looked at on that day of May 2024, in UTC; New York closed two hours before."""
    now = dt.datetime(2024, 5, day, hour, minute, tzinfo=dt.UTC)
    return AsOf(now.date(), now, now)


def store(workspace, number, *tickers, **run):
    frames = nights.night(number, tickers, **run)
    frames["run_tickers"]["calendar"] = [calendar_for(ticker).name for ticker in tickers]
    nights.store_and_publish(workspace, number, frames)
    return workspace


@pytest.fixture(scope="module")
def after_friday(tmp_path_factory):
    """Looked at only."""
    return store(tmp_path_factory.mktemp("friday"), FRIDAY, *SHARES)


@pytest.fixture
def own_friday(after_friday, tmp_path):
    return Path(shutil.copytree(after_friday, tmp_path / "own"))


def test_with_nothing_published_there_is_everything_to_do_and_nothing_missed(tmp_path):
    assert due(tmp_path, SHARES, live(28), 5) == Due(new=True)


def test_a_first_night_that_asks_for_them_has_the_evenings_before_it_without_the_holiday(tmp_path):
    """Tuesday 28 May 2024: Monday was Memorial Day."""
    found = due(tmp_path, SHARES, live(28), 3, from_nothing=True)
    assert found == Due(missed=(dt.date(2024, 5, 22), dt.date(2024, 5, 23), dt.date(2024, 5, 24)))
    assert due(tmp_path, SHARES, live(28), 0, from_nothing=True) == Due()
    assert len(due(tmp_path, (COIN,), live(28), 250, from_nothing=True).missed) == 250


@pytest.mark.parametrize("day", [25, 26, 27])
def test_on_a_weekend_and_a_holiday_no_session_is_new(after_friday, day):
    assert due(after_friday, SHARES, live(day), 5) == Due(new=False, stands=f"run-{FRIDAY}")


def test_the_next_session_is_new_and_no_night_was_missed(after_friday):
    assert due(after_friday, SHARES, live(28), 5) == Due(new=True, stands=f"run-{FRIDAY}")


@pytest.mark.parametrize(("most", "made_up", "beyond"), [(5, (28, 29, 30), 0), (2, (29, 30), 1), (0, (), 3)])
def test_missed_nights_come_in_order_the_newest_ones_where_there_are_too_many(
    after_friday, most, made_up, beyond
):
    found = due(after_friday, SHARES, live(31), most)
    assert found.missed == tuple(dt.date(2024, 5, day) for day in made_up)
    assert (found.new, found.beyond) == (True, beyond)


def test_a_session_that_has_not_closed_is_not_new(after_friday):
    """At 17:00 UTC on Tuesday New York trades."""
    assert not due(after_friday, SHARES, live(28, 17), 5).new


def test_a_coin_among_shares_has_a_new_session_on_their_holiday_and_the_shares_missed_no_weekend(tmp_path):
    store(tmp_path, FRIDAY, *SHARES, COIN)
    assert due(tmp_path, (*SHARES, COIN), live(27), 5) == Due(new=True, stands=f"run-{FRIDAY}")


def test_coins_miss_every_day_without_a_night(tmp_path):
    """Looked at 45 minutes after midnight: the evening's date is the day after the session's."""
    began = nights.stamp(dt.date(2024, 5, 25)) + dt.timedelta(minutes=45)
    store(tmp_path, FRIDAY + 1, COIN, started_at=began, as_of=nights.stamp(dt.date(2024, 5, 25)))
    found = due(tmp_path, (COIN,), live(28, 0, 45), 5)
    assert found.missed == (dt.date(2024, 5, 25), dt.date(2024, 5, 26))


def test_a_ticker_that_nobody_asked_for_before_is_new_on_a_holiday(after_friday):
    assert due(after_friday, (*SHARES, Ticker("XOM")), live(27), 5).new


def test_after_an_evening_of_long_ago_by_hand_tonight_is_due_and_nothing_is_missed_twice(own_friday):
    """Readers see January's forecasts until tonight's run; the nights since January were all done."""
    later = nights.stamp(dt.date(2024, 5, 25))
    store(own_friday, 8, *SHARES, run_id="by-hand", started_at=later, finished_at=later)
    assert due(own_friday, SHARES, live(27), 5) == Due(new=True, stands="by-hand")


def test_a_night_that_failed_was_not_done(own_friday):
    frames = nights.night(FRIDAY + 4, SHARES, status="failed")
    nights.store_night(own_friday, FRIDAY + 4, frames)
    found = due(own_friday, SHARES, live(29), 5)
    assert (found.new, found.missed) == (True, (dt.date(2024, 5, 28),))
