"""The parts of the calibration: what a break does, whose scale is put right, and how exact the tables are."""

import itertools

import numpy as np
import pytest
from scipy import stats

from forecast_lib.calibration import COVERAGES, Shape, multipliers, student_t_shape, variance_factor
from forecast_lib.jobs.refresh.drift import has_drifted

LEAST = 0.1 * np.array([0.586, 1.176, 1.587, 1.998, 2.566, 3.027])
NORMAL = Shape(
    np.tile(stats.norm.ppf((1 + np.array(COVERAGES)) / 2), (1, 1, 1)), np.full((1, 1), np.sqrt(2 / np.pi))
)


def scores(count: int, seed: int = 0) -> np.ndarray:
    """Of a normal with unit variance."""
    return np.abs(np.random.default_rng(seed).standard_normal((count, 1)))


def reach(values: np.ndarray) -> np.ndarray:
    return multipliers(values, 1, NORMAL)[0, 0]


def factor_of(known: np.ndarray, step: int = 1) -> float:
    """What the reach is multiplied by for what is true lately, written down once more."""
    newest = known[::-1][:500]
    weight = 0.5 ** (np.arange(len(newest)) / (30 * np.sqrt(step)))
    x = np.log(np.average(np.minimum(newest, 5 * newest.mean()), weights=weight) / newest.mean())
    chance = 0.84**2 * step * (weight**2).sum() / weight.sum() ** 2
    return float(np.exp(x * x**2 / (x**2 + chance)))


@pytest.mark.parametrize("lately", [3.0, 1.0, 0.3])
def test_the_reach_is_half_the_shape_s_and_half_the_outcomes_times_what_is_true_lately(lately):
    values = scores(600)
    values[-41:-1] *= lately
    values[-20] *= 30  # a crash
    known = values[:-1]  # the last outcome known at the last cutoff is that of the one before
    wider = known[-500:].mean() / NORMAL.mean[0, 0]
    own = NORMAL.reach[0, 0] * (wider if abs(np.log(wider)) > 0.15 else 1)
    expected = np.sqrt(own * multipliers(values, 1)[0, 0]) * factor_of(known[:, 0])
    np.testing.assert_allclose(reach(values), expected, rtol=1e-12)


@pytest.mark.parametrize("factor", [3.0, 0.3])
def test_after_a_break_of_forty_sessions_the_reach_follows_it(factor):
    calm = scores(600)
    broken = calm.copy()
    broken[-41:-1] *= factor
    grown = reach(broken) / reach(calm)
    assert (grown > 1.8).all() if factor > 1 else (grown < 0.65).all()


def test_no_evening_of_a_break_is_a_cliff():
    values = scores(700)
    values[-100:] *= 3
    every = Shape(np.tile(NORMAL.reach, (100, 1, 1)), np.tile(NORMAL.mean, (100, 1)))
    daily = multipliers(values, 100, every)
    assert daily[-1, 0, 1] > 2 * daily[0, 0, 1]
    assert np.abs(np.diff(np.log(daily[:, 0]), axis=0)).max() < 0.25


def test_forty_sessions_within_chance_change_nothing():
    calm = scores(600)
    restless = calm.copy()
    restless[-41:-1] *= 1.1
    np.testing.assert_allclose(reach(restless), reach(calm), rtol=0.05)


@pytest.mark.parametrize("kind", ["of one kind", "with holes", "often the same", "late to begin"])
def test_reach_of_every_cutoff_is_a_quantile_of_what_was_known_there(kind):
    random = np.random.default_rng(7)
    values = np.abs(random.standard_normal((900, 3)))
    match kind:
        case "with holes":
            values[random.random(values.shape) < 0.2] = np.nan
        case "often the same":
            values = values.round(1) + 0.1
        case "late to begin":
            values[:250] = np.nan
    made = multipliers(values, 700)
    for place, step in itertools.product(range(0, 700, 23), (1, 2, 3)):
        known = values[max(200 + place - step - 499, 0) : 200 + place - step + 1, step - 1]
        ordered = np.sort(known[np.isfinite(known)])
        if len(ordered) < 40:
            continue
        ranks = np.minimum(np.ceil((len(ordered) + 1) * np.array(COVERAGES)), len(ordered)).astype(int) - 1
        np.testing.assert_array_equal(made[place, step - 1], np.maximum(ordered[ranks], LEAST))


def test_shape_with_half_the_true_scale_is_put_right():
    np.testing.assert_allclose(reach(2 * scores(600)), 2 * reach(scores(600)), rtol=0.03)


def test_variance_that_was_twice_what_was_forecast_doubles_it():
    assert variance_factor(np.full((600, 2), 2.0), 3).tolist() == [[2.0, 2.0]] * 3
    assert variance_factor(np.full((20, 1), 2.0), 1).tolist() == [[1.0]]  # too few to say


def test_table_of_the_student_t_is_exact_to_five_digits():
    df = np.array([2.3, 2.5, 3.3, 6.0, 17.7, 400.0])
    shape = student_t_shape(df)
    np.testing.assert_allclose(
        shape.reach, stats.t.ppf((1 + np.array(COVERAGES)) / 2, df[:, None]), rtol=5e-5
    )
    np.testing.assert_allclose(shape.mean, [stats.t(each).expect(abs) for each in df], rtol=1e-3)
    assert np.isnan(student_t_shape(np.array([np.nan])).mean).all()


def test_drift_alarm_is_rare_without_drift_and_soon_with_it():
    """Of 200 tickers with 250 sessions as good as naive; with forecasts worse by half a standard deviation
    nearly all within 60.
    """
    random = np.random.default_rng(1)
    base = np.ones(250)
    alarms = sum(has_drifted(base + 0.5 * random.standard_normal(250), base) for _ in range(200))
    worse = sum(
        has_drifted(base[:60] + 0.25 + 0.5 * random.standard_normal(60), base[:60]) for _ in range(200)
    )
    assert alarms < 30 and worse > 120
