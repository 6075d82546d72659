"""Losses of forecasts, by hand and against scikit-learn and SciPy."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_pinball_loss

from forecast_lib.backtest.metrics import inside, qlike, thirds, uniform_pvalue, winkler
from forecast_lib.distribution import pinball
from forecast_lib.domain import QUANTILES

LADDER = np.array([[80.0, 85.0, 91.0, 92.0, 93.0, 96.0, 100.0, 104.0, 107.0, 108.0, 109.0, 115.0, 120.0]])
"""Quantiles 0.5, 1, 2.5, 5, 10, 25, 50, 75, 90, 95, 97.5, 99 and 99.5 %."""


def one(price: float) -> np.ndarray:
    return np.array([price])


def test_pinball_by_hand():
    # Actual 101, the nine levels from 2.5 to 97.5 %. Above the quantile: 10 * 0.025, 9 * 0.05, 8 * 0.1, 5 *
    # 0.25, 1 * 0.5 = 0.25 + 0.45 + 0.8 + 1.25 + 0.5 = 3.25; below: 3 * 0.25, 6 * 0.1, 7 * 0.05, 8 * 0.025 =
    # 0.75 + 0.6 + 0.35 + 0.2 = 1.9; mean 5.15 / 9
    assert pinball(one(101.0), LADDER) == pytest.approx(5.15 / 9)


def test_pinball_is_scikit_learns():
    random = np.random.default_rng(0)
    actual, quantiles = random.normal(100, 5, 50), np.sort(random.normal(100, 5, (50, 13)), axis=1)
    expected = np.mean(
        [
            mean_pinball_loss(actual, quantiles[:, at], alpha=level)
            for at, level in enumerate(QUANTILES)
            if 2 <= at <= 10
        ]
    )
    assert pinball(actual, quantiles).mean() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("actual", "score"),
    [
        (100.0, 18.0),  # inside: the width, 109 - 91
        (90.0, 58.0),  # 1 below: 18 + 1 * 2 / 0.05
        (111.0, 98.0),  # 2 above: 18 + 2 * 2 / 0.05
    ],
)
def test_winkler_by_hand(actual, score):
    assert winkler(one(actual), LADDER, 0.95) == pytest.approx(score)


@pytest.mark.parametrize(
    ("coverage", "low", "high"),
    [(0.5, 96.0, 104.0), (0.8, 93.0, 107.0), (0.9, 92.0, 108.0), (0.95, 91.0, 109.0), (0.98, 85.0, 115.0)],
)
def test_interval_of_each_coverage_includes_its_borders(coverage, low, high):
    prices = np.array([low - 0.01, low, high, high + 0.01])
    assert inside(prices, np.repeat(LADDER, 4, axis=0), coverage).tolist() == [False, True, True, False]


def test_unknown_actual_is_in_no_interval():
    assert not inside(one(np.nan), LADDER, 0.8)[0]


@pytest.mark.parametrize(
    "measure", [pinball, lambda a, q: inside(a, q, 0.8), lambda a, q: winkler(a, q, 0.8)]
)
@pytest.mark.parametrize("shape", [(9,), (3, 1), (1, 3)])
def test_shapes_that_would_broadcast_are_refused(measure, shape):
    with pytest.raises(ValueError, match="quantiles have shape"):
        measure(np.ones(shape), np.ones((3, 13)))


@pytest.mark.parametrize(("count", "power"), [(30, 1.0), (200, 1.3), (2000, 1.05)])
def test_uniform_pvalue_is_nearly_the_exact_one(count, power):
    values = np.random.default_rng(7).random(count) ** power
    assert uniform_pvalue(values) == pytest.approx(
        stats.kstest(values, "uniform", method="exact").pvalue, rel=0.05, abs=0.005
    )


def test_too_few_values_have_no_pvalue():
    assert math.isnan(uniform_pvalue(np.linspace(0, 1, 29)))


def test_qlike_by_hand():
    # Forecast 1 % against a variance of 4e-4: ratio 4: 4 - ln 4 - 1 = 1.613706; against 0.25e-4: 0.25 +
    # 1.386294 - 1 = 0.636294
    np.testing.assert_allclose(
        qlike(np.array([0.01, 0.01]), np.array([4e-4, 0.25e-4])), [1.613706, 0.636294], atol=1e-6
    )


def test_qlike_is_least_for_the_true_volatility_though_the_variance_is_measured_with_noise():
    measured = 1e-4 * np.random.default_rng(0).standard_normal(20_000) ** 2
    losses = {
        sigma: qlike(np.full(20_000, sigma), measured).mean() for sigma in (0.008, 0.009, 0.01, 0.011, 0.012)
    }
    assert min(losses, key=losses.__getitem__) == 0.01


def test_qlike_refuses_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match="realised_variance has shape"):
        qlike(np.ones((3, 1)), np.ones(3))


@pytest.mark.parametrize("count", [0, 1, 3, 10, 100])
def test_thirds_are_of_one_size(count):
    sizes = np.bincount(thirds(np.random.default_rng(0).random(count)), minlength=3)
    assert sizes.sum() == count and sizes.max() - sizes.min() <= 1


def test_thirds_rise_with_the_values():
    values = np.random.default_rng(0).random(50)
    third = thirds(values)
    assert values[third == 0].max() < values[third == 1].min() < values[third == 2].min()
