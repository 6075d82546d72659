"""What every baseline must do, and the simple ones by hand or against statsmodels."""

import warnings

import numpy as np
import pytest
from statsmodels.tsa.ar_model import AutoReg
from statsmodels.tsa.holtwinters import SimpleExpSmoothing

from forecast_lib.domain import QUANTILES
from forecast_lib.forecast import forecast_with_baseline
from forecast_lib.models.baselines import BASELINES, WITH_OWN_QUANTILES, predict
from forecast_lib.models.baselines.smoothing import best_weight, smoothed
from forecast_lib.windows.features import session_features
from forecast_lib.windows.scaling import Sample, fit_volatility_scale
from tests import made_up

LONG = made_up.noisy(700)


def said(name: str, series, cutoffs, horizon: int = 3):
    return predict(name, session_features(series), np.asarray(cutoffs), horizon)


def parts(made) -> list[bytes]:
    return [part.tobytes() for part in (made.centre, made.scale, made.returns) if part is not None]


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("kind", made_up.ODD)
def test_odd_history_gives_positive_finite_rising_quantiles_and_no_warning(name, kind):
    series = made_up.ODD[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = forecast_with_baseline(name, series, 20, (385, len(series)))
    for values in (made.quantiles, made.point, made.sigma):
        assert np.isfinite(values).all() and (values > 0).all()
    assert (np.diff(made.quantiles, axis=2) >= 0).all()


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("sessions", [2, 10, 21, 45, 61])
def test_history_too_short_for_any_fit_is_answered(name, sessions):
    made = said(name, made_up.noisy(sessions), [sessions - 1], 20)
    assert np.isfinite(made.centre).all() and (made.scale > 0).all()
    assert made.returns is None or (np.diff(made.returns[..., 2:-2], axis=2) > 0).all()
    # the outermost of few past returns is the lowest level, and the next
    assert made.returns is None or (np.diff(made.returns, axis=2) >= 0).all()


@pytest.mark.parametrize("name", BASELINES)
def test_another_future_moves_nothing_before_it(name):
    """500 is a session on which parameters are estimated: what follows it must not be in them, the session
    itself must.
    """
    here, there = (said(name, series, np.arange(22, 501)) for series in (LONG, made_up.scrambled(LONG, 500)))
    assert parts(here) == parts(there)
    sooner = said(name, made_up.scrambled(LONG, 499), [500])
    assert parts(sooner) != parts(said(name, LONG, [500]))


@pytest.mark.parametrize("name", BASELINES)
def test_what_is_said_at_a_cutoff_does_not_depend_on_which_others_are_asked_for(name):
    among, alone = said(name, LONG, np.arange(100, 640)), said(name, LONG.until(601), [600])
    assert alone.centre.tobytes() == among.centre[500].tobytes()
    assert alone.scale.tobytes() == among.scale[500].tobytes()
    assert alone.returns is None or alone.returns.tobytes() == among.returns[500].tobytes()


@pytest.mark.parametrize("name", BASELINES)
def test_the_unit_of_money_does_not_matter(name):
    """GARCH stops where the likelihood is flat: where exactly, is a matter of rounding."""
    here, there = (said(name, series, [650]) for series in (LONG, made_up.times(LONG, 1e-6)))
    np.testing.assert_allclose(here.scale, there.scale, rtol=0.02 if name == "garch" else 1e-5)
    np.testing.assert_allclose(here.centre, there.centre, atol=1e-7)


@pytest.mark.parametrize("name", BASELINES)
def test_volatility_is_found_and_grows_with_the_step(name):
    scale = said(name, made_up.noisy(1600, daily=0.02), np.arange(1000, 1500), 4).scale.mean(axis=0)
    assert scale == pytest.approx(0.02 * np.sqrt([1, 2, 3, 4]), rel=0.15)


@pytest.mark.parametrize("name", BASELINES)
def test_only_those_named_bring_quantiles_of_their_own(name):
    made = said(name, LONG, [650])
    assert (made.returns is not None) == (name in WITH_OWN_QUANTILES)
    assert made.returns is None or made.returns.shape == (1, 3, len(QUANTILES))


@pytest.mark.parametrize("name", sorted(WITH_OWN_QUANTILES))
def test_own_quantiles_cover_what_they_say(name):
    """Simulated Student-t returns; 2,000 cutoffs, so two standard errors of 0.8 are 0.018. Gaussian quantiles
    are too wide at 80 %.
    """
    series = made_up.noisy(2600, seed=5)
    made, actual = forecast_with_baseline(name, series, 1, (599, 2599)), series.close[600:2600]
    for low, high, coverage in ((4, 8, 0.8), (2, 10, 0.95)):
        inside = (made.quantiles[:, 0, low] <= actual) & (actual <= made.quantiles[:, 0, high])
        assert inside.mean() == pytest.approx(coverage, abs=0.035 if name == "ewma" else 0.02)


def test_unknown_baseline_is_refused_by_name():
    with pytest.raises(ValueError, match="baseline 'arima' is not known: expected one of naive, drift, ar1"):
        said("arima", LONG, [650])


def test_naive_goes_nowhere():
    made = said("naive", made_up.noisy(50), [30, 49])
    assert made.centre.tolist() == [[0.0] * 3] * 2
    np.testing.assert_allclose(made.scale / made.scale[:, :1], [[1.0, 1.4142136, 1.7320508]] * 2, atol=1e-7)


def test_naive_scale_is_the_volatility_of_the_cutoff():
    series = made_up.noisy(50)
    assert said("naive", series, [49], 1).scale[0, 0] == session_features(series).ewma_sigma[49]


def test_drift_goes_on_at_the_mean_rate():
    centre = said("drift", made_up.growing(40, 0.01), [39]).centre
    # Ln 1.01 = 0.00995033, once a step.
    assert centre[0] == pytest.approx([0.00995033, 0.01990066, 0.02985099], abs=1e-8)


def test_falling_prices_drift_down():
    assert said("drift", made_up.growing(40, -0.01), [39], 1).centre[0, 0] < 0


@pytest.mark.parametrize(("sessions", "moves"), [(20, False), (21, True)])
def test_drift_needs_twenty_returns(sessions, moves):
    assert bool(said("drift", made_up.growing(sessions), [sessions - 1], 1).centre.any()) == moves


def test_drift_forgets_after_five_years():
    # 1,250 returns of zero at the end.
    close = np.concatenate([made_up.growing(100).close, np.full(1251, 200.0)])
    series = made_up.closes_only(close)
    assert said("drift", series, [1350], 1).centre[0, 0] == pytest.approx(0.0, abs=1e-15)
    assert said("drift", series, [1300], 1).centre[0, 0] > 1e-5


@pytest.mark.parametrize("cutoff", [300, 1600])
def test_ar1_is_the_least_squares_of_statsmodels(cutoff):
    returns = np.diff(np.log(made_up.noisy(1700, seed=3).close[: cutoff + 1]))[-1251:]  # 1,250 pairs
    expected = AutoReg(returns, lags=1).fit().predict(len(returns), len(returns) + 2)
    centre = said("ar1", made_up.noisy(1700, seed=3), [cutoff]).centre
    np.testing.assert_allclose(centre[0], np.cumsum(expected), atol=1e-10)


def test_ewma_by_hand():
    # Returns 1 %, 2 %, 0; the weights of RiskMetrics, newest first 0.06, 0.06 * 0.94, 0.06 * 0.94², divided
    # by their sum: (0 + 0.94 * 0.0004 + 0.8836 * 0.0001) / 2.8236 = 0.000164457, root 0.0128241
    series = made_up.closes_only(np.exp([0.0, 0.01, 0.03, 0.03]))
    made = said("ewma", series, [3], 2)
    np.testing.assert_allclose(made.scale, [[0.0128241, 0.0181360]], atol=1e-6)
    # 1.959964 times.
    np.testing.assert_allclose(made.returns[0, 0, [2, 6, 10]], [-0.0251347, 0.0, 0.0251347], atol=1e-6)


def test_har_is_the_scale_of_the_networks_fitted_on_what_the_last_refit_knew():
    features, horizon = session_features(LONG), 3
    inputs = features.log_variances
    # The refit of session 500 sees targets up to session 500: its last cutoff is 497. Its first is the first
    # after the warm-up.
    expected = fit_volatility_scale(Sample(inputs, features, 22, 498), horizon).sigma(inputs)[[500, 620, 699]]
    assert said("har", LONG, [500, 620, 699]).scale.tobytes() == expected.tobytes()


def test_smoothed_level_is_that_of_statsmodels():
    values = np.cumsum(np.random.default_rng(0).standard_normal(200))
    fitted = SimpleExpSmoothing(values, initialization_method="known", initial_level=values[0]).fit(
        0.3, optimized=False
    )
    np.testing.assert_allclose(smoothed(values, 0.3)[:-1], fitted.fittedvalues[1:], atol=1e-12)


def test_weight_is_the_one_that_statsmodels_finds():
    random = np.random.default_rng(1)
    # A level under noise: the weight is well inside.
    values = np.cumsum(random.standard_normal(500)) + 2 * random.standard_normal(500)
    fitted = SimpleExpSmoothing(values, initialization_method="known", initial_level=values[0]).fit()
    assert 0.2 < best_weight(values) < 0.6
    assert best_weight(values) == pytest.approx(fitted.params["smoothing_level"], abs=1e-3)


def test_prices_that_swing_back_are_forecast_to_swing_back():
    random = np.random.default_rng(2)
    series = made_up.closes_only(
        100 * np.exp(np.cumsum(0.002 * random.standard_normal(300)) + 0.02 * random.standard_normal(300))
    )
    centre = said("ets", series, np.arange(260, 299)).centre
    moves = np.diff(np.log(series.close))[260:]
    assert np.corrcoef(centre[:, 0], moves)[0, 1] > 0.5
    assert (centre[:, 0] == centre[:, 2]).all()


def test_empirical_quantiles_are_the_ranked_returns_of_the_last_two_years():
    made = said("empirical", LONG, [600])
    # 500 returns over two sessions.
    ranked = sorted(np.log(LONG.close[at + 2] / LONG.close[at]) for at in range(99, 599))
    # By hand, n = 500: ranks 501 * 0.025 = 12.525, 501 * 0.5 = 250.5, 501 * 0.9 = 450.9
    for at, rank, part in ((2, 12, 0.525), (6, 250, 0.5), (8, 450, 0.9)):
        expected = ranked[rank - 1] + part * (ranked[rank] - ranked[rank - 1])
        assert made.returns[0, 1, at] == pytest.approx(expected, abs=1e-12)
    assert made.centre[0, 1] == made.returns[0, 1, 6]
