"""Backtests: shards of tickers rolled through their past, and the tables that come of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from forecast_lib.backtest.run import TickerBacktest, backtest_ticker, fold_pool_series
from forecast_lib.backtest.scores import scores_of_all
from forecast_lib.backtest.splits import fold_days
from forecast_lib.config import BacktestConfig, ModelConfig, TrainConfig, to_json
from forecast_lib.errors import TickerError
from forecast_lib.jobs.ingest import Problem
from forecast_lib.jobs.pool import TrainedPool, train_members
from forecast_lib.models.bundle import Pool
from forecast_lib.models.engine import Fit
from forecast_lib.models.training import join_pool
from forecast_lib.tables import empty
from forecast_lib.windows.series import TickerSeries

__all__ = ["Member", "Result", "backtest_shard", "backtest_tables", "join_pools", "members", "problems", "tested", "train_pool_shard"]

_NOTHING_TO_LEARN = Problem("no_pool", "no ticker has a history long enough to learn from")
Result = TickerBacktest | tuple[str, Problem]


@dataclass(frozen=True)
class Member:
    """One pooled network to train for a backtest: of which fold, model and place."""

    fold: int
    model: int
    member: int


def members(series: Sequence[TickerSeries], models: Sequence[ModelConfig], train: TrainConfig, config: BacktestConfig) -> list[Member]:
    """Every pooled network that a backtest of these series needs."""
    folds = range(len(fold_days(series, config.test_share, config.folds)))
    return [Member(fold, model, member) for fold in folds for model in range(len(models)) for member in range(train.members)]


def _known(
    series: Sequence[TickerSeries], each: Member, models: Sequence[ModelConfig], train: TrainConfig, config: BacktestConfig
) -> list[TickerSeries]:
    day = fold_days(series, config.test_share, config.folds)[each.fold]
    return fold_pool_series(series, day, models[each.model], train)


def train_pool_shard(
    shard: Sequence[Member],
    series: Sequence[TickerSeries],
    models: tuple[ModelConfig, ...],
    train: TrainConfig,
    config: BacktestConfig,
    seed: int,
) -> list[TrainedPool]:
    """Train the networks of a shard, each on what its fold may know; or why not."""
    results: list[TrainedPool] = []
    for each in shard:
        known = _known(series, each, models, train, config)
        results += train_members((each.member,), known, models[each.model], train, seed) if known else [_NOTHING_TO_LEARN]
    return results


def join_pools(
    wanted: Sequence[Member],
    trained: Sequence[TrainedPool],
    series: Sequence[TickerSeries],
    models: tuple[ModelConfig, ...],
    train: TrainConfig,
    config: BacktestConfig,
    seed: int,
) -> list[list[Pool | None]]:
    """For each fold the pool of each model; None where no network of it could be trained."""
    fits: dict[tuple[int, int], list[Fit]] = {}
    for each, fit in zip(wanted, trained, strict=True):
        if isinstance(fit, Fit):
            fits.setdefault((each.fold, each.model), []).append(fit)
    return [
        [
            join_pool(fits[fold, place], _known(series, Member(fold, place, 0), models, train, config), model, seed)
            if (fold, place) in fits
            else None
            for place, model in enumerate(models)
        ]
        for fold in range(config.folds)
    ]


def backtest_shard(
    shard: Sequence[TickerSeries],
    models: tuple[ModelConfig, ...],
    pools: Sequence[Sequence[Pool | None]],
    train: TrainConfig,
    config: BacktestConfig,
    seed: int,
    baselines: Sequence[str],
) -> list[Result]:
    """Each ticker's backtest, or why there is none."""
    results: list[Result] = []
    for series in shard:
        try:
            results.append(backtest_ticker(series, models, pools, train, config, seed=seed, baselines=baselines))
        except TickerError as error:
            results.append((series.ticker, Problem(error.rule, error.reason)))
        except Exception as error:  # nobody else's backtest may end because of this one
            results.append((series.ticker, Problem("internal_error", f"unexpected {type(error).__name__}: {error}")))
    return results


def tested(results: Sequence[Result]) -> list[TickerBacktest]:
    """Those that could be tested."""
    return [result for result in results if isinstance(result, TickerBacktest)]


def problems(results: Sequence[Result]) -> dict[str, Problem]:
    """Why the others could not."""
    return {result[0]: result[1] for result in results if not isinstance(result, TickerBacktest)}


def backtest_tables(
    results: Sequence[TickerBacktest],
    models: tuple[ModelConfig, ...],
    config: BacktestConfig,
    *,
    run_id: str,
    as_of: pd.Timestamp,
    seconds: float,
) -> dict[str, pd.DataFrame]:
    """Frames of `backtests`, `backtest_forecasts` and `backtest_scores`; empty ones where no ticker could be tested."""
    tables = ("backtests", "backtest_forecasts", "backtest_scores")
    if not results:
        return {table: empty(table) for table in tables}
    forecasts = pd.concat([result.forecasts for result in results], ignore_index=True)
    scores = pd.concat([result.scores for result in results], ignore_index=True)
    scores = scores_of_all(forecasts, scores)
    settings = {"backtest": json.loads(to_json(config)), "models": [json.loads(to_json(model)) for model in models]}
    head = pd.DataFrame(
        {
            "backtest_id": [run_id],
            "run_id": [run_id],
            "as_of": [as_of],
            "config": [json.dumps(settings, sort_keys=True)],
            "splits": [json.dumps([split for result in results for split in result.splits])],
            "seconds": [seconds],
        }
    )
    return {
        "backtests": head,
        "backtest_forecasts": forecasts.assign(backtest_id=run_id),
        "backtest_scores": scores.assign(backtest_id=run_id),
    }
