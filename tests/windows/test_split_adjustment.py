"""Series on the share basis of the newest split, and back to what was traded. Expected values are worked out
by hand in each test.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_lib.prices.traded import as_traded
from forecast_lib.windows.histories import FIGURES, Histories, series_from, shares_since

DAYS = np.array(["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"], "datetime64[D]")


def splits(*rows: tuple[str, float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([day for day, _ in rows], "datetime64[D]"), np.array([ratio for _, ratio in rows])


def histories(sessions: np.ndarray = DAYS, **figures: object) -> Histories:
    values = {
        name: np.broadcast_to(np.asarray(figures.get(name, np.nan), float), len(sessions)) for name in FIGURES
    }
    return Histories.ordered(("ACME",), np.zeros(len(sessions), np.int32), sessions, values)


def test_the_splits_own_session_is_already_on_the_new_basis() -> None:
    assert shares_since(DAYS, *splits(("2024-01-04", 4.0))).tolist() == [4, 4, 1, 1]


def test_several_splits_multiply() -> None:
    assert shares_since(DAYS, *splits(("2024-01-03", 2.0), ("2024-01-05", 3.0))).tolist() == [6, 3, 3, 1]


def test_a_split_on_a_day_without_a_row_counts_for_the_rows_before() -> None:
    assert shares_since(DAYS[[0, 2]], *splits(("2024-01-03", 2.0))).tolist() == [2, 1]


def test_a_reverse_split_raises_the_past() -> None:
    series = series_from(histories(close=[1.0, 1.0, 10.0, 10.0]), {"ACME": splits(("2024-01-04", 0.1))})[
        "ACME"
    ]
    assert series.close.tolist() == pytest.approx([10, 10, 10, 10])


def test_prices_are_divided_and_the_volume_is_multiplied() -> None:
    rows = histories(DAYS[:1], open=8.0, high=12.0, low=4.0, close=10.0, volume=100.0)
    series = series_from(rows, {"ACME": splits(("2024-01-04", 2.0))})["ACME"]
    assert [float(getattr(series, name)[0]) for name in FIGURES] == [4.0, 6.0, 2.0, 5.0, 200.0]
    assert rows.figures["close"].tolist() == [10.0]


def test_a_change_of_unit_divides_prices_and_leaves_the_volume() -> None:
    """Two for one, then pence for pounds: 10 pounds are 5 pounds of half a share, or 500 pence."""
    rows = histories(DAYS[:1], open=8.0, high=12.0, low=4.0, close=10.0, volume=100.0)
    of = {"ACME": splits(("2024-01-04", 2.0))}, {"ACME": splits(("2024-01-05", 0.01))}
    series = series_from(rows, *of)["ACME"]
    assert [float(getattr(series, name)[0]) for name in FIGURES] == [400.0, 600.0, 200.0, 500.0, 200.0]
    assert series.divided_by.tolist() == [0.02]


def test_without_splits_prices_pass_unchanged() -> None:
    rows = histories(close=[1.1, 2.2, 3.3, 4.4])
    assert series_from(rows, {})["ACME"].close.tolist() == [1.1, 2.2, 3.3, 4.4]


@settings(deadline=None)  # a busy machine is no fault
@given(
    closes=st.lists(st.floats(0.01, 1e5), min_size=1, max_size=30),
    placed=st.dictionaries(st.integers(0, 40), st.sampled_from([0.1, 0.5, 1.5, 2.0, 4.0, 7.0]), max_size=4),
)
def test_as_traded_undoes_the_adjustment(closes: list[float], placed: dict[int, float]) -> None:
    days = np.datetime64("2024-01-01") + np.arange(len(closes))
    of = splits(*((str(np.datetime64("2024-01-01") + place), placed[place]) for place in sorted(placed)))
    series = series_from(histories(days, close=closes, volume=1000.0), {"ACME": of})["ACME"]
    traded = as_traded(
        {"close": series.close, "volume": series.volume, "adj_close": series.close}, shares_since(days, *of)
    )
    np.testing.assert_allclose(traded["close"], closes, rtol=1e-12)
    np.testing.assert_allclose(traded["volume"], 1000.0, rtol=1e-12)
    assert traded["adj_close"] is series.close
