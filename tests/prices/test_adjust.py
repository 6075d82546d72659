"""Expected values are worked out by hand in each test."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from forecast_lib.prices.adjust import as_traded, split_adjusted, split_factors, total_return_close

DAYS = pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]).astype("datetime64[us]")


def actions(*rows: tuple[str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["session", "kind", "value"])
    return frame.astype({"session": "datetime64[us]", "kind": str, "value": float})


def prices(*closes: float) -> pd.DataFrame:
    return pd.DataFrame({"session": DAYS[: len(closes)], "close": closes})


def test_the_splits_own_session_is_already_on_the_new_basis() -> None:
    assert split_factors(DAYS, actions(("2024-01-04", "split", 4.0))).tolist() == [4, 4, 1, 1]


def test_several_splits_multiply_and_may_come_in_any_order() -> None:
    two = actions(("2024-01-05", "split", 3.0), ("2024-01-03", "split", 2.0))
    assert split_factors(DAYS, two).tolist() == [6, 3, 3, 1]


def test_a_reverse_split_raises_the_past() -> None:
    adjusted = split_adjusted(prices(1.0, 1.0, 10.0), actions(("2024-01-04", "split", 0.1)))
    assert adjusted["close"].tolist() == pytest.approx([10, 10, 10])


def test_a_split_on_a_day_without_a_row_counts_for_the_rows_before() -> None:
    assert split_factors(DAYS[[0, 2]], actions(("2024-01-03", "split", 2.0))).tolist() == [2, 1]


def test_prices_are_divided_and_volume_multiplied_and_the_rest_passes() -> None:
    row = pd.DataFrame(
        {
            "session": DAYS[:1],
            "open": 8.0,
            "high": 12.0,
            "low": 4.0,
            "close": 10.0,
            "adj_close": 9.0,
            "volume": 100.0,
            "origin": "x",
        }
    )
    before = row.copy(deep=True)
    adjusted = split_adjusted(row, actions(("2024-01-04", "split", 2.0)))
    assert adjusted.iloc[0].to_dict() | {"session": None} == {
        "session": None, "open": 4.0, "high": 6.0, "low": 2.0, "close": 5.0, "adj_close": 9.0, "volume": 200.0, "origin": "x",
    }  # fmt: skip
    assert_frame_equal(row, before)


def test_without_actions_prices_pass_unchanged() -> None:
    frame = prices(1.1, 2.2, 3.3)
    assert_frame_equal(split_adjusted(frame, actions()), frame)
    assert total_return_close(frame, actions()).tolist() == [1.1, 2.2, 3.3]


def test_dividends_do_not_move_split_adjusted_prices() -> None:
    frame = prices(10.0, 9.0)
    assert_frame_equal(split_adjusted(frame, actions(("2024-01-03", "dividend", 1.0))), frame)


def test_a_dividend_that_explains_the_fall_leaves_a_flat_total_return() -> None:
    """Close 100, then 2 dollars go out and it closes at 98: the holder has lost nothing."""
    total = total_return_close(prices(100.0, 98.0), actions(("2024-01-03", "dividend", 2.0)))
    assert total.tolist() == pytest.approx([98.0, 98.0])


def test_dividend_and_split_on_one_day() -> None:
    """100 before; 2:1 and 1 dollar on the new share: worth 2 * (49 + 1) = 100, so the return is 0."""
    both = actions(("2024-01-03", "split", 2.0), ("2024-01-03", "dividend", 1.0))
    assert total_return_close(prices(100.0, 49.0), both).tolist() == pytest.approx([49.0, 49.0])


def test_a_dividend_before_a_later_split_is_on_the_old_share() -> None:
    """2 dollars on a share of 100 is 2 %, whatever the later 4:1 split makes of both."""
    later_split = actions(("2024-01-03", "dividend", 2.0), ("2024-01-05", "split", 4.0))
    assert total_return_close(prices(100.0, 98.0, 98.0, 24.5), later_split).tolist() == pytest.approx(
        [24.5] * 4
    )


def test_dividends_outside_the_rows_change_nothing() -> None:
    outside = actions(
        ("2024-01-02", "dividend", 1.0), ("2023-06-01", "dividend", 1.0), ("2024-02-01", "dividend", 1.0)
    )
    assert total_return_close(prices(10.0, 11.0), outside).tolist() == [10.0, 11.0]


def test_a_dividend_as_large_as_the_price_is_refused() -> None:
    with pytest.raises(ValueError, match="dividend 10 of 2024-01-03 is not smaller"):
        total_return_close(prices(10.0, 1.0), actions(("2024-01-03", "dividend", 10.0)))


@settings(deadline=None)  # a busy machine is no fault
@given(
    closes=st.lists(st.floats(0.01, 1e5), min_size=1, max_size=30),
    splits=st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from([0.1, 0.5, 1.5, 2.0, 4.0, 7.0])), max_size=4
    ),
)
def test_as_traded_undoes_split_adjusted(closes: list[float], splits: list[tuple[int, float]]) -> None:
    start = dt.date(2024, 1, 1)
    frame = pd.DataFrame(
        {"session": pd.date_range(start, periods=len(closes), unit="us"), "close": closes, "volume": 1000.0}
    )
    rows = [(str(start + dt.timedelta(days=day)), "split", value) for day, value in splits]
    adjusted = split_adjusted(frame, actions(*rows))
    figures = {name: adjusted[name].to_numpy() for name in ("close", "volume")}
    there_and_back = as_traded(figures, split_factors(frame["session"], actions(*rows)))
    for name, values in there_and_back.items():
        np.testing.assert_allclose(values, frame[name], rtol=1e-12)
