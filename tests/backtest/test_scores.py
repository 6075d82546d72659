"""Scores of a backtest, by hand."""

import math
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

from forecast_lib.backtest.panels import Panels
from forecast_lib.backtest.scores import ArmCost, scores_of_all, ticker_scores
from forecast_lib.distribution import expected_shortfalls
from forecast_lib.tables import QUANTILE_COLUMNS, SHORTFALL_COLUMNS
from tests.made_up import panels_of


def forecasts(
    actual,
    point,
    naive,
    *,
    ticker="ACME",
    model="lstm",
    step=1,
    half_width=5.0,
    sigma=0.01,
    trailing=0.01,
    realised=1e-4,
) -> pd.DataFrame:
    """Quantiles evenly from `half_width` below to `half_width` above the point."""
    count = len(actual)
    ladder = np.asarray(point, float)[:, None] + half_width * np.arange(-6, 7) / 4
    return pd.DataFrame(
        {
            "ticker": ticker,
            "model": model,
            "step": step,
            "cutoff": pd.date_range("2024-01-01", periods=count, unit="us"),
            "point": np.asarray(point, float),
            "actual": np.asarray(actual, float),
            "naive": np.asarray(naive, float),
            "sigma": sigma,
            "trailing_sigma": trailing,
            "realised_variance": realised,
            **{column: ladder[:, at] for at, column in enumerate(QUANTILE_COLUMNS)},
            **dict(zip(SHORTFALL_COLUMNS, expected_shortfalls(ladder), strict=True)),
        }
    )


def scores_of(rows: pd.DataFrame, seconds=MappingProxyType({}), arms=MappingProxyType({})) -> pd.DataFrame:
    return ticker_scores(rows, seconds, arms)[0]


def scored(*args, **more) -> pd.Series:
    return scores_of(forecasts(*args, **more), {"lstm": 1.5}).iloc[0]


def test_errors_by_hand():
    # Errors of the model: -1, 2, 2; of naive: -2, 4, 4
    row = scored(actual=[102.0, 96.0, 96.0], point=[101.0, 98.0, 98.0], naive=[100.0, 100.0, 100.0])
    assert row["n"] == 3
    assert row["rmse"] == pytest.approx(math.sqrt(9 / 3)) and row["rmse_naive"] == pytest.approx(
        math.sqrt(36 / 3)
    )
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
    assert all(
        math.isnan(row[name])
        for name in ("rmse_ratio", "mase", "direction_hit", "up_share", "dm_stat", "dm_pvalue")
    )
    assert row["rmse"] == 0.0


def test_coverage_is_a_share():
    # 80 % interval: from the 3rd to the 7th of nine values, point - 2.5 to point + 2.5; 95 %: point - 5 to
    # point + 5
    row = scored(actual=[100.0, 102.5, 103.0, 106.0], point=[100.0] * 4, naive=[100.0] * 4)
    assert (row["cov80"], row["cov95"]) == (0.5, 0.75)


def test_each_model_and_step_has_its_row():
    rows = pd.concat(
        [
            forecasts([10.0], [10.0], [10.0], model=model, step=step)
            for model in ("lstm", "naive")
            for step in (1, 2)
        ]
    )
    scores = scores_of(rows, {"lstm": 2.0})
    assert scores[["model", "step"]].to_numpy().tolist() == [
        ["lstm", 1],
        ["lstm", 2],
        ["naive", 1],
        ["naive", 2],
    ]
    assert scores["seconds"].tolist() == [2.0, 2.0, 0.0, 0.0]


def all_scores(parts: list[pd.DataFrame]) -> pd.DataFrame:
    by_ticker = [part for _, part in pd.concat(parts).groupby("ticker", sort=False)]
    return together(by_ticker, pd.concat(map(scores_of, by_ticker), ignore_index=True))


def together(by_ticker: Sequence[pd.DataFrame], scores: pd.DataFrame) -> pd.DataFrame:
    return scores_of_all(panels_of([ticker_scores(rows, {})[1] for rows in by_ticker]), scores)


