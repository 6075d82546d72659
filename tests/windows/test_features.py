"""Features of a session: their values by hand, their indifference to the price level, and that they know no
future.
"""

import dataclasses

import numpy as np
import pytest

from forecast_lib.windows.features import FEATURES, WARM_UP, session_features
from forecast_lib.windows.scaling import future_log_returns
from forecast_lib.windows.series import TickerSeries
from tests import made_up

AT = {name: place for place, name in enumerate(FEATURES)}


def two_sessions(**second: float) -> TickerSeries:
    """The first stands at 98 all day, the second is given."""
    parts = {name: np.array([98.0, second[name]]) for name in ("open", "high", "low", "close")}
    return TickerSeries("ACME", made_up.closes_only([1, 1]).sessions, volume=np.array([1.0, 1.0]), **parts)


def test_variance_of_a_session_is_its_night_and_its_range():
    series = two_sessions(open=100.0, high=110.0, low=95.0, close=105.0)
    # By hand: night ln(100/98)^2 = 0.00040815; Garman and Klass 0.5 (ln 1.1 - ln 0.95)^2 - (2 ln 2 - 1) (ln
    # 1.05)^2 = 0.5 * 0.14660347^2 - 0.38629436 * 0.04879016^2 = 0.01074629 - 0.00091957; together 0.01023487
    assert session_features(series).variance[1] == pytest.approx(0.01023487, abs=1e-8)


def test_variance_without_a_range_is_the_squared_return():
    # By hand: ln(110/100) = 0.09531018, squared 0.00908403
    assert session_features(made_up.closes_only([100.0, 110.0])).variance[1] == pytest.approx(
        0.00908403, abs=1e-8
    )


def test_variance_where_the_close_is_repeated_as_range_is_the_squared_return():
    series = two_sessions(open=107.8, high=107.8, low=107.8, close=107.8)  # 98 * 1.1
    assert session_features(series).variance[1] == pytest.approx(0.00908403, abs=1e-8)


def test_first_session_has_no_night_before_it():
    # Opened at 90 and closed at 100, but the range is all there is: no close before it.
    series = dataclasses.replace(
        two_sessions(open=100, high=100, low=100, close=100), open=np.array([90.0, 100.0])
    )
    values = session_features(series).values
    assert values[0, AT["overnight_z"]] == 0.0


def test_volatility_forgets_at_the_rate_of_riskmetrics():
    # By hand, decay 0.94, weights 0.94 and 1 over their sum: (0.94 * 1e-8 + 0.00908403) / 1.94 = 0.00468249,
    # root 0.0684287
    assert session_features(made_up.closes_only([100.0, 110.0])).ewma_sigma[1] == pytest.approx(
        0.0684287, abs=1e-6
    )


def test_return_is_measured_with_the_volatility_known_before_it():
    # Ten sessions of plus or minus 1 % (variance 0.0001 each after the first), then 2 %: z is 2 and a little
    # more, because the first session's variance, which is not known, pulls the volatility down. By hand:
    # weights 0.94^k, k = 0..10: sum (1 - 0.94^11) / 0.06 = 8.2284, oldest 0.5386; mean 0.0001 * (1 - 0.5386 /
    # 8.2284) = 9.3454e-5
    log_close = np.cumsum([0.0] + [0.01, -0.01] * 5 + [0.02])
    features = session_features(made_up.closes_only(np.exp(log_close)))
    assert features.values[-1, AT["return_z"]] == pytest.approx(0.02 / np.sqrt(9.3454e-5), rel=1e-4)
    assert features.values[-1, AT["abs_return_z"]] == pytest.approx(0.02 / np.sqrt(9.3454e-5) - 0.8, rel=1e-4)


def test_sign_of_a_fall_is_negative():
    assert session_features(made_up.closes_only([100.0] * 30 + [99.0])).values[-1, AT["return_z"]] < 0


def test_close_in_its_range_runs_from_minus_to_plus_one_half():
    series = two_sessions(open=100.0, high=110.0, low=95.0, close=105.0)  # by hand: (105 - 95) / 15 - 0.5
    assert session_features(series).values[1, AT["close_in_range"]] == pytest.approx(0.166667, abs=1e-6)


def test_volume_is_compared_with_its_last_22_sessions():
    # By hand: logs are 21 zeros and a one; 1 - 1/22 = 0.954545
    series = dataclasses.replace(made_up.growing(22), volume=np.array([1.0] * 21 + [np.e]))
    assert session_features(series).values[-1, AT["log_volume_22"]] == pytest.approx(0.954545, abs=1e-6)


