"""The nights of a test part over again: each arm decides as it should, knows nothing later, and says what it
cost.
"""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from forecast_lib.backtest.scores import arm_model
from forecast_lib.backtest.validation import validated
from forecast_lib.config import ARMS, BacktestConfig
from forecast_lib.errors import UsageError
from forecast_lib.forecast import forecast_with_baseline, forecast_with_model
from forecast_lib.jobs.evaluate import backtests, replay
from forecast_lib.jobs.record import status_rows
from forecast_lib.jobs.refresh import models, plan, pool
from forecast_lib.jobs.refresh.decisions import Lineage, lineages, model_config_json
from forecast_lib.jobs.refresh.models import refresh_shard
from forecast_lib.jobs.results import keep_models
from forecast_lib.jobs.workspace import models_folder
from forecast_lib.models.bundle import to_bytes
from forecast_lib.models.training import POOL, train
from tests import made_up
from tests.made_up import MODEL, panels_of

pytestmark = pytest.mark.slow

SCHEDULE = dataclasses.replace(made_up.TRAIN, refit_sessions=20, fine_tune_every=5)
REPLAY = BacktestConfig(arms=ARMS)
SERIES = made_up.noisy(300)
FIRST, END = 239, 299  # the last 60 cutoffs that have an outcome
COLUMNS = ["cutoff", "step", "point", "sigma", "q025", "q10", "q50", "q90", "q975"]


def tried(series, config=REPLAY):
    return backtests.backtest_pool([series], (MODEL,), SCHEDULE, config, seed=1)[0]


def rows_of(result, model, columns=COLUMNS):
    return result.forecasts.loc[result.forecasts["model"] == model, columns].reset_index(drop=True)


def nights(result, arm, decision):
    """The evenings on which an arm so decided, without the year."""
    own = [
        split
        for split in result.splits
        if split["model"] == arm_model("lstm", arm) and split["decision"] == decision
    ]
    return [split["first_cutoff"][5:] for split in own]


@pytest.fixture(scope="module", autouse=True)
def the_newest_model_is_the_best():
    """A network this small would often lose to the one before: here the newest model always wins, and no
    drift rings.
    """

    def approving(bundle, *given):
        newest_lowest = -float(pd.Timestamp(bundle.trained_through).toordinal())
        return dataclasses.replace(validated(bundle, *given), pinball=newest_lowest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "validated", approving)
        patch.setattr(plan, "has_drifted", lambda *losses: False)
        yield


@pytest.fixture(scope="module")
def result():
    # What is compiled at its first use is no arm's cost.
    tried(SERIES, dataclasses.replace(REPLAY, arms=("none",)))
    return tried(SERIES)


@pytest.fixture(scope="module")
def pools():
    config, series = REPLAY, [SERIES]
    wanted = backtests.members(series, (MODEL,), SCHEDULE, config, 1)
    trained = backtests.train_pool_shard(wanted, (MODEL,), SCHEDULE, 1)
    return backtests.join_pools(wanted, trained, series, (MODEL,), SCHEDULE, config, 1)[0]


def replayed(arm, pools):
    naive = forecast_with_baseline("naive", SERIES, MODEL.horizon, (FIRST, END))
    return replay.replay(SERIES, (FIRST, END), arm, MODEL, SCHEDULE, REPLAY, pools, naive, seed=1)


def test_one_point_is_the_backtest_of_one_fold(result):
    fold = tried(SERIES, BacktestConfig())
    # The same model, asked for the cutoffs before as well, which rounds the last bits of running means
    pd.testing.assert_frame_equal(rows_of(result, "lstm_none"), rows_of(fold, "lstm"), rtol=1e-9)


