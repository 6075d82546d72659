"""The jobs as Prefect tasks, one line each. Nothing is cached or persisted: a run's values live and end with
it.
"""

from prefect import task
from prefect.cache_policies import NO_CACHE

from forecast_lib.jobs.evaluate import backtests
from forecast_lib.jobs.forecast import tickers
from forecast_lib.jobs.refresh import models, pool

__all__ = [
    "backtest_pool_shard",
    "backtest_shard",
    "fetch_prices",
    "forecast_shard",
    "pool_shard",
    "refresh_shard",
]


@task(name="fetch", task_run_name="fetch-{names}", cache_policy=NO_CACHE)
def fetch_prices(source, asked, last, done, names):  # type: ignore[no-untyped-def]  # see PriceSource.fetch
    """Ask the source for the prices of all tickers."""
    return source.fetch(asked, last, done)


@task(name="pool", task_run_name="pool-{names}", cache_policy=NO_CACHE)
def pool_shard(shard, series, model, train, seed, names):  # type: ignore[no-untyped-def]  # see pool.train_members
    """Train the pooled networks of a shard."""
    return pool.train_members(shard, series, model, train, seed)


@task(name="backtest-pool", task_run_name="backtest-pool-{names}", cache_policy=NO_CACHE)
def backtest_pool_shard(shard, series, models, train, config, seed, names):  # type: ignore[no-untyped-def]  # see evaluate.train_pool_shard
    """Train the pooled networks of a shard of a backtest."""
    return backtests.train_pool_shard(shard, series, models, train, config, seed)


@task(name="refresh", task_run_name="refresh-{names}", cache_policy=NO_CACHE)
def refresh_shard(shard, model, train, seed, names):  # type: ignore[no-untyped-def]  # see refresh.refresh_shard
    """Train, judge and choose the models of a shard."""
    return models.refresh_shard(shard, model, train, seed)


@task(name="backtest", task_run_name="backtest-{names}", cache_policy=NO_CACHE)
def backtest_shard(shard, models, pools, train, config, seed, baselines, names):  # type: ignore[no-untyped-def]  # see evaluate.backtest_shard
    """Roll the tickers of a shard through their past."""
    return backtests.backtest_shard(shard, models, pools, train, config, seed, baselines)


@task(name="forecast", task_run_name="forecast-{names}", cache_policy=NO_CACHE)
def forecast_shard(shard, horizon, names):  # type: ignore[no-untyped-def]  # see forecast.forecast_shard
    """Forecast the tickers of a shard."""
    return tickers.forecast_shard(shard, horizon)
