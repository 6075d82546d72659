"""The nightly flow: prices in, models refreshed, forecasts out, yesterday's settled, everything published at
once.

Order only: what happens in a step is in `forecast_lib.jobs`, and no step but `record` writes to the database.
"""

import dataclasses
from collections.abc import Sequence

from prefect import State, flow

from flows.running.aftermath import followed
from flows.running.ending import summary_of
from flows.running.stages import Stages
from flows.running.tasks import (
    backtest_pool_shard,
    backtest_shard,
    fetch_prices,
    forecast_shard,
    pool_shard,
    refresh_shard,
)
from flows.service.parameters import NightlyParameters
from flows.service.scheduled import evening, once, say
from flows.settings.layers import resolve, utc_now
from forecast_lib.config import ModelConfig, RunConfig
from forecast_lib.jobs import night
from forecast_lib.jobs.evaluate import backtests
from forecast_lib.jobs.forecast.commonality import with_common_volatility
from forecast_lib.jobs.ingest import new_prices, renames
from forecast_lib.jobs.ingest.known import read_known
from forecast_lib.jobs.ingest.new_prices import Problem
from forecast_lib.jobs.night import Night
from forecast_lib.jobs.record import publish
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.jobs.record.takeover import hold
from forecast_lib.jobs.refresh import plan, pool
from forecast_lib.jobs.refresh.decisions import Lineage
from forecast_lib.jobs.refresh.models import Work
from forecast_lib.jobs.refresh.pool import KeptPool
from forecast_lib.jobs.workspace import models_folder, price_source
from forecast_lib.models.baselines import PARTS
from forecast_lib.models.training import POOL
from forecast_lib.windows.series import TickerSeries

__all__ = [
    "backtested",
    "ingest_flow",
    "made",
    "nightly",
    "read_market",
    "run_ingest",
    "run_nightly",
    "store_and_publish",
]


def read_market(config: RunConfig, stages: Stages, *, goes_on: bool = True) -> new_prices.Market:
    """Prices in: what is stored, and what the source has beyond it.

    Args:
        goes_on: the run makes something of the series; else only their ends are read where that will do.
    """
    every = renames.with_old_names(config)
    if config.as_of.known_at < config.as_of.now:  # a past night again: only what was known then
        stored = new_prices.stored_market(config.workspace, every.tickers, config.as_of, config.renames)
        return night.with_ends(renames.under_new_names(stored, config), config)
    with new_prices.reading_digests(config.workspace, every.tickers, config.as_of) as digests:
        with stages.single("known"):
            known = read_known(config.workspace, every.tickers, config.as_of, tails=not goes_on)
        names = renames.to_ask(config, every.tickers, known.first_session_of)
        source = price_source(config.source, config.as_of, config.workspace, names)
        day = config.as_of.day
        market = new_prices.take_in(
            config,
            names,
            known,
            lambda asked: stages.fetch(fetch_prices, source, asked, day),
            digests.result,
            stage=stages.single,
        )
    stages.say_prices(market)
    market = dataclasses.replace(market, passed_over=source.passed_over())
    return night.with_ends(renames.under_new_names(market, config), config)


def _pool(
    config: RunConfig,
    market: new_prices.Market,
    work: Sequence[Work],
    known: dict[str, Lineage],
    stages: Stages,
) -> KeptPool | Problem | None:
    anew = [each.decision for each in work if each.decision.action == "retrain"]
    if not anew:
        return None
    if kept := pool.stored_pool(config, market, known.get(POOL, Lineage()), anew):
        return kept
    series = pool.learners(market, config.tickers, config.model, config.train)
    shards = [(member,) for member in range(config.train.members)] if series else []
    names = [f"network {member + 1} of {len(shards)}" for (member,) in shards]
    arguments = {"series": series, "model": config.model, "train": config.train, "seed": config.seed}
    trained = stages.spread("pool", pool_shard, shards, names, **arguments)
    return pool.keep_pool(
        trained, series, config.model, config.train, config.seed, models_folder(config.workspace)
    )


def _refresh(config: RunConfig, market: new_prices.Market, stages: Stages) -> Night:
    known = plan.read_lineages(config)
    work = plan.plan_refresh(
        config, market, known, plan.read_drifted(config, known), plan.read_worths(config)
    )
    kept = _pool(config, market, work, known, stages)
    work = plan.with_pool(work, kept)
    shards = plan.shards(work, config, light=all(each.start is None for each in work))
    names = [plan.label([each.series.ticker for each in shard]) for shard in shards]
    arguments = {"model": config.model, "train": config.train, "seed": config.seed}
    refreshed = stages.spread("models", refresh_shard, shards, names, **arguments)
    return night.keep_models(config, market, refreshed, kept if isinstance(kept, KeptPool) else None)


