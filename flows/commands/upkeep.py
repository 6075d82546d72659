"""`tickercast restore`: back to a kept snapshot."""

import dataclasses

from flows.commands import Outcome, Request
from flows.settings import utc_now
from forecast_lib.errors import UsageError

__all__ = ["restore"]


def restore(request: Request) -> Outcome:
    """Brings a snapshot back, the one named or the newest good one, while nobody else holds the workspace."""
    from forecast_lib.store.lock import hold_workspace
    from forecast_lib.store.restoration import restore as bring_back

    workspace, now = request.settings.workspace, utc_now()
    if not workspace.is_dir():
        raise UsageError(f"workspace {workspace} does not exist: there is nothing to restore; give --workspace DIR")
    with hold_workspace(workspace, "restore", started=now):
        restored = bring_back(workspace, request.words[0] if request.words else None, now=now)
    print(restored.message)
    return Outcome(1 if restored.lost_runs else 0, dataclasses.asdict(restored))
