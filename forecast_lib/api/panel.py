"""The series of a long frame, as a night sees its tickers."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from forecast_lib.api.frames import pandas_of
from forecast_lib.api.long import refuse_nameless
from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.errors import UsageError
from forecast_lib.jobs.forecast.commonality import with_common_volatility
from forecast_lib.jobs.forecast.tickers import FEWEST_SESSIONS
from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.sessions import calendar_for
from forecast_lib.tables import empty
from forecast_lib.windows.series import TickerSeries, series_of

__all__ = ["coming_sessions", "frame_of", "market_of", "series_in"]

_BARS = ("open", "high", "low", "volume")
_LATELY = 250
_WEEKENDS_COUNT = 0.1  # share of Saturdays and Sundays above which every day is a session


def series_in(frame: Any) -> dict[Hashable, TickerSeries]:
    """Each series of a long frame by its `unique_id`; open, high, low and volume may be there beside `y`.

    Raises:
        UsageError: a column is missing, a row has no name or no date, `ds` is no date or has a time zone, a
            date comes twice, a value is no positive number, a series is too short.
    """
    known = pandas_of(frame, ("unique_id", "ds", "y"))
    if known.empty:
        raise UsageError("the frame has no rows: expected the past of one series or more")
    refuse_nameless(known, ("unique_id", "ds"))
    return {
        name: _series(name, rows)
        for name, rows in known.assign(ds=_sessions(known["ds"])).groupby("unique_id", sort=True)
    }


def _sessions(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column.dtype):
        raise UsageError(f"ds holds numbers ({column.iloc[0] if len(column) else 'none'}): expected dates")
    try:
        sessions = pd.to_datetime(column)
    except (ValueError, TypeError) as error:
        raise UsageError(f"ds cannot be read as dates: {error}".splitlines()[0]) from error
    if isinstance(sessions.dtype, pd.DatetimeTZDtype):
        zone = f"ds has the time zone {sessions.dt.tz}"
        raise UsageError(f"{zone}: expected the exchange's own dates; take its zone off")
    return sessions


def _series(name: Hashable, rows: pd.DataFrame) -> TickerSeries:
    rows = rows.sort_values("ds")
    try:
        prices = {column: _numbers(rows[column]) if column in rows else np.nan for column in _BARS}
        series = series_of(
            str(name), pd.DataFrame({"session": rows["ds"], "close": _numbers(rows["y"]), **prices})
        )
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"unique_id {name!r} of the frame: {str(error).removeprefix(f'{name}: ')}"
        ) from error
    if len(series) < FEWEST_SESSIONS:
        raise UsageError(f"unique_id {name!r} has {len(series)} rows: expected {FEWEST_SESSIONS} or more")
    return series


def _numbers(column: pd.Series) -> pd.Series:
    """As floats, every kind of missing value as NaN."""
    known = column.where(column.notna(), np.nan) if column.dtype == object else column
    return known.astype(float)


def frame_of(series: Mapping[Hashable, TickerSeries]) -> pd.DataFrame:
    """The long frame of the series, with `open`, `high`, `low` and `volume`."""
    parts = [
        pd.DataFrame(
            {"unique_id": name, "ds": each.sessions.astype("datetime64[us]"), "y": each.close}
        ).assign(**{column: getattr(each, column) for column in _BARS})
        for name, each in series.items()
    ]
    return pd.concat(parts, ignore_index=True)


def market_of(series: Mapping[Hashable, TickerSeries], model: ModelConfig, train: TrainConfig) -> Market:
    """The series as a night sees its tickers: knowing what those of an exchange have in common."""
    own = {each.ticker: each for each in series.values()}
    nothing = {
        "prices": empty("prices"),
        "actions": empty("corporate_actions"),
        "quarantined": empty("quarantined_prices"),
    }
    market = Market(own, {name: calendar_for(name) for name in own}, dict.fromkeys(own), **nothing)
    return with_common_volatility(market, tuple(own), model, train)


def coming_sessions(series: TickerSeries, horizon: int) -> pd.DatetimeIndex:
    """The sessions after the last one.

    They are those of the exchange that the series' name points to where its last 250 rows kept them; else
    weekdays, or every day where weekends are among them.
    """
    lately = series.sessions[-_LATELY:]
    calendar = calendar_for(series.ticker)
    if np.array_equal(calendar.sessions(lately[0], lately[-1]).to_numpy("datetime64[D]"), lately):
        return calendar.following(lately[-1], horizon)
    every_day = (pd.DatetimeIndex(lately).dayofweek >= 5).mean() > _WEEKENDS_COUNT
    return pd.date_range(
        lately[-1] + np.timedelta64(1, "D"), periods=horizon, freq="D" if every_day else "B", unit="us"
    )