def pooled(parts: list[pd.DataFrame]) -> pd.Series:
    """The row of all tickers, of the only model and step."""
    scores = all_scores(parts)
    return scores[scores["ticker"] == "*"].iloc[0]


def near(
    count: int,
    seed: int,
    *,
    off: float,
    model: str = "lstm",
    ticker: str = "ACME",
    half_width: float = 2.5,
    step: int = 1,
):
    """Prices that move by one in standard deviation around 100; a point forecast beside 100 by `off` in
    standard deviation.
    """
    actual = 100 + np.random.default_rng(seed).standard_normal(count)
    point = 100 + off * np.random.default_rng(seed + 1).standard_normal(count)
    return forecasts(
        actual, point, np.full(count, 100.0), ticker=ticker, model=model, half_width=half_width, step=step
    )


def test_ratio_of_all_is_the_geometric_mean():
    half = forecasts([101.0, 99.0], [100.5, 99.5], [100.0, 100.0], ticker="A")  # ratio 0.5
    # Ratio 2.
    double = forecasts([101.0, 99.0, 99.0], [99.0, 101.0, 101.0], [100.0, 100.0, 100.0], ticker="B")
    row = pooled([half, double])
    assert (row["ticker"], row["n"]) == ("*", 5)
    assert row["rmse_ratio"] == pytest.approx(1.0)


def test_dear_ticker_does_not_outvote_the_others():
    """A costs 1 and is forecast far better than naive; B costs 1,000 and is a little worse: in money B alone
    would decide.
    """
    random = np.random.default_rng(0)
    moves, called = random.choice([-1.0, 1.0], 60), random.uniform(0.6, 0.8, 60)
    cheap = forecasts(1 + 0.01 * moves, 1 + 0.01 * moves * called, np.ones(60), ticker="A", half_width=0.5)
    dear = forecasts(1000 + 10 * moves, 1000 - moves * called, np.full(60, 1000.0), ticker="B")
    assert scores_of(dear, {}).iloc[0]["dm_stat"] > 10
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
    moving = forecasts(
        100 + random.standard_normal(60),
        100 + 0.2 * random.standard_normal(60),
        np.full(60, 100.0),
        ticker="A",
    )
    frozen = forecasts(np.full(60, 50.0), np.full(60, 50.0), np.full(60, 50.0), ticker="B")
    assert pooled([moving, frozen])["dm_stat"] == pytest.approx(pooled([moving])["dm_stat"])


def test_variance_forecast_is_scored_against_what_was_measured():
    row = scored(
        actual=[101.0, 99.0], point=[100.0] * 2, naive=[100.0] * 2, sigma=0.01, realised=[4e-4, 0.25e-4]
    )
    assert row["qlike"] == pytest.approx((1.613706 + 0.636294) / 2, abs=1e-6)  # by hand in test_metrics


def test_coverage_is_told_apart_by_volatility_known_at_the_cutoff():
    # The two calmest cutoffs: one hit of two; the middle ones: none; the two wildest: both. The interval is
    # 95 to 105.
    row = scored(
        actual=[100.0, 120.0, 90.0, 80.0, 104.0, 96.0],
        point=[100.0] * 6,
        naive=[101.0] * 6,
        trailing=[0.001, 0.002, 0.003, 0.004, 0.02, 0.01],
    )
    assert (row["cov95_low_vol"], row["cov95_mid_vol"], row["cov95_high_vol"]) == (0.5, 0.0, 1.0)


def test_intervals_are_compared_with_garch_on_the_cutoffs_of_both():
    garch = near(60, 3, off=0.0, model="garch", half_width=5.0)
    lstm = near(60, 3, off=0.0, half_width=2.5)
    scores = scores_of(pd.concat([garch, lstm.iloc[20:]]), {}).set_index("model")
    assert scores.loc["garch", ["pinball_per_garch", "winkler95_per_garch"]].tolist() == [1.0, 1.0]
    assert math.isnan(scores.loc["garch", "dm_garch_stat"])
    # The narrower interval, 97.5 to 102.5, is the better one for a standard deviation of 1; both widths are
    # by hand.
    missed = np.maximum(np.abs(lstm["actual"].iloc[20:] - 100) - 2.5, 0).mean()
    assert scores.loc["lstm", "winkler95_per_garch"] == pytest.approx((5 + 40 * missed) / 10)
    assert scores.loc["lstm", "dm_garch_stat"] < 0 and scores.loc["lstm", "n"] == 40


