"""Validation scores: what they count, by hand, and that they know nothing later."""

import numpy as np
import pytest

from forecast_lib.backtest.validation import validated
from tests import made_up

VALIDATION = (440, 499)


def rising(sessions: int = 500):
    """One per cent a session, plus or minus a little: a drift that anybody could forecast."""
    random = np.random.default_rng(2)
    return made_up.closes_only(100 * np.exp(np.cumsum(0.01 + 0.002 * random.standard_normal(sessions))))


def test_model_that_calls_the_wrong_price_has_the_larger_error():
    found = validated(made_up.bundle(location=2.0, shrinkage=1.0), made_up.noisy(500), VALIDATION)
    # Always one per cent beside a return of 1 % standard deviation: root mean squared error about sqrt(2)
    # times naive's
    assert found.rmse / found.rmse_naive == pytest.approx(np.sqrt(1 + np.tanh(2) ** 2), abs=0.25)
    assert found.gain is not None and found.gain < 0


def test_model_that_knows_the_drift_gains_on_naive():
    found = validated(made_up.bundle(location=2.0, daily=0.01), rising(), VALIDATION)
    assert (
        found.rmse < 0.5 * found.rmse_naive
        and found.gain == pytest.approx(1 - found.pinball / found.pinball_naive)
        and found.gain > 0
    )


def test_shifting_the_cutoffs_past_the_last_outcome_counts_only_what_is_known():
    series = made_up.noisy(500)
    # Cutoffs 440 to 498; step 1 of each is known.
    assert validated(made_up.bundle(), series, (440, 499)).n == 59
    assert validated(made_up.bundle(), series, (440, 500)).n == 59  # the last session has no outcome


def test_naive_error_is_the_moves_as_shares_by_hand():
    # Closes alternate between 100 and 101: from a cutoff at 100 the move is 1 %, from 101 it is 1/101
    close = np.where(np.arange(500) % 2 == 0, 100.0, 101.0)
    found = validated(made_up.bundle(), made_up.closes_only(close), (440, 498))
    assert found.rmse_naive == pytest.approx(np.sqrt((0.01**2 + (1 / 101) ** 2) / 2))


def test_prices_after_the_last_target_do_not_move_the_scores():
    series, cutoffs, last_target = made_up.noisy(500), (400, 450), 449 + 2
    here, there = (
        validated(made_up.bundle(location=0.1), each, cutoffs)
        for each in (series, made_up.scrambled(series, last_target))
    )
    assert here == there
    assert here != validated(
        made_up.bundle(location=0.1), made_up.scrambled(series, last_target - 1), cutoffs
    )


@pytest.mark.parametrize("kind", made_up.ODD)
def test_odd_history_has_finite_scores(kind):
    series = made_up.ODD[kind]
    found = validated(made_up.bundle(), series, (330, len(series) - 1))
    assert np.isfinite([found.rmse, found.rmse_naive, found.pinball, found.pinball_naive]).all()


def test_coverage_of_validation_is_a_share_near_what_is_said():
    found = validated(made_up.bundle(), made_up.noisy(1500), (700, 1499))
    assert found.cov80 == pytest.approx(0.8, abs=0.04) and found.cov95 == pytest.approx(0.95, abs=0.02)
