"""The backtest flow: prices in, every model rolled through each ticker's past, scores out."""

import dataclasses

from prefect import State, flow

from flows.nightly import backtested, read_market, store_and_publish
from flows.running.aftermath import followed
from flows.running.ending import summary_of
from flows.running.stages import Stages
from flows.service.parameters import BacktestParameters
from flows.service.scheduled import once, say
from flows.settings.layers import resolve
from forecast_lib.config import RunConfig
from forecast_lib.jobs import night
from forecast_lib.jobs.evaluate import backtests
from forecast_lib.jobs.forecast.commonality import with_common_volatility
from forecast_lib.jobs.night import Night
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.jobs.record.takeover import hold
from forecast_lib.models.baselines import BASELINES

__all__ = ["backtest", "run_backtest"]


def _backtest(config: RunConfig) -> RunSummary:
    models = (config.model, *config.also)
    with hold(config.workspace, config.run_id, config.as_of.now, say), Stages(config) as stages:
        market = with_common_volatility(
            read_market(config, stages), config.tickers, config.model, config.train
        )
        series = [market.series[ticker] for ticker in config.tickers if ticker in market.series]
        results = backtested(config, series, models, BASELINES, stages)
        tonight = night.with_problems(Night(market), backtests.problems(results))
        seconds = sum(stages.seconds.get(stage, 0.0) for stage in ("backtest pool", "backtest"))
        tonight = night.with_backtest(tonight, config, backtests.tested(results), seconds, models)
        summary = store_and_publish(config, "backtest", tonight, stages)
        return dataclasses.replace(summary, figures=backtests.figures(tonight.backtest["backtest_scores"]))


@flow(name="backtest", flow_run_name="backtest", retries=0)
def backtest(parameters: BacktestParameters = BacktestParameters()) -> State:
    """Rolling-origin backtest of one or more models against the baselines, or a replay of the nights with
    several schedules.
    """
    return followed(
        "backtest",
        parameters.overrides(),
        lambda: once("backtest", resolve(parameters.overrides()), _backtest),
    )


def run_backtest(config: RunConfig) -> RunSummary:
    """The flow in this process, with the settings that `config` was resolved from and exported."""
    return summary_of(backtest(return_state=True))
