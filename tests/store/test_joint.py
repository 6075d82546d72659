"""The distribution and the joint view in SQL: the same numbers as in Python, from real files."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from forecast_lib import portfolios
from forecast_lib.distribution import price_at, probability_below
from forecast_lib.errors import AuditFailed, UsageError
from forecast_lib.store.published import reader
from forecast_lib.store.working import database, reads
from forecast_lib.tables import QUANTILE_COLUMNS
from tests.store.nights import (
    WORLDS,
    as_of,
    day,
    joint_night,
    night,
    now,
    outcomes,
    stamp,
    store_and_publish,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Night 0, and night 1 that settles its step 1: 100 after 100."""
    workspace = tmp_path_factory.mktemp("joint")
    store_and_publish(workspace, 0, joint_night(0))
    store_and_publish(workspace, 1, joint_night(1, forecast_outcomes=outcomes("run-0", "run-1", 1, 0)))
    return workspace


def test_the_macros_give_the_numbers_of_the_library(published: Path) -> None:
    """Between the levels, at them and far out; a column of the caller's may be called like an argument."""
    rows = reader.query(published, "SELECT * FROM latest_forecasts WHERE step = 2 ORDER BY ticker")
    probabilities = np.array([1e-6, 0.004, 0.005, 0.01, 0.2, 0.5, 0.77, 0.99, 0.995, 0.9999])
    for quantiles, ticker in zip(rows[list(QUANTILE_COLUMNS)].to_numpy(), rows["ticker"], strict=True):
        expected = price_at(np.tile(quantiles, (len(probabilities), 1)), probabilities)
        values = ", ".join(
            f"({p!r}, {price!r})" for p, price in zip(probabilities.tolist(), expected.tolist(), strict=True)
        )
        sql = f"""
            SELECT price_at('{ticker}', 2, probability) AS at,
                probability_below('{ticker}', 2, price) AS below
            FROM (VALUES {values}) AS asked(probability, price)
        """
        found = reader.query(published, sql)
        np.testing.assert_allclose(found["at"], expected, rtol=1e-9)
        np.testing.assert_allclose(
            found["below"], probability_below(np.tile(quantiles, (len(expected), 1)), expected), rtol=1e-9
        )
        np.testing.assert_allclose(found["below"], probabilities, rtol=1e-9)


def test_a_macro_asked_for_each_row_of_a_table_answers_for_that_row(published: Path) -> None:
    """Logistic with scale 0.01 and 0.02: ln(0.9) / 0.01 is log odds of -10.536, ln(0.9) / 0.02 of -5.268."""
    sql = (
        "SELECT probability_below(ticker, step, 0.9 * last_close) AS p FROM latest_forecasts WHERE step = 1"
        " ORDER BY ticker"
    )
    np.testing.assert_allclose(
        reader.query(published, sql)["p"], 1 / (1 + np.exp([10.53605, 5.268026])), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("probability_below('AAA', 1, 0)", 0.0),
        ("probability_below('AAA', 1, -5)", 0.0),
        ("probability_below('NO', 1, 100)", None),
        ("probability_below('AAA', 99, 100)", None),
        ("probability_below('AAA', 1, NULL)", None),
        ("price_at('AAA', 1, 0)", None),
        ("price_at('AAA', 1, 1.5)", None),
        ("price_at('AAA', 1, 0.5)", 100.0),
    ],
)
def test_what_has_no_answer_is_null(published: Path, asked: str, answer: float | None) -> None:
    found = reader.query(published, f"SELECT {asked} AS x")["x"].iloc[0]
    assert found == pytest.approx(answer) if answer is not None else pd.isna(found)


def test_the_risk_of_one_ticker_is_read_off_its_distribution(published: Path) -> None:
    """100 shares of AAA at 100: the 1 % quantile is 100 * exp(0.01 * ln(1/99)) = 95.5089, so 449.11 are at
    risk.
    """
    row = reader.query(published, "SELECT * FROM portfolio_risk(MAP {'AAA': 100}, 1)").iloc[0]
    assert (row["tickers"], row["currency"], row["value"], row["worlds"]) == (1, "USD", 10000.0, WORLDS)
    assert row["var01"] == pytest.approx(449.11, abs=0.6)  # ten worlds lie below it
    assert row["var05"] < row["var025"] < row["var01"] < row["es01"]


