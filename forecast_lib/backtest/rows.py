"""Forecasts of past cutoffs beside what came true: the rows of `backtest_forecasts`, and what a cutoff knew
and an outcome was worth.
"""

import numpy as np
import pandas as pd

from forecast_lib.forecast import Forecasts, forecast_columns
from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.series import TickerSeries

__all__ = ["backtest_rows"]


def backtest_rows(
    model: str, forecasts: Forecasts, series: TickerSeries, features: SessionFeatures
) -> pd.DataFrame:
    """Columns of `backtest_forecasts` without the id, for every cutoff and step whose outcome the series has.

    Args:
        features: of the whole series; `trailing_sigma` is its volatility known at the cutoff,
            `realised_variance` the sum of its variances measured from open, high, low and close of the
            sessions after the cutoff up to the target.
    """
    made = forecast_columns(forecasts, series)
    cutoff = np.repeat(forecasts.cutoffs, forecasts.point.shape[1])
    target = cutoff + made["step"]
    known = target < len(series)
    cutoff, target = cutoff[known], target[known]
    total = np.cumsum(features.variance)
    columns = {name: values[known] for name, values in made.items()}
    naive = columns.pop("last_close")
    return pd.DataFrame(
        {
            "ticker": series.ticker,
            "model": model,
            **columns,
            "target_session": series.sessions[target].astype("datetime64[us]"),
            "actual": series.close[target],
            "naive": naive,
            "trailing_sigma": features.ewma_sigma[cutoff],
            "realised_variance": total[target] - total[cutoff],
        },
        copy=False,
    )
