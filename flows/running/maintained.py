"""Maintenance as a run: the work, and how it ended in the words of every run."""

from flows.settings.layers import Settings, utc_now
from flows.settings.run_config import new_run_id
from forecast_lib.config import Policy
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.jobs.upkeep.maintenance import Maintained, maintain

__all__ = ["maintained"]


def maintained(settings: Settings) -> tuple[Maintained, RunSummary]:
    """What was done, or of a dry run would be, and the summary of it."""
    now = utc_now()
    done = maintain(settings.workspace, settings.made(Policy), now, dry_run=settings["dry_run"])
    return done, RunSummary(new_run_id(now), "maintenance", "fresh", now.date(), done.message)
