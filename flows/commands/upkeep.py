"""`tickercast restore`: back to a kept snapshot; `tickercast maintain`: what nothing needs any more is
removed.
"""

import dataclasses

from flows.commands import Outcome, Request
from flows.settings.layers import utc_now
from forecast_lib.config import Policy
from forecast_lib.errors import UsageError

__all__ = ["maintain", "restore"]


def restore(request: Request) -> Outcome:
    """Brings a snapshot back, the one named or the newest good one, while nobody else holds the workspace."""
    from forecast_lib.store.disk.lock import hold_workspace
    from forecast_lib.store.restoration import restore as bring_back

    workspace, now = request.settings.workspace, utc_now()
    if not workspace.is_dir():
        raise UsageError(
            f"workspace {workspace} does not exist: there is nothing to restore; give --workspace DIR"
        )
    with hold_workspace(workspace, "restore", started=now):
        restored = bring_back(workspace, request.words[0] if request.words else None, now=now)
    print(restored.message)
    return Outcome(1 if restored.lost_runs else 0, dataclasses.asdict(restored))


def maintain(request: Request) -> Outcome:
    """Prunes by policy and compacts, while nobody else holds the workspace; lists what goes."""
    from forecast_lib.jobs.upkeep.maintenance import maintain as prune

    settings = request.settings
    done = prune(settings.workspace, settings.made(Policy), utc_now(), dry_run=settings["dry_run"])
    for each in done.removed:
        print(f"{each.path}  {each.bytes} bytes: {each.why}")
    print(done.message)
    return Outcome(0, {"message": done.message, **dataclasses.asdict(done)})
