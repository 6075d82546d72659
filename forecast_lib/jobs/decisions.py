"""What to do about each ticker's model tonight: skip, fine-tune or retrain, and what triggered it."""

from dataclasses import dataclass

import pandas as pd

from forecast_lib.config import RunConfig, Strategy, TrainConfig, to_json
from forecast_lib.sessions import TickerCalendar

__all__ = ["Decision", "Lineage", "Promoted", "decide", "lineages", "model_config_json"]


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
class Decision:
    """`action` is `skip`, `fine_tune` or `retrain`; `trigger` a short stable name."""

    action: str
    trigger: str


def model_config_json(config: RunConfig) -> str:
    """What makes two models the same kind: network, training and seed, as JSON with sorted keys."""
    return f'{{"model": {to_json(config.model)}, "seed": {config.seed}, "train": {to_json(config.train)}}}'


def _lineage(rows: pd.DataFrame, config_json: str) -> Lineage:
    same = rows[rows["config"] == config_json]
    if same.empty:
        return Lineage(other_settings=not rows.empty)
    tried = same["trained_through"].max()
    anew = same.loc[~same["parent_id"].isin(same["model_id"]), "trained_through"].max()  # its parent is a pool, or there is none
    promoted = same[same["promoted"]]
    if promoted.empty:
        return Lineage(tried_through=tried, anew_through=anew)
    # Where an evening was run twice the first run's model counts, so that a rerun finds what the first found.
    last = promoted[promoted["trained_as_of"] == promoted["trained_as_of"].max()].iloc[0]
    return Lineage(Promoted(last["model_id"], last["weights_sha256"], last["trained_through"]), tried, anew)


def lineages(history: pd.DataFrame, config_json: str) -> dict[str, Lineage]:
    """By ticker, from rows of `models` in the order of storing."""
    return {str(ticker): _lineage(rows, config_json) for ticker, rows in history.groupby("ticker")}


def _automatic(lineage: Lineage, calendar: TickerCalendar, cutoff: pd.Timestamp, train: TrainConfig, drifted: bool) -> Decision:
    good, tried = lineage.last_good, lineage.tried_through
    if tried is None:
        return Decision("retrain", "changed_settings" if lineage.other_settings else "no_model")
    if good is None:
        return Decision("retrain", "no_model")
    # Also a training whose model lost to its parent counts: the next night would decide the same again.
    if calendar.count_between(tried, cutoff) < train.fine_tune_every:
        return Decision("skip", "recent")
    if lineage.anew_through is None or calendar.count_between(lineage.anew_through, cutoff) >= train.refit_sessions:
        return Decision("retrain", "age")
    if drifted:
        return Decision("retrain", "drift")
    return Decision("fine_tune", "new_data")


def decide(
    strategy: Strategy, lineage: Lineage, calendar: TickerCalendar, cutoff: pd.Timestamp, train: TrainConfig, *, drifted: bool = False
) -> Decision:
    """The decision for one ticker whose last session is `cutoff`; `drifted`: its forecasts have become worse than naive ones
    since a model was last fitted anew."""
    if strategy == "forecast":
        return Decision("skip", "asked_for")
    if strategy == "retrain":
        return Decision("retrain", "asked_for")
    if strategy == "fine-tune":
        if lineage.last_good:
            return Decision("fine_tune", "asked_for")
        return Decision("retrain", "no_model")
    return _automatic(lineage, calendar, cutoff, train, drifted)
