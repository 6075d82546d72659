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
    cutoff = np.repeat(cutoffs, point.shape[1])
    known = np.flatnonzero(cutoff + columns["step"] < len(series))
    columns = {name: values.take(known) for name, values in columns.items()}
    cutoff, naive = cutoff.take(known), columns.pop("last_close")
    target = cutoff + columns["step"]
    names, code = np.unique([name for name, _ in made], return_inverse=True)
    model = np.repeat(code.astype(np.int8), [each.point.size for _, each in made]).take(known)
    total = np.cumsum(features.variance)
    return pd.DataFrame(
        {
            "ticker": pd.Categorical.from_codes(np.zeros_like(model), [series.ticker]),
            "model": pd.Categorical.from_codes(model, names),
            **columns,
            "target_session": series.sessions[target].astype("datetime64[us]"),
            "actual": series.close[target],
            "naive": naive,
            "trailing_sigma": features.ewma_sigma[cutoff],
            "realised_variance": total[target] - total[cutoff],
        },
        copy=False,
    )
