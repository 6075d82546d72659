"""The gate: what is worse is refused and told why; what is better passes."""

import dataclasses

import numpy as np
import pytest

from forecast_lib.backtest import gate
from forecast_lib.backtest.gate import best_baseline, judge
from forecast_lib.models.baselines import BASELINES
from tests import made_up

VALIDATION = (440, 499)


def rising(sessions: int = 500):
    """One per cent a session, plus or minus a little: a drift that anybody could forecast."""
    random = np.random.default_rng(2)
    return made_up.closes_only(100 * np.exp(np.cumsum(0.01 + 0.002 * random.standard_normal(sessions))))


def erratic():
    """A model whose width swings with yesterday's volume, which has nothing to do with tomorrow."""
    bundle = made_up.bundle(shrinkage=0.0)
    weights = dict(bundle.members[0])
    weights["rnn0/kernel"] = np.zeros_like(weights["rnn0/kernel"])
    weights["rnn0/kernel"][9] = 3.0  # the last feature, volume, into all gates
    weights["head/kernel"] = np.zeros_like(weights["head/kernel"])
    weights["head/kernel"][:, 2:4] = 3.0  # log scales of both steps
    return dataclasses.replace(bundle, members=(weights,))


def test_model_that_calls_the_wrong_price_is_refused_and_told_so():
    verdict = judge(made_up.bundle(location=2.0, shrinkage=1.0), made_up.noisy(500), VALIDATION, BASELINES)
    assert not verdict.promoted
    assert verdict.rmse > 1.002 * verdict.rmse_naive
    # Always one per cent beside a return of 1 % standard deviation: root mean squared error about sqrt(2) times naive's
    assert verdict.rmse / verdict.rmse_naive == pytest.approx(np.sqrt(1 + np.tanh(2) ** 2), abs=0.25)
    assert (
        verdict.reason
        == f"validation RMSE is {verdict.rmse / verdict.rmse_naive:.4f} of naive: above 1.002, so {verdict.best.name} answers"
    )


def test_model_with_erratic_intervals_is_refused_and_told_so():
    verdict = judge(erratic(), made_up.noisy(500), VALIDATION, BASELINES)
    assert not verdict.promoted
    assert verdict.rmse == verdict.rmse_naive  # its point is the last close
    assert (
        verdict.reason
        == f"validation pinball is {verdict.pinball / verdict.pinball_naive:.4f} of naive: above 1, so {verdict.best.name} answers"
    )


def test_model_that_knows_the_drift_passes():
    verdict = judge(made_up.bundle(location=2.0, daily=0.01), rising(), VALIDATION, ["naive"])
    assert verdict.promoted and verdict.rmse < 0.5 * verdict.rmse_naive and verdict.pinball < verdict.pinball_naive
    assert verdict.reason == f"validation pinball {verdict.pinball / verdict.pinball_naive:.4f} of naive, the best baseline"


def test_model_that_a_baseline_beats_by_more_than_chance_is_refused_and_the_baseline_named():
    verdict = judge(made_up.bundle(location=2.0, daily=0.01), rising(), VALIDATION, ("naive", "drift"))
    assert not verdict.promoted and verdict.best.name == "drift" and verdict.pinball < verdict.pinball_naive
    ratio = verdict.pinball / verdict.best.pinball
    assert verdict.reason == f"validation pinball is {ratio:.4f} of drift: above 1 by more than chance, so drift answers"


def test_best_baseline_is_the_one_with_the_lowest_loss():
    losses = {name: gate._losses(rising(), VALIDATION, 2, [name])[name].mean() for name in BASELINES}
    best = best_baseline(rising(), VALIDATION, 2, BASELINES)
    assert (best.name, best.pinball) == min(losses.items(), key=lambda each: each[1])


def test_luck_of_the_best_of_many_baselines_is_excused_and_more_is_not():
    random = np.random.default_rng(0)
    baseline = 1.0 + 0.3 * random.random(250)
    assert not gate._worse(baseline + 0.01 * random.standard_normal(250), baseline, 1)
    assert gate._worse(baseline + 0.01 + 0.01 * random.standard_normal(250), baseline, 1)
    assert not gate._worse(baseline - 0.01 + 0.01 * random.standard_normal(250), baseline, 1)


def test_shifting_the_cutoffs_past_the_last_outcome_counts_only_what_is_known():
    series = made_up.noisy(500)
    assert judge(made_up.bundle(), series, (440, 499), BASELINES).n == 59  # cutoffs 440 to 498; step 1 of each is known
    assert judge(made_up.bundle(), series, (440, 500), BASELINES).n == 59  # the last session has no outcome


def test_naive_error_is_the_moves_as_shares_by_hand():
    # Closes alternate between 100 and 101: from a cutoff at 100 the move is 1 %, from 101 it is 1/101
    close = np.where(np.arange(500) % 2 == 0, 100.0, 101.0)
    verdict = judge(made_up.bundle(), made_up.closes_only(close), (440, 498), BASELINES)
    assert verdict.rmse_naive == pytest.approx(np.sqrt((0.01**2 + (1 / 101) ** 2) / 2))


def test_prices_after_the_last_target_do_not_move_the_verdict():
    series = made_up.noisy(500)
    cutoffs = (400, 450)
    last_target = 449 + 2
    here, there = (
        judge(made_up.bundle(location=0.1), each, cutoffs, BASELINES) for each in (series, made_up.scrambled(series, last_target))
    )
    assert here == there
    assert here != judge(made_up.bundle(location=0.1), made_up.scrambled(series, last_target - 1), cutoffs, BASELINES)


@pytest.mark.parametrize("kind", made_up.ODD)
def test_odd_history_is_judged_with_a_reason(kind):
    series = made_up.ODD[kind]
    verdict = judge(made_up.bundle(), series, (330, len(series) - 1), BASELINES)
    assert np.isfinite([verdict.rmse, verdict.rmse_naive, verdict.pinball, verdict.pinball_naive]).all()
    assert "nan" not in verdict.reason


def test_coverage_of_validation_is_a_share_near_what_is_said():
    verdict = judge(made_up.bundle(), made_up.noisy(1500), (700, 1499), BASELINES)
    assert verdict.cov80 == pytest.approx(0.8, abs=0.04) and verdict.cov95 == pytest.approx(0.95, abs=0.02)
