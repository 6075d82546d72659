"""Settling: forecasts of earlier runs meet the prices that came true."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.backtest.metrics import inside
from forecast_lib.distribution import pinball
from forecast_lib.forecast import forecast_with_baseline
from forecast_lib.tables import QUANTILE_COLUMNS, empty
from forecast_lib.windows.series import Array, TickerSeries

__all__ = ["settle"]


_REVISION = 1.25
"""Closes are corrected by cents; a factor beyond this is another share basis."""


@dataclass(frozen=True)
class _Forecasts:
    """Some forecasts of one ticker, one entry each: places of their sessions in its series (-1: not in it),
    step and last close.
    """

    cutoff: NDArray[np.intp]
    target: NDArray[np.intp]
    step: NDArray[np.int64]
    last_close: Array

    def only(self, chosen: NDArray[np.bool_]) -> "_Forecasts":
        return _Forecasts(
            self.cutoff[chosen], self.target[chosen], self.step[chosen], self.last_close[chosen]
        )


def _places(sessions: NDArray[np.datetime64], days: NDArray[np.datetime64]) -> NDArray[np.intp]:
    at = np.minimum(np.searchsorted(sessions, days), len(sessions) - 1)
    return np.where(sessions[at] == days, at, -1)


def _actuals(made: _Forecasts, series: TickerSeries) -> Array:
    """The close of each target session on the share basis on which the forecast was made; NaN where it is not
    known.

    The splits and changes of unit since the cutoff are undone. A source that re-based its history without
    reporting a split shows in the cutoff's close, which is then far from the one that the forecast started
    from; a correction of that close is near it, and does not move the actual.
    """
    known = (made.cutoff >= 0) & (made.target >= 0)
    reported = np.ones(len(known)) if series.divided_by is None else series.divided_by[made.cutoff]
    unreported = made.last_close / (series.close[made.cutoff] * reported)
    rebased = (unreported > _REVISION) | (unreported < 1 / _REVISION)
    return np.where(known, series.close[made.target] * reported * np.where(rebased, unreported, 1.0), np.nan)


def _baseline_losses(made: _Forecasts, actual: Array, series: TickerSeries) -> Array:
    """What the naive forecast from the same cutoffs lost, on the share basis of the forecasts."""
    first = int(made.cutoff.min())
    naive = forecast_with_baseline("naive", series, int(made.step.max()), (first, int(made.cutoff.max()) + 1))
    basis = made.last_close / series.close[made.cutoff]
    return pinball(actual, naive.quantiles[made.cutoff - first, made.step - 1] * basis[:, None])


def settle(
    unsettled: pd.DataFrame, series: Mapping[str, TickerSeries], settled_at: dt.datetime, run_id: str
) -> pd.DataFrame:
    """Columns of `forecast_outcomes`, and `made_by`, for those forecasts whose target session has a known
    close.

    Args:
        unsettled: rows of `forecasts` without an outcome.
        series: split-adjusted history by ticker.
    """
    cutoffs, targets = (unsettled[name].to_numpy("datetime64[D]") for name in ("cutoff", "target_session"))
    steps, closes = unsettled["step"].to_numpy(np.int64), unsettled["last_close"].to_numpy(np.float64)
    chosen, actuals, baselines = [], [], []
    for ticker, rows in unsettled.groupby("ticker", sort=False).indices.items():
        if (own := series.get(str(ticker))) is None:
            continue
        made = _Forecasts(
            _places(own.sessions, cutoffs[rows]),
            _places(own.sessions, targets[rows]),
            steps[rows],
            closes[rows],
        )
        actual = _actuals(made, own)
        if (known := np.isfinite(actual)).any():
            chosen.append(rows[known])
            actuals.append(actual[known])
            baselines.append(_baseline_losses(made.only(known), actual[known], own))
    if not chosen:
        return empty("forecast_outcomes").assign(made_by="")
    rows, actual = unsettled.iloc[np.concatenate(chosen)].reset_index(drop=True), np.concatenate(actuals)
    quantiles = rows[list(QUANTILE_COLUMNS)].to_numpy()
    return rows[["run_id", "ticker", "step", "target_session", "made_by"]].assign(
        actual=actual,
        error=rows["point"].to_numpy() - actual,
        naive_error=rows["last_close"].to_numpy() - actual,
        pinball=pinball(actual, quantiles),
        baseline_pinball=np.concatenate(baselines),
        inside80=inside(actual, quantiles, 0.8),
        inside95=inside(actual, quantiles, 0.95),
        settled_at=pd.Timestamp(settled_at).tz_localize(None),
        settled_by=run_id,
    )
