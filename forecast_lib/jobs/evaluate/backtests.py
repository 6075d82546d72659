"""Backtests: shards of tickers rolled through their past, and the tables that come of it."""

import dataclasses
import hashlib
import itertools
import json
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from forecast_lib.backtest.panels import NO_LOSSES, Panels
from forecast_lib.backtest.rows import backtest_rows
from forecast_lib.backtest.run import TickerBacktest, fold_pool_series
from forecast_lib.backtest.scores import ArmCost, arm_model, scores_of_all, ticker_scores
from forecast_lib.backtest.selection import select
from forecast_lib.backtest.splits import fold_days, folds_of
from forecast_lib.config import BacktestConfig, ModelConfig, TrainConfig, to_json
from forecast_lib.errors import TickerError
from forecast_lib.forecast import (
    COMBINED,
    Forecasts,
    combine,
    forecast_with_baseline,
    forecast_with_model,
    weighing,
)
from forecast_lib.jobs.evaluate.replay import (
    DayPool,
    Point,
    cpu_clock,
    newest_pool,
    pool_days,
    replay,
    trained_at,
)
from forecast_lib.jobs.forecast.commonality import with_pooled_shape
from forecast_lib.jobs.ingest.new_prices import Problem
from forecast_lib.jobs.refresh.decisions import Decision
from forecast_lib.jobs.refresh.pool import (
    KeptPool,
    PoolMember,
    TrainedPool,
    pool_members,
    train_members,
)
from forecast_lib.models.baselines import BASELINES, BESIDE_A_NETWORK, PARTS
from forecast_lib.models.bundle import to_bytes
from forecast_lib.models.engine import Fit
from forecast_lib.models.training import first_cutoff, join_pool, poolable
from forecast_lib.tables import empty
from forecast_lib.windows.features import session_features
from forecast_lib.windows.series import TickerSeries

__all__ = [
    "Member",
    "Result",
    "TrainedMember",
    "backtest_pool",
    "backtest_shard",
    "backtest_tables",
    "backtest_ticker",
    "figures",
    "join_pools",
    "members",
    "of",
    "problems",
    "rows_of",
    "shaped",
    "tested",
    "train_pool_shard",
    "without_rows",
]

_NO_ROWS = pd.DataFrame()
_NOTHING_TO_LEARN = Problem("no_pool", "no ticker has a history long enough to learn from")
Result = TickerBacktest | tuple[str, Problem]


@dataclass(frozen=True, eq=False)
class Member:
    """One pooled network to train for a backtest.

    Attributes:
        day, model: of which day and model.
        member: what it is trained on, known on that day; None where there is nothing.
        cpu_seconds: its share of what it took to find that.
    """

    day: np.datetime64
    model: int
    member: PoolMember | None
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class TrainedMember:
    """The network, or why there is none, and the CPU seconds of its training."""

    fit: TrainedPool
    cpu_seconds: float


def members(
    series: Sequence[TickerSeries],
    models: Sequence[ModelConfig],
    train: TrainConfig,
    config: BacktestConfig,
    seed: int,
) -> list[Member]:
    """Every pooled network that a backtest of these series needs, each with what its day may know."""
    found: list[Member] = []
    for day, (place, model) in itertools.product(pool_days(series, config, train), enumerate(models)):
        began = time.thread_time()
        known = fold_pool_series(series, day, model, train, config)
        inputs = select(known, model).inputs if known else ()
        drawn: list[PoolMember | None] = [*pool_members(known, model, train, seed, inputs)]
        share = (time.thread_time() - began) / train.members
        found += [Member(day, place, each, share) for each in drawn or [None] * train.members]
    return found


def shaped(
    series: Sequence[TickerSeries], models: Sequence[ModelConfig], train: TrainConfig, config: BacktestConfig
) -> list[TickerSeries]:
    """The series knowing how all their returns lie, at every cutoff that is tested."""
    days = fold_days(series, config)
    members = [each for each in series if poolable(each, models[0], train)]
    return with_pooled_shape(series, members, models[0].horizon, days[0] if days else None)


