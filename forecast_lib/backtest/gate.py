"""The gate: a model reaches the forecast table only if, on its validation sessions, it was not worse than naive and the best baseline.

All are scored as they would have been served there: the same cutoffs, intervals calibrated night by night on what was known. The best of
several baselines is in part the luckiest; against it a model is worse only where the difference is more than chance explains
(Diebold and Mariano 1995, one-sided at ten per cent). Against the naive forecast nothing is excused.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast_lib.backtest.metrics import inside, pinball
from forecast_lib.backtest.significance import compare_losses
from forecast_lib.forecast import Forecasts, forecast_with_baseline, forecast_with_model
from forecast_lib.models.bundle import Bundle
from forecast_lib.windows.series import Array, TickerSeries

__all__ = ["Baseline", "Verdict", "best_baseline", "judge"]

_SIGNIFICANT = 0.1
_WORST_RMSE_RATIO = 1.002  # a location that was shrunk on these very sessions; beyond that it does harm


@dataclass(frozen=True)
class Baseline:
    """A baseline's name and its mean pinball loss over all steps of the validation, as share of the last close."""

    name: str
    pinball: float


@dataclass(frozen=True)
class Verdict:
    """Validation scores of a model, of the naive forecast and of the best baseline, and what follows.

    `rmse` and `rmse_naive` are of step 1, as shares of the last close; the pinball losses are means over all steps, likewise.
    """

    promoted: bool
    reason: str
    n: int
    rmse: float
    rmse_naive: float
    pinball: float
    pinball_naive: float
    best: Baseline
    cov80: float
    cov95: float


def _actuals(series: TickerSeries, forecasts: Forecasts) -> Array:
    horizon = forecasts.point.shape[1]
    at = forecasts.cutoffs[:, None] + np.arange(1, horizon + 1)
    return np.where(at < len(series), series.close[np.minimum(at, len(series) - 1)], np.nan)


def _share(value: float, of: float) -> float:
    """`value / of`; frozen prices, where the naive forecast makes no error at all, have no such ratio unless both are zero."""
    return value / of if of > 0 else 1.0 if value == 0 else math.inf


def _loss(series: TickerSeries, forecasts: Forecasts) -> Array:
    """(cutoffs with an outcome,): mean pinball loss over the steps whose outcome is known, as share of the last close."""
    known = forecasts.cutoffs < len(series) - 1
    losses = pinball(_actuals(series, forecasts)[known], forecasts.quantiles[known])
    return np.nanmean(losses / series.close[forecasts.cutoffs[known]][:, None], axis=1)


def _losses(series: TickerSeries, cutoffs: tuple[int, int], horizon: int, names: Sequence[str]) -> dict[str, Array]:
    return {name: _baseline_loss(name, series, cutoffs, horizon) for name in names}


@functools.lru_cache(maxsize=64)  # a ticker's new model and its last one meet the same rivals, one after the other
def _baseline_loss(name: str, series: TickerSeries, cutoffs: tuple[int, int], horizon: int) -> Array:
    return _loss(series, forecast_with_baseline(name, series, horizon, cutoffs))


def _best(losses: dict[str, Array]) -> Baseline:
    means = {name: float(loss.mean()) for name, loss in losses.items()}
    name = min(means, key=lambda each: (means[each], each != "naive"))
    return Baseline(name, means[name])


def _worse(loss: Array, baseline: Array, horizon: int) -> bool:
    """Whether the loss is larger by more than chance explains."""
    _, pvalue = compare_losses(loss, baseline, horizon)
    return bool(loss.mean() > baseline.mean() and pvalue / 2 < _SIGNIFICANT)


def best_baseline(series: TickerSeries, cutoffs: tuple[int, int], horizon: int, names: Sequence[str]) -> Baseline:
    """The baseline among `names` with the lowest pinball loss at cutoffs first to last (exclusive)."""
    return _best(_losses(series, cutoffs, horizon, names))


def judge(bundle: Bundle, series: TickerSeries, cutoffs: tuple[int, int], names: Sequence[str]) -> Verdict:
    """Score the model against the baselines on the validation cutoffs first to last (exclusive) of the series it was fitted on.

    Args:
        names: of the baselines, `naive` among them.
    """
    model = forecast_with_model(bundle, series, cutoffs)
    actual = _actuals(series, model)
    known = np.isfinite(actual)
    losses = _losses(series, cutoffs, bundle.horizon, names)
    best, loss = _best(losses), _loss(series, model)
    last = series.close[model.cutoffs]
    errors = [math.sqrt(np.nanmean(((actual[:, 0] - point) / last) ** 2)) for point in (model.point[:, 0], last)]
    mean, naive = float(loss.mean()), float(losses["naive"].mean())
    ratio, rmse_ratio = _share(mean, best.pinball), _share(*errors)
    if errors[0] > errors[1] * _WORST_RMSE_RATIO:
        refused = f"validation RMSE is {rmse_ratio:.4f} of naive: above {_WORST_RMSE_RATIO}"
    elif mean > naive:
        refused = f"validation pinball is {_share(mean, naive):.4f} of naive: above 1"
    elif _worse(loss, losses[best.name], bundle.horizon):
        refused = f"validation pinball is {ratio:.4f} of {best.name}: above 1 by more than chance"
    else:
        refused = ""
    reason = f"{refused}, so {best.name} answers" if refused else f"validation pinball {ratio:.4f} of {best.name}, the best baseline"
    cov80, cov95 = (float(inside(actual, model.quantiles, coverage)[known].mean()) for coverage in (0.8, 0.95))
    return Verdict(not refused, reason, int(known[:, 0].sum()), errors[0], errors[1], mean, naive, best, cov80, cov95)
