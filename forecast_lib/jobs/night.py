"""A night: prices in, models refreshed, forecasts out, yesterday's settled, everything published at once.

Order only, against `Stages`: whoever runs it decides where shards are worked on and what is shown.
What is written to the database is stored by the last step, all at once.
"""

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast_lib.backtest.panels import Panels
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
from forecast_lib.jobs.refresh.decisions import Decision, Lineage
from forecast_lib.jobs.refresh.models import Work
from forecast_lib.jobs.refresh.pool import KeptPool
from forecast_lib.jobs.results import Night
from forecast_lib.jobs.stages import Ended, Kept, Stages
from forecast_lib.jobs.workspace import models_folder, price_source, remembered_folder
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
        # Before there are forecasts whoever shows the run needs the other processor, to load Prefect.
        tonight = made(store, config, stages, store.copy_ahead)
        with stages.single("settle"):
            unsettled = reads.read_unsettled(store.con, config.as_of)
            tonight = results.with_outcomes(tonight, config, unsettled, stages.now())
        tonight = results.with_absent(store, tonight, config)
        return _store_and_publish(store, config, "nightly", tonight, stages)


def run_ingest(config: RunConfig, stages: Stages) -> RunSummary:
    """Prices only."""
    with _held(config, stages) as (store, config):
        store.copy_ahead()
        tonight = Night(read_market(store, config, stages, goes_on=False))
        return _store_and_publish(store, config, "ingest", tonight, stages)


def run_backtest(config: RunConfig, stages: Stages) -> RunSummary:
    """Every model of the run and every baseline rolled through each ticker's past."""
    variants = (config.model, *config.also)
    with _held(config, stages) as (store, config):
        store.copy_ahead()
        market = _with_inputs(read_market(store, config, stages), config)
        series = [market.series[ticker] for ticker in config.tickers if ticker in market.series]
        settings = variants, config.train, config.backtest
        series = backtests.shaped(series, *settings)
        members = backtests.members(series, *settings, config.seed)
        trained = _begin_networks(config, "backtest pool", members, variants, stages)()
        pools = backtests.join_pools(members, trained, series, *settings, config.seed)
        rows, panels = _arriving(store, config), Panels()
        tested = _begin_backtests(config, series, variants, pools, BASELINES, stages)
        found = tested(_kept_by(config, rows, panels, config.tickers))
        tonight = results.with_problems(Night(market), backtests.problems(found))
        tonight = results.with_backtest(
            tonight, config, backtests.tested(found), panels, _tested_in(stages), variants
        )
        summary = _store_and_publish(store, config, "backtest", tonight, stages)
        return dataclasses.replace(summary, figures=backtests.figures(tonight.backtest["backtest_scores"]))


@contextlib.contextmanager
def _held(config: RunConfig, stages: Stages) -> Iterator[tuple[Store, RunConfig]]:
    """The workspace without any other run: its store, and the run as it is from here on."""
    now = config.as_of.now
    with hold(config.workspace, config.run_id, now, stages.say), Store(config.workspace, now) as store:
        yield store, _knowing_others(store, config, stages.now())


def _knowing_others(store: Store, config: RunConfig, now: dt.datetime) -> RunConfig:
    """A run that was started before another one stored its prices, and got the workspace after it, knows
    them: what it sees moves on to the present. Where the clock went back it stays where it is.
    """
    as_of, present = config.as_of, AsOf(config.as_of.day, now, now)
    if as_of.is_past or not database.knows_later(store.con, as_of):
        return config
    return config if database.knows_later(store.con, present) else dataclasses.replace(config, as_of=present)


def made(
    store: Store, config: RunConfig, stages: Stages, meanwhile: Callable[[], object] = lambda: None
) -> Night:
    """A night's prices, models and forecasts; nothing is stored but the weights.

    Args:
        meanwhile: called each time that forecasts of some tickers are there.
    """
    market = _with_inputs(read_market(store, config, stages), config)
    asked = beside.asked_names(market.beside, config)
    known = plan.read_lineages(store, config, asked)
    drifted, log = plan.read_drifted(store, config, known), plan.read_worths(store, config, asked)
    work = plan.plan_refresh(config, market, known, drifted, log)
    tonight = _refresh(store, config, market, work, known, stages)
    tonight = _forecast(store, config, tonight, stages, meanwhile)
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


_NOTHING_SELECTED = Selection()


@dataclass(frozen=True)
class _Anew:
    """From what tickers are fitted anew: the pool that is there, or the networks to train for it.

    Attributes:
        stored: the pool, where it still serves.
        series: those that a new one learns from, with what was selected for it.
        members: its networks.
    """

    stored: KeptPool | None = None
    series: Sequence[TickerSeries] = ()
    selection: Selection = _NOTHING_SELECTED
    members: Sequence[Member] = ()


def _numbered(members: Sequence[Member]) -> list[str]:
    return [f"network {place + 1} of {len(members)}" for place in range(len(members))]


def _begin_networks(
    config: RunConfig,
    stage: str,
    members: Sequence[Member],
    variants: tuple[ModelConfig, ...],
    stages: Stages,
) -> Ended:
    shards = [(member,) for member in members]
    same: dict[str, Any] = {"models": variants, "train": config.train, "seed": config.seed}
    return stages.begin(stage, backtests.train_pool_shard, shards, _numbered(members), **same)


