"""Reads see what was known at the as-of, and nothing later."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from forecast_lib.domain import AsOf
from forecast_lib.errors import UsageError
from forecast_lib.store.working import database, reads
from forecast_lib.tables import TABLES, empty, validate
from tests.store.nights import as_of, day, model_row, night, now, outcomes, prices, stamp, store_night

pytestmark = pytest.mark.slow


def action(run: int, value: float, kind: str = "split", session: int = 0) -> dict[str, object]:
    known_at = stamp(now(run))
    return {
        "ticker": "AAA",
        "session": stamp(day(session)),
        "kind": kind,
        "value": value,
        "known_at": known_at,
        "run_id": f"run-{run}",
    }


@pytest.fixture
def con(workspace: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Night 2 corrects AAA's close of night 0 from 100 to 90, and corrects a split of night 1 from 2 to 4."""
    frames = night(2)
    correction = prices(0, ("AAA",), close=90.0).assign(revision=1, known_at=stamp(now(2)), run_id="run-2")
    frames["prices"] = pd.concat([frames["prices"], correction])
    frames["corporate_actions"] = pd.DataFrame([action(2, 4.0)])
    early = night(3, run_id="run-3", kind="ingest")
    store_night(
        workspace,
        3,
        {t: early[t] for t in ("prices", "runs", "run_tickers")}
        | {"corporate_actions": pd.DataFrame([action(3, 8.0)])},
    )
    store_night(workspace, 2, frames)
    with database.open_working(workspace, now(4)) as con:
        yield con


def closes(frame: pd.DataFrame) -> list[tuple[str, dt.date, float]]:
    return [(row.ticker, row.session.date(), row.close) for row in frame.itertuples()]


def test_a_price_reads_as_it_was_known(con: duckdb.DuckDBPyConnection) -> None:
    assert closes(reads.read_prices(con, ["AAA"], as_of(1))) == [
        ("AAA", day(0), 100.0),
        ("AAA", day(1), 100.0),
    ]
    assert closes(reads.read_prices(con, ["AAA"], as_of(2)))[0] == ("AAA", day(0), 90.0)


def test_an_earlier_day_with_todays_knowledge_sees_corrections_but_no_later_session(
    con: duckdb.DuckDBPyConnection,
) -> None:
    replay = AsOf(day(1), now(4), now(4))
    assert closes(reads.read_prices(con, ["AAA"], replay)) == [("AAA", day(0), 90.0), ("AAA", day(1), 100.0)]


def test_prices_come_by_ticker_and_session_from_the_first_one_wanted(con: duckdb.DuckDBPyConnection) -> None:
    found = reads.read_prices(con, ["BBB", "AAA"], as_of(3), first=day(2))
    assert [row[:2] for row in closes(found)] == [
        ("AAA", day(2)),
        ("AAA", day(3)),
        ("BBB", day(2)),
        ("BBB", day(3)),
    ]


def test_what_is_read_passes_the_tables_schema_even_when_nothing_is_found(
    con: duckdb.DuckDBPyConnection,
) -> None:
    nothing = reads.read_prices(con, ["ZZZ"], as_of(3))
    pd.testing.assert_series_equal(nothing.dtypes, empty("prices").dtypes)
    pd.testing.assert_frame_equal(
        validate("prices", reads.read_table(con, "prices")), reads.read_table(con, "prices")
    )


def test_a_hostile_ticker_is_a_value_and_no_sql(con: duckdb.DuckDBPyConnection) -> None:
    assert reads.read_prices(con, ["AAA'); DROP TABLE prices; --"], as_of(3)).empty
    assert len(reads.read_table(con, "prices")) == 9


