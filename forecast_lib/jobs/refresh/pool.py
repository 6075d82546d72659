"""The pooled networks of a night: whether the stored ones still serve, and training new ones, one task a
member.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from forecast_lib.backtest.selection import Selection, Tried
from forecast_lib.config import ModelConfig, RunConfig, TrainConfig
from forecast_lib.errors import ModelDamaged, TickerError
from forecast_lib.jobs.ingest.new_prices import Market, Problem
from forecast_lib.jobs.refresh.decisions import Decision, Lineage
from forecast_lib.jobs.workspace import models_folder
from forecast_lib.models.bundle import Pool, load_pool, save
from forecast_lib.models.engine import Fit
from forecast_lib.models.training import POOL, drawn_by, join_pool, pool_slopes, poolable, train_member
from forecast_lib.sessions import TickerCalendar
from forecast_lib.windows.series import Array, TickerSeries

__all__ = [
    "KeptPool",
    "PoolMember",
    "TrainedPool",
    "keep_pool",
    "learners",
    "outgrown",
    "pool_members",
    "stored_pool",
    "train_members",
]


@dataclass(frozen=True)
class KeptPool:
    """A pool, the SHA-256 of its file, and where it was trained tonight its training, and the covariates and
    events that were tried.
    """

    pool: Pool
    sha256: str
    fits: tuple[Fit, ...] = ()
    tried: tuple[Tried, ...] = ()

    @property
    def model_id(self) -> str:
        """Its id in `models`."""
        return self.sha256[:16]


TrainedPool = Fit | Problem


@dataclass(frozen=True, eq=False)
class PoolMember:
    """One pooled network to train, wherever that is done: what it needs, and no more.

    Attributes:
        place: in the pool.
        series: those that it learns from.
        slopes: (inputs, horizon) of the pool's volatility scale.
        inputs: what that reads beside the usual, by name.
    """

    place: int
    series: tuple[TickerSeries, ...]
    slopes: Array
    inputs: tuple[str, ...] = ()


def pool_members(
    series: Sequence[TickerSeries],
    model: ModelConfig,
    train: TrainConfig,
    seed: int,
    inputs: tuple[str, ...] = (),
) -> list[PoolMember]:
    """The members of a pool of these series, each with those that it draws; none without series."""
    if not series:
        return []
    slopes = pool_slopes(series, model, train, seed, inputs)
    return [
        PoolMember(place, tuple(drawn_by(place, series, seed)), slopes, inputs)
        for place in range(train.members)
    ]


def learners(
    market: Market, tickers: Sequence[str], model: ModelConfig, train: TrainConfig
) -> list[TickerSeries]:
    """The series that a pool learns from: of every ticker whose prices are in order and whose history is long
    enough.

    A ticker with a problem tonight is left out, so that all others get the same as if it had not been asked
    for.
    """
    going_on = market.going_on
    able = [going_on[ticker] for ticker in tickers if ticker in going_on and ticker not in market.problems]
    return [series for series in able if poolable(series, model, train)]


def outgrown(
    calendar: TickerCalendar, trained_through: pd.Timestamp, newest: pd.Timestamp, train: TrainConfig
) -> bool:
    """Whether a pool that has seen sessions up to `trained_through` is too old for tickers that are fitted
    anew at `newest`.
    """
    return calendar.count_between(trained_through, newest) >= train.refit_sessions


def stored_pool(
    config: RunConfig, market: Market, lineage: Lineage, decisions: Sequence[Decision]
) -> KeptPool | None:
    """The last pool of these settings, while it is young enough for tickers that are fitted anew; None: train
    one.

    With the strategies `fine-tune` and `forecast` any age will do; with `retrain` none.
    """
    if lineage.last_good is None or (config.strategy == "retrain" and decisions):
        return None
    if config.strategy == "auto":
        calendars = [market.calendars[ticker] for ticker in config.tickers if ticker in market.series]
        newest = max(
            market.series[ticker].sessions[-1] for ticker in config.tickers if ticker in market.series
        )
        if outgrown(calendars[0], lineage.last_good.trained_through, pd.Timestamp(newest), config.train):
            return None
    try:
        pool = load_pool(models_folder(config.workspace), lineage.last_good.weights_sha256)
    except ModelDamaged:
        return None
    return KeptPool(pool, lineage.last_good.weights_sha256)


def train_members(
    shard: Sequence[PoolMember], model: ModelConfig, train: TrainConfig, seed: int
) -> list[TrainedPool]:
    """Train the members of a shard; what goes wrong with one is returned in its place."""
    trained: list[TrainedPool] = []
    for each in shard:
        try:
            trained.append(
                train_member(
                    each.series,
                    model,
                    train,
                    seed=seed,
                    member=each.place,
                    inputs=each.inputs,
                    slopes=each.slopes,
                )
            )
        except TickerError as error:
            trained.append(Problem(error.rule, f"the pooled network could not be trained: {error.reason}"))
        except Exception as error:  # the last good models answer then
            trained.append(
                Problem(
                    "internal_error",
                    f"the pooled network could not be trained: {type(error).__name__}: {error}",
                )
            )
    return trained


def keep_pool(
    trained: Sequence[TrainedPool],
    series: Sequence[TickerSeries],
    model: ModelConfig,
    train: TrainConfig,
    seed: int,
    folder: Path,
    selection: Selection = Selection(),
) -> KeptPool | Problem:
    """The pool on disk; without the members that could not be trained, and a problem where that is all of
    them.
    """
    fits = tuple(each for each in trained if isinstance(each, Fit))
    if not fits:
        return next(
            (each for each in trained if isinstance(each, Problem)),
            Problem("no_pool", f"no ticker can be learned from ({POOL})"),
        )
    pool = join_pool(fits, series, model, train, seed, selection.inputs)
    return KeptPool(pool, save(pool, folder), fits, selection.tried)
