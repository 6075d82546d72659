"""The nights of a test part over again: each decided, trained, judged and answered by the night's own
functions, and what it cost.

::

    session      | 1 . . . . 6 . . . . 11 . . . ... 61 . . . . 66
    fine-tune    | R         F         F             R         F      the nightly schedule of strategy auto
    retrain      | R                                 R                its retrains alone
    none         | R                                                  one training, then calibration alone

R: from pooled networks, which are trained anew once they are `refit_sessions` old; F: from the ticker's last
good model. The marks stand where `decide` puts them: a drift or a holiday moves them. Every night's intervals
are calibrated on what was known then.

An arm is the network's own forecasts, naive's until there is one.

What differs from the nights that were replayed cannot leak: new pooled networks are trained on the first
evening on which they are due, though perhaps no ticker asks for them before a later one; and sessions are
counted by the calendar that the ticker's name points to.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.backtest.splits import fold_days, known_at
from forecast_lib.config import Arm, BacktestConfig, ModelConfig, TrainConfig
from forecast_lib.distribution import pinball
from forecast_lib.forecast import Forecasts, forecast_with_model
from forecast_lib.jobs.ingest.new_prices import Problem
from forecast_lib.jobs.refresh.decisions import Decision, Lineage, decide, lineages
from forecast_lib.jobs.refresh.models import Refreshed, Work, refresh_shard
from forecast_lib.jobs.refresh.plan import drifted_since_fit, with_pool
from forecast_lib.jobs.refresh.pool import KeptPool, outgrown
from forecast_lib.models.bundle import Bundle
from forecast_lib.models.engine import path_of
from forecast_lib.models.training import network_of
from forecast_lib.sessions import TickerCalendar, calendar_for
from forecast_lib.windows.series import TickerSeries

__all__ = ["DayPool", "Point", "Replayed", "cpu_clock", "newest_pool", "pool_days", "replay", "trained_at"]

_SKIP = Decision("skip", "not_in_arm")


@dataclass(frozen=True)
class DayPool:
    """The pooled networks of one day of the test part, or why there are none.

    Attributes:
        day: the newest session they have seen.
        cpu_seconds: a ticker's share of what their training took.
    """

    day: np.datetime64
    kept: KeptPool | Problem
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Point:
    """A night on which something was decided. `at`: index of its cutoff; `first`: of the first session that
    the model could see.
    """

    at: int
    first: int
    refreshed: Refreshed


@dataclass(frozen=True)
class Replayed:
    """What the network would have said on each night, and how that came about.

    Attributes:
        served: one forecast a cutoff.
        cpu_seconds: of training, judging and choosing models, the share of the pools in it; not of
            forecasting, which any arm does.
    """

    served: Forecasts
    points: tuple[Point, ...]
    cpu_seconds: float

    @property
    def trained_by(self) -> frozenset[str]:
        """What did the arithmetic of the models' training, in words."""
        return frozenset(
            point.refreshed.trained.trained_by for point in self.points if point.refreshed.trained
        )


@dataclass(frozen=True)
class _Answerer:
    """A model, or None: the naive forecast. `first`: index of the first session that the model could see."""

    answer: Bundle | None
    first: int = 0


def cpu_clock(model: ModelConfig) -> Callable[[], float]:
    """CPU seconds of what trains such a model.

    The compiled kernel works in the thread that calls it. TensorFlow has threads of its own: there the whole
    process counts, and what else runs in it at the same time is in the figure.
    """
    return time.thread_time if path_of(network_of(model)) == "kernel" else time.process_time


