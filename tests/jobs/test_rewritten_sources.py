"""What a source says tonight is not what it said before: prices on another share basis, actions added, moved,
taken back, said twice.

Each ticker is a case of its own. Expected values come from the made-up rows themselves: what is stored is
what the newest file says, as it was traded; a split of 4 leaves a quarter of the closes before it, a dividend
d leaves 1 - d / p, where p is the close before it.
"""

import datetime as dt

import pandas as pd
import pytest

from forecast_lib.prices.sources.files import FilesSource
from tests.jobs.evenings import SESSIONS, WITHOUT_ACTIONS, Evenings, after, day, prices, times, with_action

pytestmark = pytest.mark.slow

ACTION = -6
"""Place among SESSIONS of what a source has second thoughts about: within the ten last stored sessions, which
are asked for again.
"""

CLEAN = prices()


def with_split(rows: pd.DataFrame, place: int = ACTION) -> pd.DataFrame:
    """A split of 4 beside prices as they are: a split-adjusted file."""
    return with_action(rows, "Stock Splits", 4.0, place)


def with_dividend(rows: pd.DataFrame, place: int = ACTION) -> pd.DataFrame:
    return with_action(rows, "Dividends", 2.0, place)


def left(place: int = ACTION) -> float:
    """What the dividend leaves."""
    return 1 - 2.0 / float(CLEAN["Close"].iloc[place - 1])


def counted(evenings: Evenings, table: str = "adjusted_prices") -> dict[str, float]:
    """By ticker, what its actions leave of the first close: total return close by traded close."""
    return dict(
        evenings.rows(
            f"SELECT ticker, round(arg_min(total_return_close / close, session), 9) FROM {table} GROUP BY 1"
        )
    )


# --- actions that are taken back, moved, and come again


