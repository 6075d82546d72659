"""Backtesting one ticker: the night's own functions, called at past cutoffs.

Beside each network stand the baselines, and `served`: what the night would have published, the network where it passed the gate at the
fold's start and the naive forecast where not.
"""

import time
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from forecast_lib.backtest.gate import judge
from forecast_lib.backtest.scores import ticker_scores
from forecast_lib.backtest.splits import Fold, rolling_folds
from forecast_lib.config import BacktestConfig, ModelConfig, TrainConfig
from forecast_lib.errors import TickerError
from forecast_lib.forecast import Forecasts, forecast_rows, forecast_with_baseline, forecast_with_model
from forecast_lib.models.baselines import BASELINES
from forecast_lib.models.training import train
from forecast_lib.windows.series import TickerSeries

__all__ = ["SERVED", "TickerBacktest", "backtest_ticker"]

SERVED = "served"


@dataclass(frozen=True)
class TickerBacktest:
    """One ticker's part of a backtest.

    Attributes:
        forecasts: columns of `backtest_forecasts` without the id.
        scores: columns of `backtest_scores` without the id.
        splits: per fold: sessions known, first and last cutoff, what was served, and why.
    """

    ticker: str
    forecasts: pd.DataFrame
    scores: pd.DataFrame
    splits: list[dict[str, object]] = field(default_factory=list)


def _rows(model: str, forecasts: Forecasts, series: TickerSeries) -> pd.DataFrame:
    rows = forecast_rows(forecasts, series)
    target = np.repeat(forecasts.cutoffs, forecasts.point.shape[1]) + rows["step"].to_numpy()
    known = target < len(series)
    rows = rows[known].copy()
    rows.insert(0, "ticker", series.ticker)
    rows.insert(1, "model", model)
    rows["target_session"] = series.sessions[target[known]].astype("datetime64[us]")
    rows["actual"] = series.close[target[known]]
    rows["naive"] = rows["last_close"]
    return rows.drop(columns=["last_close", "sigma"])


def _network_fold(
    series: TickerSeries, fold: Fold, model: ModelConfig, train_config: TrainConfig, seed: int
) -> tuple[Forecasts | None, bool, str]:
    known = series.until(fold.fit_sessions)
    try:
        trained = train(known, model, train_config, seed=seed)
    except TickerError as error:
        return None, False, error.reason
    verdict = judge(trained.bundle, known, trained.split.validation)
    return forecast_with_model(trained.bundle, series, fold.cutoffs), verdict.promoted, verdict.reason


def backtest_ticker(
    series: TickerSeries,
    models: tuple[ModelConfig, ...],
    train_config: TrainConfig,
    config: BacktestConfig,
    *,
    seed: int,
) -> TickerBacktest:
    """Roll through the last part of the series; every model and baseline forecasts every cutoff there.

    `served` follows the first of `models`.

    Raises:
        TooFewSessions: the history is too short for a test part.
    """
    horizon = models[0].horizon
    folds = rolling_folds(len(series), config.test_share, config.folds, series.ticker)
    parts: list[pd.DataFrame] = []
    splits: list[dict[str, object]] = []
    seconds: dict[str, float] = {}
    for fold in folds:
        baseline = {name: forecast_with_baseline(name, series, horizon, fold.cutoffs) for name in BASELINES}
        parts += [_rows(name, forecasts, series) for name, forecasts in baseline.items()]
        for place, model in enumerate(models):
            began = time.perf_counter()
            forecasts, promoted, reason = _network_fold(series, fold, model, train_config, seed)
            seconds[model.variant] = seconds.get(model.variant, 0.0) + time.perf_counter() - began
            if forecasts is not None:
                parts.append(_rows(model.variant, forecasts, series))
            if place == 0:
                served = forecasts if promoted and forecasts is not None else baseline["naive"]
                parts.append(_rows(SERVED, served, series))
                splits.append(
                    {
                        "ticker": series.ticker,
                        "fit_sessions": fold.fit_sessions,
                        "first_cutoff": str(series.sessions[fold.cutoffs[0]]),
                        "last_cutoff": str(series.sessions[fold.cutoffs[1] - 1]),
                        "served": model.variant if promoted else "naive",
                        "reason": reason,
                    }
                )
    forecasts_table = pd.concat(parts, ignore_index=True)
    return TickerBacktest(series.ticker, forecasts_table, ticker_scores(forecasts_table, seconds), splits)