def _refresh(
    store: Store,
    config: RunConfig,
    market: Market,
    work: Sequence[Work],
    known: dict[str, Lineage],
    stages: Stages,
) -> Night:
    """Models refreshed, and the method of those that are fitted anew tried on their own past.

    What can be worked on is begun at once, so that no worker waits: the backtest's networks train beside
    tonight's and beside tickers' own parts, its first tickers are tested beside the last own parts.
    """
    config = dataclasses.replace(config, backtest=_by_folds(config))
    model, train, settings = config.model, config.train, ((config.model,), config.train, config.backtest)
    anew = [each for each in work if each.decision.action == "retrain"]
    wanted = _anew(config, market, [each.decision for each in anew], known) if anew else _Anew()
    own = _begin_networks(config, "pool", wanted.members, (model,), stages)
    able = [each.series for each in anew if poolable(each.series, model, train)]
    series = backtests.shaped(able, *settings)
    members = backtests.members(series, *settings, config.seed)
    past = _begin_networks(config, "backtest pool", members, (model,), stages)
    kept = _kept(config, wanted, own(), stages) if anew else None
    refreshed = _begin_models(config, plan.with_pool(work, kept), stages)
    pools = backtests.join_pools(members, past(), series, *settings, config.seed)
    tested = _begin_backtests(config, series, (model,), pools, ("drift", "garch", *PARTS), stages)
    made = refreshed()
    if any(each.trained for each in made):
        stages.keeping()
    tonight = results.keep_models(config, market, made, kept if isinstance(kept, KeptPool) else None)
    rows, panels = _arriving(store, config), Panels()
    found = tested(_kept_by(config, rows, panels, results.fitted_anew(tonight)))
    return results.with_backtest(tonight, config, backtests.tested(found), panels, _tested_in(stages))


def _anew(
    config: RunConfig, market: Market, decisions: Sequence[Decision], known: dict[str, Lineage]
) -> _Anew:
    stored = pool.stored_pool(config, market, known.get(POOL, Lineage()), decisions)
    if stored is not None:
        return _Anew(stored)
    series = pool.learners(market, config.tickers, config.model, config.train)
    selection, day = select(series, config.model), np.datetime64(config.as_of.day)
    members = pool.pool_members(series, config.model, config.train, config.seed, selection.inputs)
    return _Anew(None, series, selection, [Member(day, 0, each) for each in members])


def _kept(
    config: RunConfig, wanted: _Anew, trained: Sequence[TrainedMember], stages: Stages
) -> KeptPool | Problem:
    if wanted.stored is not None:
        return wanted.stored
    stages.keeping()
    fits, folder = [each.fit for each in trained], models_folder(config.workspace)
    return pool.keep_pool(
        fits, wanted.series, config.model, config.train, config.seed, folder, wanted.selection
    )


def _by_folds(config: RunConfig) -> BacktestConfig:
    """Of a night: without a replay of schedules, which takes longer than a night has."""
    return dataclasses.replace(config.backtest, arms=())


def _begin_models(config: RunConfig, work: Sequence[Work], stages: Stages) -> Ended:
    trains = any(each.start is not None for each in work)
    shards = plan.shards(work, config) if trains or not work else [tuple(work)]
    names = [plan.label([each.series.ticker for each in shard]) for shard in shards]
    arguments: dict[str, Any] = {"model": config.model, "train": config.train, "seed": config.seed}
    return stages.begin("models", models.refresh_shard, shards, names, **arguments)


def _begin_backtests(
    config: RunConfig,
    series: Sequence[TickerSeries],
    variants: tuple[ModelConfig, ...],
    pools: Sequence[Sequence[DayPool]],
    baselines: Sequence[str],
    stages: Stages,
) -> Ended:
    """Each ticker's backtest, in shards."""
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
    return stages.begin("backtest", backtests.backtest_shard, shards, names, **same)


def _kept_by(config: RunConfig, rows: Arriving, panels: Panels, tickers: Collection[str]) -> Kept:
    """Of the backtests of some tickers forecasts go to `rows` as they come, losses to `panels`."""

    def keep(place: int, made: list[backtests.Result]) -> list[backtests.Result]:
        made = backtests.of(made, tickers)
        if (found := backtests.rows_of(made, config.run_id)) is not None:
            rows.add(found)
        panels.add(place, [each.losses for each in backtests.tested(made)])
        return backtests.without_rows(made)

    return keep


def _tested_in(stages: Stages) -> float:
    return stages.seconds.get("backtest pool", 0.0) + stages.seconds.get("backtest", 0.0)


def _arriving(store: Store, config: RunConfig) -> Arriving:
    return store.arriving("backtest_forecasts", config.source.name)


def _forecast(
    store: Store, config: RunConfig, tonight: Night, stages: Stages, meanwhile: Callable[[], object]
) -> Night:
    asked = with_before(store, config, results.to_forecast(tonight, config), tonight.market)
    shards = plan.shards(asked, config, light=True)
    names = [plan.label([each.series.ticker for each in shard]) for shard in shards]
    folder = remembered_folder(config.workspace)
    with contextlib.suppress(OSError):  # then nothing is remembered
        folder.mkdir(parents=True, exist_ok=True)
    same: dict[str, Any] = {"horizon": config.model.horizon, "remembered": folder}

    def keep(place: int, made: list[Any]) -> list[Any]:
        meanwhile()
        return made

    answers = stages.begin("forecast", tickers.forecast_shard, shards, names, **same)(keep)
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
