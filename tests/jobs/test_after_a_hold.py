"""What is wrong with a ticker costs a value, a row, or tonight's newest prices; it goes on by itself, and a
person may overrule.
"""

import datetime as dt

import pytest

from forecast_lib.jobs.ingest.known import _is_its_turn
from forecast_lib.jobs.upkeep import overrules
from tests.jobs.evenings import SESSIONS, Evenings, after, day, prices, times, without

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("evenings", ["parquet"], indirect=True)]

OPEN_GAPS = "SELECT session::VARCHAR FROM open_price_gaps WHERE ticker = '{}' ORDER BY 1"
CLEAN = prices()
IN_TURN, LATER = (
    [name for name in map("TURN{}".format, range(1000)) if _is_its_turn(name, evening) == turn][:3]
    for evening in [SESSIONS.to_numpy("M8[D]")[-3]]
    for turn in (True, False)
)
"""Tickers of which all is asked for once more after that session, and others."""


def test_a_ticker_with_flaws_is_stored_on_its_first_evening_and_releases_complete_it(
    evenings: Evenings,
) -> None:
    """Four lows above their highs cost the bars of four rows; four closes of nothing cost their rows."""
    flawed = CLEAN["Date"].isin(SESSIONS[-40:-36])
    files = {
        "LOWS": CLEAN.assign(Low=CLEAN["Low"].mask(flawed, CLEAN["High"] * 1.01)),
        "ZEROS": CLEAN.assign(Close=CLEAN["Close"].mask(flawed, 0.0)),
    }
    assert evenings.ingest(-3, files) == {}
    assert evenings.has_all_of("LOWS", CLEAN, -3)
    assert evenings.has_all_of("ZEROS", without(CLEAN, slice(-40, -36)), -3)
    assert evenings.rows("SELECT count(*) FROM current_prices WHERE low IS NULL") == [(4,)]
    lines = overrules.quarantined(evenings.workspace, after(-3, 1), ["LOWS"])["quarantine_id"]
    for place, line in enumerate(lines):
        overrules.release(evenings.workspace, line, "as the exchange has it", after(-3, 1 + place))
    assert evenings.rows("SELECT count(*) FROM current_prices WHERE low IS NULL") == [(0,)]
    assert evenings.ingest(-2, files) == {}
    assert evenings.rows("SELECT count(*) FROM current_prices WHERE low IS NULL") == [(0,)], (
        "what was released passes from then on"
    )


# --- halts

HALT = slice(-22, -10)
HALTED = [day(place) for place in range(HALT.start, HALT.stop)]


def test_a_ticker_goes_on_after_a_halt_and_its_sessions_are_open_gaps_until_a_person_closes_them(
    evenings: Evenings,
) -> None:
    """NEW has no row stored before the halt."""
    rows, bolt = without(CLEAN, HALT), prices(1)
    assert evenings.ingest(HALT.start - 1, {"ACME": rows, "BOLT": bolt}) == {}
    for place in (-8, -7):
        assert evenings.ingest(place, {"ACME": rows, "NEW": rows, "BOLT": bolt}) == {}
        assert all(evenings.has_all_of(ticker, rows, place) for ticker in ("ACME", "NEW"))
    assert all(
        evenings.rows(OPEN_GAPS.format(ticker)) == [(session,) for session in HALTED]
        for ticker in ("ACME", "NEW")
    )
    assert evenings.rows("SELECT count(*) FROM price_gaps") == [(2 * 12,)], "each is found once"
    first, last = (dt.date.fromisoformat(HALTED[end]) for end in (0, -1))
    overrules.close_gap(evenings.workspace, "ACME", first, "trading was halted", after(-7, 1), last=last)
    assert evenings.ingest(-6, {"ACME": rows, "NEW": rows, "BOLT": bolt}) == {}
    assert evenings.rows(OPEN_GAPS.format("ACME")) == []