def test_without_garch_there_is_no_comparison_with_it():
    row = scored(actual=[101.0, 99.0], point=[100.0] * 2, naive=[100.0] * 2)
    assert math.isnan(row["pinball_per_garch"]) and math.isnan(row["dm_garch_pvalue"])


def test_overlapping_outcomes_do_not_prove_that_the_intervals_are_wrong():
    """Each outcome five times, as if seen from five neighbouring cutoffs: at step 5 it is still one piece of
    evidence.
    """
    once = near(40, 6, off=0.0)
    five = once.loc[once.index.repeat(5)].assign(
        step=5, cutoff=pd.date_range("2024-01-01", periods=200, unit="us")
    )
    assert scores_of(five, {}).iloc[0]["pit_pvalue"] == pytest.approx(
        scores_of(once, {}).iloc[0]["pit_pvalue"]
    )


def test_model_that_is_clearly_worse_is_not_in_the_confidence_set():
    rows = pd.concat(
        [near(200, 1, off=0.0), near(200, 1, off=0.0, model="naive"), near(200, 1, off=3.0, model="wild")]
    )
    in_set = scores_of(rows, {}).set_index("model")["mcs_pvalue"]
    assert in_set["lstm"] == in_set["naive"] == 1.0 and in_set["wild"] < 0.1


def test_all_tickers_together_have_a_confidence_set_of_their_own():
    tickers = [
        near(100, seed, off=off, model=model, ticker=f"T{seed}")
        for seed in (1, 5, 9)
        for model, off in (("lstm", 0.0), ("wild", 3.0))
    ]
    rows = all_scores(tickers).query("ticker == '*'").set_index("model")
    assert rows.loc["lstm", "mcs_pvalue"] == 1.0 and rows.loc["wild", "mcs_pvalue"] < 0.1


def test_q_values_count_the_tickers():
    scores = all_scores([near(60, seed, off=1.0, ticker=f"T{seed}") for seed in range(8)])
    tickers = scores[scores["ticker"] != "*"]
    assert (tickers["dm_qvalue"] >= tickers["dm_pvalue"]).all()
    assert tickers["dm_qvalue"].min() <= 8 * tickers["dm_pvalue"].min()
    assert scores.loc[scores["ticker"] == "*", "dm_qvalue"].isna().all()


def test_ratio_to_garch_of_all_is_the_geometric_mean():
    parts = [
        near(60, 2, off=0.0, model=model, ticker=ticker, half_width=width)
        for ticker, model, width in (
            ("A", "garch", 2.0),
            ("A", "lstm", 4.0),
            ("B", "garch", 4.0),
            ("B", "lstm", 2.0),
        )
    ]
    rows = all_scores(parts).set_index(["ticker", "model"])["pinball_per_garch"]
    assert rows["A", "lstm"] * rows["B", "lstm"] == pytest.approx(1.0)
    assert rows["*", "lstm"] == pytest.approx(1.0)


def test_panel_is_tested_against_garch_too():
    parts = [
        near(60, seed, off=0.0, model=model, ticker=f"T{seed}", half_width=width)
        for seed in (1, 5)
        for model, width in (("garch", 8.0), ("lstm", 2.5))
    ]
    rows = all_scores(parts).query("ticker == '*'").set_index("model")
    assert rows.loc["lstm", "dm_garch_stat"] < -5 and math.isnan(rows.loc["garch", "dm_garch_stat"])


def test_order_of_rows_does_not_matter():
    rows = pd.concat([near(60, 2, off=1.0, step=step) for step in (1, 2)])
    shuffled = rows.sample(frac=1.0, random_state=0)
    pd.testing.assert_frame_equal(scores_of(rows, {}), scores_of(shuffled, {}), check_exact=True)


