"""Losses of quantile forecasts, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import mean_pinball_loss

from forecast_lib.backtest.metrics import inside, pinball, winkler
from forecast_lib.domain import QUANTILES

LADDER = np.array([[91.0, 92.0, 93.0, 96.0, 100.0, 104.0, 107.0, 108.0, 109.0]])
"""Quantiles 2.5, 5, 10, 25, 50, 75, 90, 95 and 97.5 %."""


def one(price: float) -> np.ndarray:
    return np.array([price])


def test_pinball_by_hand():
    # Actual 101. Above the quantile: 10 * 0.025, 9 * 0.05, 8 * 0.1, 5 * 0.25, 1 * 0.5 = 0.25 + 0.45 + 0.8 + 1.25 + 0.5 = 3.25;
    # below: 3 * 0.25, 6 * 0.1, 7 * 0.05, 8 * 0.025 = 0.75 + 0.6 + 0.35 + 0.2 = 1.9; mean 5.15 / 9
    assert pinball(one(101.0), LADDER) == pytest.approx(5.15 / 9)


def test_pinball_is_scikit_learns():
    random = np.random.default_rng(0)
    actual, quantiles = random.normal(100, 5, 50), np.sort(random.normal(100, 5, (50, 9)), axis=1)
    expected = np.mean([mean_pinball_loss(actual, quantiles[:, at], alpha=level) for at, level in enumerate(QUANTILES)])
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


@pytest.mark.parametrize(("coverage", "low", "high"), [(0.5, 96.0, 104.0), (0.8, 93.0, 107.0), (0.9, 92.0, 108.0), (0.95, 91.0, 109.0)])
def test_interval_of_each_coverage_includes_its_borders(coverage, low, high):
    prices = np.array([low - 0.01, low, high, high + 0.01])
    assert inside(prices, np.repeat(LADDER, 4, axis=0), coverage).tolist() == [False, True, True, False]


def test_unknown_actual_is_in_no_interval():
    assert not inside(one(np.nan), LADDER, 0.8)[0]


@pytest.mark.parametrize("measure", [pinball, lambda a, q: inside(a, q, 0.8), lambda a, q: winkler(a, q, 0.8)])
@pytest.mark.parametrize("shape", [(9,), (3, 1), (1, 3)])
def test_shapes_that_would_broadcast_are_refused(measure, shape):
    with pytest.raises(ValueError, match="quantiles have shape"):
        measure(np.ones(shape), np.ones((3, 9)))