def train_pool_shard(
    shard: Sequence[Member], models: tuple[ModelConfig, ...], train: TrainConfig, seed: int
) -> list[TrainedMember]:
    """Train the networks of a shard; or why not."""
    results = []
    for each in shard:
        clock = cpu_clock(models[each.model])
        began = clock()
        fit: TrainedPool = _NOTHING_TO_LEARN
        if each.member is not None:
            (fit,) = train_members((each.member,), models[each.model], train, seed)
        results.append(TrainedMember(fit, clock() - began + each.cpu_seconds))
    return results


def join_pools(
    wanted: Sequence[Member],
    trained: Sequence[TrainedMember],
    series: Sequence[TickerSeries],
    models: tuple[ModelConfig, ...],
    train: TrainConfig,
    config: BacktestConfig,
    seed: int,
) -> list[list[DayPool]]:
    """For each model its pools, in the order of their days."""
    made: dict[tuple[int, np.datetime64], list[TrainedMember]] = {}
    taught = {(each.model, each.day): each.member for each in wanted}
    for each, member in zip(wanted, trained, strict=True):
        made.setdefault((each.model, each.day), []).append(member)

    def joined(place: int, day: np.datetime64) -> KeptPool | Problem:
        member = taught[place, day]
        fits = [each.fit for each in made[place, day] if isinstance(each.fit, Fit)]
        if not fits or member is None:
            return next(each.fit for each in made[place, day] if isinstance(each.fit, Problem))
        known = fold_pool_series(series, day, models[place], train, config)
        pool = join_pool(fits, known, models[place], train, seed, member.inputs, member.slopes)
        return KeptPool(pool, hashlib.sha256(to_bytes(pool)).hexdigest())

    days = sorted({each.day for each in wanted})
    return [
        [
            DayPool(
                day, joined(place, day), sum(member.cpu_seconds for member in made[place, day]) / len(series)
            )
            for day in days
        ]
        for place in range(len(models))
    ]


@dataclass
class _Tested:
    """A ticker's forecasts as they come, each with its model; wall seconds by model, what its arms cost, and
    the splits.
    """

    series: TickerSeries
    made: list[tuple[str, Forecasts]]
    seconds: dict[str, float]
    arms: dict[str, ArmCost]
    splits: list[dict[str, object]]

    def add(self, model: str, forecasts: Forecasts, seconds: float = 0.0) -> None:
        self.made.append((model, forecasts))
        self.seconds[model] = self.seconds.get(model, 0.0) + seconds

    def split(self, model: str, point: Point, end: int, config: BacktestConfig) -> None:
        made, days = point.refreshed, self.series.sessions
        self.splits.append(
            {
                "ticker": self.series.ticker,
                "model": model,
                "fit_sessions": point.at + 1 - config.embargo - point.first,
                "first_cutoff": str(days[point.at]),
                "last_cutoff": str(days[end - 1]),
                "decision": made.decision.action,
                "trigger": made.decision.trigger,
                "trained": made.trained is not None,
                "served_new": made.served_new,
                "reason": made.problem.reason if made.problem else "",
            }
        )


def _own_forecasts(series: TickerSeries, point: Point, cutoffs: tuple[int, int]) -> Forecasts | None:
    """What the model trained at a fold's start says there, and at the cutoffs before by which it is weighed;
    None where there is none.
    """
    bundle, first = point.refreshed.served, point.first
    if bundle is None:
        return None
    start, end = weighing(cutoffs)
    able = max(start, first + first_cutoff(bundle.network.lookback))
    made = forecast_with_model(bundle, series.since(first) if first else series, (able - first, end - first))
    return Forecasts(made.cutoffs + first, made.point, made.sigma, made.quantiles)


