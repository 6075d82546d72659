"""Which sessions of an exchange lack a price, as the models are told."""

import datetime as dt

import numpy as np
import pytest

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.jobs.ingest.gaps import knowing_gaps
from forecast_lib.sessions import TickerCalendar
from forecast_lib.windows.series import TickerSeries
from tests import plain_runs, reading

NEW_YORK, UNKNOWN = TickerCalendar("XNYS"), TickerCalendar("weekdays", recorded_fallback=True)


def series(*days: str) -> TickerSeries:
    close = np.arange(1.0, len(days) + 1)
    return TickerSeries("ACME", np.array(days, "datetime64[D]"), *[close] * 5)


def told(*days: str, calendar: TickerCalendar = NEW_YORK) -> TickerSeries:
    return knowing_gaps({"ACME": series(*days)}, {"ACME": calendar})["ACME"]


def test_sessions_without_a_price_are_counted_before_the_next_one():
    # New York, July 2024: the 4th is a holiday, the 6th and 7th a weekend; the 8th to 10th are missing.
    found = told("2024-07-02", "2024-07-03", "2024-07-05", "2024-07-11", "2024-07-12")
    assert found.missing.tolist() == [0, 0, 0, 3, 0]
    assert found.until(4).missing.tolist() == [0, 0, 0, 3]
    assert found.since(3).missing.tolist() == [3, 0]


@pytest.mark.parametrize("calendar", [NEW_YORK, UNKNOWN], ids=["none missing", "no calendar known"])
def test_nothing_is_said_where_nothing_is_known_to_be_missing(calendar):
    days = ("2024-07-03", "2024-07-05") if calendar is NEW_YORK else ("2024-07-01", "2024-07-05")
    assert told(*days, calendar=calendar).missing is None


def test_a_price_on_no_session_hides_no_gap():
    # Saturday the 6th is no session; Friday the 5th is missing.
    assert told("2024-07-03", "2024-07-06", "2024-07-08").missing.tolist() == [0, 1, 0]


@pytest.mark.slow
def test_a_nights_volatility_takes_a_move_over_missing_sessions_for_one_of_one(tmp_path):
    """Thirty closes that move by 1 %, three sessions missing, then one 2 % higher: over four sessions that is
    1 % in one. By hand: every variance is 0.01 squared but the first, which is not known (1e-8), so that the
    volatility is 0.01 times the root of one less the first one's weight, 0.94^30 * 0.06 / (1 - 0.94^31).
    """
    sessions = NEW_YORK.sessions(dt.date(2024, 1, 2), dt.date(2024, 12, 31))[:34].delete([30, 31, 32])
    closes = 50 * np.exp(np.append(0.01 * (np.arange(30) % 2), 0.01 + 0.02))
    lines = [f"{day:%Y-%m-%d},{close!r}" for day, close in zip(sessions, closes.tolist(), strict=True)]
    (tmp_path / "ACME.csv").write_text("\n".join(["Date,Close", *lines]) + "\n")
    given = {"workspace": str(tmp_path / "w"), "tickers": "ACME", "source": "files", "files": str(tmp_path)}
    now = dt.datetime.combine(sessions[-1].date(), dt.time(23), dt.UTC)
    plain_runs.night(resolve(gather(given, environ={}), now=now))
    sql = "SELECT sigma FROM forecast_weights WHERE model = 'naive' AND step = 1"
    [(sigma,)] = reading.published(tmp_path / "w", sql)
    first = 0.94**30 * 0.06 / (1 - 0.94**31)
    assert sigma == pytest.approx(0.01 * np.sqrt(1 - first), rel=1e-4)
