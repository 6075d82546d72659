"""Backtests: shards of tickers rolled through their past, and the tables that come of it."""

import json
from collections.abc import Sequence

import pandas as pd

from forecast_lib.backtest.run import TickerBacktest, backtest_ticker
from forecast_lib.backtest.scores import pooled_scores
from forecast_lib.config import BacktestConfig, ModelConfig, TrainConfig, to_json
from forecast_lib.errors import TickerError
from forecast_lib.jobs.ingest import Problem
from forecast_lib.tables import empty
from forecast_lib.windows.series import TickerSeries

__all__ = ["Result", "backtest_shard", "backtest_tables", "problems", "tested"]

Result = TickerBacktest | tuple[str, Problem]


def backtest_shard(
    shard: Sequence[TickerSeries],
    models: tuple[ModelConfig, ...],
    train: TrainConfig,
    config: BacktestConfig,
    seed: int,
) -> list[Result]:
    """Each ticker's backtest, or why there is none."""
    results: list[Result] = []
    for series in shard:
        try:
            results.append(backtest_ticker(series, models, train, config, seed=seed))
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
    scores = pd.concat([scores, pooled_scores(forecasts, scores)], ignore_index=True)
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
