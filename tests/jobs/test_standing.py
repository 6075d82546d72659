"""How a workspace stands is told from what is published, and from the text that a dead run leaves in the
lock.
"""

import datetime as dt
import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from flows.commands import status
from forecast_lib.errors import UsageError
from forecast_lib.jobs.monitor.standing import read_holder, standing
from forecast_lib.jobs.record.endings import Ending, remember
from forecast_lib.sessions import calendar_for
from forecast_lib.store.disk.lock import hold_workspace
from tests.store import nights

pytestmark = pytest.mark.slow

AFTER_THE_CLOSE = dt.datetime(2024, 1, 2, 23, tzinfo=dt.UTC)
"""Night 0 of `nights` is Tuesday, 2 January 2024; AAA and BBB are taken for American tickers."""


@pytest.fixture
def workspace(tmp_path):
    nights.store_and_publish(tmp_path, 0)
    return tmp_path


@pytest.mark.parametrize(
    ("now", "behind"),
    [
        (dt.datetime(2024, 1, 3, 20, 0), 0),  # Wednesday, an hour before the close
        (dt.datetime(2024, 1, 3, 21, 29), 0),  # 16:29 in New York, a minute before the session is known
        (dt.datetime(2024, 1, 3, 21, 31), 1),
        (dt.datetime(2024, 1, 8, 12, 0), 3),  # Monday morning: Wednesday, Thursday, Friday
        (dt.datetime(2024, 1, 16, 12, 0), 8),  # after Martin Luther King Day, which is no session
    ],
)
def test_age_is_counted_in_closed_sessions_of_the_exchange(now, behind):
    session = dt.date(2024, 1, 2)
    assert calendar_for("AAPL").behind(session, now.replace(tzinfo=dt.UTC)) == behind


def test_a_session_that_is_already_tomorrow_counts_where_it_has_closed():
    """Tokyo closes at 06:00 UTC (15:00 until November 2024) of its own date."""
    now = dt.datetime(2024, 1, 5, 7, tzinfo=dt.UTC)
    assert calendar_for("7203.T").behind(dt.date(2024, 1, 4), now) == 1


def test_age_is_counted_by_the_calendar_that_the_run_used(tmp_path):
    """Of an index whose name points to no exchange, and whose source says that it is Tokyo's: closed on the
    second Monday of January.
    """
    made = nights.night(3, ("^TOPX",))  # of a Friday
    made["run_tickers"]["calendar"] = "XTKS"
    nights.store_and_publish(tmp_path, 3, made)
    tuesday = dt.datetime(2024, 1, 9, 2, tzinfo=dt.UTC)
    assert standing(tmp_path, tuesday).sessions_behind == 0


def test_a_night_that_has_just_ended_is_fresh(workspace):
    stands = standing(workspace, AFTER_THE_CLOSE)
    assert (stands.verdict, stands.tickers, stands.sessions_behind, stands.degraded) == ("fresh", 2, 0, ())
    assert stands.last_run["run_id"] == stands.last_nightly["run_id"] == "run-0"


def test_one_missed_session_is_fresh_and_two_are_stale(workspace):
    assert standing(workspace, AFTER_THE_CLOSE + dt.timedelta(days=1)).verdict == "fresh"
    stands = standing(workspace, AFTER_THE_CLOSE + dt.timedelta(days=2))
    assert (stands.verdict, stands.sessions_behind) == ("stale", 2)
    assert [(t.ticker, t.status, t.reason) for t in stands.degraded] == [
        ("AAA", "stale", "data are 2 sessions old"),
        ("BBB", "stale", "data are 2 sessions old"),
    ]


def test_a_run_that_died_shows(workspace):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (workspace / ".lock").write_text(json.dumps({"pid": dead.pid, "run": "run-1", "started": None}))
    stands = standing(workspace, AFTER_THE_CLOSE)
    assert (stands.verdict, stands.died.run, stands.working) == ("dead", "run-1", None)


def test_a_run_at_work_is_no_fault(workspace):
    with hold_workspace(workspace, "run-1"):
        stands = standing(workspace, AFTER_THE_CLOSE)
    assert (stands.verdict, stands.died, stands.working.run) == ("fresh", None, "run-1")


def test_a_process_that_was_given_the_number_of_a_dead_one_is_not_at_work(workspace):
    """After a restart, in a container above all, the number in the lock may well be that of somebody else."""
    (workspace / ".lock").write_text(json.dumps({"pid": os.getpid(), "run": "run-1", "started": None}))
    stands = standing(workspace, AFTER_THE_CLOSE)
    assert (stands.died.run, stands.working) == ("run-1", None)


