"""Backtests of one ticker: the night's own path at past cutoffs, and nothing that was not known there."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from forecast_lib.backtest.panels import Panels
from forecast_lib.backtest.run import fold_pool_series
from forecast_lib.backtest.splits import fold_days
from forecast_lib.config import BacktestConfig
from forecast_lib.covariates.inputs import Inputs
from forecast_lib.covariates.series import Covariate, as_known, level_of
from forecast_lib.domain import Ticker
from forecast_lib.errors import TooFewSessions
from forecast_lib.forecast import COMBINED, combined_forecast
from forecast_lib.jobs.evaluate import backtests
from forecast_lib.jobs.evaluate.backtests import backtest_pool, backtest_tables, backtest_ticker, rows_of
from forecast_lib.jobs.refresh.decisions import Decision
from forecast_lib.jobs.refresh.models import Work, refresh_shard
from forecast_lib.models.baselines import BASELINES, BESIDE_A_NETWORK
from forecast_lib.tables import QUANTILE_COLUMNS
from forecast_lib.windows.series import TickerSeries
from tests import made_up
from tests.made_up import MODEL, TRAIN, panels_of

TWO_FOLDS = BacktestConfig(test_share=0.2, folds=2)
SERIES = made_up.noisy(300)


def tried(series, config=TWO_FOLDS, seed=1):
    return backtest_pool([series], (MODEL,), TRAIN, config, seed=seed)[0]


@pytest.fixture(scope="module")
def result():
    return tried(SERIES)


def test_every_cutoff_is_forecast_by_every_model(result):
    counts = result.forecasts.groupby(["model", "step"]).size().to_dict()
    # 60 cutoffs; the last has one outcome only, so step 2 has one row less
    assert counts == {(model, step): 61 - step for model in (*BASELINES, "lstm", COMBINED) for step in (1, 2)}


def test_last_cutoff_is_the_session_before_the_last(result):
    assert result.forecasts["cutoff"].max() == pd.Timestamp(SERIES.sessions[-2])
    assert result.forecasts["target_session"].max() == pd.Timestamp(SERIES.sessions[-1])


def test_actual_is_the_close_of_the_target_and_naive_that_of_the_cutoff(result):
    close = dict(zip(pd.DatetimeIndex(SERIES.sessions), SERIES.close, strict=True))
    assert (result.forecasts["target_session"].map(close) == result.forecasts["actual"]).all()
    assert (result.forecasts["cutoff"].map(close) == result.forecasts["naive"]).all()
    assert (result.forecasts["target_session"] > result.forecasts["cutoff"]).all()


def test_combined_lies_between_its_parts(result):
    wide = result.forecasts.pivot(index=["cutoff", "step"], columns="model", values="q975")
    parts = wide[["lstm", *BESIDE_A_NETWORK]]
    assert ((wide[COMBINED] > parts.min(axis=1)) & (wide[COMBINED] < parts.max(axis=1))).all()
    assert [split["fit_sessions"] for split in result.splits] == [240, 270]


def test_combined_is_what_the_nights_would_have_published(result):
    """At the first cutoff of a fold, from the model trained there."""
    own = result.forecasts[
        (result.forecasts["model"] == COMBINED)
        & (result.forecasts["cutoff"] == pd.Timestamp(SERIES.sessions[239]))
    ]
    seen = SERIES.until(240)
    wanted = backtests.members([SERIES], (MODEL,), TRAIN, TWO_FOLDS, 1)
    trained = backtests.train_pool_shard(wanted, (MODEL,), TRAIN, 1)
    pool = backtests.join_pools(wanted, trained, [SERIES], (MODEL,), TRAIN, TWO_FOLDS, 1)[0][0].kept
    (made,) = refresh_shard(
        [Work(seen, Decision("retrain", "no_model"), start=pool.pool, pool_sha256=pool.sha256)],
        MODEL,
        TRAIN,
        1,
    )
    night = combined_forecast(made.served, seen, MODEL.horizon).forecasts
    np.testing.assert_allclose(own[list(QUANTILE_COLUMNS)].to_numpy(), night.quantiles[0], rtol=1e-6)


def test_same_backtest_twice_gives_the_same_rows(result):
    again = tried(SERIES)
    pd.testing.assert_frame_equal(result.forecasts, again.forecasts, check_exact=True)


@pytest.mark.parametrize("cut", [239, 255, 269])
def test_another_future_moves_no_earlier_forecast(result, cut):
    other = tried(made_up.scrambled(SERIES, cut))
    until = pd.Timestamp(SERIES.sessions[cut])
    columns = [column for column in result.forecasts.columns if column not in ("actual", "realised_variance")]
    here, there = (
        made.forecasts[made.forecasts["cutoff"] <= until][columns].reset_index(drop=True)
        for made in (result, other)
    )
    pd.testing.assert_frame_equal(here, there, check_exact=True)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_shuffled_returns_show_no_skill(seed):
    """The same returns in another order: whatever a network finds in them is chance, and the combination must
    not suffer by it.
    """
    returns = np.diff(np.log(made_up.noisy(500).close))
    shuffled = made_up.closes_only(100 * np.exp(np.cumsum(np.random.default_rng(seed).permutation(returns))))
    scores = tried(shuffled, BacktestConfig(), seed).scores
    for _, row in scores[scores["model"].isin(["lstm", COMBINED])].iterrows():
        assert row["rmse_ratio"] == pytest.approx(1.0, abs=0.01)
        assert not (row["dm_stat"] < 0 and row["dm_pvalue"] < 0.01)


def test_naive_is_its_own_measure(result):
    naive = result.scores[result.scores["model"] == "naive"]
    assert naive["rmse_ratio"].tolist() == [1.0, 1.0] == naive["mase"].tolist()
    assert naive["dm_stat"].isna().all()


def test_fold_that_cannot_be_fitted_is_answered_by_the_baselines_and_says_why():
    # 96 sessions are known to the fold: a window of 10 and 60 cutoffs to train on need more.
    short = made_up.noisy(120)
    made = tried(short, BacktestConfig())
    assert set(made.forecasts["model"]) == {*BASELINES, COMBINED}
    assert made.splits[0]["trained"] is False
    assert made.splits[0]["reason"].startswith(
        "96 sessions of history, but a window of 10 and a horizon of 2 need about"
    )


def test_history_without_a_test_part_is_refused():
    with pytest.raises(TooFewSessions, match="ACME: 2 sessions give"):
        backtest_ticker(made_up.noisy(2), (MODEL,), [[]], TRAIN, BacktestConfig(test_share=0.9), seed=1)


def spread(shard):
    """As the flow does it: the networks of every fold, one task each, then the tickers."""
    same = ((MODEL,), TRAIN, TWO_FOLDS)
    shard = backtests.shaped(shard, *same)
    wanted = backtests.members(shard, *same, 1)
    trained = [fit for each in wanted for fit in backtests.train_pool_shard((each,), (MODEL,), TRAIN, 1)]
    pools = backtests.join_pools(wanted, trained, shard, *same, 1)
    return backtests.backtest_shard(shard, (MODEL,), pools, TRAIN, TWO_FOLDS, 1, BASELINES)


def test_bad_ticker_leaves_the_others_as_they_were(result):
    made = spread([made_up.noisy(1, ticker="BAD"), SERIES])
    assert backtests.problems(made)["BAD"].rule == "too_short"
    pd.testing.assert_frame_equal(backtests.tested(made)[0].forecasts, result.forecasts, check_exact=True)


def test_pooled_network_of_a_fold_knows_no_session_after_the_first_ticker_is_fitted():
    """The second ticker's history is longer and ends earlier: what comes after the earliest start moves no
    forecast of the first fold.
    """
    long = made_up.noisy(320, 5, ticker="LONG").until(310)
    day = fold_days([SERIES, long], TWO_FOLDS)[0]
    assert day == min(SERIES.sessions[239], long.sessions[247])
    known = fold_pool_series([SERIES, long], day, MODEL, TRAIN, TWO_FOLDS)
    assert max(each.sessions[-1] for each in known) == day
    here, there = (
        spread([SERIES, other])[0]
        for other in (long, made_up.scrambled(long, int(np.searchsorted(long.sessions, day))))
    )
    first = here.forecasts["cutoff"] < pd.Timestamp(SERIES.sessions[269])
    pd.testing.assert_frame_equal(here.forecasts[first], there.forecasts[first], check_exact=True)


def test_tables_are_those_of_the_store(result):
    as_of = pd.Timestamp("2021-03-01")
    rows = rows_of([result], "run-1")
    panels = panels_of([result.losses])
    tables = backtest_tables([result], panels, (MODEL,), TWO_FOLDS, run_id="run-1", as_of=as_of, seconds=1.0)
    tables["backtest_forecasts"] = rows
    for name, frame in tables.items():
        assert len(made_up.stored(name, frame)) > 0
    assert set(tables["backtest_scores"]["ticker"]) == {Ticker("ACME"), "*"}
    assert len(json.loads(tables["backtests"]["splits"][0])) == 2


def test_nothing_tested_gives_empty_tables():
    tables = backtest_tables(
        [], Panels(), (MODEL,), TWO_FOLDS, run_id="run-1", as_of=pd.Timestamp("2021-03-01"), seconds=0.0
    )
    assert {name: len(frame) for name, frame in tables.items()} == {"backtests": 0, "backtest_scores": 0}
    assert rows_of([], "run-1") is None


# --- what else was known


def led(sessions: int = 1000) -> tuple[TickerSeries, Covariate]:
    """A series whose volatility a covariate tells a session ahead, so that it is kept at every fold."""
    random = np.random.default_rng(7)
    weather = np.zeros(sessions + 1)
    for at in range(1, sessions + 1):
        weather[at] = 0.8 * weather[at - 1] + 0.6 * random.standard_normal()
    returns = 0.01 * np.exp(weather[:-1]) * random.standard_normal(sessions)
    series = made_up.closes_only(100 * np.exp(np.cumsum(returns)))
    known = np.full(sessions, "NaT", "datetime64[us]")
    return series, Covariate("leader", None, series.sessions, np.exp(weather[1:]), known)


def knowing(series: TickerSeries, covariate: Covariate) -> TickerSeries:
    evenings = series.sessions.astype("datetime64[us]")
    known = as_known(level_of(covariate), series.sessions, evenings)
    return dataclasses.replace(series, inputs=Inputs((known,)))


def test_another_future_of_a_covariate_moves_no_earlier_forecast_though_it_is_kept():
    series, leader = led()
    here, without = tried(knowing(series, leader)), tried(series)
    columns = [column for column in here.forecasts.columns if column not in ("actual", "realised_variance")]

    def until(result, cutoff):
        rows = result.forecasts[result.forecasts["model"] == COMBINED]
        return rows.loc[rows["cutoff"] <= pd.Timestamp(cutoff), columns].reset_index(drop=True)

    first, last = series.sessions[800], series.sessions[-2]
    assert not until(here, first).equals(until(without, first))  # it counts, from the first cutoff on
    for cut in (820, 900, 940):
        other = dataclasses.replace(
            leader, values=np.where(np.arange(len(series)) > cut, leader.values[::-1], leader.values)
        )
        there = tried(knowing(series, other))
        pd.testing.assert_frame_equal(
            until(here, series.sessions[cut]), until(there, series.sessions[cut]), check_exact=True
        )
        assert not until(here, last).equals(until(there, last))
