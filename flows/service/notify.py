"""Telling people, through Apprise or a notification block of Prefect.

An address is a secret: it appears in no message of ours, and Apprise's own log, which may repeat it, is
silent. What cannot be sent is said in a sentence and never raised: a night must not fail because a mail
server is down.
"""

import asyncio
import inspect
import logging
import shlex
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forecast_lib.jobs.monitor.standing import Standing
    from forecast_lib.jobs.record.endings import Ending
    from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["message_of_run", "message_of_standing", "message_of_trouble", "tell"]

TIMEOUT_S = 45.0
_TICKERS_TOLD = 10
_BLOCK = "prefect:"


def tell(addresses: str, title: str, body: str, *, timeout_s: float = TIMEOUT_S) -> str:
    """Send the message to every address, separated by spaces; empty, or a sentence on what could not
    be done.
    """
    problems: list[str] = []
    sender = threading.Thread(
        target=lambda: problems.extend(_sent(addresses.split(), title, body)), name="notify", daemon=True
    )
    sender.start()
    sender.join(timeout_s)
    if sender.is_alive():
        problems.append(f"an address did not answer within {timeout_s:.0f} s")
    return "; ".join(problems)


def _sent(addresses: list[str], title: str, body: str) -> list[str]:
    found = (
        _to_block(each, title, body) if each.startswith(_BLOCK) else _to_apprise(each, title, body)
        for each in addresses
    )
    return [
        f"address {number} of {len(addresses)} {problem}"
        for number, problem in enumerate(found, start=1)
        if problem
    ]


def _to_apprise(address: str, title: str, body: str) -> str:
    try:
        import apprise

        _silence()
        service = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Tickercast", app_desc="Tickercast"))
        if not service.add(address):
            return "is none that Apprise understands"
        return (
            ""
            if service.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT)
            else "refused or did not answer"
        )
    except Exception as error:  # its text may hold the address
        return f"failed with {type(error).__name__}"


def _to_block(address: str, title: str, body: str) -> str:
    try:
        from prefect.blocks.abstract import NotificationBlock
        from prefect.blocks.core import Block

        _silence()
        block = Block.load(address.removeprefix(_BLOCK))
        if not isinstance(block, NotificationBlock):
            return "names a block of Prefect that is not for notifications"
        sent: Any = block.notify(body, subject=title)
        if inspect.iscoroutine(sent):
            asyncio.run(sent)
    except Exception as error:
        return f"is a block of Prefect that failed with {type(error).__name__}"
    return ""


def _silence() -> None:
    """Apprise and its web client name addresses in their logs."""
    logging.getLogger("apprise").disabled = True
    logging.getLogger("urllib3").setLevel(logging.WARNING)


def message_of_run(
    ending: "Ending", workspace: Path, summary: "RunSummary | None" = None, stands: "Standing | None" = None
) -> tuple[str, str]:
    """Title and text for a run that is not fresh.

    Args:
        summary: of the run, where it came as far as that.
        stands: how the workspace stands after a nightly run, where that can be told.
    """
    status = (
        "stale" if stands and stands.verdict == "stale" and ending.status == "degraded" else ending.status
    )
    lines = [ending.message]
    if summary is not None:
        lines.append(
            f"as of {summary.as_of}: "
            + (", ".join(f"{n} {name}" for name, n in summary.tickers.items() if n) or "no ticker")
        )
        lines += [
            f"  {row['ticker']}: {row['status']}, {row['reason']}" for row in summary.degraded[:_TICKERS_TOLD]
        ]
        more = len(summary.degraded) - _TICKERS_TOLD
        lines += [f"  and {more} more"] if more > 0 else []
        lines += [f"report {summary.report}"] if summary.report else []
    lines.append(f"run {ending.run_id or 'without a name'}, exit code {ending.exit_code}")
    lines += _deadline(stands)
    lines.append(_look_at(workspace))
    return f"Tickercast {workspace.name}: {ending.kind} {status}", "\n".join(lines)


def message_of_standing(stands: "Standing", workspace: Path) -> tuple[str, str]:
    """Title and text for a workspace that does not stand well."""
    nightly = stands.last_nightly
    lines = [
        (
            f"last nightly run {nightly['run_id']}, as of {nightly['as_of'][:10]}: {nightly['message']}"
            if nightly
            else "no nightly run"
        )
    ]
    if stands.failure:
        lines.append(f"failed since: {stands.failure.message}")
    if stands.died:
        lines.append(f"run {stands.died.run}, process {stands.died.pid}, died before it ended")
    if stands.sessions_behind is not None:
        lines.append(f"data are {stands.sessions_behind} sessions behind at most")
    lines.append(f"{len(stands.degraded)} of {stands.tickers} tickers degraded")
    lines += _deadline(stands)
    lines.append(_look_at(workspace))
    return f"Tickercast {workspace.name}: {stands.verdict}", "\n".join(lines)


def message_of_trouble(said: str, workspace: Path) -> tuple[str, str]:
    """Title and text for a workspace of which nothing can be told but why: nothing was published, or it
    cannot be read.
    """
    return f"Tickercast {workspace.name}: failed", f"{said}\n{_look_at(workspace)}"


def _deadline(stands: "Standing | None") -> list[str]:
    return [f"the next night {stands.due_in_words}"] if stands and stands.due else []


def _look_at(workspace: Path) -> str:
    return f"look with: tickercast status --workspace {shlex.quote(str(workspace))}"
