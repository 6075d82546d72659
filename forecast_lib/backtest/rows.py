"""Forecasts of past cutoffs beside what came true: the rows of `backtest_forecasts`, and what a cutoff knew
and an outcome was worth.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from forecast_lib.forecast import Forecasts, forecast_columns
from forecast_lib.windows.features import SessionFeatures
from forecast_lib.windows.series import TickerSeries

__all__ = ["backtest_rows"]


def backtest_rows(
    made: Sequence[tuple[str, Forecasts]], series: TickerSeries, features: SessionFeatures
) -> pd.DataFrame:
    """Columns of `backtest_forecasts` without the id, for every cutoff and step whose outcome the series has.

    Args:
        made: names of models and their forecasts, all of one horizon; a model may come more than once.
        features: of the whole series; `trailing_sigma` is its volatility known at the cutoff,
            `realised_variance` the sum of its variances measured from open, high, low and close of the
            sessions after the cutoff up to the target.
    """
    cutoffs, point, sigma, quantiles = (
        np.concatenate([getattr(each, part) for _, each in made])
        for part in ("cutoffs", "point", "sigma", "quantiles")
    )
    columns = forecast_columns(Forecasts(cutoffs, point, sigma, quantiles), series)
    names = np.array([name for name, _ in made], dtype=object)
    columns["model"] = np.repeat(names, [each.point.size for _, each in made])
    cutoff = np.repeat(cutoffs, point.shape[1])
    target = cutoff + columns["step"]
    known = target < len(series)
    columns = {name: values[known] for name, values in columns.items()}
    cutoff, target = cutoff[known], target[known]
    model, naive = columns.pop("model"), columns.pop("last_close")
    total = np.cumsum(features.variance)
    return pd.DataFrame(
        {
            "ticker": series.ticker,
            "model": pd.Series(model, dtype="str"),
            **columns,
            "target_session": series.sessions[target].astype("datetime64[us]"),
            "actual": series.close[target],
            "naive": naive,
            "trailing_sigma": features.ewma_sigma[cutoff],
            "realised_variance": total[target] - total[cutoff],
        },
        copy=False,
    )
