"""What a run reads of the store before it asks a source."""

import datetime as dt

import numpy as np
import pytest

from forecast_lib.jobs.ingest.known import _TAIL
from forecast_lib.prices.screen import TAIL_SESSIONS
from forecast_lib.sessions import TickerCalendar


@pytest.mark.parametrize("exchange", ["XNYS", "XTKS", "XSHG", "XHKG"])
def test_the_days_that_an_ingest_reads_hold_what_the_checks_look_back(exchange):
    """Else every ticker would look short, and its whole history be read."""
    sessions = (
        TickerCalendar(exchange).sessions(dt.date(2010, 1, 1), dt.date(2024, 6, 28)).to_numpy("datetime64[D]")
    )
    begins = np.searchsorted(
        sessions, sessions[600:-1] + np.timedelta64(1, "D") - np.timedelta64(_TAIL.days, "D")
    )
    assert (np.arange(601, len(sessions)) - begins).min() >= TAIL_SESSIONS + 3