def backtest_ticker(
    series: TickerSeries,
    models: tuple[ModelConfig, ...],
    pools: Sequence[Sequence[DayPool]],
    train: TrainConfig,
    config: BacktestConfig,
    *,
    seed: int,
    baselines: Sequence[str] = BASELINES,
) -> TickerBacktest:
    """Roll through the last part of the series; every model and baseline forecasts every cutoff there.

    Without arms: each network from its fold's start on, and `combined`: the first of `models` with the
    baselines, as a night answers. With arms: what the network would have said on each night, the model's name
    `VARIANT_ARM`, for example `stacked_fine_tune`.

    Args:
        pools: of each model, as `join_pools` makes them.
        baselines: names of those whose rows are wanted.

    Raises:
        TooFewSessions: the history is too short for a test part.
    """
    folds = folds_of(series, config)
    span = (folds[0].cutoffs[0], folds[-1].cutoffs[1])
    tested = _Tested(series, [], {}, {}, [])
    trained_by = set[str]()
    made = dict[str, Forecasts]()
    for name in dict.fromkeys([*baselines, *PARTS]):
        began = time.perf_counter()
        cutoffs = weighing(span) if name in PARTS else span
        made[name] = forecast_with_baseline(name, series, models[0].horizon, cutoffs)
        if name in baselines:
            tested.add(name, made[name].part(slice(span[0] - span[1], None)), time.perf_counter() - began)
    for place, (model, own_pools) in enumerate(zip(models, pools, strict=True)):
        for arm in config.arms:
            began = time.perf_counter()
            naive = made["naive"].part(slice(span[0] - span[1], None))
            replayed = replay(series, span, arm, model, train, config, own_pools, naive, seed=seed)
            name = arm_model(model.variant, arm)
            tested.add(name, replayed.served, time.perf_counter() - began)
            tested.arms[name] = ArmCost(arm, arm_model(model.variant, "none"), replayed.cpu_seconds)
            trained_by |= replayed.trained_by
            ends = [point.at for point in replayed.points[1:]] + [span[1]]
            for point, end in zip(replayed.points, ends, strict=True):
                tested.split(name, point, end, config)
        for fold in () if config.arms else folds:
            began = time.perf_counter()
            pool = newest_pool(own_pools, series.sessions[fold.fit_sessions - 1])
            decision = Decision("retrain", "no_model")
            point = trained_at(
                series, fold.cutoffs[0], decision, None, None, model, train, config, pool, seed=seed
            )
            trained_by |= {point.refreshed.trained.trained_by} if point.refreshed.trained else set()
            own = _own_forecasts(series, point, fold.cutoffs)
            if own is not None:
                tested.add(
                    model.variant,
                    own.part(slice(fold.cutoffs[0] - fold.cutoffs[1], None)),
                    time.perf_counter() - began,
                )
            tested.split(model.variant, point, fold.cutoffs[1], config)
            if place == 0:
                parts: dict[str, Forecasts] = {model.variant: own} if own is not None else {}
                parts |= {name: made[name] for name in (BESIDE_A_NETWORK if parts else PARTS)}
                tested.add(COMBINED, combine(parts, series, fold.cutoffs).forecasts)
    forecasts = backtest_rows(tested.made, series, session_features(series))
    scores, losses = ticker_scores(forecasts, tested.seconds, tested.arms)
    return TickerBacktest(series.ticker, forecasts, scores, losses, tested.splits, frozenset(trained_by))


def backtest_pool(
    series: Sequence[TickerSeries],
    models: tuple[ModelConfig, ...],
    train: TrainConfig,
    config: BacktestConfig,
    *,
    seed: int,
    baselines: Sequence[str] = BASELINES,
) -> list[TickerBacktest]:
    """The whole backtest of some tickers, one after the other: every day's pools, then each ticker.

    Args:
        baselines: names of those whose rows are wanted.

    Raises:
        TooFewSessions: a history is too short for a test part.
    """
    series = shaped(series, models, train, config)
    wanted = members(series, models, train, config, seed)
    trained = train_pool_shard(wanted, models, train, seed)
    pools = join_pools(wanted, trained, series, models, train, config, seed)
    return [
        backtest_ticker(each, models, pools, train, config, seed=seed, baselines=baselines) for each in series
    ]


def backtest_shard(
    shard: Sequence[TickerSeries],
    models: tuple[ModelConfig, ...],
    pools: Sequence[Sequence[DayPool]],
    train: TrainConfig,
    config: BacktestConfig,
    seed: int,
    baselines: Sequence[str],
) -> list[Result]:
    """Each ticker's backtest, or why there is none."""
    results: list[Result] = []
    for series in shard:
        try:
            results.append(
                backtest_ticker(series, models, pools, train, config, seed=seed, baselines=baselines)
            )
        except TickerError as error:
            results.append((series.ticker, Problem(error.rule, error.reason)))
        except Exception as error:  # nobody else's backtest may end because of this one
            results.append(
                (series.ticker, Problem("internal_error", f"unexpected {type(error).__name__}: {error}"))
            )
    return results


