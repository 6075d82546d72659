"""The maintenance flow: old models and reports removed by policy, the working database written anew."""

import contextlib
import dataclasses

from prefect import State, flow

from flows.running.maintained import maintained
from flows.service.parameters import MaintenanceParameters
from flows.settings.layers import Settings
from flows.shown.artifacts import leave_removals
from flows.shown.ending import from_parameters
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["maintenance"]


def _maintain(settings: Settings) -> RunSummary:
    done, summary = maintained(settings)
    with contextlib.suppress(Exception):  # the page is for people; what was done is done
        leave_removals([dataclasses.asdict(each) for each in done.removed])
    return summary


@flow(name="maintenance", flow_run_name="maintenance", retries=0)
def maintenance(parameters: MaintenanceParameters = MaintenanceParameters()) -> State:
    """Remove what a workspace no longer needs, and compact its working database."""
    return from_parameters("maintenance", parameters.overrides(), _maintain)