def test_volatility_is_compared_with_that_of_other_spans():
    """230 calm sessions and 20 that move four times as much: variances 1e-4 and 16e-4, exactly, from closes
    alone.
    """
    moves = np.where(np.arange(250) < 230, 0.01, 0.04) * np.where(np.arange(250) % 2, 1, -1)
    values = session_features(made_up.closes_only(100 * np.exp(np.cumsum(moves)))).values[-1]
    # By hand: over 66 sessions (46 * 1 + 20 * 16) / 66 = 5.5455, over 250 (229 * 1 + 20 * 16) / 250 = 2.196,
    # the first having no return
    assert values[AT["log_var_66_250"]] == pytest.approx(np.log(5.5455 / 2.196), abs=1e-3)
    assert values[AT["log_var_1_5"]] == pytest.approx(0.0, abs=1e-6)  # all of the last five are alike
    # Of the last 22 two are calm: log 16 = 2.7726 apart, standard deviation 2.7726 * sqrt(20 * 2 / (22 * 21))
    # = 0.81582
    assert values[AT["log_var_spread_22"]] == pytest.approx(0.81582 - 0.8, abs=1e-4)


def test_missing_columns_are_zero():
    values = session_features(made_up.ODD["closes only"]).values
    assert not values[
        :, [AT[name] for name in ("overnight_z", "intraday_z", "close_in_range", "log_volume_22")]
    ].any()
    assert values[WARM_UP:, AT["return_z"]].std() > 0.5


@pytest.mark.parametrize("factor", [1e-6, 1e4])
def test_price_level_does_not_show(factor):
    series = made_up.noisy(200)
    here, there = session_features(series), session_features(made_up.times(series, factor))
    np.testing.assert_allclose(here.values, there.values, atol=1e-4)
    np.testing.assert_allclose(here.ewma_sigma, there.ewma_sigma, rtol=1e-9)


def test_constant_prices_have_no_features_but_the_absent_return():
    values = session_features(made_up.ODD["constant"]).values
    expected = np.zeros(len(FEATURES), np.float32)
    expected[AT["abs_return_z"]] = expected[AT["log_var_spread_22"]] = -0.8  # nothing, where 0.8 is usual
    assert (values[WARM_UP:] == expected).all()


@pytest.mark.parametrize("kind", made_up.ODD)
def test_odd_history_gives_bounded_features(kind):
    features = session_features(made_up.ODD[kind])
    assert (np.abs(features.values) <= 6).all()
    assert (
        (features.variance > 0).all()
        and np.isfinite(features.log_variances).all()
        and (features.ewma_sigma > 0).all()
    )


@pytest.mark.parametrize("sessions", [1, 2, 10])
def test_short_history_gives_a_row_a_session(sessions):
    assert session_features(made_up.noisy(sessions)).values.shape == (sessions, len(FEATURES))


@pytest.mark.parametrize("kind", ["all columns", "closes only"])
def test_another_future_moves_nothing_before_it(kind):
    series = made_up.noisy(300) if kind == "all columns" else made_up.ODD["closes only"].until(300)
    cut = 200
    here, there = session_features(series), session_features(made_up.scrambled(series, cut))
    assert (here.values[cut + 1 :] != there.values[cut + 1 :]).any()
    for part in dataclasses.fields(here):
        before, after = getattr(here, part.name)[: cut + 1], getattr(there, part.name)[: cut + 1]
        assert before.tobytes() == after.tobytes(), part.name


def test_no_future_gives_the_same_as_another_one():
    series, cut = made_up.noisy(300), 200
    whole, known = session_features(series), session_features(series.until(cut + 1))
    assert whole.values[: cut + 1].tobytes() == known.values.tobytes()
    assert whole.ewma_sigma[: cut + 1].tobytes() == known.ewma_sigma.tobytes()


def test_a_move_over_missing_sessions_counts_as_one_of_one_session():
    """Three sessions are missing before the last row: a night of ln(100/98) over four sessions is half of
    that in one (the root of 4). By hand: 0.00040815 / 4 + 0.01074629 - 0.00091957 = 0.00992876.
    """
    series = two_sessions(open=100.0, high=110.0, low=95.0, close=105.0)
    later = dataclasses.replace(
        series, sessions=np.busday_offset(series.sessions, [0, 3]), missing=np.array([0, 3])
    )
    features = session_features(later)
    assert features.variance[1] == pytest.approx(0.00992876, abs=1e-8)
    assert np.diff(features.log_close)[0] == pytest.approx(np.log(105 / 98) / 2)


def test_what_happened_in_a_hole_is_no_days_return():
    """Forty sessions, 18 missing, forty more that begin 30 % higher: no return, no night and no target spans
    the hole; without the hole the same step is an ordinary, large one.
    """
    whole = made_up.noisy(80)
    higher = {
        name: np.where(np.arange(80) < 40, getattr(whole, name), 1.3 * getattr(whole, name))
        for name in ("open", "high", "low", "close")
    }
    stepped = dataclasses.replace(whole, **higher)
    later = np.busday_offset(whole.sessions[40:], 18)
    holed = dataclasses.replace(stepped, sessions=np.concatenate([whole.sessions[:40], later]))
    with_hole, without = session_features(holed), session_features(stepped)
    assert with_hole.values[40, AT["return_z"]] == 0.0
    assert with_hole.values[40, AT["overnight_z"]] == 0.0
    assert without.values[40, AT["return_z"]] > 5.0
    assert future_log_returns(with_hole.log_close, 1)[39, 0] == pytest.approx(0.0, abs=1e-12)
    assert with_hole.variance[40] < without.variance[40] / 10
    np.testing.assert_array_equal(with_hole.values[:40], without.values[:40])
