"""The bench of goals, on two simulated tickers and the baselines alone: its tables say what they should."""

import time

import pandas as pd
import pytest

from forecast_lib.models.baselines import BASELINES
from tests import made_up
from tests.bench import goals


@pytest.fixture(scope="module")
def tested() -> goals.Tested:
    made = [
        goals.baselines_of(made_up.noisy(700, seed=seed, ticker=ticker), "2021-06-01")
        for seed, ticker in ((1, "A"), (2, "B"))
    ]
    return goals.tested_of(made, time.perf_counter())


def test_only_cutoffs_of_the_period_are_scored(tested):
    assert tested.rows["cutoff"].min() == pd.Timestamp("2021-06-01")
    assert set(tested.rows["step"]) == {1, 5, 20}


def test_a_model_is_as_good_as_itself_and_that_is_not_good_enough(tested):
    table = goals.goals_table({"then": tested}, "har").set_index("goal")
    assert table.loc["pinball / har", ["then", "then met"]].tolist() == ["1.00000", "NO"]
    # Its centre is naive's.
    assert table.loc["RMSE / naive, 1 session, worst ticker", ["then", "then met"]].tolist() == [
        "1.00000",
        "yes",
    ]


def test_against_the_better_of_naive_and_drift(tested):
    drift = goals.geometric(tested.of("drift", 20)["rmse_ratio"])
    assert goals.better_of_naive_and_drift(tested, "naive", 20) == pytest.approx(1 / min(1.0, drift))
    assert goals.better_of_naive_and_drift(tested, "drift", 20) == pytest.approx(drift / min(1.0, drift))


def test_every_model_has_its_line_and_every_rival_its_test(tested):
    lines = goals.models_table(tested).set_index("model")
    assert set(lines.index) == set(BASELINES)
    assert lines.loc["garch", ["pinball1/garch", "pinball20/garch", "winkler95/garch"]].tolist() == [
        1.0,
        1.0,
        1.0,
    ]
    tests = goals.significance_table(tested, "har").set_index("rival")
    assert set(tests.index) == set(BASELINES) - {"har"}
    assert (tests["better q≤.05"] <= tests["better p≤.05"]).all()


def test_without_the_prices_it_says_that_it_is_skipped(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(goals, "DATA", tmp_path / "dev_prices.parquet")
    goals.main([])
    assert capsys.readouterr().out == "skipped: dev_prices.parquet is not in ../shared/data\n"
