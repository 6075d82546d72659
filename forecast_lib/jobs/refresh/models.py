"""Models: train what was decided; of a ticker's new model and its last one the better on the validation
answers.

A shard is a few tickers' arrays; it opens no database, so it runs in a thread, a process or on another
machine alike, and each ticker's result depends on its own arrays only.
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

from forecast_lib.backtest.validation import Validation, validated
from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.errors import TickerError
from forecast_lib.jobs.ingest.new_prices import Problem
from forecast_lib.jobs.refresh.decisions import Decision
from forecast_lib.models.bundle import Bundle, Pool
from forecast_lib.models.training import Trained, check_trainable, train
from forecast_lib.windows.series import TickerSeries

__all__ = ["Refreshed", "Work", "refresh_shard"]


_NO_MODEL = Problem("no_model", "there is no trained model yet; without --strategy forecast one is trained")
_DAMAGED = Problem(
    "model_damaged", "the file of the last good model is missing or damaged; the next training replaces it"
)


@dataclass(frozen=True)
class Work:
    """One ticker's part of a shard.

    Attributes:
        start: what tonight's training goes on from, and its id: the pool for a retrain, the ticker's last
            good model for a fine-tune; None where nothing is trained, or `problem` says why nothing can be.
        scored: somebody asks for the scores of a model that has no last one to be compared with.
    """

    series: TickerSeries
    decision: Decision
    parent: Bundle | None = None
    parent_id: str | None = None
    start: Pool | Bundle | None = None
    start_id: str | None = None
    pool_sha256: str | None = None
    problem: Problem | None = None
    scored: bool = True


@dataclass(frozen=True)
class Refreshed:
    """Which model stands for a ticker tonight, and how that came about.

    Attributes:
        served: the model; None where only baselines answer.
        served_new: it was trained tonight.
        start_id: of the model that tonight's training went on from.
        trained: tonight's training, where there was one and it succeeded.
        validation: of tonight's model, where somebody asks for it or it was compared.
        gain: share of the last model's pinball loss that tonight's saves on the validation, below 0 where it
            loses; None without both.
        problem: why the decision could not be carried out, or why no model answers.
        seconds: wall time spent on the ticker.
    """

    ticker: str
    decision: Decision
    served: Bundle | None = None
    served_new: bool = False
    parent_id: str | None = None
    start_id: str | None = None
    trained: Trained | None = None
    validation: Validation | None = None
    problem: Problem | None = None
    gain: float | None = None
    seconds: float = 0.0


def _train(
    work: Work, model: ModelConfig, config: TrainConfig, seed: int
) -> tuple[Trained | None, Problem | None]:
    if work.decision.action == "skip":
        return None, None
    try:
        check_trainable(work.series, model, config)
        if work.start is None:
            return None, work.problem
        return train(
            work.series, model, config, start=work.start, seed=seed, pool_sha256=work.pool_sha256
        ), None
    except TickerError as error:
        return None, Problem(error.rule, error.reason)


def _refresh(work: Work, model: ModelConfig, config: TrainConfig, seed: int) -> Refreshed:
    began = time.perf_counter()
    series, parent = work.series, work.parent
    trained, problem = _train(work, model, config, seed)
    if trained is None:
        if parent is None and problem is None:
            problem = _DAMAGED if work.decision.trigger == "model_damaged" else _NO_MODEL
        made = Refreshed(series.ticker, work.decision, parent, parent_id=work.parent_id, problem=problem)
        return dataclasses.replace(made, seconds=time.perf_counter() - began)
    new, gain, better = None, None, True
    if work.scored or parent:
        new = validated(trained.bundle, series, trained.split.validation)
    if new and parent:
        old = validated(parent, series, trained.split.validation)
        better = not old.pinball < new.pinball
        gain = 1 - new.pinball / old.pinball if old.pinball > 0 else None
    return Refreshed(
        series.ticker,
        work.decision,
        trained.bundle if better else parent,
        better,
        work.parent_id,
        work.start_id,
        trained,
        new,
        gain=gain,
        seconds=time.perf_counter() - began,
    )


def refresh_shard(
    shard: Sequence[Work], model: ModelConfig, train: TrainConfig, seed: int
) -> list[Refreshed]:
    """Refresh each ticker of the shard; whatever goes wrong with one stays with it."""
    results = []
    for work in shard:
        try:
            result = _refresh(work, model, train, seed)
        except Exception as error:  # nobody else's night may end because of this one
            reason = f"unexpected {type(error).__name__}: {error}"
            result = Refreshed(
                work.series.ticker,
                work.decision,
                parent_id=work.parent_id,
                problem=Problem("internal_error", reason),
            )
        results.append(result)
    return results