def backtested(
    config: RunConfig,
    series: Sequence[TickerSeries],
    models: tuple[ModelConfig, ...],
    baselines: Sequence[str],
    stages: Stages,
) -> list[backtests.Result]:
    """Each ticker's backtest: first the pooled networks of every day that needs some, then the tickers in
    shards.
    """
    series = backtests.shaped(series, models, config.train, config.backtest)
    same = {"models": models, "train": config.train, "config": config.backtest, "seed": config.seed}
    members = backtests.members(series, models, config.train, config.backtest)
    names = [f"network {place + 1} of {len(members)}" for place in range(len(members))]
    trained = stages.spread(
        "backtest pool", backtest_pool_shard, [(each,) for each in members], names, series=series, **same
    )
    pools = backtests.join_pools(members, trained, series, models, config.train, config.backtest, config.seed)
    shards = plan.shards(series, config)
    names = [plan.label([each.ticker for each in shard]) for shard in shards]
    return stages.spread("backtest", backtest_shard, shards, names, pools=pools, baselines=baselines, **same)


def _backtest(config: RunConfig, tonight: Night, stages: Stages) -> Night:
    config = dataclasses.replace(
        config, backtest=dataclasses.replace(config.backtest, arms=())
    )  # a replay takes longer than a night has
    results = backtested(
        config, night.to_backtest(tonight), (config.model,), ("drift", "garch", *PARTS), stages
    )
    seconds = sum(stages.seconds.get(stage, 0.0) for stage in ("backtest pool", "backtest"))
    return night.with_backtest(tonight, config, backtests.tested(results), seconds)


def _forecast(config: RunConfig, tonight: Night, stages: Stages) -> Night:
    asked = night.to_forecast(tonight, config)
    shards = plan.shards(asked, config, light=True)
    names = [plan.label([each.series.ticker for each in shard]) for shard in shards]
    made = stages.spread("forecast", forecast_shard, shards, names, horizon=config.model.horizon)
    return night.with_forecasts(tonight, config, asked, made)


def store_and_publish(config: RunConfig, kind: str, tonight: Night, stages: Stages) -> RunSummary:
    """The end of every run: one transaction, the ledger, the publication. The page, which takes its time, is
    made when all is stored.
    """
    frames = night.frames(config, kind, tonight, utc_now(), stages.seconds)
    stages.say_statuses(frames["run_tickers"])
    with stages.single("store"):
        publish.record(config, frames, tonight.market.clean)
    with stages.single("report"):
        report = publish.write_pages(config, publish.read_report(config, frames, tonight.market))
    if night.failed(frames):
        return night.summary(config, frames, stages.seconds, notices=tonight.market.passed_over)
    with stages.single("publish"):
        published = publish.publish(config)
        publish.show_latest(report)
    notices = tonight.market.passed_over
    return night.summary(config, frames, stages.seconds, published=published, report=report, notices=notices)


def made(config: RunConfig, stages: Stages) -> Night:
    """A night's prices, models and forecasts; nothing is stored but the weights."""
    market = with_common_volatility(read_market(config, stages), config.tickers, config.model, config.train)
    tonight = _refresh(config, market, stages)
    tonight = _backtest(config, tonight, stages)
    tonight = _forecast(config, tonight, stages)
    with stages.single("scenarios"):
        return night.with_scenarios(tonight, config)


def _night(config: RunConfig) -> RunSummary:
    with hold(config.workspace, config.run_id, config.as_of.now, say), Stages(config) as stages:
        tonight = made(config, stages)
        with stages.single("settle"):
            tonight = night.with_outcomes(
                tonight, config, publish.read_unsettled(config.workspace, config.as_of), utc_now()
            )
        return store_and_publish(config, "nightly", tonight, stages)


def _ingest(config: RunConfig) -> RunSummary:
    with hold(config.workspace, config.run_id, config.as_of.now, say), Stages(config) as stages:
        return store_and_publish(config, "ingest", Night(read_market(config, stages, goes_on=False)), stages)


@flow(name="nightly", flow_run_name="nightly", retries=0)
def nightly(parameters: NightlyParameters = NightlyParameters()) -> State:
    """Forecast every ticker: prices, models, forecasts, settlement, publication, report."""
    overrides = parameters.overrides()
    return followed(
        "nightly",
        overrides,
        lambda: once("nightly", resolve(overrides), lambda config: evening(config, overrides, _night)),
    )


@flow(name="ingest", flow_run_name="ingest", retries=0)
def ingest_flow(parameters: NightlyParameters = NightlyParameters()) -> State:
    """Prices only."""
    return followed("ingest", parameters.overrides(), lambda: _ingest(resolve(parameters.overrides())))


def run_nightly(config: RunConfig) -> RunSummary:
    """The flow in this process, with the settings that `config` was resolved from and exported."""
    return summary_of(nightly(return_state=True))


def run_ingest(config: RunConfig) -> RunSummary:
    """As `run_nightly`, for prices only."""
    return summary_of(ingest_flow(return_state=True))