def test_the_risk_of_several_tickers_is_that_of_the_sums_in_each_world(published: Path) -> None:
    """The same figures from the lists themselves; sold short, BBB takes away more than AAA brings."""
    rows = reader.query(published, "SELECT ticker, prices FROM scenarios WHERE step = 2 ORDER BY ticker")
    prices = np.stack(rows["prices"].to_numpy()).astype(np.float64)
    expected = portfolios.risk(30 * (prices[0] - 100) - 20 * (prices[1] - 100))
    row = reader.query(published, "SELECT * FROM portfolio_risk(MAP {'AAA': 30, 'BBB': -20}, 2)").iloc[0]
    assert row["value"] == pytest.approx(1000.0)
    for ours, theirs in (
        ("var01", "q01"),
        ("var025", "q025"),
        ("var05", "q05"),
        ("es01", "es01"),
        ("es025", "es025"),
    ):
        assert row[ours] == pytest.approx(-expected[theirs], rel=1e-9)
    assert (row["mean_gain"], row["sigma"]) == pytest.approx((expected["mean"], expected["sigma"]))


@pytest.mark.parametrize(
    ("holdings", "said"),
    [
        ("{'AAA': 1, 'NO': 1}", "there are no scenarios of NO at step 1"),
        ("{}", "holdings are empty"),
        ("{'AAA': NULL}", "holdings of AAA are not a number of shares"),
        ("{'AAA': 'nan'::DOUBLE}", "holdings of AAA are not a number of shares"),
    ],
)
def test_holdings_that_cannot_be_judged_are_refused_in_one_line(
    published: Path, holdings: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        reader.query(published, f"SELECT * FROM portfolio_risk(MAP {holdings}, 1)")
    assert "\n" not in str(raised.value)


def test_holdings_of_nothing_risk_nothing(published: Path) -> None:
    row = reader.query(published, "SELECT * FROM portfolio_risk(MAP {'AAA': 0}, 1)").iloc[0]
    assert (row["value"], row["var01"], row["es01"]) == (0.0, 0.0, 0.0)


def test_mixed_currencies_are_refused_unless_nothing_of_one_is_held(tmp_path: Path) -> None:
    frames = joint_night(0)
    frames["forecasts"]["currency"] = frames["forecasts"]["ticker"].map({"AAA": "USD", "BBB": "EUR"})
    store_and_publish(tmp_path, 0, frames)
    with pytest.raises(UsageError, match="holdings are in EUR and USD: ask for one currency at a time"):
        reader.query(tmp_path, "SELECT * FROM portfolio_risk(MAP {'AAA': 1, 'BBB': 1}, 1)")
    row = reader.query(tmp_path, "SELECT * FROM portfolio_risk(MAP {'AAA': 0, 'BBB': 2}, 1)").iloc[0]
    assert (row["currency"], row["value"]) == ("EUR", 200.0)


def test_only_the_newest_run_s_scenarios_are_kept_and_the_ledger_does_not_count_them(published: Path) -> None:
    found = reader.query(published, "SELECT DISTINCT run_id, len(prices) AS n FROM scenarios")
    assert found.to_records(index=False).tolist() == [("run-1", WORLDS)]
    assert "scenarios" not in (published / "ledger.jsonl").read_text()
    with database.open_working(published, now(3)) as con:  # checks the ledger again
        assert con.execute("SELECT count(*) FROM scenarios").fetchall() == [(4,)]


def test_scenarios_of_another_run_or_of_uneven_length_are_not_stored(tmp_path: Path) -> None:
    frames = joint_night(0)
    frames["scenarios"].at[0, "prices"] = np.ones(3, np.float32)
    with (
        pytest.raises(AuditFailed, match="scenarios are of one run's forecasts"),
        database.open_working(tmp_path, now(0)) as con,
    ):
        database.record_run(con, frames)
    frames["scenarios"] = frames["scenarios"].iloc[1:].assign(run_id="other")
    with (
        pytest.raises(AuditFailed, match="scenarios are of one run's forecasts"),
        database.open_working(tmp_path, now(0)) as con,
    ):
        database.record_run(con, frames)


def test_a_portfolio_is_settled_when_all_its_tickers_are(published: Path) -> None:
    """Both closed at 100 after 100: a return of 0, inside everything."""
    found = reader.query(published, "SELECT * FROM portfolio_outcomes")
    assert found[["run_id", "portfolio", "step", "actual", "below01"]].to_numpy().tolist() == [
        ["run-0", "equal", 1, 0.0, False]
    ]


def test_changes_are_those_since_the_night_before(published: Path) -> None:
    found = reader.query(published, "SELECT * FROM forecast_changes ORDER BY ticker, step")
    assert len(found) == 4
    row = found.iloc[0]
    assert (row["ticker"], row["run_id"], row["run_id_before"]) == ("AAA", "run-1", "run-0")
    assert (row["log_return"], row["sigma_change"], row["q05_change"]) == pytest.approx((0.0, 0.0, 0.0))


def test_a_run_of_one_ticker_does_not_stand_for_the_night_before(tmp_path: Path) -> None:
    """Somebody asks for AAA alone on the evening of night 0, after it: night 1 of both is held against
    night 0.
    """
    later = stamp(day(0)) + pd.Timedelta(hours=23)
    alone = night(0, ("AAA",), run_id="alone", started_at=later, known_at=later, finished_at=later)
    store_and_publish(tmp_path, 0)
    store_and_publish(tmp_path, 0, {**alone, "prices": alone["prices"].iloc[:0]})
    store_and_publish(tmp_path, 1, night(1))
    found = reader.query(tmp_path, "SELECT ticker, step, run_id_before FROM forecast_changes ORDER BY ALL")
    assert found.to_numpy().tolist() == [
        [ticker, step, "run-0"] for ticker in ("AAA", "BBB") for step in (1, 2)
    ]
    with database.open_working(tmp_path, now(2)) as con:
        before = [reads.read_run_before(con, as_of(1), each) for each in (["AAA", "BBB"], ["AAA"])]
    assert [each["run_id"].tolist() for each in before] == [["run-0"], ["alone"]]


def test_surprises_are_outcomes_that_their_forecast_called_rare(tmp_path: Path) -> None:
    """AAA closes at 95: log odds of ln(0.95) / 0.01 = -5.129, one in 169.9; BBB, twice as wide, makes nothing
    of it.
    """
    store_and_publish(tmp_path, 0, joint_night(0))
    store_and_publish(
        tmp_path, 1, joint_night(1, forecast_outcomes=outcomes("run-0", "run-1", 1, 0).assign(actual=95.0))
    )
    [row] = reader.query(tmp_path, "SELECT * FROM surprises").to_dict("records")
    assert (row["ticker"], row["found"], row["forecasts"]) == ("AAA", 1, 2)
    assert row["one_in"] == pytest.approx(1 + np.exp(5.129329), rel=1e-6)
    assert row["by_chance"] == pytest.approx(4 / row["one_in"])


def test_skill_between_two_sessions_counts_only_them(published: Path) -> None:
    """The outcomes are of 2024-01-03."""
    count = "SELECT count(*) AS n FROM skill_between(DATE '{}', DATE '{}')"
    asked = [("2024-01-03", "2024-01-03"), ("2024-01-01", "2024-01-02"), ("2024-01-04", "2030-01-01")]
    assert [reader.query(published, count.format(*each))["n"].iloc[0] for each in asked] == [2, 0, 0]


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf"), None])
def test_scenarios_with_a_price_that_is_none_are_not_stored(tmp_path: Path, price: float | None) -> None:
    frames = joint_night(0)
    frames["scenarios"]["prices"] = [each.tolist() for each in frames["scenarios"]["prices"]]
    frames["scenarios"].at[1, "prices"][-1] = price
    with (
        database.open_working(tmp_path, now(0)) as con,
        pytest.raises(AuditFailed, match="1 found, for example AAA step 2 has a price of"),
    ):
        database.record_run(con, frames)


def test_the_workspace_stays_small_however_many_nights_replace_their_scenarios(tmp_path: Path) -> None:
    sizes = []
    for number in range(4):
        store_and_publish(tmp_path, number, joint_night(number), keep=1)
        with duckdb.connect(str(tmp_path / "published.duckdb"), read_only=True) as con:
            assert con.execute("SELECT count(*) FROM scenarios").fetchall() == [(4,)]
        sizes.append((tmp_path / "published.duckdb").stat().st_size)
    assert sizes[-1] < 2 * sizes[1]
