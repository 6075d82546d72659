"""The backtest flow: prices in, every model rolled through each ticker's past, scores out."""

from prefect import State, flow

from flows.artifacts import leave_artifacts
from flows.ending import ended, summary_of
from flows.nightly import read_market, store_and_publish
from flows.parameters import NightlyParameters
from flows.settings import resolve
from flows.stages import Stages
from flows.tasks import backtest_shard
from forecast_lib.config import RunConfig
from forecast_lib.jobs import evaluate, night, plan
from forecast_lib.jobs.night import Night
from forecast_lib.jobs.summary import RunSummary
from forecast_lib.store.lock import hold_workspace

__all__ = ["backtest", "run_backtest"]


def _backtest(config: RunConfig) -> RunSummary:
    stages = Stages(config)
    models = (config.model, *config.also)
    with hold_workspace(config.workspace, config.run_id, started=config.as_of.now):
        market = read_market(config, stages)
        shards = plan.shards([market.series[ticker] for ticker in config.tickers if ticker in market.series], config)
        names = [plan.label([series.ticker for series in shard]) for shard in shards]
        arguments = {"models": models, "train": config.train, "config": config.backtest, "seed": config.seed}
        results = stages.spread("backtest", backtest_shard, shards, names, **arguments)
        tonight = night.with_problems(Night(market), evaluate.problems(results))
        tonight = night.with_backtest(tonight, config, evaluate.tested(results), stages.seconds["backtest"], models)
        summary = store_and_publish(config, "backtest", tonight, stages)
    leave_artifacts(summary)
    return summary


@flow(name="backtest", flow_run_name="backtest", retries=0)
def backtest(parameters: NightlyParameters = NightlyParameters()) -> State:
    """Rolling-origin backtest of one or more models against the baselines."""
    return ended(lambda: _backtest(resolve(parameters.overrides())))


def run_backtest(config: RunConfig) -> RunSummary:
    """The flow in this process, with the settings that `config` was resolved from and exported."""
    return summary_of(backtest(return_state=True))