def test_a_night_that_failed_after_the_published_one_shows_until_the_next_succeeds(workspace):
    remember(workspace, Ending("nightly", "failed", 1, "no room", "2024-01-03T22:10:00+00:00"))
    stands = standing(workspace, AFTER_THE_CLOSE)
    assert (stands.verdict, stands.failure.message) == ("failed", "no room")
    nights.store_and_publish(workspace, 2)  # finished on 4 January
    assert standing(workspace, AFTER_THE_CLOSE + dt.timedelta(days=2)).verdict == "fresh"


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (AFTER_THE_CLOSE, "fresh"),
        (dt.datetime(2024, 1, 4, 0, 59, tzinfo=dt.UTC), "fresh"),  # Wednesday, 19:59 in New York
        (dt.datetime(2024, 1, 4, 1, 0, tzinfo=dt.UTC), "late"),
        (dt.datetime(2024, 1, 5, 1, 0, tzinfo=dt.UTC), "stale"),  # two sessions missed: that is said instead
    ],
)
def test_a_night_that_is_not_published_by_its_deadline_is_late(workspace, now, verdict):
    stands = standing(workspace, now, dt.time(20))
    assert (stands.verdict, stands.due) == (verdict, dt.datetime(2024, 1, 4, 1, tzinfo=dt.UTC))
    assert stands.late == (verdict != "fresh")
    said = "was" if stands.late else "is"
    assert f"deadline      the next night {said} due by 2024-01-04 01:00 UTC" in status._lines(stands)
    assert status.EXIT_CODES["late"] == 1


def test_after_a_holiday_the_deadline_is_that_of_the_next_session(tmp_path):
    nights.store_and_publish(tmp_path, 10)  # Friday, 12 January; Monday is Martin Luther King Day
    stands = standing(tmp_path, nights.now(10), dt.time(20))
    assert stands.due == dt.datetime(2024, 1, 17, 1, tzinfo=dt.UTC)


def test_a_night_that_began_before_the_close_does_not_know_its_session(tmp_path):
    made = nights.night(0)
    made["runs"]["started_at"] = pd.Timestamp("2024-01-02 20:00")
    nights.store_and_publish(tmp_path, 0, made)
    assert standing(tmp_path, AFTER_THE_CLOSE, dt.time(20)).due == dt.datetime(2024, 1, 3, 1, tzinfo=dt.UTC)


def test_without_a_deadline_nothing_is_late(workspace):
    stands = standing(workspace, AFTER_THE_CLOSE + dt.timedelta(days=1, hours=6))
    assert (stands.verdict, stands.due) == ("fresh", None) and not any(
        line.startswith("deadline") for line in status._lines(stands)
    )


def test_one_ticker_that_is_not_traded_any_more_makes_nothing_stale(tmp_path):
    made = nights.night(0, ("AAA", "BBB", "CCC"))
    made["run_tickers"].loc[0, "last_session"] = pd.Timestamp("2020-01-02")
    nights.store_and_publish(tmp_path, 0, made)
    stands = standing(tmp_path, AFTER_THE_CLOSE)
    assert (stands.verdict, [ticker.ticker for ticker in stands.degraded]) == ("degraded", ["AAA"])


@pytest.mark.parametrize(
    ("reason", "verdict"), [("ended: no row since 2020-01-02", "degraded"), (None, "fresh")]
)
def test_an_end_is_degraded_once_and_then_neither_degraded_nor_stale(tmp_path, reason, verdict):
    made = nights.night(0, ("AAA", "BBB", "CCC"))
    made["run_tickers"].loc[0, ["status", "reason", "last_session"]] = [
        "ended",
        reason,
        pd.Timestamp("2020-01-02"),
    ]
    made["forecasts"] = made["forecasts"][made["forecasts"]["ticker"] != "AAA"]
    nights.store_and_publish(tmp_path, 0, made)
    stands = standing(tmp_path, AFTER_THE_CLOSE)
    assert (stands.verdict, [ticker.ticker for ticker in stands.degraded]) == (
        verdict,
        ["AAA"] if reason else [],
    )
    assert stands.sessions_behind == 0


def test_what_is_odd_and_needs_nobody_is_mentioned(tmp_path):
    made = nights.night(0)
    made["run_tickers"].loc[0, "flags"] = "real move of +104 % on 2024-01-02"
    nights.store_and_publish(tmp_path, 0, made)
    stands = standing(tmp_path, AFTER_THE_CLOSE)
    assert (stands.verdict, stands.flags) == ("fresh", {"AAA": "real move of +104 % on 2024-01-02"})
    assert "mentioned     AAA: real move of +104 % on 2024-01-02" in status._lines(stands)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": "x", "run": 1}', "\0\0"])
def test_an_empty_or_torn_lock_names_nobody(tmp_path, text):
    (tmp_path / ".lock").write_text(text)
    assert read_holder(tmp_path) is None


def test_without_a_publication_there_is_nothing_to_say(tmp_path):
    with pytest.raises(UsageError, match="nothing is published"):
        standing(tmp_path, AFTER_THE_CLOSE)
