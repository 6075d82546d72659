"""The shape of all tickers' returns: found where it is, known before its day only, and the same in
any order.
"""

import dataclasses

import numpy as np
import pytest

from forecast_lib.domain import QUANTILES
from forecast_lib.forecast import combine, combined_forecast, forecast_with_baseline, weighing
from forecast_lib.models.baselines import PARTS
from forecast_lib.windows.features import WARM_UP, session_features
from forecast_lib.windows.pooled_shape import leaning, pooled_shape
from forecast_lib.windows.series import PooledShape
from tests import made_up

MEMBERS = [made_up.noisy(1200, seed, ticker=f"T{seed}") for seed in range(6)]
SINCE = MEMBERS[0].sessions[-100]
MEDIAN = QUANTILES.index(0.5)


def lopsided(seed: int):
    """Nine of ten returns a little above zero, one far below: the median is above the last close, the lower
    tail the longer one.
    """
    random = np.random.default_rng(seed)
    returns = np.where(random.random(1200) < 0.1, -0.02, 0.003) * (1 + 0.3 * random.random(1200))
    return made_up.closes_only(100 * np.exp(np.cumsum(returns)), ticker=f"L{seed}")


def test_symmetric_returns_have_their_middle_at_the_last_close():
    shape = pooled_shape(MEMBERS, 2, SINCE)
    assert np.abs(shape.middle[-1, :, 2:11]).max() < 0.05
    np.testing.assert_allclose(shape.middle, shape.middle[..., ::-1])
    assert (np.diff(shape.reach, axis=2) > 0).all() and shape.reach[0, 0, QUANTILES.index(0.975)] == 1.0


def test_middle_and_reach_are_those_of_numpys_quantiles():
    series, shape = MEMBERS[0], pooled_shape(MEMBERS[:1], 1, SINCE)
    features, day = session_features(series), shape.days[-1]
    scores = np.diff(features.log_close) / features.ewma_sigma[:-1]
    known = (series.sessions[1:] < day) & (series.sessions[1:] >= day - np.timedelta64(4 * 365 + 1, "D"))
    known[:WARM_UP] = False
    quantiles = np.quantile(scores[known], QUANTILES)
    half = (quantiles[QUANTILES.index(0.975)] - quantiles[QUANTILES.index(0.025)]) / 2
    np.testing.assert_array_equal(shape.middle[-1, 0], (quantiles + quantiles[::-1]) / 2 / half)
    np.testing.assert_array_equal(shape.reach[-1, 0], (quantiles - quantiles[::-1]) / 2 / half)


def test_returns_that_lean_show_it_on_the_right_side():
    shape = pooled_shape([lopsided(seed) for seed in range(4)], 1, SINCE)
    assert shape.middle[-1, 0, MEDIAN] > 0.05 and shape.middle[-1, 0, 0] < -0.1


def test_share_counts_days_and_overlapping_ones_once():
    share = pooled_shape(MEMBERS, 5, SINCE).share[-1]
    # Four years have 1,044 weekdays; of step 5 every fifth counts
    assert share[0] == pytest.approx(1044 / 1294, abs=0.01) and share[4] == pytest.approx(209 / 459, abs=0.01)


def test_too_few_days_are_not_known_and_nobody_has_no_shape():
    assert (pooled_shape([made_up.noisy(200)], 2, made_up.noisy(200).sessions[-50]).share == 0).all()
    assert pooled_shape([], 2, SINCE) is None


def test_order_of_the_members_is_no_matter():
    here, there = pooled_shape(MEMBERS, 2, SINCE), pooled_shape(MEMBERS[::-1], 2, SINCE)
    assert here.middle.tobytes() == there.middle.tobytes() and here.reach.tobytes() == there.reach.tobytes()


def test_another_future_moves_no_earlier_shape():
    shape = pooled_shape(MEMBERS, 2, SINCE)
    # The last session before the last quarter.
    cut = int(np.searchsorted(MEMBERS[0].sessions, shape.days[-1])) - 1
    scrambled = [made_up.scrambled(each, cut) for each in MEMBERS]
    other = pooled_shape(scrambled, 2, SINCE)
    assert other.middle.tobytes() == shape.middle.tobytes()
    earlier = pooled_shape([made_up.scrambled(each, cut - 200) for each in MEMBERS], 2, SINCE)
    assert earlier.middle[-1].tobytes() != shape.middle[-1].tobytes()


def test_before_its_first_day_a_shape_says_nothing():
    shape, series = pooled_shape(MEMBERS, 2, SINCE), MEMBERS[0]
    first = int(np.searchsorted(series.sessions, shape.days[0]))
    *_, known = leaning(shape, series, np.array([first - 1, first]))
    assert known.tolist() == [[False, False], [True, True]]


