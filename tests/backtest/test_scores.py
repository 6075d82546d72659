"""Scores of a backtest, by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from forecast_lib.backtest.scores import pooled_scores, ticker_scores
from forecast_lib.tables import QUANTILE_COLUMNS


def forecasts(actual, point, naive, *, ticker="ACME", model="lstm", step=1, half_width=5.0) -> pd.DataFrame:
    """Quantiles evenly from `half_width` below to `half_width` above the point."""
    count = len(actual)
    ladder = np.asarray(point, float)[:, None] + np.linspace(-half_width, half_width, 9)
    return pd.DataFrame(
        {
            "ticker": ticker,
            "model": model,
            "step": step,
            "cutoff": pd.date_range("2024-01-01", periods=count, unit="us"),
            "point": np.asarray(point, float),
            "actual": np.asarray(actual, float),
            "naive": np.asarray(naive, float),
            **{column: ladder[:, at] for at, column in enumerate(QUANTILE_COLUMNS)},
        }
    )


def scored(*args, **more) -> pd.Series:
    return ticker_scores(forecasts(*args, **more), {"lstm": 1.5}).iloc[0]


def test_errors_by_hand():
    # Errors of the model: -1, 2, 2; of naive: -2, 4, 4
    row = scored(actual=[102.0, 96.0, 96.0], point=[101.0, 98.0, 98.0], naive=[100.0, 100.0, 100.0])
    assert row["n"] == 3
    assert row["rmse"] == pytest.approx(math.sqrt(9 / 3)) and row["rmse_naive"] == pytest.approx(math.sqrt(36 / 3))
    assert row["rmse_ratio"] == pytest.approx(0.5) == row["mase"]
    assert row["mae"] == pytest.approx(5 / 3)
    assert row["seconds"] == 1.5


def test_direction_counts_moves_that_were_called():
    # Up called and up; down called but up; no change called; nothing moved
    row = scored(actual=[101.0, 101.0, 101.0, 100.0], point=[102.0, 99.0, 100.0, 101.0], naive=[100.0] * 4)
    assert row["direction_hit"] == pytest.approx(1 / 2)
    assert row["up_share"] == pytest.approx(1.0)


def test_naive_forecast_has_no_direction_and_a_ratio_of_one():
    row = scored(actual=[101.0, 99.0], point=[100.0, 100.0], naive=[100.0, 100.0])
    assert math.isnan(row["direction_hit"])
    assert (row["rmse_ratio"], row["mase"]) == (1.0, 1.0)


def test_frozen_prices_have_no_ratio():
    row = scored(actual=[100.0] * 40, point=[100.0] * 40, naive=[100.0] * 40)
    assert all(math.isnan(row[name]) for name in ("rmse_ratio", "mase", "direction_hit", "up_share", "dm_stat", "dm_pvalue"))
    assert row["rmse"] == 0.0


def test_coverage_is_a_share():
    # 80 % interval: from the 3rd to the 7th of nine values, point - 2.5 to point + 2.5; 95 %: point - 5 to point + 5
    row = scored(actual=[100.0, 102.5, 103.0, 106.0], point=[100.0] * 4, naive=[100.0] * 4)
    assert (row["cov80"], row["cov95"]) == (0.5, 0.75)


def test_each_model_and_step_has_its_row():
    rows = pd.concat([forecasts([1.0], [1.0], [1.0], model=model, step=step) for model in ("lstm", "naive") for step in (1, 2)])
    scores = ticker_scores(rows, {"lstm": 2.0})
    assert scores[["model", "step"]].to_numpy().tolist() == [["lstm", 1], ["lstm", 2], ["naive", 1], ["naive", 2]]
    assert scores["seconds"].tolist() == [2.0, 2.0, 0.0, 0.0]


def pooled(parts: list[pd.DataFrame]) -> pd.Series:
    scores = pd.concat([ticker_scores(part, {}) for part in parts], ignore_index=True)
    return pooled_scores(pd.concat(parts, ignore_index=True), scores).iloc[0]


def test_ratio_of_all_is_the_geometric_mean():
    half = forecasts([101.0, 99.0], [100.5, 99.5], [100.0, 100.0], ticker="A")  # ratio 0.5
    double = forecasts([101.0, 99.0, 99.0], [99.0, 101.0, 101.0], [100.0, 100.0, 100.0], ticker="B")  # ratio 2
    row = pooled([half, double])
    assert (row["ticker"], row["n"]) == ("*", 5)
    assert row["rmse_ratio"] == pytest.approx(1.0)


def test_dear_ticker_does_not_outvote_the_others():
    """A costs 1 and is forecast far better than naive; B costs 1,000 and is a little worse: in money B alone would decide."""
    random = np.random.default_rng(0)
    moves, called = random.choice([-1.0, 1.0], 60), random.uniform(0.6, 0.8, 60)
    cheap = forecasts(1 + 0.01 * moves, 1 + 0.01 * moves * called, np.ones(60), ticker="A")
    dear = forecasts(1000 + 10 * moves, 1000 - moves * called, np.full(60, 1000.0), ticker="B")
    assert ticker_scores(dear, {}).iloc[0]["dm_stat"] > 10
    assert pooled([cheap, dear])["dm_stat"] < -10


def test_pooled_losses_count_a_date_once():
    """Ten tickers that move as one are no more evidence than one."""
    random = np.random.default_rng(1)
    actual = 100 + random.standard_normal(60)
    point = 100 + 0.2 * random.standard_normal(60)
    one = forecasts(actual, point, np.full(60, 100.0), ticker="T0")
    same = [one.assign(ticker=f"T{number}") for number in range(10)]
    assert pooled(same)["dm_stat"] == pytest.approx(pooled([one])["dm_stat"])


def test_frozen_ticker_leaves_the_others_their_test():
    random = np.random.default_rng(1)
    moving = forecasts(100 + random.standard_normal(60), 100 + 0.2 * random.standard_normal(60), np.full(60, 100.0), ticker="A")
    frozen = forecasts(np.full(60, 5.0), np.full(60, 5.0), np.full(60, 5.0), ticker="B")
    assert pooled([moving, frozen])["dm_stat"] == pytest.approx(pooled([moving])["dm_stat"])
