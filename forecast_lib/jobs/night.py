"""A night: prices in, models refreshed, forecasts out, yesterday's settled, everything published at once.

Order only, against `Stages`: whoever runs it decides where shards are worked on and what is shown.
What is written to the database is stored by the last step, all at once.
"""

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast_lib.backtest.scores import Panels
from forecast_lib.backtest.selection import Selection, select
from forecast_lib.config import BacktestConfig, ModelConfig, RunConfig
from forecast_lib.domain import AsOf
from forecast_lib.jobs import results
from forecast_lib.jobs.evaluate import backtests
from forecast_lib.jobs.evaluate.backtests import Member, TrainedMember
from forecast_lib.jobs.evaluate.replay import DayPool
from forecast_lib.jobs.forecast import tickers
from forecast_lib.jobs.forecast.before import with_before
from forecast_lib.jobs.forecast.commonality import with_common_volatility
from forecast_lib.jobs.forecast.known_inputs import with_known_inputs
from forecast_lib.jobs.ingest import beside, new_prices, renames
from forecast_lib.jobs.ingest.gaps import knowing_gaps
from forecast_lib.jobs.ingest.known import read_known
from forecast_lib.jobs.ingest.new_prices import Market, Problem
from forecast_lib.jobs.record import publish
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.jobs.record.takeover import hold
from forecast_lib.jobs.refresh import models, plan, pool
from forecast_lib.jobs.refresh.decisions import Lineage
from forecast_lib.jobs.refresh.models import Work
from forecast_lib.jobs.refresh.pool import KeptPool
from forecast_lib.jobs.results import Night
from forecast_lib.jobs.stages import Stages
from forecast_lib.jobs.workspace import models_folder, price_source
from forecast_lib.models.baselines import BASELINES, PARTS
from forecast_lib.models.training import POOL, poolable
from forecast_lib.prices.source import Listed
from forecast_lib.store.working import database, reads
from forecast_lib.store.working.appending import Arriving
from forecast_lib.store.working.store import Store
from forecast_lib.windows.series import TickerSeries

__all__ = ["made", "read_market", "run_backtest", "run_ingest", "run_night"]


def run_night(config: RunConfig, stages: Stages) -> RunSummary:
    """The whole night; it holds the workspace from the first step to the last."""
    with _held(config, stages) as (store, config):
        tonight = made(store, config, stages)
        with stages.single("settle"):
            unsettled = reads.read_unsettled(store.con, config.as_of)
            tonight = results.with_outcomes(tonight, config, unsettled, stages.now())
        tonight = results.with_absent(store, tonight, config)
        return _store_and_publish(store, config, "nightly", tonight, stages)


def run_ingest(config: RunConfig, stages: Stages) -> RunSummary:
    """Prices only."""
    with _held(config, stages) as (store, config):
        tonight = Night(read_market(store, config, stages, goes_on=False))
        return _store_and_publish(store, config, "ingest", tonight, stages)


def run_backtest(config: RunConfig, stages: Stages) -> RunSummary:
    """Every model of the run and every baseline rolled through each ticker's past."""
    variants = (config.model, *config.also)
    with _held(config, stages) as (store, config):
        market = _with_inputs(read_market(store, config, stages), config)
        series = [market.series[ticker] for ticker in config.tickers if ticker in market.series]
        settings = variants, config.train, config.backtest
        series = backtests.shaped(series, *settings)
        members = backtests.members(series, *settings, config.seed)
        trained = _trained(config, "backtest pool", members, _numbered(members), variants, stages)
        pools = backtests.join_pools(members, trained, series, *settings, config.seed)
        rows, panels = _arriving(store, config), Panels()
        tested = _backtested(config, series, variants, pools, BASELINES, rows, panels, stages)
        tonight = results.with_problems(Night(market), backtests.problems(tested))
        seconds = stages.seconds["backtest pool"] + stages.seconds["backtest"]
        tonight = results.with_backtest(tonight, config, backtests.tested(tested), panels, seconds, variants)
        summary = _store_and_publish(store, config, "backtest", tonight, stages)
        return dataclasses.replace(summary, figures=backtests.figures(tonight.backtest["backtest_scores"]))


