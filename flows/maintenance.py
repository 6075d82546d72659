"""The maintenance flow: old models and reports removed by policy, the working database written anew."""

import contextlib
import dataclasses

from prefect import State, flow

from flows.running.artifacts import leave_removals
from flows.running.ending import from_parameters
from flows.service.parameters import MaintenanceParameters
from flows.settings.layers import Settings, utc_now
from flows.settings.run_config import new_run_id
from forecast_lib.config import Policy
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.jobs.upkeep.maintenance import maintain

__all__ = ["maintenance"]


def _maintain(settings: Settings) -> RunSummary:
    now = utc_now()
    done = maintain(settings.workspace, settings.made(Policy), now, dry_run=settings["dry_run"])
    with contextlib.suppress(Exception):  # the page is for people; what was done is done
        leave_removals([dataclasses.asdict(each) for each in done.removed])
    return RunSummary(new_run_id(now), "maintenance", "fresh", now.date(), done.message)


@flow(name="maintenance", flow_run_name="maintenance", retries=0)
def maintenance(parameters: MaintenanceParameters = MaintenanceParameters()) -> State:
    """Remove what a workspace no longer needs, and compact its working database."""
    return from_parameters("maintenance", parameters.overrides(), _maintain)
