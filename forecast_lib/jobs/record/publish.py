"""The end of a run: everything it made in one transaction, the ledger, the publication, the report."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from forecast_lib.config import RunConfig
from forecast_lib.domain import AsOf
from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.report import ReportInput, report_pages, show_latest, write_report
from forecast_lib.store.disk import ledger
from forecast_lib.store.published import publication
from forecast_lib.store.working import database, reads
from forecast_lib.store.working.new_rows import CleanRows

__all__ = ["publish", "read_report", "read_unsettled", "record", "show_latest", "write_pages"]

CLOSES_IN_REPORT = 250
_OWN = {
    "forecasts": "forecasts",
    "models": "models",
    "weights": "forecast_weights",
    "drivers": "forecast_drivers",
    "trials": "covariate_trials",
}
"""Parts of the report that not every run makes, and their tables."""
_PAST_IN_REPORT, _NIGHTS_IN_REPORT, _REFUSED_IN_REPORT = 250, 12, 20


def read_unsettled(workspace: Path, as_of: AsOf) -> pd.DataFrame:
    """Forecasts of earlier runs that have no outcome yet and whose target session is not after the
    evening.
    """
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


def _recent_closes(market: Market) -> pd.DataFrame:
    """The last closes of every ticker."""
    # a file that was taken in whole did not pass through here
    ends = {ticker: series for ticker, series in market.series.items() if np.isfinite(series.close[-1])}
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


def read_report(config: RunConfig, frames: Mapping[str, pd.DataFrame], market: Market) -> ReportInput:
    """What the run's pages show: what it made, and what is stored by now, its own rows among it."""
    tickers, as_of = config.tickers, config.as_of
    with database.open_working(config.workspace, as_of.now) as con:
        stored = {
            "past": reads.read_past(con, tickers, as_of, _PAST_IN_REPORT),
            "nights": reads.read_nights(con, tickers, as_of, _NIGHTS_IN_REPORT),
            "refused": reads.read_refused(con, tickers, as_of, _REFUSED_IN_REPORT),
            "verdicts": reads.read_verdicts(con, tickers, as_of).groupby("ticker").tail(_REFUSED_IN_REPORT),
            "settled": reads.read_settled(con, tickers, as_of),
            "backtest_scores": reads.read_latest_backtests(con, [*tickers, "*"], as_of.day),
            "coverage": reads.read_coverage(con, tickers, as_of.day),
            "model_coverage": reads.read_model_coverage(con, as_of.day),
        }
    return ReportInput(
        run=frames["runs"],
        run_tickers=frames["run_tickers"],
        prices=_recent_closes(market),
        **{part: frames.get(table, pd.DataFrame()) for part, table in _OWN.items()},
        quarantined=frames["quarantined_prices"],
        simulated=config.source.name == "simulated",
        **stored,
    )


def write_pages(config: RunConfig, found: ReportInput) -> Path:
    """Make the run's pages; the path of the first one. Readers' `latest.html` stays what it was until
    `show_latest`.
    """
    return write_report(config.workspace, config.run_id, report_pages(found))
