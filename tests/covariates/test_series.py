"""A named series at the sessions of an exchange: figures by hand, and nothing before it was known."""

import numpy as np
import pandas as pd
import pytest

from forecast_lib.covariates.series import CARRIED_SESSIONS, Covariate, as_known, level_of
from forecast_lib.sessions import TickerCalendar

NEW_YORK, TOKYO = TickerCalendar("XNYS"), TickerCalendar("XTKS")
DAYS = NEW_YORK.sessions(pd.Timestamp("2022-01-03"), pd.Timestamp("2023-12-29")).to_numpy("datetime64[D]")


def covariate(values, days=DAYS, known=None) -> Covariate:
    absent = np.full(len(days), "NaT", "datetime64[us]")
    return Covariate("vix", None, days, np.asarray(values, dtype=float), absent if known is None else known)


def walk(count: int, seed: int = 0):
    return 20 * np.exp(0.05 * np.cumsum(np.random.default_rng(seed).standard_normal(count)))


def at_new_york(made: Covariate):
    return as_known(level_of(made), DAYS, NEW_YORK.evenings(DAYS)).values


def test_level_mean_and_change_are_those_of_the_logarithms():
    values = walk(len(DAYS))
    logs = np.log(values)
    # By hand: 22 and 250 values up to and including the session
    month, year = logs[279:301].mean(), logs[51:301].mean()
    expected = (logs[300] - month, month - year, logs[300] - logs[299], year)
    assert tuple(level_of(covariate(values)).values[300]) == pytest.approx(expected, abs=1e-12)


def test_another_unit_moves_the_year_alone_and_by_the_same_everywhere():
    values = walk(len(DAYS))
    moved = level_of(covariate(values)).values - level_of(covariate(values / 1000)).values
    np.testing.assert_allclose(
        moved[22:], np.tile([0.0, 0.0, 0.0, np.log(1000)], (len(DAYS) - 22, 1)), atol=1e-9
    )


def test_values_below_zero_are_in_units_of_their_own_size():
    """A yield that crosses zero, and the same in basis points."""
    values = np.cumsum(0.1 * np.random.default_rng(1).standard_normal(len(DAYS)))
    here, there = level_of(covariate(values)).values, level_of(covariate(100 * values)).values
    assert (values < 0).any() and np.isfinite(here[250:]).all()
    np.testing.assert_allclose(here[250:], there[250:], atol=1e-9)


@pytest.mark.parametrize("values", [np.full(len(DAYS), 7.0), np.zeros(len(DAYS)), np.full(len(DAYS), -1e300)])
def test_a_constant_says_nothing_and_harms_nothing(values):
    made = level_of(covariate(values)).values
    assert np.isfinite(made[22:]).all() and np.abs(made[22:, :3]).max() < 1e-9
    assert np.ptp(made[22:, 3]) < 1e-9


def test_another_future_moves_nothing_before_it():
    values = walk(len(DAYS))
    for cut in (30, 200, 400):
        other = np.where(np.arange(len(DAYS)) > cut, -3.0, values)  # below zero from then on
        here, there = at_new_york(covariate(values)), at_new_york(covariate(other))
        assert here[: cut + 1].tobytes() == there[: cut + 1].tobytes()
        assert here[cut + 1 :].tobytes() != there[cut + 1 :].tobytes()


def test_a_value_counts_from_the_evening_on_which_it_was_known():
    """Each value comes out at noon of the second session after its own."""
    known = np.append(DAYS[2:], DAYS[-1:] + np.array([3, 4])).astype("datetime64[us]") + np.timedelta64(
        12, "h"
    )
    late, prompt = (
        at_new_york(covariate(walk(len(DAYS)), known=known)),
        at_new_york(covariate(walk(len(DAYS)))),
    )
    np.testing.assert_array_equal(late[102:], prompt[100:-2])


def test_a_value_that_came_late_holds_up_what_is_made_of_it():
    known = NEW_YORK.evenings(DAYS)
    known[100] = known[103]
    late, prompt = (
        at_new_york(covariate(walk(len(DAYS)), known=known)),
        at_new_york(covariate(walk(len(DAYS)))),
    )
    np.testing.assert_array_equal(late[100:103], prompt[[99, 99, 99]])
    np.testing.assert_array_equal(
        np.delete(late, [100, 101, 102], axis=0), np.delete(prompt, [100, 101, 102], axis=0)
    )


def test_tokyo_knows_new_york_of_the_day_before():
    """Tokyo's session of a date is over before New York's begins."""
    made = covariate(walk(len(DAYS)), known=NEW_YORK.evenings(DAYS))
    sessions = TOKYO.sessions(pd.Timestamp("2022-06-01"), pd.Timestamp("2022-12-30")).to_numpy(
        "datetime64[D]"
    )
    seen = as_known(level_of(made), sessions, TOKYO.evenings(sessions)).values
    own = level_of(made)
    before = np.searchsorted(own.days, sessions) - 1  # the newest session of New York dated before
    np.testing.assert_array_equal(seen, own.values[before])


def test_gaps_are_filled_for_a_week_and_then_nothing_is_known():
    values, place = walk(len(DAYS)), 300
    kept = np.delete(np.arange(len(DAYS)), np.arange(place + 1, place + 20))
    seen = at_new_york(covariate(values[kept], DAYS[kept]))
    held = seen[place : place + 1 + CARRIED_SESSIONS]
    assert (held == held[0]).all() and np.isfinite(held).all()
    assert (
        np.isnan(seen[place + 1 + CARRIED_SESSIONS : place + 20]).all()
        and np.isfinite(seen[place + 20]).all()
    )


def test_a_weekly_series_of_another_calendar_is_always_known():
    """Saturdays: each counts from Monday on."""
    saturdays = np.arange("2022-01-01", "2023-12-31", 7, dtype="datetime64[D]")
    seen = at_new_york(covariate(walk(len(saturdays)), saturdays))
    assert np.isnan(seen[:100]).any() and np.isfinite(seen[150:]).all()


def test_no_value_at_all_is_nothing_known():
    assert np.isnan(at_new_york(covariate([], DAYS[:0]))).all()
