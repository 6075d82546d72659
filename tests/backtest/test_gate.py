"""The gate: what is worse is refused and told why; what is better passes."""

import dataclasses

import numpy as np
import pytest

from forecast_lib.backtest.gate import judge
from tests import made_up

VALIDATION = (440, 499)


def rising(sessions: int = 500):
    """One per cent a session, plus or minus a little: a drift that anybody could forecast."""
    random = np.random.default_rng(2)
    return made_up.closes_only(100 * np.exp(np.cumsum(0.01 + 0.002 * random.standard_normal(sessions))))


def erratic():
    """A model whose width swings with yesterday's volume, which has nothing to do with tomorrow."""
    bundle = made_up.bundle(shrinkage=0.0)
    weights = dict(bundle.weights)
    weights["rnn0/kernel"] = np.zeros_like(weights["rnn0/kernel"])
    weights["rnn0/kernel"][9] = 3.0  # the last feature, volume, into all gates
    weights["head/kernel"] = np.zeros_like(weights["head/kernel"])
    weights["head/kernel"][:, 2:4] = 3.0  # log scales of both steps
    return dataclasses.replace(bundle, weights=weights)


def test_model_that_calls_the_wrong_price_is_refused_and_told_so():
    verdict = judge(made_up.bundle(location=2.0, shrinkage=1.0), made_up.noisy(500), VALIDATION)
    assert not verdict.promoted
    assert verdict.rmse > 1.002 * verdict.rmse_naive
    # Always one per cent beside a return of 1 % standard deviation: root mean squared error about sqrt(2) times naive's
    assert verdict.rmse / verdict.rmse_naive == pytest.approx(np.sqrt(1 + np.tanh(2) ** 2), abs=0.25)
    assert verdict.reason == f"validation RMSE is {verdict.rmse / verdict.rmse_naive:.4f} of naive: above 1.002, so naive answers"


def test_model_with_erratic_intervals_is_refused_and_told_so():
    verdict = judge(erratic(), made_up.noisy(500), VALIDATION)
    assert not verdict.promoted
    assert verdict.rmse == verdict.rmse_naive  # its point is the last close
    assert verdict.reason == f"validation pinball is {verdict.pinball / verdict.pinball_naive:.4f} of naive: above 1, so naive answers"


def test_model_that_knows_the_drift_passes():
    verdict = judge(made_up.bundle(location=2.0, daily=0.01), rising(), VALIDATION)
    assert verdict.promoted and verdict.rmse < 0.5 * verdict.rmse_naive and verdict.pinball < verdict.pinball_naive
    assert verdict.reason == (
        f"validation pinball {verdict.pinball / verdict.pinball_naive:.4f} and RMSE {verdict.rmse / verdict.rmse_naive:.4f} of naive"
    )


def test_shifting_the_cutoffs_past_the_last_outcome_counts_only_what_is_known():
    series = made_up.noisy(500)
    assert judge(made_up.bundle(), series, (440, 499)).n == 59  # cutoffs 440 to 498; step 1 of each is known
    assert judge(made_up.bundle(), series, (440, 500)).n == 59  # the last session has no outcome


def test_naive_error_is_the_moves_as_shares_by_hand():
    # Closes alternate between 100 and 101: from a cutoff at 100 the move is 1 %, from 101 it is 1/101
    close = np.where(np.arange(500) % 2 == 0, 100.0, 101.0)
    verdict = judge(made_up.bundle(), made_up.closes_only(close), (440, 498))
    assert verdict.rmse_naive == pytest.approx(np.sqrt((0.01**2 + (1 / 101) ** 2) / 2))


def test_prices_after_the_last_target_do_not_move_the_verdict():
    series = made_up.noisy(500)
    cutoffs = (400, 450)
    last_target = 449 + 2
    here, there = (judge(made_up.bundle(location=0.1), each, cutoffs) for each in (series, made_up.scrambled(series, last_target)))
    assert here == there
    assert here != judge(made_up.bundle(location=0.1), made_up.scrambled(series, last_target - 1), cutoffs)


@pytest.mark.parametrize("kind", made_up.ODD)
def test_odd_history_is_judged_with_a_reason(kind):
    series = made_up.ODD[kind]
    verdict = judge(made_up.bundle(), series, (330, len(series) - 1))
    assert np.isfinite([verdict.rmse, verdict.rmse_naive, verdict.pinball, verdict.pinball_naive]).all()
    assert "nan" not in verdict.reason


def test_coverage_of_validation_is_a_share_near_what_is_said():
    verdict = judge(made_up.bundle(), made_up.noisy(1500), (700, 1499))
    assert verdict.cov80 == pytest.approx(0.8, abs=0.04) and verdict.cov95 == pytest.approx(0.95, abs=0.02)
