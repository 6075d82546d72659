"""A source that quotes another unit from one day on, such as pence for pounds, and maybe goes back.

Expected values come from the made-up rows: prices before the change are brought to the new unit, by the
factor that was planted; volumes count shares and stay as they are.
"""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from forecast_lib.api.workspace import Workspace
from forecast_lib.jobs.record.settle import settle
from forecast_lib.jobs.upkeep import overrules
from tests.jobs.evenings import SESSIONS, WITHOUT_ACTIONS, Evenings, after, day, prices, times, with_action
from tests.made_up import forecast_row

pytestmark = pytest.mark.slow

CHANGE = -22
DECIDED = CHANGE + 3
"""The third session after the first in the new unit."""

CLEAN = prices()
STORED = "SELECT kind, value, source FROM corporate_actions WHERE ticker = 'ACME' ORDER BY known_at, value"
JUDGED = "SELECT verdict, round((evidence ->> '$.ratio')::DOUBLE, 6) FROM price_verdicts ORDER BY known_at"


def unlike(evenings: Evenings, expected: pd.DataFrame, until: int, ticker: str = "ACME") -> list[str]:
    """Columns of the published series of a ticker that are not the expected rows."""
    found = Workspace(evenings.workspace).series(ticker)
    rows = expected[expected["Date"] <= SESSIONS[until]]
    pairs = {"y": "Close", "open": "Open", "high": "High", "low": "Low", "volume": "Volume"}
    assert found["ds"].tolist() == rows["Date"].tolist()
    return [mine for mine, theirs in pairs.items() if not np.allclose(found[mine], rows[theirs], rtol=1e-6)]


def test_a_unit_that_stays_rescales_prices_and_no_volume_on_the_third_evening_after_it(
    evenings: Evenings,
) -> None:
    """Three tickers, each by a factor of its own."""
    factors = {"ACME": 100.0, "BOLT": 0.01, "CORE": 1000.0}
    clean = {ticker: prices(seed) for seed, ticker in enumerate(factors)}
    files = {ticker: times(rows, factors[ticker], slice(CHANGE, None)) for ticker, rows in clean.items()}
    assert evenings.ingest(CHANGE - 1, files) == {}
    for place in range(CHANGE, DECIDED):
        assert evenings.ingest(place, files) == dict.fromkeys(factors, "unit")
        assert [unlike(evenings, rows, CHANGE - 1, ticker) for ticker, rows in clean.items()] == [[]] * 3
    told = evenings.summary(DECIDED, files)
    assert not told.degraded
    flags = {flag["ticker"]: flag["flags"] for flag in told.flags}
    decided = "SELECT kind, value, source FROM corporate_actions WHERE ticker = '{}'"
    adjusted = "SELECT DISTINCT split_factor, unit_factor FROM adjusted_prices WHERE ticker = '{}'"
    for ticker, factor in factors.items():
        assert flags[ticker].endswith(f"taken as another unit, {factor:g} times, from then on")
        rescaled = times(clean[ticker], factor, slice(None))
        assert unlike(evenings, rescaled, DECIDED, ticker) == []
        assert evenings.rows(decided.format(ticker)) == [("unit", pytest.approx(1 / factor), "inferred")]
        found = evenings.rows(f"{adjusted.format(ticker)} AND session < '{day(CHANGE)}'")
        assert found == [(1.0, pytest.approx(1 / factor))]
    assert evenings.ingest(DECIDED + 1, files) == {}
    assert evenings.rows("SELECT count(*) FROM corporate_actions") == [(3,)]


def test_the_way_back_to_the_first_unit_is_believed_the_same_evening(evenings: Evenings) -> None:
    back = CHANGE + 8
    files = {"ACME": times(CLEAN, 100.0, slice(CHANGE, back))}
    assert evenings.ingest(DECIDED, files) == {}
    for place in (back, back + 1):
        assert evenings.ingest(place, files) == {}
        assert unlike(evenings, CLEAN, place) == []
    assert evenings.rows(STORED) == [("unit", 0.01, "inferred"), ("unit", 100.0, "inferred")]


