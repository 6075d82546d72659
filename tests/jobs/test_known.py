"""What a run reads of the store before it asks a source."""

import datetime as dt

import numpy as np
import pytest

from forecast_lib.jobs.ingest.known import _TAIL, WHOLE_EVERY, Known
from forecast_lib.prices.checks import nothing_before
from forecast_lib.prices.screen import TAIL_SESSIONS
from forecast_lib.sessions import TickerCalendar
from forecast_lib.windows.histories import Histories


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


def _wholly_asked(ticker: str, newest: np.datetime64) -> bool:
    before = nothing_before([ticker])
    sessions = np.busday_offset(newest, np.arange(-99, 1))
    rows = Histories.ordered([ticker], np.zeros(100, np.int32), sessions, {"close": np.ones(100)})
    known = Known(rows, *(getattr(before, name) for name in ("actions", "released", "verdicts")))
    asked = known.asked([ticker])[ticker]
    assert asked in (None, sessions[-10].item())
    return asked is None


@pytest.mark.slow
def test_a_tickers_whole_past_is_asked_for_once_a_quarter_on_days_of_its_own():
    days = np.busday_offset("2024-01-02", np.arange(2 * WHOLE_EVERY))
    turns = {
        ticker: [at for at, day in enumerate(days) if _wholly_asked(ticker, day)]
        for ticker in ("ACME", "BOLT", "CORP", "DUST")
    }
    assert all(second - first == WHOLE_EVERY for first, second in turns.values())
    assert len({first for first, _ in turns.values()}) == 4
