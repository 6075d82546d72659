"""Long frames of made-up closes for the tests of the Python API."""

import numpy as np
import pandas as pd
from scipy.stats import norm

from forecast_lib import QUANTILES
from forecast_lib.windows.series import Array, TickerSeries

__all__ = ["gaussian", "walk"]


def walk(seed: int, days: int = 400) -> pd.DataFrame:
    """One series of closes on weekdays, a Gaussian walk with a daily volatility of 1 %."""
    returns = np.random.default_rng(seed).normal(0, 0.01, days)
    sessions = pd.bdate_range("2023-01-02", periods=days)
    return pd.DataFrame({"unique_id": f"S{seed}", "ds": sessions, "y": 100 * np.exp(np.cumsum(returns))})


def gaussian(scale: float):
    """A model that knows that `walk` is Gaussian, and thinks that its daily volatility is `scale`."""

    def model(series: TickerSeries, horizon: int) -> Array:
        steps = np.sqrt(np.arange(1, horizon + 1))[:, None]
        return series.close[-1] * np.exp(scale * steps * norm.ppf(QUANTILES)[None, :])

    return model
