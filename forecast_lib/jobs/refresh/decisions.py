"""What to do about each ticker's model tonight: skip, fine-tune or retrain, and what triggered it.

Strategy `auto` fine-tunes where the log of the last year says that it pays: the new models were better than
the ones before them by more than chance, and by more for their work than retrained ones were. Without such a
log it fine-tunes, and so learns; after a year, again. Work is counted in chunks learned from, not in seconds,
so that a night that is run again decides the same; the log has the seconds too.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

from forecast_lib.config import RunConfig, Strategy, TrainConfig, to_json
from forecast_lib.sessions import TickerCalendar

__all__ = [
    "Decision",
    "Lineage",
    "Promoted",
    "Worth",
    "chunks_of",
    "decide",
    "lineages",
    "model_config_json",
    "worths",
]

_FEWEST_TRAININGS = 30
_OF_A_MODEL = [
    *("ticker", "config", "model_id", "parent_id", "weights_sha256"),
    *("trained_as_of", "trained_through", "promoted"),
]


@dataclass(frozen=True)
class Promoted:
    """A model that answers, or answered: its id, its weights, and the last session it has seen."""

    model_id: str
    weights_sha256: str
    trained_through: pd.Timestamp


@dataclass(frozen=True)
class Lineage:
    """What the registry knows about one ticker under tonight's settings.

    Attributes:
        last_good: the last promoted model, or None.
        tried_through: last session of the last model trained, kept or not; None if none was.
        anew_through: the same of the last model that was fitted anew, not fine-tuned from another.
        other_settings: models exist, but with other settings only.
    """

    last_good: Promoted | None = None
    tried_through: pd.Timestamp | None = None
    anew_through: pd.Timestamp | None = None
    other_settings: bool = False


@dataclass(frozen=True)
class Worth:
    """What trainings of one kind gained on the mean, its standard error, and the chunks and seconds that one
    took.
    """

    gain: float
    error: float
    chunks: float
    seconds: float


@dataclass(frozen=True)
class Decision:
    """`action` is `skip`, `fine_tune` or `retrain`; `trigger` a short stable name; `worth` what a decision by
    the log went by.
    """

    action: str
    trigger: str
    worth: Worth | None = None


def chunks_of(train: TrainConfig, tickers: int) -> dict[str, float]:
    """Chunks that a ticker's training of each kind learns from at most, its share of the pool's in them."""
    own = train.members * train.fine_tune_epochs * train.fine_tune_steps * train.fine_tune_batch_size
    pool = train.members * train.epochs * train.steps_per_epoch * train.batch_size / tickers
    return {"fine_tune": own, "retrain": own + pool}


def worths(log: pd.DataFrame, chunks: Mapping[str, float]) -> dict[str, Worth]:
    """By kind of training; kinds with fewer than thirty are left out.

    Args:
        log: rows of `decision`, `val_gain` and `cost_seconds`.
    """
    found = {}
    for kind, rows in log.groupby("decision"):
        if len(rows) >= _FEWEST_TRAININGS:
            gain, seconds = rows["val_gain"].to_numpy(float), float(rows["cost_seconds"].mean())
            found[str(kind)] = Worth(
                float(gain.mean()), float(gain.std(ddof=1)) / math.sqrt(len(gain)), chunks[str(kind)], seconds
            )
    return found


def _pays(tuning: Worth | None, retraining: Worth | None) -> bool:
    if tuning is None:
        return True
    by_chunk = 0.0 if retraining is None else retraining.gain / retraining.chunks
    return tuning.gain > tuning.error and tuning.gain / tuning.chunks >= by_chunk


def model_config_json(config: RunConfig, asked: Sequence[str] = ()) -> str:
    """What makes two models the same kind: network, training, seed, and the covariates and events that were
    asked for, where any were, as JSON with sorted keys.
    """
    beside = f'"beside": {json.dumps(list(asked))}, ' if asked else ""
    of_model, of_training = to_json(config.model), to_json(config.train)
    return f'{{{beside}"model": {of_model}, "seed": {config.seed}, "train": {of_training}}}'


def _lineage(rows: Sequence[Any], config_json: str) -> Lineage:
    """Args:
    rows: of one ticker, in the order of storing.
    """
    same = [row for row in rows if row.config == config_json]
    if not same:
        return Lineage(other_settings=bool(rows))
    own = {row.model_id for row in same}
    tried = max(row.trained_through for row in same)
    # Its parent is a pool, or there is none.
    anew = max((row.trained_through for row in same if row.parent_id not in own), default=pd.NaT)
    promoted = [row for row in same if row.promoted]
    if not promoted:
        return Lineage(tried_through=tried, anew_through=anew)
    # Where an evening was run twice the first run's model counts, so that a rerun finds what the first found.
    last = max(promoted, key=lambda row: row.trained_as_of)
    return Lineage(Promoted(last.model_id, last.weights_sha256, last.trained_through), tried, anew)


def lineages(history: pd.DataFrame, config_json: str) -> dict[str, Lineage]:
    """By ticker, from rows of `models` in the order of storing."""
    rows: dict[str, list[Any]] = {}
    for row in history[_OF_A_MODEL].itertuples():
        rows.setdefault(str(row.ticker), []).append(row)
    return {ticker: _lineage(rows[ticker], config_json) for ticker in sorted(rows)}


def _automatic(
    lineage: Lineage,
    calendar: TickerCalendar,
    cutoff: pd.Timestamp,
    train: TrainConfig,
    drifted: bool,
    log: Mapping[str, Worth],
) -> Decision:
    good, tried = lineage.last_good, lineage.tried_through
    if tried is None:
        return Decision("retrain", "changed_settings" if lineage.other_settings else "no_model")
    if good is None:
        return Decision("retrain", "no_model")
    # Also a training whose model lost to its parent counts: the next night would decide the same again.
    if calendar.count_between(tried, cutoff) < train.fine_tune_every:
        return Decision("skip", "recent")
    if (
        lineage.anew_through is None
        or calendar.count_between(lineage.anew_through, cutoff) >= train.refit_sessions
    ):
        return Decision("retrain", "age")
    if drifted:
        return Decision("retrain", "drift")
    if _pays(log.get("fine_tune"), log.get("retrain")):
        return Decision("fine_tune", "new_data", log.get("fine_tune"))
    return Decision("skip", "no_gain", log.get("fine_tune"))


def decide(
    strategy: Strategy,
    lineage: Lineage,
    calendar: TickerCalendar,
    cutoff: pd.Timestamp,
    train: TrainConfig,
    *,
    drifted: bool = False,
    log: Mapping[str, Worth] = MappingProxyType({}),
) -> Decision:
    """The decision for one ticker whose last session is `cutoff`; `drifted`: its forecasts have become worse
    than naive ones since a model was last fitted anew; `log`: what past trainings were worth.
    """
    if strategy == "forecast":
        return Decision("skip", "asked_for")
    if strategy == "retrain":
        return Decision("retrain", "asked_for")
    if strategy == "fine-tune":
        if lineage.last_good:
            return Decision("fine_tune", "asked_for")
        return Decision("retrain", "no_model")
    return _automatic(lineage, calendar, cutoff, train, drifted, log)
