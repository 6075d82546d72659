"""The closes of the published views: as traded, split-adjusted, total return."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from forecast_lib.store.working import database
from forecast_lib.windows.histories import shares_since
from tests.prices.one_ticker import split_adjusted
from tests.store.nights import now

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the development price data are not on this machine"
)


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with database.open_working(tmp_path / "workspace", now(0)) as con:
        yield con


def price(
    con: duckdb.DuckDBPyConnection, session: str, close: float, known: str = "2024-01-10", revision: int = 0
) -> None:
    con.execute(
        "INSERT INTO prices VALUES ('ACME', $day, NULL, NULL, NULL, $close, NULL, NULL, 'USD', 'files',"
        " $revision, $known, 'r')",
        {"day": session, "close": close, "revision": revision, "known": known},
    )


def action(
    con: duckdb.DuckDBPyConnection, session: str, kind: str, value: float, known: str = "2024-01-10"
) -> None:
    row = {"day": session, "kind": kind, "value": value, "known": known}
    con.execute(
        "INSERT INTO corporate_actions VALUES ('ACME', $day, $kind, $value, $known, 'r', 'files')", row
    )


def closes(con: duckdb.DuckDBPyConnection, of: str = "adjusted_prices") -> list[tuple]:
    sql = (
        f"SELECT close, round(split_adjusted_close, 6), round(total_return_close, 6) FROM {of} ORDER BY"
        " session"
    )
    return con.execute(sql).fetchall()


def test_the_three_closes_differ_as_splits_and_dividends_come(con: duckdb.DuckDBPyConnection) -> None:
    """By hand: the last day counts as is; before 5 January 1 - 1/50 = 0.98; the 2:1 split halves; before 3
    January 1 - 2/100 again.
    """
    for day, close in enumerate((100.0, 98.0, 50.0, 49.0), start=2):
        price(con, f"2024-01-0{day}", close)
    action(con, "2024-01-03", "dividend", 2.0)
    action(con, "2024-01-04", "split", 2.0)
    action(con, "2024-01-05", "dividend", 1.0)
    assert closes(con) == [(100.0, 50.0, 48.02), (98.0, 49.0, 48.02), (50.0, 50.0, 49.0), (49.0, 49.0, 49.0)]


def test_a_change_of_unit_divides_the_prices_before_it_beside_splits(con: duckdb.DuckDBPyConnection) -> None:
    """By hand: 100 pounds; two for one on 3 January, from 4 January on in pence; 50 pence are paid on the
    5th, of 5,000 the day before: 1 % less before.
    """
    for day, close in enumerate((100.0, 50.0, 5000.0, 5000.0), start=2):
        price(con, f"2024-01-0{day}", close)
    action(con, "2024-01-03", "split", 2.0)
    action(con, "2024-01-04", "unit", 0.01)
    action(con, "2024-01-05", "dividend", 50.0)
    assert [row[1:] for row in closes(con)] == [(5000.0, 4950.0)] * 3 + [(5000.0, 5000.0)]
    factors = "SELECT split_factor, unit_factor FROM adjusted_prices ORDER BY session"
    assert con.execute(factors).fetchall() == [(2.0, 0.01), (1.0, 0.01), (1.0, 1.0), (1.0, 1.0)]


def test_a_spin_off_ratio_is_a_split_like_any_other(con: duckdb.DuckDBPyConnection) -> None:
    """IBM's 1.046 of November 2021: 104.60 before is 100.00 after."""
    price(con, "2021-11-03", 104.6)
    price(con, "2021-11-04", 100.0)
    action(con, "2021-11-04", "split", 1.046)
    assert closes(con) == [(104.6, 100.0, 100.0), (100.0, 100.0, 100.0)]


def test_rows_that_the_newest_verdict_sets_aside_are_left_out_from_when_it_was_known(
    con: duckdb.DuckDBPyConnection,
) -> None:
    for session, close in (("2024-01-02", 100.0), ("2024-01-03", 1.0), ("2024-01-04", 101.0)):
        price(con, session, close)
    verdicts = (
        "INSERT INTO price_verdicts VALUES ('ACME', '2024-01-03', $verdict, $evidence, $known, 'r', 'files')"
    )
    con.execute(
        verdicts, {"verdict": "bad_print", "evidence": '{"rows": ["2024-01-03"]}', "known": "2024-01-11"}
    )
    assert [close for close, *_ in closes(con)] == [100.0, 101.0]
    assert [close for close, *_ in closes(con, "adjusted_prices_as_of(TIMESTAMP '2024-01-10 12:00:00')")] == [
        100.0,
        1.0,
        101.0,
    ]
    con.execute(
        verdicts, {"verdict": "real", "evidence": '{"by": "person", "rows": []}', "known": "2024-01-12"}
    )
    con.execute(verdicts, {"verdict": "real", "evidence": "{}", "known": "2024-01-13"})
    assert [close for close, *_ in closes(con)] == [100.0, 1.0, 101.0]


