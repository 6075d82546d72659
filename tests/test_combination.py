"""Weights of the parts: by hand, their sum, what is missing, and that they know no future."""

import numpy as np
import pytest

from forecast_lib.combination import WEIGHT_SESSIONS, averaged, part_weights, prior_weights
from forecast_lib.distribution import pinball
from forecast_lib.domain import QUANTILES
from forecast_lib.forecast import Forecasts, combine, combined_forecast, forecast_with_baseline, weighing
from forecast_lib.models.baselines import BESIDE_A_NETWORK, PARTS
from tests import made_up

LAST = (299, 300)
SERIES = made_up.noisy(300)


def losses(*by_part: float, cutoffs: int = 300, horizon: int = 1) -> np.ndarray:
    """The same loss at every cutoff; that of the last `step` is not known yet."""
    made = np.tile(np.array(by_part)[:, None, None], (1, cutoffs, horizon))
    for step in range(1, horizon + 1):
        made[:, cutoffs - step :, step - 1] = np.nan
    return made


def present(parts: int, horizon: int = 1) -> np.ndarray:
    return np.ones((parts, 1, horizon), bool)


def parts_of(series, cutoffs, network=None) -> dict[str, Forecasts]:
    own = {} if network is None else {"lstm": network}
    return own | {name: forecast_with_baseline(name, series, 2, weighing(cutoffs)) for name in PARTS}


def test_weights_by_hand():
    # 250 known losses of 0.9 and 1.1: mean 1, excesses -25 and 25; rate 0.3: exp(7.5) against exp(-7.5)
    found = part_weights(losses(0.9, 1.1), present(2), np.array([0.5, 0.5]))
    assert found[:, 0, 0] == pytest.approx([1 / (1 + np.exp(-15.0)), 1 / (1 + np.exp(15.0))])


def test_overlapping_outcomes_count_once():
    # Step 5: 246 of the last 250 cutoffs are known, and five of them count as one
    found = part_weights(losses(0.9, 1.1, horizon=5), present(2, 5), np.array([0.5, 0.5]))[:, 0, 4]
    assert np.log(found[0] / found[1]) == pytest.approx(0.3 / 5 * 246 * 0.2)


def test_without_a_past_the_weights_are_the_prior():
    prior = prior_weights(1, 3)
    np.testing.assert_allclose(part_weights(np.full((4, 1, 2), np.nan), present(4, 2), prior)[:, 0, 1], prior)


def test_only_the_newest_losses_count():
    old = np.concatenate(
        [losses(9.0, 1.0, cutoffs=500)[:, :250], losses(1.0, 1.0, cutoffs=WEIGHT_SESSIONS + 1)], axis=1
    )
    assert part_weights(old, present(2), np.array([0.5, 0.5]))[:, 0, 0] == pytest.approx([0.5, 0.5])


def test_missing_part_counts_nothing_and_a_new_one_its_prior():
    prior, here = prior_weights(0, 3), present(3)
    here[0] = False
    new = losses(1.0, 1.0, 1.0)
    new[2] = np.nan
    assert part_weights(new, here, prior)[:, 0, 0] == pytest.approx([0.0, 0.5, 0.5])


def test_scale_of_the_prices_is_no_matter():
    made = np.abs(np.random.default_rng(0).standard_normal((3, 300, 2)))
    prior = prior_weights(1, 2)
    np.testing.assert_allclose(
        part_weights(made, present(3, 2), prior), part_weights(1e6 * made, present(3, 2), prior)
    )


def test_mean_leaves_out_what_has_no_weight():
    assert averaged(np.array([[np.nan], [3.0]]), np.array([[0.0], [1.0]])).tolist() == [3.0]


@pytest.mark.parametrize("kind", made_up.ODD)
def test_odd_history_is_answered_and_weights_sum_to_one(kind):
    made = combined_forecast(made_up.bundle(), made_up.ODD[kind], 2)
    np.testing.assert_allclose(made.weights.sum(axis=0), 1.0)
    assert list(made.parts) == ["lstm", *BESIDE_A_NETWORK]
    assert np.isfinite(made.forecasts.quantiles).all() and (made.forecasts.quantiles > 0).all()
    assert (np.diff(made.forecasts.quantiles, axis=2) >= 0).all() and np.isfinite(made.forecasts.sigma).all()


