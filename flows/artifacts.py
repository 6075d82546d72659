"""What a run leaves on its page in Prefect: the tickers' table, those that are degraded, the link to the report."""

from pathlib import Path

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from forecast_lib.jobs.summary import RunSummary

__all__ = ["leave_artifacts"]


def leave_artifacts(summary: RunSummary) -> None:
    """Create the artifacts of a run; keys are the same every night, so that Prefect shows their history."""
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in summary.seconds.items())
    create_markdown_artifact(
        key=f"{summary.kind}-summary",
        markdown=f"**{summary.status}** as of {summary.as_of}: {summary.message}\n\nrun `{summary.run_id}` ({seconds})",
        description="How the run ended",
    )
    create_table_artifact(
        key=f"{summary.kind}-tickers",
        table=[{"status": status, "tickers": count} for status, count in summary.tickers.items()],
        description="Tickers by status",
    )
    if summary.degraded:
        create_table_artifact(key=f"{summary.kind}-degraded", table=list(summary.degraded), description="Tickers that are not fresh")
    if summary.report:
        create_link_artifact(key=f"{summary.kind}-report", link=Path(summary.report).as_uri(), link_text="The run's report")