@contextlib.contextmanager
def _held(config: RunConfig, stages: Stages) -> Iterator[tuple[Store, RunConfig]]:
    """The workspace without any other run: its store, and the run as it is from here on."""
    now = config.as_of.now
    with hold(config.workspace, config.run_id, now, stages.say), Store(config.workspace, now) as store:
        store.copy_ahead()
        yield store, _knowing_others(store, config, stages.now())


def _knowing_others(store: Store, config: RunConfig, now: dt.datetime) -> RunConfig:
    """A run that was started before another one stored its prices, and got the workspace after it, knows
    them: what it sees moves on to the present. Where the clock went back it stays where it is.
    """
    as_of, present = config.as_of, AsOf(config.as_of.day, now, now)
    if as_of.is_past or not database.knows_later(store.con, as_of):
        return config
    return config if database.knows_later(store.con, present) else dataclasses.replace(config, as_of=present)


def made(store: Store, config: RunConfig, stages: Stages) -> Night:
    """A night's prices, models and forecasts; nothing is stored but the weights."""
    market = _with_inputs(read_market(store, config, stages), config)
    asked = beside.asked_names(market.beside, config)
    known = plan.read_lineages(store, config, asked)
    drifted, log = plan.read_drifted(store, config, known), plan.read_worths(store, config, asked)
    work = plan.plan_refresh(config, market, known, drifted, log)
    pools = _pools(config, market, work, known, stages)
    tonight = _refresh(config, market, plan.with_pool(work, pools.kept), pools.kept, stages)
    tonight = _backtest(store, config, tonight, pools, stages)
    tonight = _forecast(store, config, tonight, stages)
    with stages.single("scenarios"):
        return results.with_scenarios(tonight, config)


def _with_inputs(market: Market, config: RunConfig) -> Market:
    """Each series knowing its gaps, what the tickers have in common, and what is known beside them."""
    market = dataclasses.replace(market, series=knowing_gaps(market.series, market.calendars))
    market = with_common_volatility(market, config.tickers, config.model, config.train)
    return with_known_inputs(market, config.as_of, config.model.horizon)


def read_market(store: Store, config: RunConfig, stages: Stages, *, goes_on: bool = True) -> Market:
    """Prices in: what is stored, and what the source has beyond it.

    Args:
        goes_on: the run makes something of the series; else only their ends are read where that will do.
    """
    every, also = renames.with_old_names(config), config.beside.tickers
    tickers = tuple(dict.fromkeys([*every.tickers, *also]))
    if config.as_of.is_past:
        stored = new_prices.stored_market(store, tickers, config.as_of, config.renames)
        return _asked_for(store, stored, config)
    with new_prices.reading_digests(store, tickers, config.as_of) as begin:
        with stages.single("known"):
            known = read_known(store, tickers, config.as_of, tails=not goes_on)
        digests = begin()
        own = renames.to_ask(config, every.tickers, known.first_session_of)
        names = tuple(dict.fromkeys([*own, *also]))
        source = price_source(config.source, config.as_of, config.workspace, names)
        day = config.as_of.day
        market = new_prices.take_in(
            store,
            config,
            names,
            known,
            lambda asked: stages.fetch(source, asked, day),
            digests.result,
            stage=stages.single,
        )
    stages.say_prices(market)
    market = dataclasses.replace(market, passed_over=source.passed_over())
    listed: Sequence[Listed] = ()
    if config.beside.calendars:
        with stages.single("events"):
            listed = source.events(config.tickers, day)
    return _asked_for(store, market, config, listed)


