"""How the published intervals hold, live: the views over the settled forecasts."""

from collections.abc import Iterator, Sequence

import duckdb
import pandas as pd
import pytest

from forecast_lib.store.working import database, reads
from tests.store.nights import day, forecasts, now, outcomes, run_row


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with database.open_working(tmp_path_factory.mktemp("coverage"), now(0)) as con:
        yield con


def nights(con: duckdb.DuckDBPyConnection, hits: Sequence[bool]) -> None:
    """Nothing but a night for each of `hits`: AAA and BBB one session ahead, by then settled, inside both
    intervals or outside.
    """
    count = pd.DataFrame({"number": range(len(hits)), "hit": list(hits)})
    count["run_id"], count["later"] = (
        "run-" + count["number"].astype(str),
        pd.to_timedelta(count["number"], unit="D"),
    )
    one = {
        "runs": pd.DataFrame([run_row(0, 2)]),
        "forecasts": forecasts("", 0, ("AAA", "BBB"), 1, "model"),
        "forecast_outcomes": outcomes("", "last", 1, 0).assign(naive_error=2.0),
    }
    for table, frame in one.items():
        given = frame.drop(columns="run_id").merge(count, how="cross").assign(source="simulated")
        for column in {"cutoff", "target_session"} & set(frame.columns):
            given[column] += given["later"]
        if table == "forecast_outcomes":
            given = given.assign(inside80=given["hit"], inside95=given["hit"])
        con.execute(f"DELETE FROM {table}")
        con.register("given", given.drop(columns=["number", "hit", "later"]))
        con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM given")


FIVE = (True, True, True, False, False)


def test_coverage_rolls_forward_with_its_control_limits(con: duckdb.DuckDBPyConnection) -> None:
    nights(con, FIVE)
    found = con.execute("SELECT * FROM rolling_coverage WHERE ticker = 'AAA' ORDER BY target_session").df()
    assert found["target_session"].dt.date.tolist() == [day(number) for number in range(1, 6)]
    assert found["n"].tolist() == [1, 2, 3, 4, 5]
    assert found["cov95"].tolist() == [1.0, 1.0, 1.0, 0.75, 0.6]
    last = found.iloc[-1]
    # By hand, n = 5: 0.80 - 3 * sqrt(0.16 / 5) = 0.263344; 0.95 - 3 * sqrt(0.0475 / 5) = 0.657596; above 1
    # there is no share
    assert last[["low80", "high80", "low95", "high95"]].tolist() == pytest.approx(
        [0.263344, 1.0, 0.657596, 1.0], abs=1e-6
    )
    assert last["rmse_ratio"] == pytest.approx(0.5)  # errors of 1 where naive has 2


def test_intervals_that_no_longer_hold_are_called_too_narrow(con: duckdb.DuckDBPyConnection) -> None:
    nights(con, FIVE)
    states = con.execute("SELECT n, state FROM rolling_coverage WHERE ticker = 'AAA' ORDER BY n").df()
    # n = 4: cov95 0.75 is above 0.95 - 3 * sqrt(0.0475 / 4) = 0.623086; n = 5: 0.6 is below 0.657596
    assert states["state"].tolist() == ["held", "held", "held", "held", "too narrow"]


def test_newest_coverage_has_one_row_a_ticker_and_step(con: duckdb.DuckDBPyConnection) -> None:
    nights(con, FIVE)
    found = con.execute("SELECT ticker, step, n, state FROM latest_coverage ORDER BY ticker").df()
    assert found.to_numpy().tolist() == [["AAA", 1, 5, "too narrow"], ["BBB", 1, 5, "too narrow"]]


def test_skill_of_a_model_is_over_all_its_tickers(con: duckdb.DuckDBPyConnection) -> None:
    nights(con, FIVE)
    (row,) = con.execute("SELECT * FROM model_skill").df().to_dict("records")
    assert (row["made_by"], row["step"], row["tickers"], row["n"]) == ("stacked", 1, 2, 10)
    assert row["rmse_ratio"] == pytest.approx(0.5)
    assert (row["tickers_better"], row["tickers_worse"], row["cov80"], row["cov95"]) == (2, 0, 0.6, 0.6)


