"""The gate: a model reaches the forecast table only if it was not worse than the naive baseline on its validation sessions.

Both are scored as they would have been served there: the same cutoffs, intervals calibrated night by night on what was known.
"""

import math
from dataclasses import dataclass

import numpy as np

from forecast_lib.backtest.metrics import inside, pinball
from forecast_lib.forecast import Forecasts, forecast_with_baseline, forecast_with_model
from forecast_lib.models.bundle import Bundle
from forecast_lib.windows.series import Array, TickerSeries

__all__ = ["Verdict", "judge"]

_WORST_RMSE_RATIO = 1.002  # a location that was shrunk on these very sessions; beyond that it does harm


@dataclass(frozen=True)
class Verdict:
    """Validation scores of a model and of the naive forecast, and what follows.

    `rmse` and `rmse_naive` are of step 1, as shares of the last close; `pinball` and `pinball_naive` are means over all steps, likewise.
    """

    promoted: bool
    reason: str
    n: int
    rmse: float
    rmse_naive: float
    pinball: float
    pinball_naive: float
    cov80: float
    cov95: float


def _actuals(series: TickerSeries, forecasts: Forecasts) -> Array:
    horizon = forecasts.point.shape[1]
    at = forecasts.cutoffs[:, None] + np.arange(1, horizon + 1)
    return np.where(at < len(series), series.close[np.minimum(at, len(series) - 1)], np.nan)


def _share(value: float, of: float) -> float:
    """`value / of`; frozen prices, where the naive forecast makes no error at all, have no such ratio unless both are zero."""
    return value / of if of > 0 else 1.0 if value == 0 else math.inf


def judge(bundle: Bundle, series: TickerSeries, cutoffs: tuple[int, int]) -> Verdict:
    """Score the model against the naive forecast on the validation cutoffs first to last (exclusive) of the series it was fitted on."""
    model = forecast_with_model(bundle, series, cutoffs)
    naive = forecast_with_baseline("naive", series, bundle.horizon, cutoffs)
    actual = _actuals(series, model)
    known = np.isfinite(actual)
    level = series.close[model.cutoffs][:, None]
    losses = [float(np.nanmean((pinball(actual, each.quantiles) / level)[known])) for each in (model, naive)]
    errors = [math.sqrt(np.nanmean(((actual - each.point) / level)[:, 0] ** 2)) for each in (model, naive)]
    pinball_ratio, rmse_ratio = _share(*losses), _share(*errors)
    harmless = errors[0] <= errors[1] * _WORST_RMSE_RATIO
    promoted = bool(losses[0] <= losses[1] and harmless)
    if promoted:
        reason = f"validation pinball {pinball_ratio:.4f} and RMSE {rmse_ratio:.4f} of naive"
    elif harmless:
        reason = f"validation pinball is {pinball_ratio:.4f} of naive: above 1, so naive answers"
    else:
        reason = f"validation RMSE is {rmse_ratio:.4f} of naive: above {_WORST_RMSE_RATIO}, so naive answers"
    inside80, inside95 = (inside(actual, model.quantiles, coverage)[known].mean() for coverage in (0.8, 0.95))
    return Verdict(promoted, reason, int(known[:, 0].sum()), errors[0], errors[1], losses[0], losses[1], float(inside80), float(inside95))