def test_a_change_that_the_source_mends_is_taken_back_and_a_past_evening_still_has_it(
    evenings: Evenings,
) -> None:
    """On each evening again, what was known then: before the decision, after it, and after the mending."""
    pence = {"ACME": times(CLEAN, 100.0, slice(CHANGE, None))}
    mended = DECIDED + 6
    nights = {CHANGE + 1: pence, DECIDED: pence, mended: {"ACME": CLEAN}, mended + 1: {"ACME": CLEAN}}
    for place, files in nights.items():
        evenings.ingest(place, files)
    assert unlike(evenings, CLEAN, mended + 1) == []
    assert evenings.rows(STORED) == [("unit", 0.01, "inferred"), ("unit", 1.0, "inferred")]
    assert evenings.rows(JUDGED)[-2:] == [("unit", 0.01), ("real", 1.0)]
    for place, last, factor in (
        (CHANGE + 1, CHANGE - 1, 1.0),
        (DECIDED, DECIDED, 100.0),
        (mended, mended, 1.0),
    ):
        series = evenings.past(place, pence).series["ACME"]
        expected = CLEAN[CLEAN["Date"] <= SESSIONS[last]]
        assert series.sessions[-1] == np.datetime64(day(last))
        assert series.close == pytest.approx(expected["Close"].to_numpy() * factor)
        assert series.volume == pytest.approx(expected["Volume"].to_numpy())


def test_a_forecast_is_settled_in_the_unit_that_it_was_made_in(evenings: Evenings) -> None:
    """Made in pounds before the change, and in pence after it; settled in pence, and once more when the
    source has gone back to pounds.
    """
    pence = {"ACME": times(CLEAN, 100.0, slice(CHANGE, None))}
    close = CLEAN.set_index("Date")["Close"]
    made = pd.DataFrame(
        {
            **forecast_row(1, day(CHANGE + 4)), "ticker": "ACME", "cutoff": pd.Timestamp(day(cutoff)),
            "target_session": pd.Timestamp(day(CHANGE + 4)), "last_close": close[SESSIONS[cutoff]] * unit,
        }
        for cutoff, unit in ((CHANGE - 1, 1.0), (DECIDED, 100.0))
    )  # fmt: skip
    for place, files in ((CHANGE + 4, pence), (CHANGE + 5, {"ACME": CLEAN})):
        evenings.ingest(place, files)
        series = evenings.past(place, files).series
        outcomes = settle(made, series, dt.datetime(2024, 6, 1, tzinfo=dt.UTC), "run-2")
        assert outcomes["actual"].tolist() == pytest.approx(
            [close.iloc[CHANGE + 4], 100 * close.iloc[CHANGE + 4]]
        )


def test_a_source_that_brings_its_past_to_the_new_unit_is_believed_at_once(evenings: Evenings) -> None:
    evenings.ingest(DECIDED, {"ACME": times(CLEAN, 100.0, slice(CHANGE, None))})
    told = evenings.summary(DECIDED + 1, {"ACME": times(CLEAN, 100.0, slice(None))})
    assert not told.degraded
    (flags,) = told.flags
    assert flags["flags"] == f"the source has brought its past to the unit that it quotes since {day(CHANGE)}"
    assert unlike(evenings, times(CLEAN, 100.0, slice(None)), DECIDED + 1) == []


def test_a_whole_past_in_another_unit_waits_for_four_sessions(evenings: Evenings) -> None:
    pence = {"ACME": times(CLEAN, 100.0, slice(None))}
    evenings.ingest(CHANGE - 1, {"ACME": CLEAN})
    assert [evenings.ingest(place, pence) for place in (CHANGE, DECIDED - 1)] == [{"ACME": "rescaled"}] * 2
    assert evenings.ingest(DECIDED, pence) == {}
    assert unlike(evenings, pence["ACME"], DECIDED) == []


