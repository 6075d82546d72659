"""The flow of every evening. What a night does, and in which order, is in `forecast_lib.jobs.night`."""

from prefect import State, flow

from flows.running.evenings import evening
from flows.service.parameters import NightlyParameters
from flows.service.scheduled import once, was_scheduled
from flows.settings.layers import Settings
from flows.settings.run_config import resolve
from flows.shown.ending import from_parameters
from flows.shown.inside import PrefectPage
from flows.shown.stages import PrefectStages
from forecast_lib.config import RunConfig
from forecast_lib.jobs.night import run_night
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["nightly"]


def _night(config: RunConfig) -> RunSummary:
    with PrefectStages(config, PrefectPage()) as stages:
        return run_night(config, stages)


@flow(name="nightly", flow_run_name="nightly", retries=0)
def nightly(parameters: NightlyParameters = NightlyParameters()) -> State:
    """Forecast every ticker: prices, models, forecasts, settlement, publication, report."""

    def run(settings: Settings) -> RunSummary:
        return once(
            "nightly",
            resolve(settings),
            lambda config: evening(config, settings, _night, scheduled=was_scheduled()),
        )

    return from_parameters("nightly", parameters.overrides(), run)
