"""The min-max scaler against scikit-learn's, and its inverse."""

import numpy as np
from sklearn.preprocessing import MinMaxScaler

from forecast_lib.recipes.scaling import NOT_SCALED, fit_min_max

VALUES = np.random.default_rng(1).lognormal(4.0, 1.0, 500)


def test_scales_as_scikit_learn_does():
    expected = MinMaxScaler().fit(VALUES[:300, None]).transform(VALUES[:, None])[:, 0]
    np.testing.assert_allclose(fit_min_max(VALUES[:300]).scale(VALUES), expected, atol=1e-12)


def test_smallest_becomes_0_and_largest_1():
    scaled = fit_min_max(VALUES).scale(VALUES)
    assert (scaled.min(), scaled.max()) == (0.0, 1.0)


def test_inverse_gives_the_values_back():
    scaler = fit_min_max(VALUES)
    np.testing.assert_allclose(scaler.unscale(scaler.scale(VALUES)), VALUES, rtol=1e-14)


def test_constant_series_becomes_zero_and_comes_back():
    scaler = fit_min_max(np.full(5, 7.0))
    assert scaler.scale(np.full(5, 7.0)).tolist() == [0.0] * 5
    assert scaler.unscale(np.zeros(2)).tolist() == [7.0, 7.0]


def test_not_scaled_changes_no_bit():
    assert NOT_SCALED.unscale(NOT_SCALED.scale(VALUES)).tobytes() == VALUES.tobytes()