@pytest.mark.parametrize("sessions", [10, 11, 20, 31])
def test_ten_sessions_and_a_model_that_needs_more_are_answered_by_the_baselines(sessions):
    made = combined_forecast(made_up.bundle(), made_up.noisy(sessions), 2)
    assert list(made.parts) == list(PARTS)
    np.testing.assert_allclose(made.weights.sum(axis=0), 1.0)


def test_part_of_nan_is_left_out():
    broken = made_up.bundle()
    broken.members[0]["head/bias"].fill(np.nan)
    with np.errstate(invalid="ignore"):
        made, without = combined_forecast(broken, SERIES, 2), combined_forecast(None, SERIES, 2)
    assert (made.weights[0] == 0).all()
    np.testing.assert_allclose(made.forecasts.quantiles, without.forecasts.quantiles, rtol=0.03)


def test_point_is_the_last_close_to_the_last_bit_where_all_parts_say_so():
    assert (combined_forecast(None, SERIES, 2).forecasts.point == SERIES.close[-1]).all()


def test_quantiles_are_the_weighted_means_of_the_parts_log_quantiles():
    made = combined_forecast(made_up.bundle(), SERIES, 2)
    logs = np.stack([np.log(part.quantiles[0]) for part in made.parts.values()])
    np.testing.assert_allclose(
        np.log(made.forecasts.quantiles[0]), (made.weights[:, 0, :, None] * logs).sum(axis=0), rtol=1e-12
    )


def test_combination_follows_the_part_that_is_right():
    """A network with half the true volatility and one with the true one: the weight of the first is less."""
    right, wrong = (
        combined_forecast(made_up.bundle(daily=daily), SERIES.until(120), 2).weights[0, 0, 0]
        for daily in (0.01, 0.0025)
    )
    assert wrong < right


@pytest.mark.parametrize("cut", [270, 285])
def test_another_future_moves_no_earlier_weight_or_forecast(cut):
    cutoffs = (260, 300)
    here, there = (
        combine(parts_of(each, cutoffs), each, cutoffs) for each in (SERIES, made_up.scrambled(SERIES, cut))
    )
    count = cut - 260 + 1
    assert here.weights[:, :count].tobytes() == there.weights[:, :count].tobytes()
    assert (here.weights[:, count + 2 :] != there.weights[:, count + 2 :]).any()
    for part in ("point", "sigma", "quantiles"):
        assert (
            getattr(here.forecasts, part)[:count].tobytes()
            == getattr(there.forecasts, part)[:count].tobytes()
        )


def test_outcome_that_became_known_tonight_counts():
    close = SERIES.close.copy()
    wild = made_up.closes_only(np.append(close[:-1], 1.5 * close[-1]))
    calm = made_up.closes_only(close)
    assert (
        combined_forecast(None, wild, 2).weights[:, 0, 0] != combined_forecast(None, calm, 2).weights[:, 0, 0]
    ).all()


def test_one_evening_weighs_as_the_backtest_does():
    alone = combined_forecast(None, SERIES.until(281), 2)
    among = combine(parts_of(SERIES, (260, 300)), SERIES, (260, 300))
    np.testing.assert_allclose(alone.weights[:, 0], among.weights[:, 20], rtol=1e-6)
    np.testing.assert_allclose(alone.forecasts.quantiles[0], among.forecasts.quantiles[20], rtol=1e-6)


def test_loss_of_the_combination_is_never_above_the_mean_of_its_parts():
    """Pinball loss is convex in the quantile: the mean of forecasts loses at most the mean of their
    losses.
    """
    random, levels = np.random.default_rng(4), len(QUANTILES)
    parts = np.sort(random.normal(100, 5, (3, 200, levels)), axis=2)
    actual, weights = random.normal(100, 6, 200), np.array([0.5, 0.3, 0.2])
    mean = pinball(actual, averaged(parts, np.broadcast_to(weights[:, None, None], parts.shape)))
    assert (
        mean
        <= sum(weight * pinball(actual, part) for weight, part in zip(weights, parts, strict=True)) + 1e-12
    ).all()
