"""Models: train what was decided, put it and its parent before the gate, choose who answers.

A shard is a few tickers' arrays; it opens no database, so it runs in a thread, a process or on another machine alike, and each
ticker's result depends on its own arrays only.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from forecast_lib.backtest.gate import Verdict, best_baseline, judge
from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.errors import TickerError
from forecast_lib.jobs.decisions import Decision
from forecast_lib.jobs.ingest import Problem
from forecast_lib.models.baselines import RIVALS
from forecast_lib.models.bundle import Bundle, Pool
from forecast_lib.models.training import Trained, check_trainable, split_cutoffs, train
from forecast_lib.windows.series import TickerSeries

__all__ = ["Refreshed", "Work", "refresh_shard"]


_NO_MODEL = Problem("no_model", "there is no trained model yet; without --strategy forecast one is trained")
_WITHOUT_MODEL = {
    "refused_recently": None,  # a network was asked a few sessions ago, and a baseline serves better
    "model_damaged": Problem("model_damaged", "the file of the last good model is missing or damaged; the next training replaces it"),
}


@dataclass(frozen=True)
class Work:
    """One ticker's part of a shard.

    Attributes:
        start: what tonight's training goes on from, and its id: the pool for a retrain, the ticker's last good model for a fine-tune;
            None where nothing is trained, or `problem` says why nothing can be.
    """

    series: TickerSeries
    decision: Decision
    parent: Bundle | None = None
    parent_id: str | None = None
    start: Pool | Bundle | None = None
    start_id: str | None = None
    pool_sha256: str | None = None
    problem: Problem | None = None


@dataclass(frozen=True)
class Refreshed:
    """Who answers for a ticker tonight, and how that came about.

    Attributes:
        served: the model that answers; None where a baseline does.
        instead: the name of the baseline that answers where no model does.
        served_new: it was trained tonight.
        start_id: of the model that tonight's training went on from.
        trained: tonight's training, where there was one and it succeeded.
        verdict: the gate's on tonight's model.
        problem: why the decision could not be carried out, or why there is no network to be asked. None where one was asked and a baseline
            serves better.
        seconds: wall time spent on the ticker.
    """

    ticker: str
    decision: Decision
    served: Bundle | None = None
    instead: str = "naive"
    served_new: bool = False
    parent_id: str | None = None
    start_id: str | None = None
    trained: Trained | None = None
    verdict: Verdict | None = None
    problem: Problem | None = None
    seconds: float = 0.0


def _train(work: Work, model: ModelConfig, config: TrainConfig, seed: int) -> tuple[Trained | None, Problem | None]:
    if work.decision.action == "skip":
        return None, None
    try:
        check_trainable(work.series, model, config)
        if work.start is None:
            return None, work.problem
        return train(work.series, model, config, start=work.start, seed=seed, pool_sha256=work.pool_sha256), None
    except TickerError as error:
        return None, Problem(error.rule, error.reason)


def _instead(series: TickerSeries, model: ModelConfig, config: TrainConfig) -> str:
    """The best baseline, where no verdict names one."""
    try:
        cutoffs = split_cutoffs(len(series), model, config, series.ticker).validation
    except TickerError:
        return "naive"
    return best_baseline(series, cutoffs, model.horizon, RIVALS).name


def _refresh(work: Work, model: ModelConfig, config: TrainConfig, seed: int) -> Refreshed:
    began = time.perf_counter()
    ticker, series, parent = work.series.ticker, work.series, work.parent
    trained, problem = _train(work, model, config, seed)
    if trained is None:
        # What passed the gate when it was trained goes on answering.
        if parent is None and problem is None:
            problem = _WITHOUT_MODEL.get(work.decision.trigger, _NO_MODEL)
        instead = "naive" if parent else _instead(series, model, config)
        return Refreshed(
            ticker, work.decision, parent, instead, parent_id=work.parent_id, problem=problem, seconds=time.perf_counter() - began
        )
    verdict = judge(trained.bundle, series, trained.split.validation, RIVALS)
    before = judge(parent, series, trained.split.validation, RIVALS) if parent else None
    candidates = [(verdict, trained.bundle, True)] + ([(before, parent, False)] if before and parent else [])
    passed = [(judged.pinball, bundle, new) for judged, bundle, new in candidates if judged.promoted]
    _, served, served_new = min(passed, key=lambda candidate: candidate[0]) if passed else (0.0, None, False)
    return Refreshed(
        ticker,
        work.decision,
        served,
        verdict.best.name,
        served_new,
        work.parent_id,
        work.start_id,
        trained,
        verdict,
        None,
        time.perf_counter() - began,
    )


def refresh_shard(shard: Sequence[Work], model: ModelConfig, config: TrainConfig, seed: int) -> list[Refreshed]:
    """Refresh each ticker of the shard; whatever goes wrong with one stays with it."""
    results = []
    for work in shard:
        try:
            result = _refresh(work, model, config, seed)
        except Exception as error:  # nobody else's night may end because of this one
            reason = f"unexpected {type(error).__name__}: {error}"
            result = Refreshed(work.series.ticker, work.decision, parent_id=work.parent_id, problem=Problem("internal_error", reason))
        results.append(result)
    return results
