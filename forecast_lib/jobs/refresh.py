"""Models: train what was decided, put it and its parent before the gate, choose who answers.

A shard is a few tickers' arrays; it opens no database, so it runs in a thread, a process or on another machine alike, and each
ticker's result depends on its own arrays only.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from forecast_lib.backtest.gate import Verdict, judge
from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.errors import TickerError
from forecast_lib.jobs.decisions import Decision
from forecast_lib.jobs.ingest import Problem
from forecast_lib.models.bundle import Bundle
from forecast_lib.models.training import Trained, split_cutoffs, train
from forecast_lib.windows.series import TickerSeries

__all__ = ["Refreshed", "Work", "refresh_shard"]


_NO_MODEL = Problem("no_model", "there is no trained model yet")
_WITHOUT_MODEL = {
    "refused_recently": Problem("gate", "the gate refused the last model a few sessions ago; a new one is trained when more are in"),
    "model_damaged": Problem("model_damaged", "the file of the last good model is missing or damaged; the next training replaces it"),
}


@dataclass(frozen=True)
class Work:
    """One ticker's part of a shard."""

    series: TickerSeries
    decision: Decision
    parent: Bundle | None = None
    parent_id: str | None = None


@dataclass(frozen=True)
class Refreshed:
    """Who answers for a ticker tonight, and how that came about.

    Attributes:
        served: the model that answers; None where the naive forecast does.
        served_new: it was trained tonight.
        trained: tonight's training, where there was one and it succeeded.
        verdict: the gate's, on tonight's model, or on the parent where nothing was trained.
        problem: why the decision could not be carried out, or why no model answers.
    """

    ticker: str
    decision: Decision
    served: Bundle | None = None
    served_new: bool = False
    parent_id: str | None = None
    trained: Trained | None = None
    verdict: Verdict | None = None
    problem: Problem | None = None
    seconds: float = 0.0


def _train(work: Work, model: ModelConfig, config: TrainConfig, seed: int) -> Trained | None:
    if work.decision.action == "skip":
        return None
    parent = work.parent if work.decision.action == "fine_tune" else None
    return train(work.series, model, config, seed=seed, parent=parent)


def _refresh(work: Work, model: ModelConfig, config: TrainConfig, seed: int) -> Refreshed:
    began = time.perf_counter()
    ticker, trained, problem, verdict = work.series.ticker, None, None, None
    try:
        trained = _train(work, model, config, seed)
    except TickerError as error:
        problem = Problem(error.rule, error.reason)
    passed: list[tuple[float, Bundle, bool]] = []
    if trained is not None:
        verdict = judge(trained.bundle, work.series, trained.split.validation)
        if verdict.promoted:
            passed.append((verdict.pinball, trained.bundle, True))
    if work.parent is not None:
        cutoffs = split_cutoffs(len(work.series), model, config, ticker).validation
        parent_verdict = judge(work.parent, work.series, cutoffs)
        verdict = verdict or parent_verdict
        if parent_verdict.promoted:
            passed.append((parent_verdict.pinball, work.parent, False))
    if not passed and problem is None:
        problem = Problem("gate", verdict.reason) if verdict else _WITHOUT_MODEL.get(work.decision.trigger, _NO_MODEL)
    _, served, served_new = min(passed, key=lambda candidate: candidate[0]) if passed else (0.0, None, False)
    return Refreshed(ticker, work.decision, served, served_new, work.parent_id, trained, verdict, problem, time.perf_counter() - began)


def refresh_shard(shard: Sequence[Work], model: ModelConfig, config: TrainConfig, seed: int) -> list[Refreshed]:
    """Refresh each ticker of the shard; whatever goes wrong with one stays with it."""
    results = []
    for work in shard:
        try:
            result = _refresh(work, model, config, seed)
        except TickerError as error:  # there is a parent, but too little history to judge it on
            result = Refreshed(work.series.ticker, work.decision, parent_id=work.parent_id, problem=Problem(error.rule, error.reason))
        except Exception as error:  # nobody else's night may end because of this one
            reason = f"unexpected {type(error).__name__}: {error}"
            result = Refreshed(work.series.ticker, work.decision, parent_id=work.parent_id, problem=Problem("internal_error", reason))
        results.append(result)
    return results