def test_an_action_that_is_taken_back_counts_no_more_and_still_did_then(
    evenings: Evenings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole history is asked for (from None on) on the evening of the change, and not on the next."""
    asked: list[dt.date | None] = []
    fetch = FilesSource.fetch
    monkeypatch.setattr(
        FilesSource, "fetch", lambda *question: asked.extend(question[1].values()) or fetch(*question)
    )
    listed = {"SPLIT": with_split(CLEAN), "PAID": with_dividend(CLEAN), "MOVED": with_dividend(CLEAN)}
    without = {"SPLIT": CLEAN, "PAID": CLEAN, "MOVED": with_dividend(CLEAN, ACTION + 1)}
    as_listed = pytest.approx({"SPLIT": 0.25, "PAID": left(), "MOVED": left()})
    as_without = pytest.approx({"SPLIT": 1.0, "PAID": 1.0, "MOVED": left(ACTION + 1)})
    told = (
        "SELECT ticker, session::VARCHAR, list(value ORDER BY known_at) FROM corporate_actions GROUP BY 1, 2"
        " ORDER BY 1, 2"
    )

    assert evenings.ingest(ACTION - 3, dict.fromkeys(listed, CLEAN)) == {}
    assert evenings.ingest(ACTION + 1, listed) == {}
    assert counted(evenings) == as_listed
    for place, is_new in ((ACTION + 2, True), (ACTION + 3, False)):
        asked.clear()
        assert evenings.ingest(place, without) == {}
        assert counted(evenings) == as_without
        assert (None in asked) == is_new
    assert counted(evenings, f"adjusted_prices_as_of(TIMESTAMP '{after(ACTION + 1):%F %T}')") == as_listed
    assert all(evenings.has_all_of(ticker, CLEAN, ACTION + 3) for ticker in listed)
    assert evenings.rows(told) == [
        ("MOVED", day(ACTION), [2.0, 0.0]), ("MOVED", day(ACTION + 1), [2.0]),
        ("PAID", day(ACTION), [2.0, 0.0]),
        ("SPLIT", day(ACTION), [4.0, 1.0]),
    ]  # fmt: skip
    assert evenings.ingest(ACTION + 4, listed) == {}
    assert counted(evenings) == as_listed
    assert evenings.rows(told)[-1] == ("SPLIT", day(ACTION), [4.0, 1.0, 4.0])


def test_an_action_that_a_file_adds_or_takes_back_long_after_its_session_counts(evenings: Evenings) -> None:
    """Forty sessions before: far from those that are asked for again. A fall by a third that no split
    explains is taken for one.
    """
    long_ago = -40
    traded = times(CLEAN, 1.5, slice(None, long_ago))
    paid, late = with_dividend(CLEAN, long_ago), with_action(traded, "Stock Splits", 1.5, long_ago)
    assert evenings.ingest(-4, {"SPLIT": traded, "PAID": paid, "LATE": CLEAN}) == {}
    assert counted(evenings) == pytest.approx({"SPLIT": 1 / 1.5, "PAID": left(long_ago), "LATE": 1.0})
    assert evenings.rows("SELECT source FROM corporate_actions WHERE kind = 'split'") == [("inferred",)]
    for place in (-3, -2):
        assert evenings.ingest(place, {"SPLIT": late, "PAID": CLEAN, "LATE": paid}) == {}
        assert counted(evenings) == pytest.approx({"SPLIT": 1 / 1.5, "PAID": 1.0, "LATE": left(long_ago)})
    assert evenings.rows("SELECT count(*) FROM corporate_actions") == [(5,)], (
        "the inferred split, and the one that the file lists"
    )
    assert evenings.has_all_of("SPLIT", traded, -2)


def test_a_file_that_lists_no_actions_takes_none_back(evenings: Evenings) -> None:
    """Prices as traded, the same with and without the columns of actions."""
    traded = times(with_dividend(with_split(CLEAN), ACTION - 1), 4.0, slice(None, ACTION))
    assert evenings.ingest(ACTION + 1, {"ACME": traded}) == {}
    assert evenings.ingest(ACTION + 2, {"ACME": traded[WITHOUT_ACTIONS]}) == {}
    told = "SELECT kind, value FROM corporate_actions ORDER BY ALL"
    assert evenings.rows(told) == [("dividend", 2.0), ("split", 4.0)]


# --- actions that are said twice

SAID_TWICE = {
    "PAIDS": ("Dividends", 0.5, 0.25), "SPUN": ("Stock Splits", 1.046, 1.011),
    "SPLITS": ("Stock Splits", 4.0, 2.0),
    "PAID": ("Dividends", 0.5, 0.5), "SPLIT": ("Stock Splits", 4.0, 4.0),
}  # fmt: skip


def test_of_two_values_for_one_session_neither_is_believed_and_of_the_same_one(evenings: Evenings) -> None:
    """Both lines have the same prices, so only the action is in doubt; nobody is held."""
    files = {"BOLT": prices(1)}
    for ticker, (column, *values) in SAID_TWICE.items():
        first, second = (with_action(CLEAN, column, value, ACTION) for value in values)
        files[ticker] = pd.concat([first, second[second["Date"] == SESSIONS[ACTION]]], ignore_index=True)
    assert evenings.ingest(ACTION + 1, files) == {}
    refused = (
        "SELECT ticker, session::VARCHAR, (row::JSON ->> 'value')::DOUBLE FROM quarantine WHERE rule ="
        " 'bad_action' ORDER BY ALL"
    )
    both_values = {ticker: values for ticker, (_, *values) in SAID_TWICE.items() if values[0] != values[1]}
    assert evenings.rows(refused) == sorted(
        (ticker, day(ACTION), value) for ticker, values in both_values.items() for value in values
    )
    assert evenings.rows("SELECT ticker, value FROM corporate_actions ORDER BY 1") == [
        ("PAID", 0.5),
        ("SPLIT", 4.0),
    ]
    expected = dict.fromkeys(SAID_TWICE, CLEAN) | {
        "BOLT": prices(1),
        "SPLIT": times(CLEAN, 4.0, slice(None, ACTION)),
    }
    assert all(evenings.has_all_of(ticker, rows, ACTION + 1) for ticker, rows in expected.items())


# --- prices on another share basis


def test_a_file_without_splits_that_is_divided_anew_is_read_again_as_a_whole(evenings: Evenings) -> None:
    """The last ten sessions alone would seem to fall to a quarter beside what is stored before them."""
    rows = CLEAN[WITHOUT_ACTIONS]
    divided = times(rows, 0.25, slice(None))
    assert evenings.ingest(-3, {"ACME": rows}) == {}
    assert evenings.ingest(-2, {"ACME": divided}) == {}
    assert evenings.has_all_of("ACME", divided, -2)
    assert evenings.rows("SELECT revision, count(*) FROM prices GROUP BY 1 ORDER BY 1") == [
        (0, 299),
        (1, 298),
    ]
    assert evenings.rows("SELECT count(*) FROM quarantined_prices") == [(0,)]


def test_a_split_that_no_source_lists_is_inferred_the_same_evening_and_gives_way_to_the_sources_own(
    evenings: Evenings,
) -> None:
    """The close falls to a quarter, and for two weeks and more the file does not say why. Then it lists the
    split, beside prices as they were traded, or divided by it; on its own day, or on the one before.
    """
    fall = -18
    traded = times(CLEAN, 4.0, slice(None, fall))
    mended = {"TRADED": with_split(traded, fall), "DIVIDED": with_split(CLEAN, fall)}
    silent = dict.fromkeys(mended, traded)
    split = (
        f"SELECT ticker, value, source FROM corporate_actions WHERE session = '{day(fall)}' ORDER BY ticker,"
        " known_at"
    )
    assert evenings.ingest(fall - 1, silent) == {}
    for place in (fall + 3, fall + 12):
        assert evenings.ingest(place, silent) == {}
        assert all(evenings.has_all_of(ticker, traded, place) for ticker in silent)
        assert counted(evenings) == pytest.approx(dict.fromkeys(mended, 0.25), rel=1e-3)
    assert evenings.rows(split) == [("DIVIDED", 4.0, "inferred"), ("TRADED", 4.0, "inferred")]
    assert evenings.ingest(fall + 13, mended) == {}
    assert all(evenings.has_all_of(ticker, traded, fall + 13) for ticker in mended)
    assert counted(evenings) == pytest.approx(dict.fromkeys(mended, 0.25))
    assert evenings.rows("SELECT DISTINCT verdict FROM price_verdicts") == [("split",)]


# --- splits that the prices do not tell


def test_what_is_taken_for_granted_about_a_small_split_is_counted_or_holds_as_the_universe_says(
    evenings: Evenings,
) -> None:
    """The file of SPUN is taken for split-adjusted, so it was 1.046 times as high before. 5:4 shows in the
    prices: nothing is assumed.
    """
    files = {
        name: with_action(CLEAN, "Stock Splits", ratio, -60)
        for name, ratio in (("SPUN", 1.046), ("CLEAR", 1.25))
    }
    assert evenings.ingest(-3, files, rules="assumed_split_basis=hold_ticker") == {
        "SPUN": "assumed_split_basis"
    }
    assert evenings.closes("SPUN").empty
    assert evenings.ingest(-2, files) == {}
    assert evenings.has_all_of("SPUN", times(CLEAN, 1.046, slice(None, -60)), -2)
    assert evenings.has_all_of("CLEAR", times(CLEAN, 1.25, slice(None, -60)), -2)
    found = "SELECT ticker, severity, rows FROM quality_counts WHERE rule = 'assumed_split_basis' ORDER BY 2"
    assert evenings.rows(found) == [("SPUN", "hold_ticker", 1), ("SPUN", "warn", 1)]


def test_a_currency_that_was_first_named_wrongly_holds_for_two_weeks_and_no_longer(
    evenings: Evenings,
) -> None:
    wrong, right = (CLEAN.assign(Currency=code) for code in ("GBp", "GBP"))
    assert evenings.ingest(-21, {"ACME": wrong}) == {}
    assert evenings.ingest(-20, {"ACME": right}) == {"ACME": "currency_changed"}
    assert evenings.ingest(-12, {"ACME": right}) == {"ACME": "currency_changed"}
    believed = evenings.summary(-11, {"ACME": right})
    assert not believed.degraded
    assert [row["flags"] for row in believed.flags] == [
        "the currency came as GBP, stored rows have GBp, for two weeks already"
    ]
    stored = "SELECT currency, count(*) FROM prices_as_of(TIMESTAMP '2030-01-01') GROUP BY 1"
    assert evenings.rows(stored) == [("GBP", len(SESSIONS) - 10)]
    assert evenings.ingest(-10, {"ACME": right}) == {}
