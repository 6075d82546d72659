"""The Diebold-Mariano test, by hand and against statsmodels on the forecasts themselves."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.tsa.stattools import diebold_mariano_test

from forecast_lib.backtest.significance import compare_losses, false_discovery_rates

PATTERN = np.tile([1.0, 1.0, -0.5], 10)
"""Thirty differences: mean 0.5, deviations 0.5, 0.5, -1, variance 15 / 30 = 0.5."""


def compared(difference, horizon):
    return compare_losses(difference + 5.0, np.full_like(difference, 5.0), horizon)


def test_one_step_by_hand():
    # sqrt(30) * 0.5 / sqrt(0.5) = 3.872983, times the small-sample factor sqrt((30 + 1 - 2) / 30) = 0.983192
    assert compared(PATTERN, 1)[0] == pytest.approx(3.807887, abs=1e-6)


def test_two_steps_by_hand():
    # Products of neighbouring deviations: 10 * 0.25 - 10 * 0.5 - 9 * 0.5 = -7; long-run variance with
    # Bartlett's weight 1/2: 0.5 + 2 * 0.5 * (-7 / 30) = 0.266667; sqrt(30) * 0.5 / sqrt(0.266667) = 5.303301;
    # factor sqrt((30 + 1 - 4 + 2 / 30) / 30) = 0.949854
    assert compared(PATTERN, 2)[0] == pytest.approx(5.037361, abs=1e-5)


def test_pvalue_is_two_sided_with_one_degree_of_freedom_less():
    stat, pvalue = compared(PATTERN, 1)
    assert pvalue == pytest.approx(2 * stats.t.sf(stat, 29))


def test_smaller_losses_give_a_negative_statistic():
    assert compared(-PATTERN, 1)[0] == pytest.approx(-3.807887, abs=1e-6)


@pytest.mark.parametrize("horizon", [1, 2, 5, 20])
def test_squared_errors_give_what_statsmodels_gives(horizon):
    random = np.random.default_rng(4)
    actual, ours, theirs = random.standard_normal((3, 200))
    expected = diebold_mariano_test(
        actual, ours, theirs, criterion="mse", lags=horizon - 1, harvey_adj=True, horizon=horizon
    )
    assert compare_losses((actual - ours) ** 2, (actual - theirs) ** 2, horizon) == pytest.approx(
        (expected.statistic, expected.pvalue)
    )


def test_noise_is_called_significant_as_often_as_it_should_be():
    random = np.random.default_rng(0)
    found = [compare_losses(*random.standard_normal((2, 120)), horizon=1)[1] < 0.05 for _ in range(300)]
    assert 0.02 < np.mean(found) < 0.09  # 0.05, plus or minus two and a half standard errors of 0.0126


@pytest.mark.parametrize(("count", "horizon"), [(29, 1), (30, 11), (0, 1)])
def test_too_few_are_not_tested(count, horizon):
    assert all(
        math.isnan(value) for value in compare_losses(np.arange(count) * 1.0, np.zeros(count), horizon)
    )


def test_equal_losses_are_not_tested():
    losses = np.arange(50.0)
    assert all(math.isnan(value) for value in compare_losses(losses, losses, 1))


def test_false_discovery_rates_by_hand():
    # Benjamini and Hochberg, four tickers: p times 4 over its rank: 0.004, 0.04, 0.04, 0.5; from the largest
    # down never rising
    assert false_discovery_rates(np.array([0.02, 0.5, 0.001, 0.03])) == pytest.approx(
        [0.04, 0.5, 0.004, 0.04]
    )


def test_false_discovery_rates_are_those_of_statsmodels():
    pvalues = np.random.default_rng(3).random(60) ** 2
    np.testing.assert_allclose(false_discovery_rates(pvalues), multipletests(pvalues, method="fdr_bh")[1])


def test_ticker_that_could_not_be_tested_is_not_counted():
    assert np.isnan(false_discovery_rates(np.array([math.nan, math.nan]))).all()
    with_gap = false_discovery_rates(np.array([0.02, math.nan, 0.04]))
    assert with_gap[[0, 2]].tolist() == false_discovery_rates(np.array([0.02, 0.04])).tolist()


def test_of_many_tickers_without_skill_hardly_any_is_called_better():
    random = np.random.default_rng(0)
    pvalues = np.array([compare_losses(*random.standard_normal((2, 120)), horizon=1)[1] for _ in range(300)])
    assert (pvalues < 0.05).sum() >= 6  # 15 expected
    assert (false_discovery_rates(pvalues) < 0.05).sum() == 0
