"""New and changed rows are found against the newest revision; nothing stored is ever changed."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from forecast_lib.store.working import database, reads
from forecast_lib.store.working.revisions import diff_actions, diff_prices
from tests.store.nights import as_of, day, night, now, prices, stamp

pytestmark = pytest.mark.slow

BASE = prices(0, ("AAA",))


@pytest.fixture
def con(workspace: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with database.open_working(workspace, now(2)) as con:
        yield con


def test_an_unknown_session_or_ticker_is_revision_zero_known_now(con: duckdb.DuckDBPyConnection) -> None:
    new = diff_prices(con, pd.concat([prices(2, ("AAA",)), prices(0, ("CCC",))]), as_of(2))
    assert list(zip(new["ticker"], new["revision"], strict=True)) == [("AAA", 0), ("CCC", 0)]
    assert (new["known_at"] == stamp(now(2))).all()


def test_what_is_stored_already_is_not_found_again(con: duckdb.DuckDBPyConnection) -> None:
    assert diff_prices(con, pd.concat([BASE, prices(1, ("AAA", "BBB"))]), as_of(2)).empty


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("open", 98.5),
        ("high", 110.0),
        ("low", np.nan),
        ("close", 100.1),
        ("volume", 0.0),
        ("currency", "EUR"),
        ("currency", None),
    ],
)
def test_a_changed_value_is_the_next_revision(
    con: duckdb.DuckDBPyConnection, column: str, value: object
) -> None:
    changed = diff_prices(con, BASE.assign(**{column: value}), as_of(2))
    assert changed["revision"].tolist() == [1]
    assert changed[column].tolist() == [value] or pd.isna(changed[column]).all()


def test_rounding_and_a_new_adjusted_close_are_no_change(con: duckdb.DuckDBPyConnection) -> None:
    assert diff_prices(con, BASE.assign(close=100.0 * (1 + 9e-7), adj_close=50.0), as_of(2)).empty
    assert len(diff_prices(con, BASE.assign(close=100.0 * (1 + 2e-6)), as_of(2))) == 1


def test_a_missing_value_equals_a_missing_value(con: duckdb.DuckDBPyConnection) -> None:
    bare = prices(2, ("AAA",)).assign(open=np.nan, volume=np.nan, currency=None)
    frames = night(2)
    frames["prices"] = diff_prices(con, bare, as_of(2)).assign(run_id="run-2")
    database.record_run(con, frames)
    assert diff_prices(con, bare, as_of(3)).empty


def test_corrections_pile_up_and_the_past_stays(con: duckdb.DuckDBPyConnection) -> None:
    """100, then 90, then 100 again: three revisions, each with its own time."""
    for number, close in ((2, 90.0), (3, 100.0)):
        frames = night(number)
        frames["prices"] = diff_prices(con, BASE.assign(close=close), as_of(number)).assign(
            run_id=f"run-{number}"
        )
        database.record_run(con, frames)
    stored = reads.read_table(con, "prices").query("ticker == 'AAA' and session == @BASE.session[0]")
    assert stored[["revision", "close", "run_id"]].values.tolist() == [
        [0, 100.0, "run-0"],
        [1, 90.0, "run-2"],
        [2, 100.0, "run-3"],
    ]
    assert con.execute(
        "SELECT close FROM current_prices WHERE ticker = 'AAA' AND session = ?", [day(0)]
    ).fetchall() == [(100.0,)]
    seen = con.execute(
        "SELECT close FROM prices_as_of(?) WHERE ticker = 'AAA' AND session = ?",
        [now(2).replace(tzinfo=None), day(0)],
    )
    assert seen.fetchall() == [(90.0,)]


def test_an_empty_reply_changes_nothing(con: duckdb.DuckDBPyConnection) -> None:
    assert diff_prices(con, BASE.head(0), as_of(2)).empty


def actions(value: float) -> pd.DataFrame:
    return pd.DataFrame(
        {"ticker": ["AAA"], "session": [stamp(day(0))], "kind": ["split"], "value": [value], "source": [None]}
    )


def test_an_action_is_new_once_and_again_when_its_value_changes_back(con: duckdb.DuckDBPyConnection) -> None:
    for number, value in ((2, 2.0), (3, 4.0), (4, 2.0)):
        found = diff_actions(con, actions(value), as_of(number))
        assert found["value"].tolist() == [value]
        database.record_run(con, night(number) | {"corporate_actions": found.assign(run_id=f"run-{number}")})
        assert diff_actions(con, actions(value * (1 + 5e-7)), as_of(number)).empty
    assert reads.read_actions(con, ["AAA"], as_of(4))["value"].tolist() == [2.0]
    assert reads.read_actions(con, ["AAA"], as_of(3))["value"].tolist() == [4.0]