def pool_days(
    series: Sequence[TickerSeries], config: BacktestConfig, train: TrainConfig
) -> tuple[np.datetime64, ...]:
    """The days on which pooled networks are trained: each fold's, or where arms are replayed each on which
    the last ones are outgrown.
    """
    days = fold_days(series, config)
    if not days or config.arms in ((), ("none",)):
        return days
    sessions = np.unique(np.concatenate([each.sessions[: len(each) - 1 - config.embargo] for each in series]))
    # The night counts the sessions of its first ticker, too.
    calendar, due = (calendar_for(series[0].ticker), [days[0]])
    for day in sessions[sessions > days[0]]:
        if outgrown(calendar, pd.Timestamp(due[-1]), pd.Timestamp(day), train):
            due.append(day)
    return tuple(due)


class _Served:
    """The forecasts, one a cutoff; each model's are made some sessions ahead, for it knows at each cutoff
    what it may.
    """

    def __init__(self, series: TickerSeries, cutoffs: tuple[int, int], ahead: int, naive: Forecasts) -> None:
        self._series, self._first, self._end = series, *cutoffs
        self._ahead, self._of_naive = ahead, naive
        self._made = [np.full_like(part, np.nan) for part in (naive.point, naive.sigma, naive.quantiles)]
        self._naive = self._losses(naive.quantiles)
        self._by_network = np.zeros(len(naive.point), dtype=bool)
        self._standing, self._known = _Answerer(None), self._first  # nothing is made yet

    def _of_model(self, bundle: Bundle, first: int, at: int, until: int) -> Forecasts:
        seen = self._series.since(first) if first else self._series
        return forecast_with_model(bundle, seen, (at - first, until - first))

    def answer(self, at: int, answerer: _Answerer) -> None:
        """The forecast from the cutoff `at` is this one's."""
        if answerer is not self._standing:
            self._standing, self._known = answerer, at
        if at < self._known:
            return
        if answerer.answer is None:
            made = self._of_naive.part(slice(at - self._first, None))
        else:
            made = self._of_model(answerer.answer, answerer.first, at, min(at + self._ahead, self._end))
        self._known = at + len(made.point)
        chosen = slice(at - self._first, self._known - self._first)
        for whole, part in zip(self._made, (made.point, made.sigma, made.quantiles), strict=True):
            whole[chosen] = part
        self._by_network[chosen] = answerer.answer is not None

    def go_on(self, at: int) -> None:
        """It is that of who answered before."""
        self.answer(at, self._standing)

    def _losses(self, quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
        """One session ahead."""
        actual = self._series.close[self._first + 1 : self._first + 1 + len(quantiles)]
        return pinball(actual, quantiles[: len(actual), 0])

    def losses(self, at: int) -> Mapping[str, np.ndarray]:
        """Of the networks' forecasts one session ahead, beside naive's, as the night of the cutoff `at` finds
        them settled.
        """
        # Targets up to the session before: tonight's are settled later tonight.
        count = max(at - 1 - self._first, 0)
        chosen = self._by_network[:count]
        return {
            "target_session": self._series.sessions[self._first + 1 : self._first + 1 + count][chosen],
            "pinball": self._losses(self._made[2][:count])[chosen],
            "baseline_pinball": self._naive[:count][chosen],
        }

    def forecasts(self) -> Forecasts:
        """All of them."""
        point, sigma, quantiles = self._made
        return Forecasts(np.arange(self._first, self._end), point, sigma, quantiles)


class _Registry:
    """What `models` would say about the ticker; `last_good` is who answers on a night that skips."""

    def __init__(self) -> None:
        self._rows: list[dict[str, object]] = []
        self.lineage = Lineage()
        self.parent: Bundle | None = None
        self.parent_id: str | None = None
        self.last_good: _Answerer | None = None

    def add(self, point: Point, evening: np.datetime64) -> None:
        """Enter what was trained that evening."""
        made = point.refreshed
        if made.trained is None:
            return
        model_id = f"{made.ticker}-{len(self._rows)}"
        if made.served_new:
            self.parent, self.parent_id = made.trained.bundle, model_id
            self.last_good = _Answerer(self.parent, point.first)
        row = {
            "ticker": made.ticker,
            "config": "",
            "model_id": model_id,
            "weights_sha256": model_id,
            "parent_id": made.start_id,
        }
        times = {
            "trained_as_of": pd.Timestamp(evening),
            "trained_through": pd.Timestamp(made.trained.bundle.trained_through),
        }
        self._rows.append({**row, **times, "promoted": made.served_new})
        self.lineage = lineages(pd.DataFrame(self._rows), "")[made.ticker]


def _decision(
    arm: Arm,
    registry: _Registry,
    served: _Served,
    at: int,
    cutoff: pd.Timestamp,
    calendar: TickerCalendar,
    train: TrainConfig,
) -> Decision:
    """What the night would decide, less what the arm leaves out."""
    decision = decide("auto", registry.lineage, calendar, cutoff, train)
    if decision.action == "fine_tune":  # else a drift changes nothing
        alarm = drifted_since_fit(served.losses(at), registry.lineage)
        decision = decide("auto", registry.lineage, calendar, cutoff, train, drifted=alarm)
    return _SKIP if decision.action == "fine_tune" and arm == "retrain" else decision


def newest_pool(pools: Sequence[DayPool], day: np.datetime64) -> DayPool:
    """The last one that this day may use."""
    known = [pool for pool in pools if pool.day <= day]
    return (
        known[-1]
        if known
        else DayPool(day, Problem("no_pool", "no ticker has a history long enough to learn from"))
    )


def trained_at(
    series: TickerSeries,
    at: int,
    decision: Decision,
    parent: Bundle | None,
    parent_id: str | None,
    model: ModelConfig,
    train: TrainConfig,
    config: BacktestConfig,
    pool: DayPool,
    *,
    seed: int,
) -> Point:
    """The night of the cutoff `at`, as far as the ticker's model goes."""
    known, first = known_at(series, at + 1 - config.embargo, config)
    work = Work(known, decision, parent, parent_id, scored=False)
    (made,) = refresh_shard(with_pool([work], pool.kept), model, train, seed)
    return Point(at, first, made)


def replay(
    series: TickerSeries,
    cutoffs: tuple[int, int],
    arm: Arm,
    model: ModelConfig,
    train: TrainConfig,
    config: BacktestConfig,
    pools: Sequence[DayPool],
    naive: Forecasts,
    *,
    seed: int,
) -> Replayed:
    """The nights of the cutoffs first to last (exclusive) as this arm has them, from nothing.

    Args:
        pools: of every day on which they are due, in order.
        naive: the naive forecasts of these cutoffs.
    """
    calendar, clock = calendar_for(series.ticker), cpu_clock(model)
    served = _Served(
        series, cutoffs, cutoffs[1] - cutoffs[0] if arm == "none" else train.refit_sessions, naive
    )
    registry, points, used, seconds = _Registry(), list[Point](), set[np.datetime64](), 0.0
    for at in range(*cutoffs):
        if arm == "none" and at > cutoffs[0]:
            served.go_on(at)
            continue
        cutoff = series.sessions[at - config.embargo]
        decision = _decision(arm, registry, served, at, pd.Timestamp(cutoff), calendar, train)
        if decision.action == "skip" and registry.last_good:
            served.answer(at, registry.last_good)
            continue
        pool = newest_pool(pools, cutoff)
        began = clock()
        point = trained_at(
            series, at, decision, registry.parent, registry.parent_id, model, train, config, pool, seed=seed
        )
        seconds += clock() - began
        if decision.action == "retrain" and pool.day not in used:
            used.add(pool.day)
            seconds += pool.cpu_seconds
        if decision.action != "skip":
            points.append(point)
            registry.add(point, series.sessions[at])
        # Who answers is the newest good model or nobody: the better of it and its parent was entered just
        # now.
        served.answer(at, registry.last_good or _Answerer(None))
    return Replayed(served.forecasts(), tuple(points), seconds)