def test_only_actions_and_prices_known_then_count(con: duckdb.DuckDBPyConnection) -> None:
    price(con, "2024-01-02", 100.0)
    price(con, "2024-01-03", 25.0)
    price(con, "2024-01-02", 104.0, known="2024-01-20", revision=1)
    action(con, "2024-01-03", "split", 2.0)
    action(con, "2024-01-03", "split", 4.0, known="2024-01-20")
    assert closes(con, "adjusted_prices_as_of(TIMESTAMP '2024-01-15')") == [
        (100.0, 50.0, 50.0),
        (25.0, 25.0, 25.0),
    ]
    assert closes(con) == [(104.0, 26.0, 26.0), (25.0, 25.0, 25.0)]


def test_dividends_before_the_first_and_after_the_last_price_change_nothing(
    con: duckdb.DuckDBPyConnection,
) -> None:
    price(con, "2024-01-03", 100.0)
    price(con, "2024-01-04", 90.0)
    action(con, "2024-01-03", "dividend", 5.0)
    action(con, "2024-01-05", "dividend", 5.0)
    assert closes(con) == [(100.0, 100.0, 100.0), (90.0, 90.0, 90.0)]


def test_a_dividend_as_large_as_the_close_leaves_no_total_return(con: duckdb.DuckDBPyConnection) -> None:
    price(con, "2024-01-03", 100.0)
    price(con, "2024-01-04", 90.0)
    action(con, "2024-01-04", "dividend", 100.0)
    assert closes(con) == [(100.0, 100.0, None), (90.0, 90.0, 90.0)]


def total_return(rows: pd.DataFrame, actions: pd.DataFrame) -> np.ndarray:
    """From its definition (CRSP's and Yahoo's): the split-adjusted close, times 1 - d / p for each later
    dividend d and the close p before it, both on the newest share basis.
    """
    sessions = rows["session"].to_numpy("datetime64[D]")
    splits = actions[actions["kind"] == "split"].sort_values("session")
    of = splits["session"].to_numpy("datetime64[D]"), splits["value"].to_numpy()
    adjusted = rows["close"].to_numpy() / shares_since(sessions, *of)
    total = adjusted.copy()
    for paid in actions[actions["kind"] == "dividend"].itertuples():
        day = np.array([paid.session], "datetime64[D]")
        at = int(np.searchsorted(sessions, day[0]))
        if 0 < at < len(sessions):
            total[:at] *= 1 - paid.value / shares_since(day, *of)[0] / adjusted[at - 1]
    return total


@needs_data
def test_real_prices_and_actions_give_what_python_gives(con: duckdb.DuckDBPyConnection) -> None:
    """Eight companies with splits, spin-offs and dividends."""
    con.execute(
        f"""INSERT INTO prices SELECT ticker, date, NULL, NULL, NULL, close, NULL, volume, 'USD', 'files', 0,
            TIMESTAMP '2024-01-01', 'r'
            FROM read_parquet('{DATA}/dev_prices.parquet')
                WHERE ticker IN ('AAPL', 'AXP', 'HON', 'IBM', 'MRK', 'VZ', 'DIS', 'KO')"""
    )
    con.execute(
        f"""INSERT INTO corporate_actions
            SELECT ticker, date, kind, value, TIMESTAMP '2024-01-01', 'r', 'files'
            FROM (UNPIVOT (SELECT ticker, date, dividend, split_ratio AS split
                FROM read_parquet('{DATA}/dev_actions.parquet'))
                  ON dividend, split INTO NAME kind VALUE value) WHERE value > 0
                      AND ticker IN (SELECT ticker FROM prices)"""
    )
    actions = con.execute("SELECT * FROM corporate_actions").df()
    found = con.execute("SELECT * FROM adjusted_prices ORDER BY ticker, session").df()
    assert found["ticker"].nunique() == 8
    assert {1.142465, 1.046, 1.048} <= set(actions.loc[actions["kind"] == "split", "value"].round(6)), (
        "spin-offs are among them"
    )
    for ticker, rows in found.groupby("ticker"):
        mine = actions[actions["ticker"] == ticker]
        rows = rows.reset_index(drop=True)
        np.testing.assert_allclose(
            rows["close"] / rows["split_factor"], split_adjusted(rows, mine)["close"], rtol=1e-12
        )
        np.testing.assert_allclose(rows["total_return_close"], total_return(rows, mine), rtol=1e-12)
