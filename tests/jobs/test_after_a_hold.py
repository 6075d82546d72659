"""How a ticker that was held goes on: its rows released, its gaps closed, its source mended. None of its history may be lost by it.

A file of Parquet: what is plain in it is taken in whole, so all of this also says who may not be.
"""

import datetime as dt

import pytest

from forecast_lib.jobs import upkeep
from tests.jobs.evenings import SESSIONS, Evenings, after, day, prices, times, without

pytestmark = pytest.mark.parametrize("evenings", ["parquet"], indirect=True)

OPEN_GAPS = "SELECT session::VARCHAR FROM open_price_gaps WHERE ticker = '{}' ORDER BY 1"
CLEAN = prices()


def test_a_ticker_held_on_its_first_evening_gets_its_whole_history_after_the_releases(evenings: Evenings) -> None:
    """Four lows above their highs are more than three, and more than 1 % of 298 rows; and a close that halves, with no split to tell."""
    wrong = CLEAN.assign(Low=CLEAN["Low"].mask(CLEAN["Date"].isin(SESSIONS[-40:-36]), CLEAN["High"] * 1.01))
    files = {"REFUSED": wrong, "HALVED": times(CLEAN, 2.0, slice(None, -6)), "BOLT": prices(1)}
    assert evenings.ingest(-3, files) == {"HALVED": "unrecorded_split", "REFUSED": "too_many_refused"}
    lines = upkeep.quarantined(evenings.workspace, after(-3, 1))["quarantine_id"]
    for place, line in enumerate(lines):
        upkeep.release(evenings.workspace, line, "as the exchange has it", after(-3, 1 + place))
    assert [len(evenings.closes(ticker)) for ticker in ("REFUSED", "HALVED")] == [4, 1]
    assert evenings.ingest(-2, files) == {}
    assert all(evenings.has_all_of(ticker, rows, -2) for ticker, rows in files.items())
    assert evenings.rows("SELECT count(*) FROM open_price_gaps") == [(0,)]


# -- halts --------------------------------------------------------------------------------------------------------------------

HALT = slice(-22, -10)
HALTED = [day(place) for place in range(HALT.start, HALT.stop)]
"""Twelve sessions: missing in a row they are more than ten, so they hold the ticker."""

CLOSED = {"ALL": slice(0, 12), "ALLBUTONE": slice(0, 11), "TWO": slice(0, 2), "MIDDLE": slice(5, 6), "FIRST": slice(0, 1)}
"""By ticker, which of HALTED a person closes. What is left may be ten in a row, and 12 of 250 sessions (5 %): that is nothing, 1, 10, or
5 and 6; but 11 in a row are too many."""


def test_the_sessions_of_a_halt_are_open_gaps_at_once(evenings: Evenings) -> None:
    """NEW has no row stored before it was held, and the file of SHORT has none from before the halt any more. What came after it is
    stored of nobody."""
    rows, bolt = without(CLEAN, HALT), prices(1)
    assert evenings.ingest(HALT.start - 1, {"ACME": rows, "SHORT": rows, "BOLT": bolt}) == {}
    halted = {"ACME": rows, "SHORT": rows[rows["Date"] > SESSIONS[HALT.start]], "NEW": rows}
    for place in (-8, -7):
        assert evenings.ingest(place, {**halted, "BOLT": bolt}) == dict.fromkeys(halted, "gap")
    assert all(evenings.has_all_of(ticker, rows, HALT.start - 1) for ticker in ("ACME", "SHORT"))
    assert evenings.closes("NEW").empty
    assert all(evenings.rows(OPEN_GAPS.format(ticker)) == [(session,) for session in HALTED] for ticker in halted)
    assert evenings.rows("SELECT count(*) FROM price_gaps") == [(3 * 12,)], "each is found once"


def test_a_halted_ticker_goes_on_once_enough_of_its_gaps_are_closed(evenings: Evenings) -> None:
    rows = without(CLEAN, HALT)
    files = dict.fromkeys(CLOSED, rows)
    assert evenings.ingest(HALT.start - 1, files) == {}
    assert evenings.ingest(-8, files) == dict.fromkeys(CLOSED, "gap")
    for place, (ticker, closed) in enumerate(CLOSED.items()):
        first, last = (dt.date.fromisoformat(HALTED[closed][end]) for end in (0, -1))
        upkeep.close_gap(evenings.workspace, ticker, first, "trading was halted", after(-8, 1 + place), last=last)
    assert evenings.ingest(-7, files) == {"FIRST": "gap"}
    for ticker, closed in CLOSED.items():
        assert evenings.has_all_of(ticker, rows, HALT.start - 1 if ticker == "FIRST" else -7)
        assert evenings.rows(OPEN_GAPS.format(ticker)) == [(session,) for session in HALTED if session not in HALTED[closed]]


# -- blocks of another unit ---------------------------------------------------------------------------------------------------


def test_a_ticker_goes_on_on_the_evening_after_a_block_of_another_unit(evenings: Evenings) -> None:
    """Six closes a hundred times too high are more than three rows and more than 1 % of 296: yet they are one mistake."""
    block = slice(-11, -5)
    files = {"ACME": times(CLEAN, 100.0, block), "BOLT": prices(1)}
    assert evenings.ingest(block.start - 1, files) == {}
    assert evenings.ingest(block.stop - 1, files) == {"ACME": "unrecorded_split"}
    inside = [(day(place),) for place in range(block.start, block.stop)]
    for place in (block.stop, block.stop + 1):
        assert evenings.ingest(place, files) == {}
        assert evenings.has_all_of("ACME", without(CLEAN, block), place)
        assert evenings.rows("SELECT session::VARCHAR FROM quarantine WHERE rule = 'currency_block' ORDER BY 1") == inside
        assert evenings.rows(OPEN_GAPS.format("ACME")) == inside
