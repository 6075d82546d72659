"""A ticker's history as arrays."""

import numpy as np
import pandas as pd
import pytest

from forecast_lib.windows.series import series_of


def frame(sessions, close):
    absent = [np.nan] * len(close)
    columns = {
        "session": pd.to_datetime(sessions),
        "open": absent,
        "high": absent,
        "low": absent,
        "close": close,
        "volume": absent,
    }
    return pd.DataFrame(columns)


def test_prices_become_arrays_in_their_order():
    series = series_of("ACME", frame(["2024-01-02", "2024-01-03"], [10.0, 11.0]))
    assert series.sessions.tolist() == [
        np.datetime64("2024-01-02").item(),
        np.datetime64("2024-01-03").item(),
    ]
    assert series.close.tolist() == [10.0, 11.0]
    assert np.isnan(series.volume).all()


@pytest.mark.parametrize("second", ["2024-01-02", "2024-01-01"])
def test_sessions_that_repeat_or_go_back_are_refused(second):
    with pytest.raises(ValueError, match="ACME: sessions must be strictly ascending"):
        series_of("ACME", frame(["2024-01-02", second], [10.0, 11.0]))


@pytest.mark.parametrize("close", [0.0, -1.0, np.nan, np.inf])
def test_close_that_is_no_price_is_refused(close):
    with pytest.raises(ValueError, match="ACME: every close must be positive and finite"):
        series_of("ACME", frame(["2024-01-02", "2024-01-03"], [10.0, close]))


def test_what_was_known_at_an_evening_ends_with_that_evening():
    series = series_of("ACME", frame(["2024-01-02", "2024-01-03", "2024-01-04"], [10.0, 11.0, 12.0]))
    assert series.until(2).close.tolist() == [10.0, 11.0]
    assert len(series.until(3)) == 3