def test_a_ticker_leans_as_all_do_and_as_its_own_outcomes_did_as_far_as_they_can_say():
    own = lopsided(0)
    shape = pooled_shape(MEMBERS, 1, SINCE)
    lean, *_ = leaning(shape, own, np.array([len(own) - 1]))
    alone = pooled_shape([own], 1, SINCE)
    days = alone.share[-1, 0] * 250 / (1 - alone.share[-1, 0])  # share = days / (days + 250)
    counts = days / (days + 1000)
    expected = (1 - counts) * shape.share[-1, 0] * shape.middle[-1] + counts * alone.middle[-1]
    np.testing.assert_allclose(lean[0], expected, atol=1e-12)
    assert 0.4 < counts < 0.6 and lean[0, 0, MEDIAN] > 0.02


def test_what_comes_later_moves_nobody_s_lean():
    shape, series = pooled_shape(MEMBERS, 2, SINCE), MEMBERS[0]
    cut = int(np.searchsorted(series.sessions, shape.days[-1])) - 1
    here, there = (
        leaning(shape, each, np.array([cut]))[0] for each in (series, made_up.scrambled(series, cut))
    )
    assert here.tobytes() == there.tobytes()


def shape_of(middle: float, share: float, horizon: int = 2) -> PooledShape:
    reach = np.tile(np.linspace(-1.4, 1.4, len(QUANTILES)), (1, horizon, 1))
    return PooledShape(
        np.array(["2000-01-01"], "datetime64[D]"),
        np.full_like(reach, middle),
        reach,
        np.full((1, horizon), share),
    )


def test_a_middle_above_the_last_close_moves_the_quantiles_and_not_the_point():
    series = MEMBERS[0]
    alone = combined_forecast(None, series, 2).forecasts
    moved = combined_forecast(None, dataclasses.replace(series, shape=shape_of(0.1, 0.5)), 2).forecasts
    half = (
        np.log(alone.quantiles[0, :, QUANTILES.index(0.975)] / alone.quantiles[0, :, QUANTILES.index(0.025)])
        / 2
    )
    np.testing.assert_allclose(np.log(moved.quantiles[0, :, MEDIAN] / series.close[-1]), 0.05 * half)
    assert moved.point.tolist() == alone.point.tolist() == [[series.close[-1]] * 2]


def test_tails_reach_as_those_of_all_tickers_as_far_as_an_own_dozen_outcomes_cannot_say():
    series = MEMBERS[0]
    alone = combined_forecast(None, series, 1).forecasts.quantiles[0, 0]
    made = combined_forecast(
        None, dataclasses.replace(series, shape=shape_of(0.0, 0.5, 1)), 1
    ).forecasts.quantiles[0, 0]
    low, high = np.log(alone[2]), np.log(alone[10])
    # 99.5 %: 5 of 500 outcomes lie beyond it and its opposite, and count 5 / 25; the pooled tail reaches 1.4
    # half widths
    expected = 0.2 * np.log(alone[12]) + 0.8 * ((high + low) / 2 + 1.4 * (high - low) / 2)
    assert np.log(made[12]) == pytest.approx(expected)
    assert np.log(made[0]) == pytest.approx(
        0.2 * np.log(alone[0]) + 0.8 * ((high + low) / 2 - 1.4 * (high - low) / 2)
    )
    np.testing.assert_allclose(made[2:11], alone[2:11])


@pytest.mark.parametrize("kind", made_up.ODD)
def test_odd_history_with_a_shape_still_has_rising_quantiles(kind):
    series = dataclasses.replace(
        made_up.ODD[kind], shape=pooled_shape(MEMBERS, 2, made_up.ODD[kind].sessions[-1])
    )
    made = combined_forecast(made_up.bundle(), series, 2).forecasts.quantiles
    assert (np.diff(made, axis=2) >= 0).all() and np.isfinite(made).all() and (made > 0).all()


def test_with_the_shape_of_their_own_returns_the_quantiles_still_hold():
    """Simulated Student-t returns; about 3,000 outcomes: two standard errors of 0.05 are 0.008."""
    members = [
        dataclasses.replace(each, shape=pooled_shape(MEMBERS, 2, MEMBERS[0].sessions[600]))
        for each in MEMBERS
    ]
    below = []
    for series in members:
        cutoffs = (700, 1199)
        parts = {name: forecast_with_baseline(name, series, 2, weighing(cutoffs)) for name in PARTS}
        made = combine(parts, series, cutoffs).forecasts.quantiles[:, 0]
        below.append((series.close[701:1200, None] < made).mean(axis=0))
    np.testing.assert_allclose(np.mean(below, axis=0), QUANTILES, atol=0.02)


def test_after_a_shock_the_network_answers_alone_for_five_sessions():
    close = made_up.noisy(300).close.copy()
    close[295:] *= 1.2  # twenty daily volatilities
    series = made_up.closes_only(close)
    sums = [
        combined_forecast(made_up.bundle(), series.until(count), 2).weights[0, 0, 0]
        for count in (295, 296, 300)
    ]
    assert sums[0] < 1.0 and sums[1:] == [1.0, 1.0]
    later = made_up.closes_only(np.append(close, close[-1]))
    assert combined_forecast(made_up.bundle(), later, 2).weights[0, 0, 0] < 1.0
    np.testing.assert_allclose(combined_forecast(None, series, 2).weights.sum(axis=0), 1.0)