def test_window_is_the_last_250_outcomes_and_intervals_that_never_miss_are_too_wide(
    con: duckdb.DuckDBPyConnection,
) -> None:
    nights(con, [False] * 20 + [True] * 250)
    newest = con.execute("SELECT * FROM latest_coverage WHERE ticker = 'AAA'").df().iloc[0]
    assert (newest["n"], newest["cov95"], newest["state"]) == (250, 1.0, "too wide")
    assert newest["high80"] == pytest.approx(0.875895, abs=1e-6)  # by hand: 0.80 + 3 * sqrt(0.16 / 250)
    assert newest["target_session"].date() == day(270)


def test_night_that_was_run_again_counts_once(con: duckdb.DuckDBPyConnection) -> None:
    nights(con, [False, False])
    for table in ("runs", "forecasts", "forecast_outcomes"):
        con.execute(f"INSERT INTO {table} SELECT * REPLACE ('again-' || run_id AS run_id) FROM {table}")
    con.execute("UPDATE runs SET finished_at = finished_at + INTERVAL 1 HOUR WHERE run_id LIKE 'again-%'")
    con.execute("UPDATE forecast_outcomes SET inside95 = true WHERE run_id LIKE 'again-%'")
    # Of each cutoff the newest run
    assert con.execute("SELECT n, cov95 FROM latest_coverage WHERE ticker = 'AAA'").fetchall() == [(2, 1.0)]


def test_skill_stands_beside_the_loss_of_the_naive_forecast(con: duckdb.DuckDBPyConnection) -> None:
    nights(con, FIVE)  # every forecast loses 0.4, naive's 0.5
    con.execute("UPDATE forecast_outcomes SET baseline_pinball = NULL WHERE run_id = 'run-0'")
    found = con.execute("SELECT pinball, baseline_pinball, pinball_gain FROM forecast_skill").fetchall()
    assert found == [pytest.approx((0.4, 0.5, 0.2))] * 2
    assert con.execute("SELECT pinball_gain FROM model_skill").fetchone() == pytest.approx((0.2,))


def test_coverage_of_a_model_counts_a_session_once_with_limits_from_the_sessions_scatter(
    con: duckdb.DuckDBPyConnection,
) -> None:
    nights(con, FIVE)  # both tickers hit or miss together
    found = con.execute("SELECT * FROM model_coverage ORDER BY target_session").df()
    assert (found["made_by"].unique().tolist(), found["sessions"].tolist(), found["n"].tolist()) == (
        ["stacked"],
        [1, 2, 3, 4, 5],
        [2, 4, 6, 8, 10],
    )
    last = found.iloc[-1]
    # By hand, shares 1, 1, 1, 0, 0: scatter 0.547723, over the root of 5 sessions 0.244949, three of them
    # 0.734847
    assert last[["cov80", "low80", "high80", "low95"]].tolist() == pytest.approx(
        [0.6, 0.065153, 1.0, 0.215153], abs=1e-6
    )
    # One session has no scatter: as much as two independent tickers, 3 * sqrt(0.16 / 2) = 0.848528, and 3 *
    # sqrt(0.0475 / 2) = 0.462331
    assert found.iloc[0][["low80", "low95"]].tolist() == pytest.approx([0.0, 0.487669], abs=1e-6)
    assert found["state"].tolist() == ["held"] * 5


def test_coverage_that_is_read_for_an_evening_knows_nothing_later(con: duckdb.DuckDBPyConnection) -> None:
    nights(con, FIVE)
    assert reads.read_model_coverage(con, day(3))[["target_session", "n", "cov95"]].to_numpy().tolist() == [
        [pd.Timestamp(day(3)), 6, 1.0]
    ]
    by_ticker = reads.read_coverage(con, ["AAA"], day(4))
    assert by_ticker[["ticker", "n", "cov95"]].to_numpy().tolist() == [["AAA", 4, 0.75]]