def _asked_for(store: Store, market: Market, config: RunConfig, listed: Sequence[Listed] = ()) -> Market:
    """The market of the tickers asked for, and what is known beside it."""
    market = beside.apart(market, config)
    known = beside.read_beside(store, config, market.beside, listed)
    market = dataclasses.replace(market, beside=known, passed_over=(*market.passed_over, *known.left_out))
    return results.with_ends(store, renames.under_new_names(market, config), config)


@dataclass(frozen=True)
class _Pools:
    """The pooled networks of a night.

    Attributes:
        kept: from which tickers are fitted anew; None where none is.
        series: those to be fitted anew, as their backtest reads them.
        past: the pools of their backtest, as `backtests.join_pools` makes them.
        seconds: the share of the backtest's networks in the time of training.
    """

    kept: KeptPool | Problem | None = None
    series: Sequence[TickerSeries] = ()
    past: Sequence[Sequence[DayPool]] = ((),)
    seconds: float = 0.0


def _numbered(members: Sequence[Member]) -> list[str]:
    return [f"network {place + 1} of {len(members)}" for place in range(len(members))]


def _trained(
    config: RunConfig,
    stage: str,
    members: Sequence[Member],
    names: Sequence[str],
    variants: tuple[ModelConfig, ...],
    stages: Stages,
) -> list[TrainedMember]:
    shards = [(member,) for member in members]
    same: dict[str, Any] = {"models": variants, "train": config.train, "seed": config.seed}
    return stages.spread(stage, backtests.train_pool_shard, shards, names, **same)


def _pools(
    config: RunConfig, market: Market, work: Sequence[Work], known: dict[str, Lineage], stages: Stages
) -> _Pools:
    """Tonight's pool and those of the backtest, all their networks side by side."""
    anew = [each for each in work if each.decision.action == "retrain"]
    if not anew:
        return _Pools()
    series, selection, own = list[TickerSeries](), Selection(), list[Member]()
    model, train, seed = config.model, config.train, config.seed
    decisions = [each.decision for each in anew]
    stored = pool.stored_pool(config, market, known.get(POOL, Lineage()), decisions)
    if stored is None:
        series = pool.learners(market, config.tickers, model, train)
        selection = select(series, model)
        day = np.datetime64(config.as_of.day)
        own = [
            Member(day, 0, each) for each in pool.pool_members(series, model, train, seed, selection.inputs)
        ]
    settings = (model,), train, _by_folds(config)
    able = [each.series for each in anew if poolable(each.series, model, train)]
    past = backtests.shaped(able, *settings)
    members = backtests.members(past, *settings, seed)
    names = [*_numbered(own), *(f"{name} of the backtest" for name in _numbered(members))]
    trained = _trained(config, "pool", [*own, *members], names, (model,), stages)
    kept: KeptPool | Problem | None = stored
    if stored is None:
        stages.keeping()
        fits, folder = [each.fit for each in trained[: len(own)]], models_folder(config.workspace)
        kept = pool.keep_pool(fits, series, model, train, seed, folder, selection)
    pools = backtests.join_pools(members, trained[len(own) :], past, *settings, seed)
    return _Pools(kept, past, pools, stages.seconds["pool"] * len(members) / max(len(trained), 1))


def _by_folds(config: RunConfig) -> BacktestConfig:
    """Of a night: without a replay of schedules, which takes longer than a night has."""
    return dataclasses.replace(config.backtest, arms=())


def _refresh(
    config: RunConfig, market: Market, work: Sequence[Work], kept: KeptPool | Problem | None, stages: Stages
) -> Night:
    shards = plan.shards(work, config, light=all(each.start is None for each in work))
    names = [plan.label([each.series.ticker for each in shard]) for shard in shards]
    arguments: dict[str, Any] = {"model": config.model, "train": config.train, "seed": config.seed}
    refreshed = stages.spread("models", models.refresh_shard, shards, names, **arguments)
    if any(each.trained for each in refreshed):
        stages.keeping()
    return results.keep_models(config, market, refreshed, kept if isinstance(kept, KeptPool) else None)


