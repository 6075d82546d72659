"""What a run leaves on its page in Prefect: how far it is, the tickers' table, those that are degraded, the
link to the report.

A night must not be lost because the server that shows it went away: whoever calls these functions expects
them to fail.
"""

import html
import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.running.run_log import run_logger
from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["LiveProgress", "leave_artifacts", "leave_failure", "leave_removals"]

_PAUSE_S = 1.0
"""A page needs no more than one new figure a second."""


class LiveProgress:
    """How far a stage is, as an artifact that Prefect's page shows as a bar; silent once the server does not
    answer.
    """

    def __init__(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done = stage, total, 0
        self._shown_at = time.monotonic()
        self._artifact: UUID | None = None
        key, said = f"progress-{stage.replace(' ', '-')}", f"{stage}: 0 of {total}"
        self._artifact = self._asked(lambda: create_progress_artifact(0.0, key=key, description=said))

    def advance(self, count: int, text: str = "") -> None:
        """So many more are done."""
        self._done += count
        finished, now = self._done >= self._total, time.monotonic()
        if self._artifact is None or (now - self._shown_at < _PAUSE_S and not finished):
            return
        self._shown_at = now
        artifact, percent = self._artifact, 100.0 * self._done / self._total
        said = f"{self._stage}: {self._done} of {self._total}{f', {text}' if text else ''}"
        self._artifact = (
            self._asked(lambda: update_progress_artifact(artifact, percent, description=said)) or None
        )

    def _asked(self, call: Any) -> Any:
        try:
            return call()
        except Exception as error:
            run_logger().warning("progress is not shown any more: %s", type(error).__name__)
            return None


def leave_artifacts(summary: RunSummary, link: str | None, figures: str = "") -> None:
    """Create the artifacts of a run; keys are the same every night, so that Prefect shows their history.

    Args:
        link: where a browser finds the run's report.
        figures: what the summary's figures are, where they are shown.
    """
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in summary.seconds.items())
    lines = [
        f"**{summary.status}** as of {summary.as_of}: {summary.message}",
        f"run `{summary.run_id}` ({seconds})",
    ]
    lines += [f"report `{summary.report}`"] if summary.report else []
    lines += [f"**{html.escape(notice)}**" for notice in summary.notices]
    create_markdown_artifact(
        key=f"{summary.kind}-summary", markdown="\n\n".join(lines), description="How the run ended"
    )
    if summary.tickers:
        create_table_artifact(
            key=f"{summary.kind}-tickers",
            table=[{"status": status, "tickers": count} for status, count in summary.tickers.items()],
            description="Tickers by status",
        )
    tables: dict[str, tuple[Sequence[Mapping[str, Any]], str]] = {
        "degraded": (summary.degraded, "Tickers that somebody should look at"),
        "flags": (summary.flags, "What is odd and needs nobody"),
        "figures": (summary.figures if figures else (), figures),
    }
    for name, (rows, description) in tables.items():
        if rows:
            create_table_artifact(
                key=f"{summary.kind}-{name}", table=[dict(row) for row in rows], description=description
            )
    if link:
        create_link_artifact(key=f"{summary.kind}-report", link=link, link_text="The run's report")


def leave_failure(kind: str, message: str) -> None:
    """The summary of a run that did not come as far as to have one."""
    create_markdown_artifact(
        key=f"{kind}-summary", markdown=f"**failed**: {message}", description="How the run ended"
    )


def leave_removals(removed: Sequence[Mapping[str, Any]]) -> None:
    """What maintenance removed."""
    table = [dict(each) for each in removed]
    create_table_artifact(
        key="maintenance-removed", table=table, description="Files that nothing needs any more"
    )
