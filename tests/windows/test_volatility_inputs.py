"""What is known about the volatility to come: figures by hand, no future, and the part that tickers have in
common.
"""

import dataclasses

import numpy as np
import pytest

from forecast_lib.covariates.inputs import AtClose, Inputs
from forecast_lib.windows.common import COMMON, FEWEST_TICKERS, common_volatility
from forecast_lib.windows.features import WARM_UP, session_features
from forecast_lib.windows.scaling import Sample, fit_volatility_scale, panel_slopes
from forecast_lib.windows.volatility_inputs import VOLATILITY_INPUTS, volatility_inputs
from tests import made_up

AT = {name: place for place, name in enumerate(VOLATILITY_INPUTS)}


def with_shock(day: str, sessions: int = 400):
    """One day moves by a fifth; all others by nothing much."""
    series = made_up.noisy(sessions, daily=0.01)
    place = int(np.searchsorted(series.sessions, np.datetime64(day)))
    assert str(series.sessions[place]) == day
    since, after = (
        np.where(np.arange(sessions) >= place, 1.2, 1.0),
        np.where(np.arange(sessions) > place, 1.2, 1.0),
    )
    factors = {"open": after, "high": since, "low": after, "close": since}
    return dataclasses.replace(
        series, **{name: getattr(series, name) * factor for name, factor in factors.items()}
    )


def column(series, name):
    return volatility_inputs(series)[:, AT[name]]


def test_every_input_has_a_name():
    assert volatility_inputs(made_up.noisy(100)).shape == (100, len(VOLATILITY_INPUTS)) == (100, 25)


def test_weekdays_are_those_of_the_calendar():
    series = made_up.noisy(50)
    assert str(series.sessions[0]) == "2020-01-06"  # a Monday
    flags = np.stack([column(series, day) for day in ("monday", "tuesday", "wednesday", "thursday")], axis=1)
    assert flags[:5].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_falls_count_as_falls_and_rises_not():
    series = made_up.closes_only([100.0] * 30 + [101.0, 99.0])
    assert (
        column(series, "fall_z")[-2] == 0
        and column(series, "fall_z")[-1] == column(series, "return_z")[-1] < 0
    )


def test_the_share_of_a_sessions_variance_after_its_open():
    """The day opens a hundredth higher, and its price goes up two more and back to the open: by Garman and
    Klass its range measures half the square of log(1.03 / 1.01).
    """
    flat = np.full(30, 100.0)
    day = {"open": 101.0, "high": 103.0, "low": 101.0, "close": 101.0}
    of_day = {name: np.where(np.arange(30) == 29, price, flat) for name, price in day.items()}
    series = dataclasses.replace(made_up.closes_only(flat), **of_day)
    range_, gap = 0.5 * np.log(103 / 101) ** 2, np.log(1.01) ** 2
    assert column(series, "intraday_share")[-1] == pytest.approx(np.log(range_ / (range_ + gap)))
    hardly_a_range = dataclasses.replace(series, high=of_day["close"] + 0.01)
    assert column(hardly_a_range, "intraday_share")[-1] == pytest.approx(np.log(0.05))
    without_range = dataclasses.replace(series, high=of_day["close"])
    assert column(without_range, "intraday_share")[-1] == 0.0
    assert not column(made_up.closes_only([100.0, 101.0] * 30), "intraday_share").any()


def test_a_shock_is_remembered_thirteen_weeks_later_on_the_evening_before():
    series = with_shock("2020-06-10")  # a Wednesday; 91 days later it is 9 September
    days = [str(day) for day in series.sessions]
    without = made_up.noisy(400, daily=0.01)
    more = column(series, "shock_91_days_ago") - column(without, "shock_91_days_ago")
    # The mean of the day and its two neighbours: a third of it less what is usual
    seen = {day for day, value in zip(days, more, strict=True) if value > 0.3}
    assert seen == {"2020-09-07", "2020-09-08", "2020-09-09"}  # the evenings before 8, 9 and 10 September
    largest = column(series, "largest_shock_quarter_ago")
    assert {day for day, value in zip(days, largest, strict=True) if value == largest.max()} == {
        # Friday the 4th: for Monday the 7th, within three days.
        *("2020-09-04", "2020-09-07", "2020-09-08", "2020-09-09", "2020-09-10")
    }


def test_another_future_moves_nothing_before_it():
    series = made_up.noisy(500)
    for cut in (100, 300, 450):
        here, there = volatility_inputs(series), volatility_inputs(made_up.scrambled(series, cut))
        assert here[: cut + 1].tobytes() == there[: cut + 1].tobytes()
        assert here[cut + 1 :].tobytes() != there[cut + 1 :].tobytes()


@pytest.mark.parametrize("kind", made_up.ODD)
def test_odd_histories_have_finite_inputs(kind):
    assert np.isfinite(volatility_inputs(made_up.ODD[kind])).all()


# --- what tickers have in common


