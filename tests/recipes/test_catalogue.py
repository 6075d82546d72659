"""The five recipes are what the walkthroughs say, and what a user may change in them."""

import pytest

from forecast_lib.errors import UsageError
from forecast_lib.recipes.catalogue import RECIPES, Asked, recipe_named, with_asked

# The list of features: window, network, training and split of each walkthrough.
FACTS = {
    "tsla-stacked": ("close", 60, "whole", "stacked", 2, 50, 0.0, 10, 32, "none", False),
    "aapl-stacked": ("close", 60, "whole", "stacked", 2, 50, 0.0, 10, 32, "parts", True),
    "google-deep": ("open", 60, "training", "stacked", 4, 50, 0.2, 100, 32, "files", False),
    "sine-small": ("sine", 10, "no", "lstm", 1, 4, 0.0, 100, 1, "none", True),
    "sine-unit": ("sine", 10, "whole", "lstm", 1, 50, 0.0, 50, 1, "windows", True),
}
FIELDS = (
    "column",
    "lookback",
    "scaled",
    "variant",
    "layers",
    "units",
    "dropout",
    "epochs",
    "batch",
    "split",
    "drops_last",
)


@pytest.mark.parametrize("name", FACTS)
def test_recipe_has_the_walkthroughs_settings(name):
    assert tuple(getattr(recipe_named(name), field) for field in FIELDS) == FACTS[name]


def test_there_are_no_others():
    assert list(RECIPES) == list(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_head_starts_as_keras_does_and_what_flatters_is_said(name):
    assert not recipe_named(name).network.zero_head
    assert recipe_named(name).flattery


def test_unknown_recipe_names_those_there_are():
    with pytest.raises(
        UsageError,
        match=(
            "recipe 'tesla' is not known: expected one of tsla-stacked, aapl-stacked, google-deep, sine-small"
        ),
    ):
        recipe_named("tesla")


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        ("google-deep", Asked(variant="gru"), ("gru", 4, 50)),
        ("google-deep", Asked(variant="lstm"), ("lstm", 1, 50)),
        ("sine-unit", Asked(variant="stacked"), ("stacked", 2, 50)),
        ("sine-unit", Asked(layers=3, units=7), ("stacked", 3, 7)),
        ("tsla-stacked", Asked(layers=1), ("lstm", 1, 50)),
        ("aapl-stacked", Asked(variant="attention", layers=1, units=9), ("attention", 1, 9)),
    ],
)
def test_what_is_asked_for_takes_the_place_of_the_recipes_own(name, asked, expected):
    network = with_asked(recipe_named(name), asked).network
    assert (network.variant, network.layers, network.units) == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(units=0), "units 0 is out of range: expected 1 to 1024"),
        (Asked(layers=-1), "layers -1 is out of range"),
        (Asked(variant="stacked", layers=1), "layers 1 is too few for model 'stacked'"),
        (Asked(lookback=1), "lookback 1 is out of range"),
        (Asked(dropout=1.0), "dropout 1.0 is out of range"),
        (Asked(epochs=0), "epochs 0 is out of range"),
        (Asked(variant="rnn"), "model 'rnn' is not known: expected one of attention, "),
    ],
)
def test_sizes_that_make_no_network_are_refused(asked, message):
    with pytest.raises(UsageError, match=message):
        with_asked(recipe_named("sine-unit"), asked)