def test_a_gap_of_long_ago_is_asked_for_again_and_what_lies_between_is_stored_once(
    evenings: Evenings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ingest reads the ends of the histories alone; the gap lies before them."""
    monkeypatch.setattr("forecast_lib.jobs.ingest.known.TAIL_SESSIONS", 30)
    monkeypatch.setattr("forecast_lib.jobs.ingest.known._TAIL", dt.timedelta(days=60))
    files = {"ACME": without(CLEAN, slice(-200, -199)), "BOLT": prices(1)}
    for place in (-4, -3):
        assert evenings.ingest(place, files) == {}
    assert evenings.ingest(-2, {"ACME": CLEAN, "BOLT": prices(1)}) == {}
    assert evenings.has_all_of("ACME", CLEAN, -2)
    assert evenings.rows(OPEN_GAPS.format("ACME")) == []
    assert evenings.rows("SELECT max(revision) FROM prices") == [(0,)]


# --- rows that wait


def test_prices_in_another_unit_wait_and_the_ticker_goes_on_after_them(evenings: Evenings) -> None:
    block = slice(-8, -5)
    files = {"ACME": times(CLEAN, 100.0, block), "BOLT": prices(1)}
    assert evenings.ingest(block.start - 1, files) == {}
    assert set(evenings.ingest(block.stop - 1, files)) == {"ACME"}
    inside = [(day(place),) for place in range(block.start, block.stop)]
    for place in (block.stop, block.stop + 1):
        assert evenings.ingest(place, files) == {}
        assert evenings.has_all_of("ACME", without(CLEAN, block), place)
        assert (
            evenings.rows("SELECT DISTINCT session::VARCHAR FROM quarantine WHERE ticker = 'ACME' ORDER BY 1")
            == inside
        )
        assert evenings.rows(OPEN_GAPS.format("ACME")) == inside


def test_a_bad_print_of_the_newest_session_waits_and_what_a_person_releases_is_believed(
    evenings: Evenings,
) -> None:
    """2.3 times as high from one session on, with an ordinary day's range: tonight's forecast starts from the
    session before.
    """
    files = {"ACME": times(CLEAN, 2.3, slice(-5, None)), "BOLT": prices(1)}
    assert evenings.ingest(-6, files) == {}
    assert set(evenings.ingest(-5, files)) == {"ACME"}
    assert evenings.has_all_of("ACME", CLEAN, -6)
    (line,) = overrules.quarantined(evenings.workspace, after(-5, 1))["quarantine_id"]
    overrules.release(evenings.workspace, line, "the exchange says so", after(-5, 2))
    assert evenings.closes("ACME").iloc[-1] == pytest.approx(2.3 * CLEAN["Close"].iloc[-5])
    assert "ACME" not in evenings.ingest(-4, files)
    assert evenings.has_all_of("ACME", files["ACME"], -4)


def test_a_real_fall_is_told_and_let_in_by_itself_within_three_sessions(evenings: Evenings) -> None:
    """Traded all the way down, with many times the usual volume, and wide days after it."""
    fall = -8
    rows = times(CLEAN, 0.55, slice(fall, None))
    on_the_day, after_it = rows["Date"] == SESSIONS[fall], rows["Date"].isin(SESSIONS[fall + 1 : fall + 4])
    top = float(CLEAN["Close"].iloc[fall - 1])
    fallen = rows.assign(
        Open=rows["Open"].mask(on_the_day, top),
        High=rows["High"].mask(on_the_day, top * 1.01).mask(after_it, rows["High"] * 1.04),
        Low=rows["Low"].mask(after_it, rows["Low"] * 0.96),
        Volume=rows["Volume"].mask(on_the_day, rows["Volume"] * 8).mask(after_it, rows["Volume"] * 4),
    )
    files = {"ACME": fallen, "BOLT": prices(1)}
    assert evenings.ingest(fall - 1, files) == {}
    assert set(evenings.ingest(fall, files)) <= {"ACME"}
    assert evenings.ingest(fall + 3, files) == {}
    assert evenings.has_all_of("ACME", fallen, fall + 3)
    newest = (
        "SELECT session::VARCHAR, arg_max(verdict, known_at) FROM price_verdicts WHERE ticker = 'ACME' GROUP"
        " BY 1 ORDER BY 1"
    )
    assert (day(fall), "real") in evenings.rows(newest)


def test_a_step_that_stays_waits_and_is_let_in_by_itself_within_three_sessions(evenings: Evenings) -> None:
    """Every price times 0.55 from one session on, at no ratio of a split, with the usual ranges and volume:
    nobody says what it was.
    """
    step = -9
    fallen = times(CLEAN, 0.55, slice(step, None))
    files = {"ACME": fallen, "BOLT": prices(1)}
    assert evenings.ingest(step - 1, files) == {}
    for later in range(3):
        assert set(evenings.ingest(step + later, files)) == {"ACME"}
        assert evenings.has_all_of("ACME", fallen, step - 1)
    for later in range(3, 6):
        assert evenings.ingest(step + later, files) == {}
        assert evenings.has_all_of("ACME", fallen, step + later)
    newest = (
        "SELECT session::VARCHAR, arg_max(verdict, known_at) FROM price_verdicts WHERE ticker = 'ACME' GROUP"
        " BY 1"
    )
    assert evenings.rows(newest) == [(day(step), "real")]
    assert evenings.rows("SELECT count(*) FROM corporate_actions WHERE ticker = 'ACME'") == [(0,)]
    assert evenings.rows(OPEN_GAPS.format("ACME")) == []


# --- a past on another scale


def test_a_whole_history_on_another_scale_is_not_taken_for_a_revision(evenings: Evenings) -> None:
    """Nor on the evening on which the whole past is asked for anyway."""
    factors = {
        name: factor
        for names in (IN_TURN, LATER)
        for name, factor in zip(names, (100.0, 1.2, 0.999), strict=True)
    }
    clean = dict.fromkeys(factors, CLEAN) | {"BOLT": prices(1)}
    rescaled = {ticker: times(CLEAN, factor, slice(None)) for ticker, factor in factors.items()}
    assert evenings.ingest(-3, clean) == {}
    assert evenings.ingest(-2, clean | rescaled) == dict.fromkeys(factors, "rescaled")
    assert all(evenings.has_all_of(ticker, CLEAN, -3) for ticker in factors)
    assert evenings.rows("SELECT max(revision) FROM prices") == [(0,)]
    counted = "SELECT ticker, severity, rows FROM quality_counts WHERE rule = 'rescaled' ORDER BY 1"
    assert evenings.rows(counted) == [(ticker, "hold_ticker", 1) for ticker in sorted(factors)]


def test_another_scale_that_a_universe_takes_is_counted_and_said_as_what_it_is(evenings: Evenings) -> None:
    assert evenings.ingest(-3, {"ACME": CLEAN}) == {}
    rescaled = {"ACME": times(CLEAN, 1.2, slice(None))}
    tonight = evenings.summary(-2, rescaled, rules="rescaled=warn")
    assert [row["flags"].partition(",")[0] for row in tonight.flags] == [
        "its whole past comes 1.2 times as high as it is stored"
    ]
    assert evenings.has_all_of("ACME", rescaled["ACME"], -2)
    assert evenings.rows("SELECT rule, severity FROM quality_counts") == [("rescaled", "warn")]


def test_a_dividend_above_the_price_is_refused_by_name(evenings: Evenings) -> None:
    paid = CLEAN.assign(Dividends=CLEAN["Dividends"].mask(CLEAN["Date"] == SESSIONS[-9], 1e5))
    assert evenings.ingest(-3, {"ACME": paid}) == {}
    assert evenings.rows("SELECT rule, session::VARCHAR FROM quarantine") == [
        ("dividend_above_price", day(-9))
    ]
    assert evenings.rows("SELECT count(*) FROM corporate_actions") == [(0,)]
    assert evenings.has_all_of("ACME", CLEAN, -3)
