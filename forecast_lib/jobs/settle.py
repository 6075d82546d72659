"""Settling: forecasts of earlier runs meet the prices that came true."""

import datetime as dt
from collections.abc import Mapping

import numpy as np
import pandas as pd

from forecast_lib.backtest.metrics import inside, pinball
from forecast_lib.forecast import forecast_with_baseline
from forecast_lib.tables import QUANTILE_COLUMNS, empty
from forecast_lib.windows.series import TickerSeries

__all__ = ["settle"]


_REVISION = 1.25
"""Closes are corrected by cents; a factor beyond this is another share basis."""


def _actuals(rows: pd.DataFrame, series: TickerSeries) -> np.ndarray:
    """The close of each target session on the share basis on which the forecast was made; NaN where it is not known.

    The splits since the cutoff are undone. A source that re-based its history without reporting a split shows in the cutoff's close,
    which is then far from the one that the forecast started from; a correction of that close is near it, and does not move the actual.
    """
    sessions = pd.DatetimeIndex(series.sessions)
    cutoff, target = (sessions.get_indexer(pd.DatetimeIndex(rows[name])) for name in ("cutoff", "target_session"))
    known = (cutoff >= 0) & (target >= 0)
    reported = series.shares[cutoff] if series.shares is not None else np.ones(len(rows))
    unreported = rows["last_close"].to_numpy() / (series.close[cutoff] * reported)
    rebased = (unreported > _REVISION) | (unreported < 1 / _REVISION)
    return np.where(known, series.close[target] * reported * np.where(rebased, unreported, 1.0), np.nan)


def _baseline_losses(rows: pd.DataFrame, actual: np.ndarray, series: TickerSeries) -> np.ndarray:
    """What the naive forecast from the same cutoffs lost, on the share basis of the rows; NaN where the cutoff is not in the series."""
    at = pd.DatetimeIndex(series.sessions).get_indexer(pd.DatetimeIndex(rows["cutoff"]))
    losses, known = np.full(len(rows), np.nan), at >= 0
    if not known.any():
        return losses
    first, step = int(at[known].min()), rows["step"].to_numpy()
    naive = forecast_with_baseline("naive", series, int(step.max()), (first, int(at[known].max()) + 1))
    basis = rows["last_close"].to_numpy()[known] / series.close[at[known]]
    losses[known] = pinball(actual[known], naive.quantiles[at[known] - first, step[known] - 1] * basis[:, None])
    return losses


def settle(unsettled: pd.DataFrame, series: Mapping[str, TickerSeries], settled_at: dt.datetime, run_id: str) -> pd.DataFrame:
    """Columns of `forecast_outcomes`, and `made_by`, for those forecasts whose target session has a known close.

    Args:
        unsettled: rows of `forecasts` without an outcome.
        series: split-adjusted history by ticker.
    """
    parts = []
    for ticker, rows in unsettled.groupby("ticker", sort=False):
        if ticker not in series:
            continue
        actual = _actuals(rows, series[str(ticker)])
        rows, actual = rows[np.isfinite(actual)], actual[np.isfinite(actual)]
        if rows.empty:
            continue
        quantiles = rows[list(QUANTILE_COLUMNS)].to_numpy()
        parts.append(
            rows[["run_id", "ticker", "step", "target_session", "made_by"]].assign(
                actual=actual,
                error=rows["point"].to_numpy() - actual,
                naive_error=rows["last_close"].to_numpy() - actual,
                pinball=pinball(actual, quantiles),
                baseline_pinball=_baseline_losses(rows, actual, series[str(ticker)]),
                inside80=inside(actual, quantiles, 0.8),
                inside95=inside(actual, quantiles, 0.95),
                settled_at=pd.Timestamp(settled_at).tz_localize(None),
                settled_by=run_id,
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else empty("forecast_outcomes").assign(made_by="")
