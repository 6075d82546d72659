"""The backtest flow. What a backtest does is in `forecast_lib.jobs.night`."""

from prefect import State, flow

from flows.running.ending import followed, summary_of
from flows.running.prefect_stages import PrefectStages
from flows.service.parameters import BacktestParameters
from flows.service.scheduled import once
from flows.settings.layers import resolve
from forecast_lib.config import RunConfig
from forecast_lib.jobs.night import run_backtest
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["backtest", "backtest_here"]


def _backtest(config: RunConfig) -> RunSummary:
    with PrefectStages(config) as stages:
        return run_backtest(config, stages)


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


def backtest_here(config: RunConfig) -> RunSummary:
    """The flow in this process, with the settings that `config` was resolved from and exported."""
    return summary_of(backtest(return_state=True))
