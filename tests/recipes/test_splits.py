"""Which targets each walkthrough trains and tests on, first and last, quirks included."""

import numpy as np
import pytest

from forecast_lib.errors import UsageError
from forecast_lib.recipes.catalogue import recipe_named
from forecast_lib.recipes.series import RecipeSeries, sine_series
from forecast_lib.recipes.splits import held_out_parts, parts_of


def series(count: int, first_file: int | None = None) -> RecipeSeries:
    return RecipeSeries("ACME", np.arange(float(count)), tuple(map(str, range(count))), first_file)


def reference_windows(part: list[float], step: int) -> list[float]:
    """The walkthrough's own loop, as published: `for i in range(len(dataset) - time_step - 1)`; the targets
    that it yields.
    """
    return [part[i + step] for i in range(len(part) - step - 1)]


def test_tsla_trains_on_every_window_and_tests_on_none():
    parts = parts_of(recipe_named("tsla-stacked"), series(3447))
    assert (parts.train, parts.test) == (range(60, 3447), None)


def test_aapl_cuts_windows_inside_each_part_and_loses_the_last_of_each():
    parts = parts_of(recipe_named("aapl-stacked"), series(1000))
    values = list(range(1000))
    assert list(parts.train) == reference_windows(values[:800], 60)
    assert list(parts.test or ()) == reference_windows(values[800:], 60)
    assert (parts.train[-1], parts.test[0], parts.test[-1]) == (798, 860, 998)


def test_aapl_takes_the_whole_part_of_80_percent():
    assert parts_of(recipe_named("aapl-stacked"), series(1001)).known == 800  # int(1001 * 0.8) = int(800.8)


def test_google_tests_every_day_of_the_second_file_with_windows_from_the_first():
    parts = parts_of(recipe_named("google-deep"), series(1278, first_file=1258))
    assert (parts.train, parts.test) == (range(60, 1258), range(1258, 1278))


def test_small_sine_leaves_out_the_last_window():
    recipe = recipe_named("sine-small")
    parts = parts_of(recipe, sine_series(recipe))
    assert (parts.train, parts.test) == (range(10, 999), None)


def test_unit_sine_splits_its_989_windows_791_to_198():
    recipe = recipe_named("sine-unit")
    parts = parts_of(recipe, sine_series(recipe))
    assert (len(parts.train), len(parts.test)) == (791, 198)  # int(0.8 * 989) = 791
    assert (parts.train[0], parts.test[0], parts.test[-1]) == (10, 801, 998)


@pytest.mark.parametrize("name", ["tsla-stacked", "sine-small"])
def test_recipe_without_a_split_holds_out_the_last_fifth_for_the_honest_figures(name):
    parts = held_out_parts(recipe_named(name), series(1000))
    assert (parts.known, parts.train[-1], parts.test[0]) == (800, 799, 800)


def test_recipe_with_a_split_keeps_it():
    recipe = recipe_named("aapl-stacked")
    assert held_out_parts(recipe, series(1000)) == parts_of(recipe, series(1000))


@pytest.mark.parametrize(
    ("name", "enough", "first_file"),
    [("tsla-stacked", 61, None), ("aapl-stacked", 306, None), ("google-deep", 62, 61)],
)
def test_one_window_in_each_part_is_enough_and_one_row_less_is_not(name, enough, first_file):
    parts = parts_of(recipe_named(name), series(enough, first_file))
    assert len(parts.train) >= 1
    assert parts.test is None or len(parts.test) == 1
    with pytest.raises(
        UsageError, match=f"recipe {name}: {enough - 1} rows are too few: a window of 60 needs 6[12] or more"
    ):
        parts_of(recipe_named(name), series(enough - 1, first_file))
