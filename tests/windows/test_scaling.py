"""The volatility scale: its regressions against scikit-learn, its unit, and that it knows no future."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from forecast_lib.windows.features import session_features
from forecast_lib.windows.scaling import Sample, VolatilityScale, fit_volatility_scale, future_log_returns
from tests import made_up


def clustered(sessions: int, seed: int = 5):
    """Volatility itself wanders: log variance follows an autoregression with coefficient 0.97."""
    random = np.random.default_rng(seed)
    log_variance = np.zeros(sessions)
    for at in range(1, sessions):
        log_variance[at] = 0.97 * log_variance[at - 1] + 0.3 * random.standard_normal()
    return made_up.closes_only(
        100 * np.exp(np.cumsum(0.01 * np.exp(log_variance / 2) * random.standard_normal(sessions)))
    )


def alone(features, horizon, first, last):
    """The scale on the four variances, of one ticker alone."""
    return fit_volatility_scale(Sample(features.log_variances, features, first, last), horizon)


def test_horizon_longer_than_the_data_leaves_everything_unknown():
    returns = future_log_returns(np.log([1.0, 2.0]), 5)
    assert returns.shape == (2, 5)
    assert np.isfinite(returns).sum() == 1
    assert returns[0, 0] == pytest.approx(0.693147, abs=1e-6)  # ln 2


def test_last_session_has_no_return_and_the_last_but_one_has_one():
    returns = future_log_returns(np.log([1.0, 2.0, 8.0, 4.0]), 2)
    assert np.isnan(returns).tolist() == [[False, False], [False, False], [False, True], [True, True]]
    assert returns[2, 0] == pytest.approx(-0.693147, abs=1e-6)  # halved: the sign is that of the move


def test_scale_grows_with_the_root_of_the_step():
    # Variance 0.0004 a session: 2 %.
    scale = VolatilityScale(np.array([[np.log(0.0004)] * 4] + [[0.0] * 4] * 4), np.zeros((4, 4)))
    sigma = scale.sigma(session_features(made_up.noisy(30)).log_variances)
    # By hand: 0.02 times 1, 1.414214, 1.732051, 2
    np.testing.assert_allclose(sigma, np.tile([0.02, 0.0282843, 0.0346410, 0.04], (30, 1)), atol=1e-7)


def test_slopes_are_those_of_ridge_regression_towards_the_last_22_sessions():
    features, (first, last), step = session_features(clustered(600)), (60, 500), 3
    fitted = alone(features, 5, first, last).coefficients[1:, step - 1]
    realised = np.log([features.variance[at + 1 : at + 1 + step].mean() for at in range(first, last)])
    design = features.log_variances[first:last]
    # Only what "like the last 22 sessions" leaves unexplained is regressed; scikit-learn does not penalise
    # the intercept either.
    expected = np.array([0, 0, 1, 0]) + Ridge(alpha=10.0).fit(design, realised - design[:, 2]).coef_
    np.testing.assert_allclose(fitted, expected, atol=1e-9)


def test_training_returns_have_unit_scores():
    series = made_up.noisy(600)
    features, (first, last) = session_features(series), (60, 500)
    sigma = alone(features, 3, first, last).sigma(features.log_variances)
    scores = (future_log_returns(np.log(series.close), 3) / sigma)[first:last]
    assert (scores**2).max() < 20  # no score is so large that the fit cuts it off: then the mean is exact
    np.testing.assert_allclose((scores**2).mean(axis=0), 1.0, atol=1e-9)


def test_constant_volatility_is_found():
    features = session_features(made_up.noisy(1500, daily=0.02))
    sigma = alone(features, 2, 60, 1400).sigma(features.log_variances)
    assert np.median(sigma[60:], axis=0) == pytest.approx([0.02, 0.02 * np.sqrt(2)], rel=0.1)


def test_constant_prices_leave_the_slopes_at_what_is_expected_beforehand():
    features = session_features(made_up.ODD["constant"])
    scale = alone(features, 2, 60, 390)
    np.testing.assert_allclose(scale.coefficients[1:], np.tile([[0.0], [0.0], [1.0], [0.0]], 2), atol=1e-12)
    assert (scale.sigma(features.log_variances) > 0).all()


def test_one_jump_does_not_blow_up_the_scale_of_all_other_sessions():
    calm = made_up.noisy(400).close
    jumped = np.where(np.arange(400) < 300, calm, 1000 * calm)
    plain, wild = (session_features(made_up.closes_only(close)) for close in (calm, jumped))
    before = slice(40, 299)
    ratio = np.divide(*(alone(each, 2, 40, 380).sigma(each.log_variances[before]) for each in (wild, plain)))
    assert ratio.min() > 0.5 and ratio.max() < 2


def test_another_future_moves_no_coefficient():
    series, (first, last), horizon = clustered(400), (60, 300), 5
    last_seen = last - 1 + horizon
    other = made_up.scrambled(series, last_seen)
    here, there = (alone(session_features(s), horizon, first, last).coefficients for s in (series, other))
    assert here.tobytes() == there.tobytes()
    sooner = made_up.scrambled(series, last_seen - 1)  # the test would notice: one session earlier is seen
    assert here.tobytes() != alone(session_features(sooner), horizon, first, last).coefficients.tobytes()
