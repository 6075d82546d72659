"""Backtesting: the night's own functions, called at past cutoffs.

Beside each network stand the baselines, and `served`: what the night would have published, the network where it passed the gate at the
fold's start and the best baseline where not.
"""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pandas as pd

from forecast_lib.backtest.gate import judge
from forecast_lib.backtest.rows import backtest_rows
from forecast_lib.backtest.scores import ticker_scores
from forecast_lib.backtest.splits import Fold, fold_days, rolling_folds
from forecast_lib.config import BacktestConfig, ModelConfig, TrainConfig
from forecast_lib.errors import TickerError
from forecast_lib.forecast import Forecasts, forecast_with_baseline, forecast_with_model
from forecast_lib.models.baselines import BASELINES, RIVALS
from forecast_lib.models.bundle import Pool
from forecast_lib.models.training import join_pool, poolable, train, train_member
from forecast_lib.windows.features import session_features
from forecast_lib.windows.series import TickerSeries

__all__ = ["SERVED", "TickerBacktest", "backtest_pool", "backtest_ticker", "fold_pool_series"]

SERVED = "served"
Made = TypeVar("Made")


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


def fold_pool_series(
    series: Sequence[TickerSeries], day: np.datetime64, model: ModelConfig, train_config: TrainConfig
) -> list[TickerSeries]:
    """What a fold's pooled networks learn from: each ticker's history up to that day, where it is long enough."""
    known = [each.until(int(np.searchsorted(each.sessions, day, side="right"))) for each in series]
    return [each for each in known if poolable(each, model, train_config)]


@dataclass(frozen=True)
class _Answer:
    """A network's forecasts of a fold, and who would have answered in its place at night."""

    forecasts: Forecasts | None
    instead: str | None
    reason: str


def _network_fold(series: TickerSeries, fold: Fold, model: ModelConfig, train_config: TrainConfig, pool: Pool | None, seed: int) -> _Answer:
    known = series.until(fold.fit_sessions)
    try:
        if pool is None:
            raise TickerError(series.ticker, "no ticker has a history long enough to learn from", rule="no_pool")
        trained = train(known, model, train_config, start=pool, seed=seed)
    except TickerError as error:
        return _Answer(None, "naive", error.reason)
    verdict = judge(trained.bundle, known, trained.split.validation, RIVALS)
    return _Answer(
        forecast_with_model(trained.bundle, series, fold.cutoffs), None if verdict.promoted else verdict.best.name, verdict.reason
    )


def _baseline(series: TickerSeries, horizon: int, cutoffs: tuple[int, int], name: str) -> Forecasts:
    return forecast_with_baseline(name, series, horizon, cutoffs)


def backtest_ticker(
    series: TickerSeries,
    models: tuple[ModelConfig, ...],
    pools: Sequence[Sequence[Pool | None]],
    train_config: TrainConfig,
    config: BacktestConfig,
    *,
    seed: int,
    baselines: Sequence[str] = BASELINES,
) -> TickerBacktest:
    """Roll through the last part of the series; every model and baseline forecasts every cutoff there.

    `served` follows the first of `models`.

    Args:
        pools: for each fold the pool of each model, trained on nothing later than the fold's start.
        baselines: names of those whose rows are wanted.

    Raises:
        TooFewSessions: the history is too short for a test part.
    """
    horizon = models[0].horizon
    folds = rolling_folds(len(series), config.test_share, config.folds, series.ticker)
    parts: list[pd.DataFrame] = []
    splits: list[dict[str, object]] = []
    seconds: dict[str, float] = {}
    features = session_features(series)

    def timed(model: str, make: Callable[[], Made]) -> Made:
        began = time.perf_counter()
        made = make()
        seconds[model] = seconds.get(model, 0.0) + time.perf_counter() - began
        return made

    for fold, fold_pools in zip(folds, pools, strict=True):
        baseline = functools.cache(functools.partial(_baseline, series, horizon, fold.cutoffs))
        parts += [backtest_rows(name, timed(name, functools.partial(baseline, name)), series, features) for name in baselines]
        for place, (model, pool) in enumerate(zip(models, fold_pools, strict=True)):
            answer = timed(model.variant, functools.partial(_network_fold, series, fold, model, train_config, pool, seed))
            if answer.forecasts is not None:
                parts.append(backtest_rows(model.variant, answer.forecasts, series, features))
            if place == 0:
                served = baseline(answer.instead) if answer.instead or answer.forecasts is None else answer.forecasts
                parts.append(backtest_rows(SERVED, served, series, features))
                splits.append(
                    {
                        "ticker": series.ticker,
                        "fit_sessions": fold.fit_sessions,
                        "first_cutoff": str(series.sessions[fold.cutoffs[0]]),
                        "last_cutoff": str(series.sessions[fold.cutoffs[1] - 1]),
                        "served": answer.instead or model.variant,
                        "reason": answer.reason,
                    }
                )
    forecasts_table = pd.concat(parts, ignore_index=True)
    return TickerBacktest(series.ticker, forecasts_table, ticker_scores(forecasts_table, seconds), splits)


def backtest_pool(
    series: Sequence[TickerSeries],
    models: tuple[ModelConfig, ...],
    train_config: TrainConfig,
    config: BacktestConfig,
    *,
    seed: int,
) -> list[TickerBacktest]:
    """The whole backtest of some tickers, one after the other: each fold's pools, then each ticker.

    Raises:
        TooFewSessions: a history is too short for a test part.
    """
    pools = []
    for day in fold_days(series, config.test_share, config.folds):
        fold = []
        for model in models:
            known = fold_pool_series(series, day, model, train_config)
            fits = [train_member(known, model, train_config, seed=seed, member=member) for member in range(train_config.members) if known]
            fold.append(join_pool(fits, known, model, seed) if known else None)
        pools.append(fold)
    return [backtest_ticker(each, models, pools, train_config, config, seed=seed) for each in series]
