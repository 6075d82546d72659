"""The end of a run: everything it made in one transaction, the ledger, and what its report shows of it."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from forecast_lib.config import RunConfig
from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.report import PAST_READ, SCORES_READ, PagesBeside, ReportInput, report_pages, show_latest
from forecast_lib.store.working import reads
from forecast_lib.store.working.database import Connection
from forecast_lib.store.working.new_rows import CleanRows
from forecast_lib.store.working.store import Store

__all__ = ["PagesBeside", "read_report", "record", "report_pages", "show_latest"]

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


def record(
    store: Store,
    frames: Mapping[str, pd.DataFrame],
    clean: CleanRows | None = None,
    look: Callable[[Connection], object] = lambda con: None,
) -> None:
    """Store everything the run made in one transaction, and enter it in the ledger.

    A model that an earlier run of the same evening already stored, bit for bit, is not stored again.

    Args:
        look: see `database.record_run`.
    """
    fresh = {**frames}
    if len(models := frames.get("models", pd.DataFrame())):
        fresh["models"] = models[~models["model_id"].isin(reads.read_table(store.con, "models")["model_id"])]
    store.record(fresh, clean, look)


def _recent_closes(market: Market) -> pd.DataFrame:
    """The last closes of every ticker."""
    # a file that was taken in whole did not pass through here
    ends = {ticker: series for ticker, series in market.series.items() if np.isfinite(series.close[-1])}
    if not ends:
        return pd.DataFrame()
    sessions = [series.sessions[-CLOSES_IN_REPORT:] for series in ends.values()]
    return pd.DataFrame(
        {
            "ticker": pd.Categorical.from_codes(
                np.repeat(np.arange(len(ends)), [len(each) for each in sessions]), list(ends)
            ),
            "session": np.concatenate(sessions).astype("datetime64[us]"),
            "close": np.concatenate([series.close[-CLOSES_IN_REPORT:] for series in ends.values()]),
        }
    )


def read_report(
    con: Connection, config: RunConfig, frames: Mapping[str, pd.DataFrame], market: Market
) -> ReportInput:
    """What the run's pages show: what it made, and what is stored by now, its own rows among it."""
    tickers, as_of = config.tickers, config.as_of
    stored = {
        "past": reads.read_past(con, tickers, as_of, _PAST_IN_REPORT, PAST_READ),
        "nights": reads.read_nights(con, tickers, as_of, _NIGHTS_IN_REPORT),
        "refused": reads.read_refused(con, tickers, as_of, _REFUSED_IN_REPORT),
        "verdicts": reads.read_verdicts(con, tickers, as_of).groupby("ticker").tail(_REFUSED_IN_REPORT),
        "settled": reads.read_settled(con, tickers, as_of),
        "backtest_scores": reads.read_latest_backtests(con, [*tickers, "*"], as_of.day, SCORES_READ),
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
