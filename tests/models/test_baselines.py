"""Naive and drift, by hand."""

import numpy as np
import pytest

from forecast_lib.models.baselines import drift, naive
from forecast_lib.windows.features import session_features
from tests import made_up


def test_naive_goes_nowhere():
    centre, scale = naive(session_features(made_up.noisy(50)), np.array([30, 49]), 3)
    assert centre.tolist() == [[0.0] * 3] * 2
    np.testing.assert_allclose(scale / scale[:, :1], [[1.0, 1.4142136, 1.7320508]] * 2, atol=1e-7)


def test_naive_scale_is_the_volatility_of_the_cutoff():
    features = session_features(made_up.noisy(50))
    assert naive(features, np.array([49]), 1)[1][0, 0] == features.ewma_sigma[49]


def test_drift_goes_on_at_the_mean_rate():
    centre, _ = drift(session_features(made_up.growing(40, 0.01)), np.array([39]), 3)
    assert centre[0] == pytest.approx([0.00995033, 0.01990066, 0.02985099], abs=1e-8)  # ln 1.01 = 0.00995033, once a step


def test_falling_prices_drift_down():
    assert drift(session_features(made_up.growing(40, -0.01)), np.array([39]), 1)[0][0, 0] < 0


@pytest.mark.parametrize(("sessions", "moves"), [(20, False), (21, True)])
def test_drift_needs_twenty_returns(sessions, moves):
    centre, _ = drift(session_features(made_up.growing(sessions)), np.array([sessions - 1]), 1)
    assert bool(centre.any()) == moves


def test_drift_forgets_after_five_years():
    close = np.concatenate([made_up.growing(100).close, np.full(1251, 200.0)])  # 1,250 returns of zero at the end
    features = session_features(made_up.closes_only(close))
    assert drift(features, np.array([1350]), 1)[0][0, 0] == pytest.approx(0.0, abs=1e-15)
    assert drift(features, np.array([1300]), 1)[0][0, 0] > 1e-5


@pytest.mark.parametrize("baseline", [naive, drift])
def test_another_future_moves_nothing_before_it(baseline):
    series, cut = made_up.noisy(200), 120
    here, there = (baseline(session_features(s), np.arange(cut + 1), 2) for s in (series, made_up.scrambled(series, cut)))
    assert [part.tobytes() for part in here] == [part.tobytes() for part in there]
