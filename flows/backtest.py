"""The backtest flow. What a backtest does is in `forecast_lib.jobs.night`."""

from prefect import State, flow

from flows.service.parameters import BacktestParameters
from flows.service.scheduled import once
from flows.settings.run_config import resolve
from flows.shown.ending import from_parameters
from flows.shown.inside import PrefectPage
from flows.shown.stages import PrefectStages
from forecast_lib.config import RunConfig
from forecast_lib.jobs.night import run_backtest
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["backtest"]


def _backtest(config: RunConfig) -> RunSummary:
    with PrefectStages(config, PrefectPage()) as stages:
        return run_backtest(config, stages)


@flow(name="backtest", flow_run_name="backtest", retries=0)
def backtest(parameters: BacktestParameters = BacktestParameters()) -> State:
    """Rolling-origin backtest of one or more models against the baselines, or a replay of the nights with
    several schedules.
    """
    return from_parameters(
        "backtest", parameters.overrides(), lambda settings: once("backtest", resolve(settings), _backtest)
    )
