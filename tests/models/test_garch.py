"""GARCH(1,1)-t: against `arch` used as its manual says, and what happens where there is nothing to fit."""

import subprocess
import sys

import numpy as np
import pytest
from arch import arch_model
from scipy import stats
from scipy.optimize import check_grad

from forecast_lib.models.baselines import garch_t, predict
from forecast_lib.windows.features import session_features
from tests import made_up

SERIES = made_up.clustered(1200)
FEATURES = session_features(SERIES)


def test_gradient_is_the_slope_of_the_likelihood():
    squares = np.diff(np.log(SERIES.close)) ** 2 / 1e-4
    at = np.array([0.05, 0.1, 0.8, 7.0])
    error = check_grad(
        lambda p: garch_t._likelihood(p, squares, 1.0)[0],
        lambda p: garch_t._likelihood(p, squares, 1.0)[1],
        at,
    )
    assert error < 1e-5


@pytest.mark.parametrize("first", [0, 600])
def test_likelihood_is_as_high_as_that_of_arch(first):
    squares = np.diff(np.log(SERIES.close))[first : first + 500] ** 2
    squares /= squares.mean()
    model = arch_model(np.sqrt(squares), mean="Zero", vol="GARCH", p=1, q=1, dist="t", rescale=False)
    theirs = model.fit(disp="off", backcast=garch_t._first_variance(squares))
    ours = garch_t._fit(squares)
    assert (
        -500 * garch_t._likelihood(np.array(ours), squares, garch_t._first_variance(squares))[0]
        > theirs.loglikelihood - 0.01
    )


FITTED = """
from forecast_lib.models.baselines import garch_t
from tests import made_up
import numpy as np
for seed in range(8):
    squares = np.diff(np.log(made_up.clustered(400, seed).close)) ** 2
    print(garch_t._fit(squares / squares.mean()))
"""


def test_estimates_are_the_same_bits_whichever_library_is_loaded_first():
    limited = "from forecast_lib.windows.threads import use_one_thread\nuse_one_thread()\n"
    orders = ("", limited, f"import scipy.optimize\n{limited}")
    said = {
        subprocess.run([sys.executable, "-c", order + FITTED], capture_output=True, check=True).stdout
        for order in orders
    }
    assert len(said) == 1 and said.pop().count(b"\n") == 8


@pytest.fixture(scope="module")
def by_arch():
    """The model fitted on the thousand returns up to session 1000, and filtered on from there."""
    returns = 100 * np.diff(np.log(SERIES.close))
    model = arch_model(returns, mean="Zero", vol="GARCH", p=1, q=1, dist="t", rescale=False)
    fitted = model.fit(last_obs=1000, disp="off")
    return fitted, fitted.forecast(
        horizon=5, start=999
    ).variance.to_numpy() / 100**2  # first row: made at session 1000


@pytest.mark.parametrize("later", [0, 1, 150])
def test_variances_of_all_steps_are_those_of_arch(by_arch, later):
    scale = predict("garch", FEATURES, np.array([1000 + later]), 5).scale
    np.testing.assert_allclose(scale[0] ** 2, np.cumsum(by_arch[1][later]), rtol=0.01)


def test_quantiles_are_those_of_the_fitted_student_t(by_arch):
    made = predict("garch", FEATURES, np.array([1000]), 1)
    df = by_arch[0].params["nu"]
    expected = stats.t.ppf([0.025, 0.1, 0.9, 0.975], df) * np.sqrt((df - 2) / df)
    np.testing.assert_allclose(
        (made.returns / made.scale[..., None])[0, 0, [2, 4, 8, 10]], expected, rtol=0.01
    )
    assert made.returns[0, 0, 6] == pytest.approx(0.0, abs=1e-15)


def test_after_a_storm_variance_is_forecast_to_fall_and_after_a_calm_to_rise():
    made = predict("garch", FEATURES, np.arange(1000, 1200), 20)
    average = made.scale[:, 19] / np.sqrt(20) / made.scale[:, 0]
    storm, calm = made.scale[:, 0].argmax(), made.scale[:, 0].argmin()
    assert average[storm] < 0.98 and average[calm] > 1.02


def test_fit_that_fails_is_answered_by_ewma_variance(monkeypatch):
    failed = np.full(4, np.nan), np.nan
    monkeypatch.setattr("scipy.optimize.fmin_slsqp", lambda *_args, **_more: failed)
    ours, ewma = (predict(name, FEATURES, np.array([1100]), 4) for name in ("garch", "ewma"))
    np.testing.assert_allclose(ours.scale, ewma.scale, rtol=1e-12)
    # Six degrees of freedom: 2.447 * sqrt(4 / 6)
    assert ours.returns[0, 0, 10] / ours.scale[0, 0] == pytest.approx(1.998, abs=1e-3)


def test_prices_that_stand_still_and_then_jump_are_answered():
    close = np.full(400, 50.0)
    close[390:] = 100.0
    made = predict("garch", session_features(made_up.closes_only(close)), np.arange(250, 400), 20)
    assert np.isfinite(made.returns).all() and (np.diff(made.returns, axis=2) > 0).all()
