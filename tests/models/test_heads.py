"""The head's distribution against SciPy, and how much of its location is believed."""

import numpy as np
import pytest
from scipy import stats

from forecast_lib.models.heads import shrinkage_of, standardised


def test_zeros_are_the_random_walk():
    head = standardised(np.zeros((1, 9), np.float32), 3)
    assert head.location.tolist() == [[0.0, 0.0, 0.0]]
    np.testing.assert_allclose(head.df, 6.0, atol=1e-3)
    np.testing.assert_allclose(stats.t(head.df, scale=head.scale).std(), 1.0, atol=1e-3)


def test_outputs_are_locations_then_scales_then_degrees_of_freedom():
    raw = np.zeros((1, 6))
    raw[0] = [0.5, -0.5, 1.0, 0.0, 0.0, 10.0]
    head = standardised(raw, 2)
    # By table: tanh 0.5 = 0.4621172; scale sqrt(4/6) = 0.81650, times exp(2 tanh 0.5) = exp(0.9242343) =
    # 2.51994
    np.testing.assert_allclose(head.location, [[0.4621172, -0.4621172]], atol=1e-7)
    np.testing.assert_allclose(head.scale, [[0.81650 * 2.51994, 0.81650]], rtol=1e-4)
    np.testing.assert_allclose(head.df, [[6.0, 2.5 + 13.47]], atol=1e-3)


@pytest.mark.parametrize("raw", [-1e6, 1e6])
def test_wildest_outputs_stay_a_distribution(raw):
    head = standardised(np.full((1, 3), raw), 1)
    assert abs(head.location[0, 0]) <= 1
    assert 0.81 * np.exp(-2) < head.scale[0, 0] < 0.82 * np.exp(2)
    assert np.isfinite(head.df[0, 0]) and head.df[0, 0] >= 2.5


def believed(location, score):
    return shrinkage_of(np.asarray(location, float), np.asarray(score, float)).tolist()


def test_belief_is_the_slope_less_three_standard_errors():
    x = np.tile([1.0, -1.0, 1.0, -1.0], 25)
    y = 0.5 * x + 0.1 * np.tile([1.0, 1.0, -1.0, -1.0], 25)  # the noise is orthogonal to x: the slope is 0.5
    # By hand: residual variance 0.01, x'x = 100; standard error sqrt(0.01 / 100) = 0.01, at step 2 sqrt(2) as
    # large
    assert believed(np.stack([x, x], 1), np.stack([y, y], 1)) == pytest.approx(
        [0.47, 0.5 - 0.0424264], abs=1e-7
    )


@pytest.mark.parametrize(("slope", "belief"), [(-1.0, 0.0), (3.0, 1.0), (1.0, 1.0), (0.25, 0.25)])
def test_belief_stays_between_none_and_all(slope, belief):
    x = np.tile([1.0, -1.0], 50)[:, None]
    assert believed(x, slope * x) == pytest.approx([belief])


def test_scores_not_known_yet_do_not_count():
    x = np.tile([1.0, -1.0], 50)[:, None]
    score = 0.5 * x
    score[-40:] = np.nan
    assert believed(x, score) == pytest.approx([0.5])


@pytest.mark.parametrize(("known", "belief"), [(19, 0.0), (20, 0.5)])
def test_fewer_than_twenty_scores_are_no_evidence(known, belief):
    x = np.tile([1.0, -1.0], 10)[:known, None]
    assert believed(x, 0.5 * x) == pytest.approx([belief])


def test_silent_head_is_not_believed():
    assert believed(np.zeros((50, 1)), np.ones((50, 1))) == [0.0]


def test_noise_is_hardly_ever_believed():
    """Beyond three standard errors on one side lie 0.13 % of a normal distribution: 2.7 of 2,000 draws, and
    10 are far beyond chance.
    """
    random = np.random.default_rng(0)
    draws = [
        shrinkage_of(random.standard_normal((250, 1)), random.standard_normal((250, 1)))[0]
        for _ in range(2000)
    ]
    assert 0 < np.count_nonzero(draws) < 10
