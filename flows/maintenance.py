"""The maintenance flow: old models and reports removed by policy, the working database written anew."""

import contextlib
import dataclasses
from collections.abc import Mapping

from prefect import State, flow

from flows.running.artifacts import leave_removals
from flows.running.ending import followed
from flows.service.parameters import MaintenanceParameters
from flows.settings.layers import gather, new_run_id, policy_from, utc_now
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.jobs.upkeep.maintenance import maintain

__all__ = ["maintenance"]


def _maintain(overrides: Mapping[str, object]) -> RunSummary:
    settings, now = gather(overrides), utc_now()
    done = maintain(settings.workspace, policy_from(settings), now, dry_run=settings["dry_run"])
    with contextlib.suppress(Exception):  # the page is for people; what was done is done
        leave_removals([dataclasses.asdict(each) for each in done.removed])
    return RunSummary(new_run_id(now), "maintenance", "fresh", now.date(), done.message)


@flow(name="maintenance", flow_run_name="maintenance", retries=0)
def maintenance(parameters: MaintenanceParameters = MaintenanceParameters()) -> State:
    """Remove what a workspace no longer needs, and compact its working database."""
    return followed("maintenance", parameters.overrides(), lambda: _maintain(parameters.overrides()))
