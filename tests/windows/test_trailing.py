"""What pandas says of trailing windows, to the last bit, whatever stands in them."""

import numpy as np
import pandas as pd
import pytest

from forecast_lib.windows.trailing import (
    expanding_mean,
    fading_mean,
    trailing_deviation,
    trailing_mean,
    trailing_sum,
)

KINDS = [
    "of both signs",
    "with holes",
    "late to begin",
    "often the same",
    "of all sizes",
    "infinite at times",
]


def _values(kind: str, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.standard_normal(int(random.integers(1, 800))) * 10.0 ** random.integers(-8, 3)
    some = random.random(len(values)) < 0.3
    match kind:
        case "with holes":
            values[some] = np.nan
        case "late to begin":
            values[: int(random.integers(0, 40))] = np.nan
        case "often the same":
            values = np.where(some | np.roll(some, 1), 1e-8, np.abs(values))
        case "of all sizes":
            values = np.exp(5 * random.standard_normal(len(values)))
        case "infinite at times":
            values[some] = random.choice([-np.inf, np.inf], some.sum())
    return values


@pytest.mark.parametrize("kind", KINDS)
def test_every_window_is_that_of_pandas(kind):
    for seed in range(12):
        values = _values(kind, seed)
        series = pd.Series(values)
        np.testing.assert_array_equal(expanding_mean(values), series.expanding().mean())
        np.testing.assert_array_equal(fading_mean(values, 0.94), series.ewm(alpha=1 - 0.94).mean())
        for window in (1, 5, 22, 250):
            rolling = series.rolling(window, min_periods=1)
            np.testing.assert_array_equal(trailing_mean(values, window), rolling.mean())
            np.testing.assert_array_equal(trailing_sum(values, window), rolling.sum())
            of_some = series.rolling(window, min_periods=min(window, 5)).mean()
            np.testing.assert_array_equal(trailing_mean(values, window, fewest=min(window, 5)), of_some)
        for window, fewest, apart in ((5, 1, 1), (22, 5, 1), (250, 40, 0)):
            deviation = series.rolling(window, min_periods=fewest).std(ddof=apart)
            np.testing.assert_array_equal(trailing_deviation(values, window, fewest, apart), deviation)


def test_nothing_has_no_mean():
    assert len(expanding_mean(np.empty(0))) == len(fading_mean(np.empty(0), 0.9)) == 0
