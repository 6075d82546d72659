"""How a model did on the sessions before its cutoff that it was never fitted on, beside the naive forecast.

It is scored as it would have answered there: the same cutoffs, intervals calibrated night by night on what
was known. The figures decide which of a ticker's models stands in the combination, the new one or the one
before; how much it counts there, its weights say.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from forecast_lib.backtest.metrics import inside
from forecast_lib.forecast import forecast_with_baseline, forecast_with_model, known_actuals, relative_losses
from forecast_lib.models.bundle import Bundle
from forecast_lib.windows.series import TickerSeries

__all__ = ["Validation", "validated"]


@dataclass(frozen=True)
class Validation:
    """Scores of a model and of the naive forecast.

    `rmse` and `rmse_naive` are of step 1, as shares of the last close; the pinball losses are means over all
    steps, likewise.
    """

    n: int
    rmse: float
    rmse_naive: float
    pinball: float
    pinball_naive: float
    cov80: float
    cov95: float

    @property
    def gain(self) -> float | None:
        """Share of the naive forecast's pinball loss that the model saved; None where that made none."""
        return 1 - self.pinball / self.pinball_naive if self.pinball_naive > 0 else None


@functools.lru_cache(maxsize=64)  # a ticker's new model and its last one meet the same, one after the other
def _naive_loss(series: TickerSeries, cutoffs: tuple[int, int], horizon: int) -> float:
    return float(
        np.nanmean(relative_losses(forecast_with_baseline("naive", series, horizon, cutoffs), series))
    )


def validated(bundle: Bundle, series: TickerSeries, cutoffs: tuple[int, int]) -> Validation:
    """Score the model on the validation cutoffs first to last (exclusive) of the series it was fitted on."""
    model = forecast_with_model(bundle, series, cutoffs)
    actual, last = known_actuals(model, series), series.close[model.cutoffs]
    known = np.isfinite(actual)
    errors = [
        math.sqrt(np.nanmean(((actual[:, 0] - point) / last) ** 2)) for point in (model.point[:, 0], last)
    ]
    loss = float(np.nanmean(relative_losses(model, series)))
    cov80, cov95 = (
        float(inside(actual, model.quantiles, coverage)[known].mean()) for coverage in (0.8, 0.95)
    )
    return Validation(
        int(known[:, 0].sum()),
        errors[0],
        errors[1],
        loss,
        _naive_loss(series, cutoffs, bundle.horizon),
        cov80,
        cov95,
    )
