"""The published distribution: its levels, what lies between and beyond them, and the shortfalls, against
integrals.
"""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from forecast_lib.backtest.metrics import uniform_pvalue
from forecast_lib.distribution import expected_shortfalls, price_at, probability_below
from forecast_lib.domain import QUANTILES


def logistic(count: int = 1, scale: float = 0.02) -> np.ndarray:
    """Of a price of 100 whose log return is logistic: a line in the log odds."""
    return np.tile(100 * np.exp(scale * stats.logistic.ppf(QUANTILES)), (count, 1))


def student(count: int = 1) -> np.ndarray:
    return np.tile(100 * np.exp(0.02 * stats.t.ppf(QUANTILES, 5)), (count, 1))


def test_probability_at_a_quantile_is_its_level():
    quantiles = student(len(QUANTILES))
    np.testing.assert_allclose(probability_below(quantiles, quantiles[0]), QUANTILES, atol=1e-12)


def test_price_at_a_level_is_its_quantile():
    quantiles = student(len(QUANTILES))
    np.testing.assert_allclose(price_at(quantiles, np.array(QUANTILES)), quantiles[0], rtol=1e-12)


@pytest.mark.parametrize("score", [-9.0, -2.2, -0.9, 0.1, 1.4, 8.0])
def test_between_and_beyond_the_quantiles_of_a_logistic_is_exact(score):
    price = np.array([100 * np.exp(0.02 * score)])
    assert probability_below(logistic(), price)[0] == pytest.approx(stats.logistic.cdf(score), rel=1e-9)
    assert price_at(logistic(), np.array([stats.logistic.cdf(score)]))[0] == pytest.approx(price[0], rel=1e-9)


def test_probabilities_and_prices_are_each_others_inverse_and_rise():
    probabilities = stats.logistic.cdf(np.linspace(-14, 14, 600))
    prices = price_at(student(600), probabilities)
    assert (np.diff(prices) > 0).all()
    np.testing.assert_allclose(probability_below(student(600), prices), probabilities, rtol=1e-6)


def test_probability_of_a_forecast_without_width_is_certain():
    assert probability_below(np.full((2, 13), 10.0), np.array([9.0, 11.0])).tolist() == [0.0, 1.0]


def test_probabilities_of_right_forecasts_are_uniform_and_of_wrong_ones_not():
    actual = 100 * np.exp(0.02 * np.random.default_rng(1).logistic(size=800))
    assert uniform_pvalue(probability_below(logistic(800), actual)) > 0.1
    assert uniform_pvalue(probability_below(logistic(800, 0.025), actual)) < 0.01
    assert uniform_pvalue(probability_below(1.006 * logistic(800), actual)) < 0.01


@pytest.mark.parametrize("scale", [0.001, 0.02, 0.2])
def test_shortfalls_are_the_integrals_of_the_distribution_below_their_quantile(scale):
    quantiles = 100 * np.exp(scale * stats.t.ppf(QUANTILES, 5))
    found = expected_shortfalls(quantiles)
    for level, shortfall in zip((0.01, 0.025), found, strict=True):
        whole = (
            quad(
                lambda p: float(price_at(quantiles, np.array(p))), 0, level, points=(0.005, 0.01), limit=200
            )[0]
            / level
        )
        assert np.log(shortfall / 100) == pytest.approx(np.log(whole / 100), rel=0.005)


def test_shortfalls_lie_below_their_quantiles():
    quantiles = np.sort(np.random.default_rng(3).uniform(1, 100, (200, 13)), axis=1)
    es01, es025 = expected_shortfalls(quantiles)
    assert ((es01 < es025) & (es01 < quantiles[:, 1]) & (es025 < quantiles[:, 2]) & (es01 > 0)).all()


def test_shortfall_of_a_forecast_without_width_is_its_price():
    np.testing.assert_allclose(expected_shortfalls(np.full((1, 13), 10.0)), 10.0)
