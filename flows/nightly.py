"""The nightly flow: prices in, models refreshed, forecasts out, yesterday's settled, everything published at once.

Order only: what happens in a step is in `forecast_lib.jobs`, and no step but `record` writes to the database.
"""

from collections.abc import Sequence

from prefect import State, flow

from flows.artifacts import leave_artifacts
from flows.ending import ended, summary_of
from flows.parameters import NightlyParameters
from flows.settings import resolve, utc_now
from flows.stages import Stages
from flows.tasks import backtest_shard, fetch_shard, refresh_shard
from forecast_lib.config import RunConfig
from forecast_lib.domain import Ticker
from forecast_lib.jobs import bulk, evaluate, ingest, night, plan, publish
from forecast_lib.jobs.night import Night
from forecast_lib.jobs.summary import RunSummary
from forecast_lib.jobs.workspace import price_source
from forecast_lib.store.lock import hold_workspace

__all__ = ["ingest_flow", "nightly", "read_market", "run_ingest", "run_nightly", "store_and_publish"]


def read_market(config: RunConfig, stages: Stages, tickers: Sequence[Ticker] | None = None) -> ingest.Market:
    """Prices in: what is stored, and what the source has beyond it; of some tickers, or of all that were asked for."""
    tickers = config.tickers if tickers is None else tickers
    known = ingest.read_known(config.workspace, tickers, config.as_of)
    if config.as_of.known_at < config.as_of.now:  # a past night again: only what was known then
        return ingest.stored_market(known, tickers, config.as_of)
    source = price_source(config.source, config.as_of, config.workspace, tickers)
    shards = plan.shards(tickers, config)
    arguments = {"source": source, "known": known, "as_of": config.as_of, "rules": config.rules}
    fetched = stages.fetch(fetch_shard, shards, [plan.label(shard) for shard in shards], **arguments)
    with stages.single("compare"):
        return ingest.join_market(config.workspace, fetched, known, config.as_of)


def _refresh(config: RunConfig, market: ingest.Market, stages: Stages) -> Night:
    work = plan.plan_refresh(config, market, plan.read_lineages(config))
    shards = plan.shards(work, config)
    names = [plan.label([each.series.ticker for each in shard]) for shard in shards]
    arguments = {"model": config.model, "train": config.train, "seed": config.seed}
    refreshed = stages.spread("models", refresh_shard, shards, names, **arguments)
    return night.keep_models(config, market, refreshed)


def _backtest(config: RunConfig, tonight: Night, stages: Stages) -> Night:
    retrained = night.to_backtest(tonight)
    shards = plan.shards(retrained, config)
    names = [plan.label([series.ticker for series in shard]) for shard in shards]
    arguments = {"models": (config.model,), "train": config.train, "config": config.backtest, "seed": config.seed}
    results = stages.spread("backtest", backtest_shard, shards, names, **arguments)
    return night.with_backtest(tonight, config, evaluate.tested(results), stages.seconds.get("backtest", 0.0))


def store_and_publish(config: RunConfig, kind: str, tonight: Night, stages: Stages, taken: bulk.Taken | None = None) -> RunSummary:
    """The end of every run: one transaction, the ledger, the report, the publication."""
    frames = night.frames(config, kind, tonight, utc_now(), stages.seconds)
    page = publish.report_page(config, frames, tonight.market, tonight.settled)
    with stages.single("store"):
        publish.record(config, frames, taken.rows if taken else None)
    if night.failed(frames):
        publish.show_report(config, page, latest=False)
        return night.summary(config, frames, stages.seconds)
    with stages.single("publish"):
        published = publish.publish(config)
        report = publish.show_report(config, page, latest=True)
    return night.summary(config, frames, stages.seconds, published=published, report=report)


def _night(config: RunConfig) -> RunSummary:
    stages = Stages(config)
    with hold_workspace(config.workspace, config.run_id, started=config.as_of.now):
        market = read_market(config, stages)
        tonight = _refresh(config, market, stages)
        tonight = _backtest(config, tonight, stages)
        with stages.single("forecast"):
            tonight = night.with_forecasts(tonight, config)
            tonight = night.with_outcomes(tonight, config, publish.read_unsettled(config.workspace, config.as_of), utc_now())
        summary = store_and_publish(config, "nightly", tonight, stages)
    leave_artifacts(summary)
    return summary


def _ingest(config: RunConfig) -> RunSummary:
    stages = Stages(config)
    with hold_workspace(config.workspace, config.run_id, started=config.as_of.now):
        with stages.single("screen"):
            taken = bulk.take_whole(config)
        market = read_market(config, stages, taken.others if taken else config.tickers)
        market = bulk.with_taken(market, taken) if taken else market
        summary = store_and_publish(config, "ingest", Night(market), stages, taken)
    leave_artifacts(summary)
    return summary


@flow(name="nightly", flow_run_name="nightly", retries=0)
def nightly(parameters: NightlyParameters = NightlyParameters()) -> State:
    """Forecast every ticker: prices, models, forecasts, settlement, publication, report."""
    return ended(lambda: _night(resolve(parameters.overrides())))


@flow(name="ingest", flow_run_name="ingest", retries=0)
def ingest_flow(parameters: NightlyParameters = NightlyParameters()) -> State:
    """Prices only."""
    return ended(lambda: _ingest(resolve(parameters.overrides())))


def run_nightly(config: RunConfig) -> RunSummary:
    """The flow in this process, with the settings that `config` was resolved from and exported."""
    return summary_of(nightly(return_state=True))


def run_ingest(config: RunConfig) -> RunSummary:
    """As `run_nightly`, for prices only."""
    return summary_of(ingest_flow(return_state=True))