def of(results: Sequence[Result], tickers: Collection[str]) -> list[Result]:
    """Those of some tickers."""
    return [each for each in results if (each[0] if isinstance(each, tuple) else each.ticker) in tickers]


def tested(results: Sequence[Result]) -> list[TickerBacktest]:
    """Those that could be tested."""
    return [result for result in results if isinstance(result, TickerBacktest)]


def problems(results: Sequence[Result]) -> dict[str, Problem]:
    """Why the others could not."""
    return {result[0]: result[1] for result in results if not isinstance(result, TickerBacktest)}


def without_rows(results: Sequence[Result]) -> list[Result]:
    """The same without forecasts and losses, which somebody else has."""
    return [
        dataclasses.replace(result, forecasts=_NO_ROWS, losses=NO_LOSSES)
        if isinstance(result, TickerBacktest)
        else result
        for result in results
    ]


def rows_of(results: Sequence[Result], backtest_id: str) -> pd.DataFrame | None:
    """Rows of `backtest_forecasts`; None where no ticker could be tested."""
    rows = [result.forecasts for result in tested(results)]
    if not rows:
        return None
    columns = {name: [each[name] for each in rows] for name in rows[0]}
    joined = {
        name: union_categoricals(parts)
        if isinstance(parts[0].dtype, pd.CategoricalDtype)
        else np.concatenate(parts)
        for name, parts in columns.items()
    }
    of_it = pd.Categorical.from_codes(np.zeros(sum(map(len, rows)), np.int8), [backtest_id])
    return pd.DataFrame({**joined, "backtest_id": of_it}, copy=False)


def backtest_tables(
    results: Sequence[TickerBacktest],
    panels: Panels,
    models: tuple[ModelConfig, ...],
    config: BacktestConfig,
    *,
    run_id: str,
    as_of: pd.Timestamp,
    seconds: float,
) -> dict[str, pd.DataFrame]:
    """Frames of `backtests` and `backtest_scores`; empty ones where no ticker could be tested.

    Args:
        panels: of the results' losses.
    """
    if not results:
        return {table: empty(table) for table in ("backtests", "backtest_scores")}
    scores = pd.concat([result.scores for result in results], ignore_index=True)
    scores = scores_of_all(panels, scores)
    settings = {
        "backtest": json.loads(to_json(config)),
        "models": [json.loads(to_json(model)) for model in models],
    }
    head = pd.DataFrame(
        {
            "backtest_id": [run_id],
            "run_id": [run_id],
            "as_of": [as_of],
            "config": [json.dumps(settings, sort_keys=True)],
            "splits": [json.dumps([split for result in results for split in result.splits])],
            "seconds": [seconds],
        }
    )
    return {
        "backtests": head,
        "backtest_scores": scores.assign(backtest_id=run_id),
    }


_SHOWN = {
    "rmse_ratio": "rmse/naive",
    "pinball_per_garch": "pinball/garch",
    "dm_garch_pvalue": "p of that",
    "cov80": "cov80",
    "cov95": "cov95",
    "gain_over_none": "gain over none",
    "dm_none_pvalue": "DM p",
    "cpu_seconds": "CPU s",
    "gain_per_cpu_second": "gain per CPU s",
}
_OF_ARMS = ("gain_over_none", "dm_none_pvalue", "cpu_seconds", "gain_per_cpu_second")


def figures(scores: pd.DataFrame) -> tuple[dict[str, object], ...]:
    """One row a model, of all tickers together one session ahead, the best distribution first; of arms also
    gain and cost.

    Args:
        scores: rows of `backtest_scores`.
    """
    own = scores[(scores["ticker"] == "*") & (scores["step"] == 1)].sort_values(
        "pinball_per_garch", kind="stable"
    )
    shown = [name for name in _SHOWN if name not in _OF_ARMS or own["arm"].notna().any()]
    rows = own[["model", *shown]].rename(columns=_SHOWN).to_dict("records")
    return tuple({str(name): _rounded(value) for name, value in row.items()} for row in rows)


def _rounded(value: object) -> object:
    """Five significant digits; None for what is not known, which JSON cannot say otherwise."""
    return (float(f"{value:.5g}") if np.isfinite(value) else None) if isinstance(value, float) else value
