"""Which sessions of an exchange lack a price, as the models are told."""

import numpy as np
import pytest

from forecast_lib.jobs.ingest.gaps import knowing_gaps
from forecast_lib.sessions import TickerCalendar
from forecast_lib.windows.series import TickerSeries

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