def test_arms_decide_on_the_nights_of_their_schedule(result):
    """By hand: 20 sessions of New York between retrains, 5 between fine-tunes; closed on 25 December, 1 and
    18 January, 15 February.
    """
    retrained = ["12-04", "01-05", "02-03"]
    assert nights(result, "none", "retrain") == retrained[:1]
    assert nights(result, "retrain", "retrain") == nights(result, "fine-tune", "retrain") == retrained
    assert nights(result, "fine-tune", "fine_tune") == [
        "12-11",
        "12-18",
        "12-28",
        "01-12",
        "01-20",
        "01-27",
        "02-10",
        "02-18",
        "02-25",
    ]
    assert nights(result, "none", "fine_tune") == nights(result, "retrain", "fine_tune") == []


def test_forecasts_of_the_arms_part_where_their_nights_do(result):
    none, tuned = rows_of(result, "lstm_none"), rows_of(result, "lstm_fine_tune")
    before = none["cutoff"] < pd.Timestamp("2020-12-11")
    # The model is the same, but not how far ahead it is asked at once, which rounds the last bits of running
    # means
    pd.testing.assert_frame_equal(none[before], tuned[before], rtol=1e-9)
    assert not np.allclose(none.loc[~before, "sigma"], tuned.loc[~before, "sigma"], rtol=1e-9)


def test_fine_tune_goes_on_from_the_last_model(pools):
    points = replayed("fine-tune", pools).points
    first, second = points[0].refreshed, points[1].refreshed
    assert (first.decision.action, second.decision.action) == ("retrain", "fine_tune")
    again = train(SERIES.until(points[1].at + 1), MODEL, SCHEDULE, start=first.trained.bundle, seed=1)
    assert to_bytes(again.bundle) == to_bytes(second.trained.bundle)
    assert second.start_id == second.parent_id == "ACME-0"


@pytest.mark.parametrize("newest_wins", [True, False])
def test_nights_have_the_models_that_their_replay_has(tmp_path, pools, monkeypatch, newest_wins):
    """Twenty-five evenings one after the other, as the flow puts the jobs in order, with models and pools on
    disk.
    """
    if not newest_wins:
        monkeypatch.setattr(models, "validated", validated)
    replayed_nights, history, actions = replayed("fine-tune", pools).served, [], []
    for at in range(FIRST, FIRST + 25):
        series = SERIES.until(at + 1)
        config = made_up.run_config(
            workspace=tmp_path, day=pd.Timestamp(series.sessions[-1]).date(), train=SCHEDULE, seed=1
        )
        settings, market = model_config_json(config), made_up.market(series)
        known = lineages(pd.concat(history), settings) if history else {}
        work = plan.plan_refresh(config, market, known)
        anew, kept = [each.decision for each in work if each.decision.action == "retrain"], None
        if anew and (kept := pool.stored_pool(config, market, known.get(POOL, Lineage()), anew)) is None:
            fits = pool.train_members(pool.pool_members([series], MODEL, SCHEDULE, 1), MODEL, SCHEDULE, 1)
            kept = pool.keep_pool(fits, [series], MODEL, SCHEDULE, 1, models_folder(tmp_path))
        refreshed = refresh_shard(plan.with_pool(work, kept), MODEL, SCHEDULE, 1)
        night = keep_models(config, market, refreshed, kept)
        history.append(status_rows.model_rows(night.refreshed, night.weights, night.pool, config, settings))
        actions += [
            (each.decision.action, kept is not None and bool(kept.fits))
            for each in work
            if each.decision.action != "skip"
        ]
        own = forecast_with_model(night.served["ACME"][0], series, (at, at + 1))
        np.testing.assert_allclose(
            own.quantiles[0], replayed_nights.quantiles[at - FIRST], rtol=1e-6, err_msg=str(at)
        )
    by_hand = [("retrain", True), *[("fine_tune", False)] * 3, ("retrain", True)]  # whether with a new pool
    assert actions == by_hand


def test_retrain_starts_from_the_newest_pool(pools):
    points = replayed("retrain", pools).points
    used = [{each.kept.model_id: each.day for each in pools}[point.refreshed.start_id] for point in points]
    newest = [max(each.day for each in pools if each.day <= SERIES.sessions[point.at]) for point in points]
    assert used == newest and len(set(used)) > 1


