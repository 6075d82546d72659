"""Scores of the tails: by hand, what they rank, and how often right forecasts are called wrong."""

import numpy as np
import pytest
from scipy import stats

from forecast_lib.backtest.tails import christoffersen, joint_loss, kupiec


@pytest.mark.parametrize("level", [0.01, 0.025])
def test_joint_loss_is_least_for_the_true_quantile_and_the_true_mean_below_it(level):
    returns = 0.01 * np.random.default_rng(0).standard_normal(400_000)
    quantile = 0.01 * stats.norm.ppf(level)
    mean = -0.01 * stats.norm.pdf(stats.norm.ppf(level)) / level  # of a normal, below its quantile

    def loss(by_quantile: float, by_mean: float) -> float:
        return joint_loss(
            returns,
            np.full(len(returns), quantile * by_quantile),
            np.full(len(returns), mean * by_mean),
            level,
        ).mean()

    wrong = [
        loss(*factors)
        for factors in ((0.9, 1.0), (1.1, 1.0), (1.0, 0.9), (1.0, 1.15), (0.8, 0.8), (1.25, 1.25))
    ]
    assert loss(1.0, 1.0) < min(wrong)


def test_joint_loss_by_hand():
    # Nothing passed: 0.02 / 0.025 + ln 0.025 - 1; passed by 1 %: 0.01 / (0.025 * 0.025) = 16 more
    found = joint_loss(np.array([0.0, -0.03]), np.full(2, -0.02), np.full(2, -0.025), 0.025)
    assert found == pytest.approx([0.8 + np.log(0.025) - 1, 16 + 0.8 + np.log(0.025) - 1])


def test_forecast_of_no_risk_has_a_finite_loss():
    assert np.isfinite(joint_loss(np.array([-0.1, 0.1]), np.full(2, 0.01), np.full(2, 0.005), 0.01)).all()


def test_kupiec_by_hand():
    # 20 of 1,000 at 1 %: 2 * (20 ln 2 + 980 ln(0.98 / 0.99)) = 7.8273; 3.84 would be the 5 % border
    assert kupiec(np.arange(1000) < 20, 0.01) == pytest.approx(stats.chi2.sf(7.8273, 1), rel=1e-3)
    assert kupiec(np.zeros(1000, bool), 0.01) == pytest.approx(stats.chi2.sf(-2000 * np.log(0.99), 1))


@pytest.mark.parametrize("test", [kupiec, christoffersen])
def test_right_forecasts_are_refused_about_as_often_as_the_level_says(test):
    random = np.random.default_rng(1)
    pvalues = np.array([test(random.random(2000) < 0.025, 0.025) for _ in range(1000)])
    assert 0.02 < (pvalues < 0.05).mean() < 0.09


def test_passings_in_a_row_are_seen_by_christoffersen_alone():
    in_a_row = np.arange(1000) % 200 < 5
    assert kupiec(in_a_row, 0.025) == pytest.approx(1.0) and christoffersen(in_a_row, 0.025) < 1e-6


def test_nothing_to_test_has_no_pvalue():
    assert np.isnan(kupiec(np.zeros(0, bool), 0.01)) and np.isnan(christoffersen(np.zeros(1, bool), 0.01))