def test_only_names_of_tables_are_read(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(UsageError, match="'duckdb_settings' is not a table"):
        reads.read_table(con, "duckdb_settings")


def test_the_action_learned_last_counts_whatever_the_order_of_storing(con: duckdb.DuckDBPyConnection) -> None:
    assert reads.read_actions(con, ["AAA"], as_of(1)).empty
    assert reads.read_actions(con, ["AAA"], as_of(2))["value"].tolist() == [4.0]
    assert reads.read_actions(con, ["AAA"], as_of(3))["value"].tolist() == [8.0]


@pytest.fixture
def models(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """AAA: promoted on night 0, not promoted on night 1; night 1 was run twice for BBB; a wider config on
    night 1 for CCC.
    """
    with database.open_working(tmp_path, now(0)) as con:
        for number, run_id, rows in [
            (0, "run-0", [{"ticker": "AAA"}, {"ticker": "CCC", "config": '{"units": 99}'}]),
            (1, "run-1", [{"ticker": "AAA", "promoted": False}, {"ticker": "BBB"}]),
            (1, "run-1b", [{"ticker": "BBB"}, {"ticker": "BBB", "variant": "gru"}]),
        ]:
            table = [
                model_row(run_id, number, model_id=f"{run_id} {place}", **row)
                for place, row in enumerate(rows)
            ]
            frames = night(number, run_id=run_id, kind="recipe")
            database.record_run(
                con,
                {"runs": frames["runs"], "run_tickers": frames["run_tickers"], "models": pd.DataFrame(table)},
            )
        yield con


def ids(frame: pd.DataFrame) -> list[str]:
    return frame["model_id"].tolist()


def test_the_history_has_the_models_that_were_not_promoted_too(models: duckdb.DuckDBPyConnection) -> None:
    assert ids(reads.read_model_history(models, ["AAA"], "stacked", before=day(2))) == ["run-0 0", "run-1 0"]


def test_unsettled_are_due_forecasts_without_an_outcome(workspace: Path) -> None:
    def due(number: int) -> list[tuple[str, str, int]]:
        found = reads.read_unsettled(con, as_of(number))
        return list(found[["run_id", "ticker", "step"]].itertuples(index=False, name=None))

    with database.open_working(workspace, now(1)) as con:
        assert due(0) == []
        assert due(1) == [("run-0", "AAA", 1), ("run-0", "BBB", 1)]
        assert len(due(9)) == 8
        database.record_run(con, night(2) | {"forecast_outcomes": outcomes("run-0", "run-2", 2, 0, ("AAA",))})
        assert due(1) == [("run-0", "BBB", 1)]


def test_the_report_reads_each_earlier_forecast_beside_what_came(workspace: Path) -> None:
    """Night 2 settles the first step of night 0; the report of evening 2 asks for the last session of each
    step.
    """
    store_night(workspace, 2, night(2) | {"forecast_outcomes": outcomes("run-0", "run-2", 2, 0)})
    with database.open_working(workspace, now(4)) as con:
        past = reads.read_past(con, ["AAA"], as_of(2), 250)
        assert past[past["step"] == 1]["target_session"].dt.date.tolist() == [day(1), day(2)]
        assert past["actual"].notna().tolist()[:2] == [True, False]
        assert past["run_id"].tolist()[:2] == ["run-0", "run-1"]
        assert len(reads.read_past(con, ["AAA"], as_of(2), 1).query("step == 1")) == 1
        assert reads.read_past(con, ["ZZZ"], as_of(2), 250).empty
        shown = ["actual", "step"]
        pd.testing.assert_frame_equal(reads.read_past(con, ["AAA"], as_of(2), 250, shown), past[shown])


def test_earlier_forecasts_that_are_too_many_at_once_are_the_same(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.open_working(workspace, now(4)) as con:
        whole = reads.read_past(con, ["BBB", "ZZZ", "AAA"], as_of(2), 250)
        assert whole["ticker"].unique().tolist() == ["AAA", "BBB"]
        monkeypatch.setattr(reads, "_FORECASTS_AT_ONCE", 1)
        pd.testing.assert_frame_equal(reads.read_past(con, ["BBB", "ZZZ", "AAA"], as_of(2), 250), whole)


def test_nights_before_the_evening_are_read_the_newest_first(workspace: Path) -> None:
    store_night(workspace, 2, night(2))
    with database.open_working(workspace, now(4)) as con:
        assert reads.read_nights(con, ["AAA"], as_of(2), 12)["run_id"].tolist() == ["run-1", "run-0"]
        assert reads.read_nights(con, ["AAA"], as_of(2), 1)["run_id"].tolist() == ["run-1"]


def test_settled_forecasts_are_summed_up_by_step_and_maker(workspace: Path) -> None:
    store_night(workspace, 2, night(2) | {"forecast_outcomes": outcomes("run-0", "run-2", 2, 0)})
    with database.open_working(workspace, now(4)) as con:
        (row,) = reads.read_settled(con, ["AAA", "BBB"], as_of(2)).query("step == 1").itertuples()
    assert (row.made_by, row.n, row.cov80, row.ratio is None or row.ratio != row.ratio) == (
        "stacked",
        2,
        1.0,
        True,
    )


def test_refused_rows_are_read_by_ticker_the_newest_session_first(workspace: Path) -> None:
    row = {
        "ticker": "AAA",
        "row": "x",
        "origin": "o",
        "rule": "r",
        "run_id": "run-2",
        "released_at": pd.NaT,
        "field": None,
    }
    rows = [
        row | {"session": stamp(day(at)), "reason": f"of {at}", "known_at": stamp(now(2))} for at in (0, 2, 1)
    ]
    store_night(workspace, 2, night(2) | {"quarantined_prices": pd.DataFrame(rows)})
    with database.open_working(workspace, now(4)) as con:
        assert reads.read_refused(con, ["AAA"], as_of(2), 2)["reason"].tolist() == ["of 2", "of 1"]
        assert reads.read_refused(con, ["AAA"], as_of(1), 2).empty  # not known yet


def score(backtest_id: str, ticker: str, rmse: float) -> dict[str, object]:
    row = dict.fromkeys(TABLES["backtest_scores"].columns, np.nan)
    return row | {
        "backtest_id": backtest_id,
        "ticker": ticker,
        "model": "stacked",
        "step": 1,
        "n": 10,
        "rmse": rmse,
    }


def backtest(number: int, rows: list[dict[str, object]]) -> dict[str, pd.DataFrame]:
    frames = night(number, run_id=f"bt-{number}", kind="backtest")
    head = {
        "backtest_id": f"backtest-{number}",
        "run_id": f"bt-{number}",
        "as_of": stamp(day(number)),
        "config": "{}",
        "splits": "[]",
    }
    return {
        "runs": frames["runs"],
        "run_tickers": frames["run_tickers"],
        "backtests": pd.DataFrame([head | {"seconds": 1.0}]),
        "backtest_scores": pd.DataFrame(rows),
    }


def test_each_ticker_has_the_scores_of_its_own_newest_backtest(workspace: Path) -> None:
    store_night(workspace, 2, backtest(2, [score("backtest-2", "AAA", 2.0), score("backtest-2", "*", 3.0)]))
    store_night(workspace, 3, backtest(3, [score("backtest-3", "AAA", 1.0)]))
    with database.open_working(workspace, now(4)) as con:
        found = reads.read_latest_backtests(con, ["AAA", "*"])
        assert list(zip(found["ticker"], found["rmse"], strict=True)) == [("*", 3.0), ("AAA", 1.0)]
        assert reads.read_latest_backtests(con, ["AAA"], through=day(2))["rmse"].tolist() == [2.0]
        pd.testing.assert_frame_equal(
            reads.read_latest_backtests(con, ["AAA", "*"], None, ["rmse", "ticker"]),
            found[["rmse", "ticker"]],
        )
        shown = con.execute(
            "SELECT ticker, rmse, as_of FROM latest_backtest_scores ORDER BY ticker"
        ).fetchall()
        assert shown == [("*", 3.0, day(2)), ("AAA", 1.0, day(3))]


def test_quarantine_keys_name_what_was_already_refused(workspace: Path) -> None:
    row = {
        "ticker": "AAA",
        "session": pd.NaT,
        "row": "x",
        "origin": "o",
        "rule": "r",
        "reason": "w",
        "run_id": "run-2",
    }
    frame = pd.DataFrame([row | {"known_at": stamp(now(2)), "released_at": pd.NaT, "field": None}])
    store_night(workspace, 2, night(2) | {"quarantined_prices": frame})
    with database.open_working(workspace, now(3)) as con:
        assert reads.quarantine_keys(con, ["AAA", "BBB"]) == {("AAA", "x", "r")}
        assert reads.quarantine_keys(con, ["BBB"]) == set()


def test_skill_counts_each_cutoff_once_with_its_newest_run(workspace: Path) -> None:
    """Night 1 was run again; both runs' step 1 is settled. By hand: errors 1 and 1, naive 0: rmse 1, no
    ratio.
    """
    again = night(1, run_id="run-1b")
    again.pop("prices")
    again["runs"]["finished_at"] += pd.Timedelta(hours=1)
    store_night(workspace, 1, again)
    settled = pd.concat(
        [outcomes(run, "run-2", 2, made) for run, made in (("run-0", 0), ("run-1", 1), ("run-1b", 1))]
    )
    store_night(workspace, 2, night(2) | {"forecast_outcomes": settled})
    with database.open_working(workspace, now(3)) as con:
        rows = con.execute(
            "SELECT ticker, made_by, step, n, rmse, rmse_naive, rmse_ratio, cov80 FROM forecast_skill ORDER"
            " BY 1"
        ).fetchall()
    assert rows == [
        ("AAA", "stacked", 1, 2, 1.0, 0.0, None, 1.0),
        ("BBB", "stacked", 1, 2, 1.0, 0.0, None, 1.0),
    ]