@pytest.mark.parametrize("cut", [FIRST, 252, 271])
def test_another_future_moves_no_earlier_forecast_of_any_arm(result, cut):
    other = tried(made_up.scrambled(SERIES, cut))
    until = pd.Timestamp(SERIES.sessions[cut])
    for arm in ARMS:
        here, there = (rows_of(made, arm_model("lstm", arm)) for made in (result, other))
        pd.testing.assert_frame_equal(
            here[here["cutoff"] <= until], there[there["cutoff"] <= until], check_exact=True
        )
        assert not here[here["cutoff"] > until].equals(there[there["cutoff"] > until])


def test_cost_and_gain_of_every_arm_are_recorded(result):
    scores = result.scores[result.scores["step"] == 1].set_index("model")
    cost = [scores.loc[arm_model("lstm", arm), "cpu_seconds"] for arm in ("none", "retrain", "fine-tune")]
    assert 0 < cost[0] < cost[1] < cost[2]
    arm, none = scores.loc["lstm_fine_tune"], scores.loc["lstm_none"]
    assert arm["gain_over_none"] == pytest.approx(1 - arm["pinball"] / none["pinball"])
    assert arm["gain_per_cpu_second"] == pytest.approx(arm["gain_over_none"] / (cost[2] - cost[0]))
    assert (none["arm"], none["gain_over_none"]) == ("none", 0.0) and np.isfinite(arm["dm_none_pvalue"])
    assert scores.loc[["naive", "garch"], ["cpu_seconds", "gain_over_none"]].isna().all(axis=None)


def test_tables_of_a_replay_are_those_of_the_store_and_its_figures_have_no_nan(result):
    tables = backtests.backtest_tables(
        [result],
        panels_of([result.losses]),
        (MODEL,),
        REPLAY,
        run_id="run-1",
        as_of=pd.Timestamp("2021-03-01"),
        seconds=1.0,
    )
    scores = made_up.stored("backtest_scores", tables["backtest_scores"])
    assert set(scores.loc[scores["ticker"] == "*", "arm"].dropna()) == {"fine_tune", "retrain", "none"}
    shown = {row["model"]: row for row in backtests.figures(scores)}
    assert shown["garch"]["CPU s"] is None and shown["lstm_none"]["gain over none"] == 0.0
    without = backtests.figures(tables["backtest_scores"].assign(arm=None))
    assert "CPU s" not in without[0]


def test_drift_trains_anew_in_both_arms_that_train(monkeypatch, pools):
    monkeypatch.setattr(plan, "has_drifted", lambda losses, baseline: len(losses) >= 7)
    for arm in ("retrain", "fine-tune"):
        second = next(
            point for point in replayed(arm, pools).points if point.refreshed.decision.trigger == "drift"
        )
        # The first night with seven losses settled before it, and the model old enough to be trained again
        # The seventh loss is that of the 15th, settled that evening; the other arm had its turn on the 11th,
        # and has the next on the 18th
        assert str(SERIES.sessions[second.at]) == {"retrain": "2020-12-16", "fine-tune": "2020-12-18"}[arm]


def test_window_and_embargo_hold_for_every_night():
    config = BacktestConfig(arms=("fine-tune",), embargo=2, window_sessions=180)
    made = tried(SERIES, config)
    assert {split["fit_sessions"] for split in made.splits} == {180}
    # What a model of the first night may know ends there.
    other = tried(made_up.scrambled(SERIES, FIRST - 2), config)
    assert [split["reason"] for split in made.splits[:1]] == [split["reason"] for split in other.splits[:1]]
    assert len(rows_of(made, "lstm_fine_tune")) == len(rows_of(tried(SERIES, BacktestConfig()), "lstm"))


def test_arms_and_folds_exclude_each_other():
    with pytest.raises(UsageError, match="exclude each other"):
        BacktestConfig(arms=("none",), folds=2)