def test_a_person_may_say_that_no_unit_has_changed(evenings: Evenings) -> None:
    pence = {"ACME": times(CLEAN, 100.0, slice(CHANGE, None))}
    evenings.ingest(DECIDED, pence)
    change = SESSIONS[CHANGE].date()
    overrules.release_move(evenings.workspace, "ACME", change, "it rose", after(DECIDED, 1))
    assert evenings.ingest(DECIDED + 1, pence) == {}
    assert unlike(evenings, pence["ACME"], DECIDED + 1) == []


# --- what was inferred gives way


def test_a_listed_split_takes_the_place_of_the_inferred_one_whatever_else_is_odd(evenings: Evenings) -> None:
    """A rise by 9 % in the half year before is looked at again each night."""
    traded = times(times(CLEAN, 1.09, slice(-60, None)), 4.0, slice(None, CHANGE))
    for place in (CHANGE - 1, CHANGE + 3):
        evenings.ingest(place, {"ACME": traded})
    listed = with_action(traded, "Stock Splits", 4.0, CHANGE)
    assert evenings.ingest(CHANGE + 4, {"ACME": listed, "BOLT": prices(1)}) == {}
    assert evenings.rows(STORED) == [("split", 4.0, "inferred"), ("split", 4.0, "files")]


@pytest.mark.parametrize("fall", [CHANGE, -60])
def test_an_inferred_split_is_taken_back_when_the_source_divides_its_past(
    evenings: Evenings, monkeypatch: pytest.MonkeyPatch, fall: int
) -> None:
    """Soon after it and long after it, when the whole past is read again."""
    monkeypatch.setattr("forecast_lib.jobs.ingest.known.WHOLE_EVERY", 1)
    traded = times(CLEAN, 4.0, slice(None, fall))[WITHOUT_ACTIONS]
    for place in (fall + 3, -11):
        assert evenings.ingest(place, {"ACME": traded}) == {}
    assert evenings.ingest(-10, {"ACME": CLEAN[WITHOUT_ACTIONS]}) == {}
    assert evenings.rows(STORED) == [("split", 4.0, "inferred"), ("split", 1.0, "inferred")]
    closes = CLEAN[CLEAN["Date"] <= SESSIONS[-10]]["Close"]
    adjusted = evenings.rows("SELECT split_adjusted_close FROM adjusted_prices ORDER BY session")
    assert [close for (close,) in adjusted] == pytest.approx(closes.tolist())


def test_a_past_that_is_not_believed_takes_nothing_back(evenings: Evenings) -> None:
    """From one evening to the next all but the last price come 1.2 times as high, and with them no split."""
    traded = times(CLEAN, 4.0, slice(None, CHANGE))[WITHOUT_ACTIONS]
    evenings.ingest(CHANGE + 3, {"ACME": traded})
    before = evenings.rows("SELECT session, split_adjusted_close FROM adjusted_prices ORDER BY 1")
    other = times(CLEAN, 4.8, slice(None))[WITHOUT_ACTIONS]
    assert evenings.ingest(CHANGE + 4, {"ACME": other}) == {"ACME": "rescaled"}
    assert evenings.rows("SELECT session, split_adjusted_close FROM adjusted_prices ORDER BY 1") == before
    assert evenings.rows(STORED) == [("split", 4.0, "inferred")]


def test_a_row_that_the_source_corrects_counts_again(evenings: Evenings) -> None:
    """A bad print of one evening; on the next the file has the right price, and nothing else is odd."""
    wrong = times(CLEAN, 2.3, slice(-5, -4))
    assert evenings.ingest(-6, {"ACME": wrong}) == {}
    assert evenings.ingest(-5, {"ACME": wrong}) == {"ACME": "bad_print"}
    assert evenings.ingest(-4, {"ACME": CLEAN}) == {}
    assert unlike(evenings, CLEAN, -4) == []


def test_an_evening_without_an_answer_changes_no_verdict(evenings: Evenings) -> None:
    wrong = {"ACME": times(CLEAN, 2.3, slice(-5, -4)), "BOLT": prices(1)}
    evenings.ingest(-6, wrong)
    evenings.ingest(-5, wrong)
    assert "ACME" in evenings.ingest(-4, {"BOLT": prices(1)}, also=("ACME",))
    assert evenings.rows(JUDGED) == [("bad_print", 1.0)]