def _backtested(
    config: RunConfig,
    series: Sequence[TickerSeries],
    variants: tuple[ModelConfig, ...],
    pools: Sequence[Sequence[DayPool]],
    baselines: Sequence[str],
    rows: Arriving,
    panels: Panels,
    stages: Stages,
) -> list[backtests.Result]:
    """Each ticker's backtest, in shards; forecasts go to `rows` as they come, losses to `panels`."""

    def keep(place: int, made: list[backtests.Result]) -> list[backtests.Result]:
        if (found := backtests.rows_of(made, config.run_id)) is not None:
            rows.add(found)
        panels.add(place, [each.losses for each in backtests.tested(made)])
        return backtests.without_rows(made)

    same: dict[str, Any] = {
        "models": variants,
        "pools": pools,
        "train": config.train,
        "config": config.backtest,
        "seed": config.seed,
        "baselines": baselines,
    }
    shards = plan.shards(series, config)
    names = [plan.label([each.ticker for each in shard]) for shard in shards]
    return stages.spread("backtest", backtests.backtest_shard, shards, names, keep, **same)


def _arriving(store: Store, config: RunConfig) -> Arriving:
    return store.arriving("backtest_forecasts", config.source.name)


def _backtest(store: Store, config: RunConfig, tonight: Night, pools: _Pools, stages: Stages) -> Night:
    """Of the tickers that were fitted anew: their method is tried on their own past."""
    config = dataclasses.replace(config, backtest=_by_folds(config))
    rows, panels, baselines = _arriving(store, config), Panels(), ("drift", "garch", *PARTS)
    anew = results.fitted_anew(tonight)
    series = [each for each in pools.series if each.ticker in anew]
    tested = _backtested(config, series, (config.model,), pools.past, baselines, rows, panels, stages)
    seconds = pools.seconds + stages.seconds.get("backtest", 0.0)
    return results.with_backtest(tonight, config, backtests.tested(tested), panels, seconds)


def _forecast(store: Store, config: RunConfig, tonight: Night, stages: Stages) -> Night:
    asked = with_before(store, config, results.to_forecast(tonight, config), tonight.market)
    shards = plan.shards(asked, config, light=True)
    names = [plan.label([each.series.ticker for each in shard]) for shard in shards]
    answers = stages.spread("forecast", tickers.forecast_shard, shards, names, horizon=config.model.horizon)
    return results.with_forecasts(tonight, config, asked, answers)


def _store_and_publish(
    store: Store, config: RunConfig, kind: str, tonight: Night, stages: Stages
) -> RunSummary:
    """The end of every run: one transaction, the ledger, the publication. The pages, which take their time,
    are made beside all that, as soon as the run's rows are in the transaction; they and the publication are
    shown when both are whole.
    """
    market, notices = tonight.market, tonight.market.passed_over
    frames = results.frames(config, kind, tonight, stages.now(), stages.seconds)
    stages.say_statuses(frames["run_tickers"])
    stages.keeping()
    with contextlib.ExitStack() as beside:
        pages = beside.enter_context(publish.PagesBeside(config.workspace, config.run_id))

        def begin_pages(con: database.Connection) -> None:
            pages.begin(publish.report_pages(publish.read_report(con, config, frames, market)))

        with stages.single("store"):
            publish.record(store, frames, market.clean, begin_pages)
        with stages.single("report"):
            failed = results.failed(frames)
            show = None if failed else beside.enter_context(store.prepared(config.run_id))
            report = pages.show()
        if show is None:
            return results.summary(config, frames, stages.seconds, notices=notices)
        with stages.single("publish"):
            published = show(config.keep_snapshots)
            publish.show_latest(report)
    return results.summary(
        config, frames, stages.seconds, published=published, report=report, notices=notices
    )
