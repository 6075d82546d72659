"""Forecasts of past cutoffs beside what came true: the rows of `backtest_forecasts`, and what a cutoff knew
and an outcome was worth.
"""

import numpy as np
import pandas as pd

from forecast_lib.forecast import Forecasts, forecast_rows
from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.series import TickerSeries

__all__ = ["backtest_rows"]


def backtest_rows(
    model: str, forecasts: Forecasts, series: TickerSeries, features: SessionFeatures
) -> pd.DataFrame:
    """Columns of `backtest_forecasts` without the id, for every cutoff and step whose outcome the series has.

    Args:
        features: of the whole series; `trailing_sigma` is its volatility known at the cutoff,
            `realised_variance` the sum of its
            variances measured from open, high, low and close of the sessions after the cutoff up to the
            target.
    """
    rows = forecast_rows(forecasts, series)
    cutoff = np.repeat(forecasts.cutoffs, forecasts.point.shape[1])
    target = cutoff + rows["step"].to_numpy()
    known = target < len(series)
    rows, cutoff, target = rows[known].copy(), cutoff[known], target[known]
    rows.insert(0, "ticker", series.ticker)
    rows.insert(1, "model", model)
    total = np.cumsum(features.variance)
    rows["target_session"] = series.sessions[target].astype("datetime64[us]")
    rows["actual"] = series.close[target]
    rows["naive"] = rows["last_close"]
    rows["trailing_sigma"] = features.ewma_sigma[cutoff]
    rows["realised_variance"] = total[target] - total[cutoff]
    return rows.drop(columns="last_close")
