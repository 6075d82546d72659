"""The flows of every evening: the night, and prices alone. What a night does, and in which order, is in
`forecast_lib.jobs.night`.
"""

from prefect import State, flow

from flows.running.ending import followed, from_parameters, here
from flows.running.evenings import evening
from flows.running.prefect_stages import PrefectStages
from flows.service.parameters import NightlyParameters
from flows.service.scheduled import once, was_scheduled
from flows.settings.layers import Settings
from flows.settings.run_config import resolve
from forecast_lib.config import RunConfig
from forecast_lib.jobs.night import run_ingest, run_night
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["ingest_here", "nightly", "nightly_here"]


def _night(config: RunConfig) -> RunSummary:
    with PrefectStages(config) as stages:
        return run_night(config, stages)


def _ingest(config: RunConfig) -> RunSummary:
    with PrefectStages(config) as stages:
        return run_ingest(config, stages)


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


def nightly_here(config: RunConfig, settings: Settings) -> RunSummary:
    """A night as a flow in this process."""
    return here("nightly", lambda: followed("nightly", settings, lambda: evening(config, settings, _night)))


def ingest_here(config: RunConfig, settings: Settings) -> RunSummary:
    """As `nightly_here`, for prices only."""
    return here("ingest", lambda: followed("ingest", settings, lambda: _ingest(config)))
