"""`tickercast restore`: back to a kept snapshot; `tickercast maintain`: what nothing needs any more is
removed.
"""

import dataclasses

from flows.commands import Outcome, Request
from flows.settings.layers import utc_now, without_secrets
from forecast_lib.errors import TickercastError, UsageError

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
    """Prunes by policy and compacts, while nobody else holds the workspace; lists what goes. It is noted and
    told of as every run is, but for a dry run.
    """
    from flows.running.aftermath import follow
    from flows.running.maintained import maintained

    settings = request.settings
    try:
        done, summary = maintained(settings)
    except TickercastError as error:
        if not isinstance(error, UsageError):
            follow("maintenance", settings, error, without_secrets(str(error), settings.hidden))
        raise
    for each in done.removed:
        print(f"{each.path}  {each.bytes} bytes: {each.why}")
    print(done.message)
    if not done.dry_run:
        for notice in follow("maintenance", settings, summary, done.message):
            print(f"  {notice}")
    return Outcome(0, {"message": done.message, **dataclasses.asdict(done)})