def several(count: int, sessions: int = 300, seed: int = 0):
    """Tickers whose volatility wanders together."""
    random = np.random.default_rng(seed)
    together = np.exp(np.cumsum(0.1 * random.standard_normal(sessions)) * 0.5)
    returns = 0.01 * together * random.standard_normal((count, sessions))
    closes = 100 * np.exp(np.cumsum(np.clip(returns, -0.3, 0.3), axis=1))
    return [
        dataclasses.replace(made_up.closes_only(close), ticker=f"T{place}")
        for place, close in enumerate(closes)
    ]


def test_common_part_is_the_mean_over_the_tickers():
    members = several(6)
    common = common_volatility(members)
    rises = [session_features(each).log_variances for each in members]
    expected = np.mean([each[:, 0] - each[:, 2] for each in rises], axis=0)[WARM_UP:]
    np.testing.assert_allclose(common.values[:, 0], expected, atol=1e-12)
    assert common.sessions.tolist() == members[0].sessions[WARM_UP:].tolist()


def test_the_common_return_forgets_half_in_sixteen_sessions():
    members = several(6)
    returns = np.mean([np.diff(np.log(each.close), prepend=np.nan) for each in members], axis=0)[WARM_UP:]
    ages = np.arange(len(returns))[:, None] - np.arange(len(returns))
    weights = np.where(ages < 0, 0.0, 0.5 ** (np.maximum(ages, 0) / 16))
    np.testing.assert_allclose(common_volatility(members).values[:, 3], 10 * weights @ returns, atol=1e-12)


def test_one_tickers_jump_is_no_move_of_the_market():
    """A share that is bought for twice its price: it counts as six times its volatility before."""
    quiet, *others = several(6)
    close = quiet.close * np.where(np.arange(300) < 200, 1.0, 2.0)
    bought = dataclasses.replace(quiet, close=close)
    here, there = (common_volatility([each, *others]).values[200 - WARM_UP, 3] for each in (quiet, bought))
    sigma = session_features(quiet).ewma_sigma[199]
    moved = np.log(quiet.close[200] / quiet.close[199])
    assert there - here == pytest.approx(10 * (6 * sigma - moved) / 6) and 6 * sigma < np.log(2) / 3


def test_the_order_of_the_tickers_moves_no_bit():
    members = several(6)
    assert common_volatility(members).values.tobytes() == common_volatility(members[::-1]).values.tobytes()


def test_too_few_tickers_have_nothing_in_common():
    members = several(FEWEST_TICKERS)
    assert common_volatility(members[1:]) is None
    shorter = [members[0].until(200), *members[1:]]
    common = common_volatility(shorter)
    assert (common.values[: 200 - WARM_UP] != 0).any(axis=1).all()
    assert not common.values[200 - WARM_UP :, :3].any()
    of_before = common.values[199 - WARM_UP, 3] * 0.5 ** (np.arange(1, 101) / 16)
    np.testing.assert_allclose(common.values[200 - WARM_UP :, 3], of_before, atol=1e-12)


def test_common_part_knows_no_future():
    members = several(6)
    other = common_volatility([made_up.scrambled(each, 200) for each in members])
    here = common_volatility(members)
    assert here.values[: 201 - WARM_UP].tobytes() == other.values[: 201 - WARM_UP].tobytes()
    assert here.values[201 - WARM_UP :].tobytes() != other.values[201 - WARM_UP :].tobytes()


def test_a_ticker_reads_the_common_part_of_its_own_sessions():
    series = made_up.noisy(60)
    days = series.sessions[10:50:2]
    common = AtClose(COMMON, days, np.arange(80.0).reshape(20, 4))
    read = volatility_inputs(dataclasses.replace(series, inputs=Inputs((common,))))[:, -4:]
    assert read[10:50:2].tolist() == common.values.tolist()
    assert not read[11:50:2].any() and not read[50:].any()
    assert not volatility_inputs(series)[:, -4:].any()


# --- slopes of many tickers


def samples(members):
    return [Sample(volatility_inputs(each), session_features(each), 60, 280) for each in members]


def test_panel_slopes_are_least_squares_with_an_intercept_a_ticker():
    """Against dummies for the tickers, by NumPy's least squares; the ridge is small beside a thousand
    sessions.
    """
    chosen = [
        Sample(part.inputs[:, :4], part.features, part.first, part.last) for part in samples(several(6))
    ]
    design = np.concatenate([part.inputs[part.first : part.last] for part in chosen])
    dummies = np.kron(np.eye(len(chosen)), np.ones((220, 1)))
    realised = np.concatenate([part.realised(1) for part in chosen])
    expected = np.linalg.lstsq(np.hstack([design, dummies]), realised, rcond=None)[0][:4, 0]
    np.testing.assert_allclose(panel_slopes(chosen, 1)[:, 0], expected, atol=0.05)


def test_a_tickers_slopes_are_drawn_to_those_of_all():
    part, *others = samples(several(6))
    panel = panel_slopes(others, 2)
    alone, drawn = (fit_volatility_scale(part, 2, towards).coefficients[1:] for towards in (None, panel))
    assert np.abs(drawn - panel).sum() < 0.5 * np.abs(alone - panel).sum()
