"""The flows of every evening: the night, and prices alone. What a night does, and in which order, is in
`forecast_lib.jobs.night`.
"""

from prefect import State, flow

from flows.running.ending import followed, summary_of
from flows.running.evenings import evening
from flows.running.prefect_stages import PrefectStages
from flows.service.parameters import NightlyParameters
from flows.service.scheduled import once, was_scheduled
from flows.settings.layers import resolve
from forecast_lib.config import RunConfig
from forecast_lib.jobs.night import run_ingest, run_night
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["ingest_flow", "ingest_here", "nightly", "nightly_here"]


def _night(config: RunConfig) -> RunSummary:
    with PrefectStages(config) as stages:
        return run_night(config, stages)


def _ingest(config: RunConfig) -> RunSummary:
    with PrefectStages(config) as stages:
        return run_ingest(config, stages)


@flow(name="nightly", flow_run_name="nightly", retries=0)
def nightly(parameters: NightlyParameters = NightlyParameters()) -> State:
    """Forecast every ticker: prices, models, forecasts, settlement, publication, report."""
    overrides = parameters.overrides()
    return followed(
        "nightly",
        overrides,
        lambda: once(
            "nightly",
            resolve(overrides),
            lambda config: evening(config, overrides, _night, scheduled=was_scheduled()),
        ),
    )


@flow(name="ingest", flow_run_name="ingest", retries=0)
def ingest_flow(parameters: NightlyParameters = NightlyParameters()) -> State:
    """Prices only."""
    return followed("ingest", parameters.overrides(), lambda: _ingest(resolve(parameters.overrides())))


def nightly_here(config: RunConfig) -> RunSummary:
    """The flow in this process, with the settings that `config` was resolved from and exported."""
    return summary_of(nightly(return_state=True))


def ingest_here(config: RunConfig) -> RunSummary:
    """As `nightly_here`, for prices only."""
    return summary_of(ingest_flow(return_state=True))