def test_averages_over_tickers_are_the_same_bits_whoever_comes_first():
    parts = [near(40 + seed, seed, off=1.0, ticker=f"T{seed}") for seed in range(5)]
    made, means = [ticker_scores(part, {})[1] for part in parts], []
    for order in ([0, 1, 2], [2, 0, 1]):
        panels, shards = Panels(), (made[:2], made[2:3], made[3:])
        for place in order:
            panels.add(place, shards[place])
        means.append(panels.means()["lstm", 1])
    assert len(means[0]) == 44  # the longest
    pd.testing.assert_frame_equal(*means, check_exact=True)


def arms_of(
    ticker: str, seed: int, *, half_width: float, cpu_seconds: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sixty forecasts of `none` with intervals far too wide, and of `retrain`: rows and their scores."""
    none, arm = (
        near(60, seed, off=0.0, model=model, ticker=ticker, half_width=width)
        for model, width in (("lstm_none", 10.0), ("lstm_retrain", half_width))
    )
    rows = pd.concat([none, arm], ignore_index=True)
    costs = {
        "lstm_none": ArmCost("none", "lstm_none", 2.0),
        "lstm_retrain": ArmCost("retrain", "lstm_none", cpu_seconds),
    }
    return rows, scores_of(rows, {}, costs)


def test_arm_is_scored_against_none_with_what_it_cost():
    _, scores = arms_of("A", 1, half_width=2.5, cpu_seconds=7.0)
    none, arm = (scores.set_index("model").loc[model] for model in ("lstm_none", "lstm_retrain"))
    assert 0.3 < arm["gain_over_none"] < 1 and arm["gain_over_none"] == pytest.approx(
        1 - arm["pinball"] / none["pinball"]
    )
    assert arm["gain_per_cpu_second"] == pytest.approx(arm["gain_over_none"] / 5)
    assert arm["dm_none_stat"] < -5 and arm["dm_none_pvalue"] < 0.001
    assert (none["arm"], none["cpu_seconds"], none["gain_over_none"]) == ("none", 2.0, 0.0)
    assert none[["gain_per_cpu_second", "dm_none_stat", "dm_none_pvalue"]].isna().all()


def test_arm_without_none_beside_it_has_a_cost_and_no_gain():
    rows, _ = arms_of("A", 1, half_width=2.5, cpu_seconds=7.0)
    alone = rows[rows["model"] == "lstm_retrain"].reset_index(drop=True)
    scores = scores_of(alone, {}, {"lstm_retrain": ArmCost("retrain", "lstm_none", 7.0)})
    everything = together([alone], scores)
    assert everything["cpu_seconds"].tolist() == [7.0, 7.0]
    assert everything[["gain_over_none", "gain_per_cpu_second", "dm_none_pvalue"]].isna().all(axis=None)


def test_gain_of_all_tickers_is_geometric_and_their_seconds_add_up():
    parts = [
        arms_of("A", 1, half_width=2.5, cpu_seconds=7.0),
        arms_of("B", 2, half_width=9.0, cpu_seconds=3.0),
    ]
    rows, scores = zip(*parts, strict=True)
    everything = together(rows, pd.concat(scores, ignore_index=True))
    arms = everything[everything["model"] == "lstm_retrain"].set_index("ticker")
    kept = 1 - arms["gain_over_none"]
    assert kept["*"] == pytest.approx(math.sqrt(kept["A"] * kept["B"]))
    assert (arms.loc["*", "arm"], arms.loc["*", "cpu_seconds"]) == ("retrain", 10.0)
    assert arms.loc["*", "gain_per_cpu_second"] == pytest.approx(
        arms.loc["*", "gain_over_none"] / (10.0 - 4.0)
    )
    assert arms.loc["*", "dm_none_stat"] < -5 and math.isnan(arms.loc["*", "dm_none_qvalue"])
    assert (arms.loc[["A", "B"], "dm_none_qvalue"] >= arms.loc[["A", "B"], "dm_none_pvalue"]).all()
