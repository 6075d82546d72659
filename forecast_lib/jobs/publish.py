"""The end of a run: everything it made in one transaction, the ledger, the publication, the report."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from forecast_lib.config import RunConfig
from forecast_lib.domain import AsOf
from forecast_lib.jobs.ingest import Market
from forecast_lib.report import ReportInput, build_summary, render_report, write_report
from forecast_lib.store import database, ledger, publication, reads
from forecast_lib.store.bulk import CleanRows

__all__ = ["publish", "read_report", "read_unsettled", "record", "report_page", "show_report"]

CLOSES_IN_REPORT = 120
MOST_DRAWN = 1000
"""A page of more drawings takes longer than the night's prices, and nobody looks at them all."""


def read_unsettled(workspace: Path, as_of: AsOf) -> pd.DataFrame:
    """Forecasts of earlier runs that have no outcome yet and whose target session is not after the evening."""
    with database.open_working(workspace, as_of.now) as con:
        return reads.read_unsettled(con, as_of)


def record(config: RunConfig, frames: Mapping[str, pd.DataFrame], clean: CleanRows | None = None) -> None:
    """Store everything the run made in one transaction, close, and enter it in the ledger.

    A model that an earlier run of the same evening already stored, bit for bit, is not stored again.
    """
    with database.open_working(config.workspace, config.as_of.now) as con:
        known = set(reads.read_table(con, "models")["model_id"]) if len(frames.get("models", ())) else set()
        fresh = {**frames}
        if known:
            fresh["models"] = frames["models"][~frames["models"]["model_id"].isin(known)]
        entry = database.record_run(con, fresh, clean=clean)
    ledger.append(config.workspace, entry)


def publish(config: RunConfig) -> Path:
    """Put the tables before the readers."""
    return publication.publish(config.workspace, config.run_id, config.keep_snapshots)


def _recent_closes(market: Market, statuses: pd.DataFrame) -> pd.DataFrame:
    """The last closes of the tickers that are drawn: all, or of very many those that are not fresh."""
    drawn = statuses if len(statuses) <= MOST_DRAWN else statuses[statuses["status"] != "fresh"][:MOST_DRAWN]
    ends = {ticker: market.series[ticker] for ticker in drawn["ticker"] if ticker in market.series}
    # a file that was taken in whole did not pass through here
    ends = {ticker: series for ticker, series in ends.items() if np.isfinite(series.close[-1])}
    if not ends:
        return pd.DataFrame()
    sessions = [series.sessions[-CLOSES_IN_REPORT:] for series in ends.values()]
    return pd.DataFrame(
        {
            "ticker": np.repeat(np.array(list(ends), dtype=object), [len(each) for each in sessions]),
            "session": np.concatenate(sessions).astype("datetime64[us]"),
            "close": np.concatenate([series.close[-CLOSES_IN_REPORT:] for series in ends.values()]),
        }
    )


def _joined(before: pd.DataFrame, tonight: pd.DataFrame) -> pd.DataFrame:
    parts = [part for part in (before, tonight) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else before


def read_report(config: RunConfig, frames: Mapping[str, pd.DataFrame], market: Market, settled: pd.DataFrame) -> ReportInput:
    """What the run's page shows: what it is about to store, and what was stored before.

    Args:
        settled: outcomes entered tonight, with `made_by`.
    """
    with database.open_working(config.workspace, config.as_of.now) as con:
        scores = reads.read_latest_backtests(con, [*config.tickers, "*"], config.as_of.day)
        outcomes = reads.read_outcomes(con, config.tickers, config.as_of)
        coverage = reads.read_coverage(con, config.tickers, config.as_of.day)
        model_coverage = reads.read_model_coverage(con, config.as_of.day)
    return ReportInput(
        run=frames["runs"],
        run_tickers=frames["run_tickers"],
        forecasts=frames.get("forecasts", pd.DataFrame()),
        prices=_recent_closes(market, frames["run_tickers"]),
        models=frames.get("models", pd.DataFrame()),
        backtest_scores=_joined(scores, frames.get("backtest_scores", scores.iloc[:0])),
        outcomes=_joined(outcomes, settled),
        coverage=coverage,
        model_coverage=model_coverage,
        quarantined=frames["quarantined_prices"],
        simulated=config.source.name == "simulated",
    )


def report_page(found: ReportInput) -> str:
    """The run's page."""
    return render_report(build_summary(found))


def show_report(config: RunConfig, page: str, *, latest: bool) -> Path:
    """Write the page; `latest`: also as the report that readers open."""
    return write_report(config.workspace, config.run_id, page, latest=latest)
