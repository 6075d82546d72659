"""What a run was asked to do, as frozen values; grouped by who uses them. Ranges are checked when built."""

import dataclasses
import datetime as dt
import hashlib
import json
import pkgutil
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from forecast_lib.domain import MAX_HORIZON, AsOf, Ticker
from forecast_lib.errors import UsageError

__all__ = [
    "ARMS",
    "VARIANTS",
    "Arm",
    "BacktestConfig",
    "BesideConfig",
    "ModelConfig",
    "Rename",
    "RunConfig",
    "RunnerName",
    "SourceConfig",
    "SourceName",
    "Strategy",
    "TrainConfig",
    "config_hash",
    "to_json",
]

Strategy = Literal["auto", "retrain", "fine-tune", "forecast"]
Arm = Literal["retrain", "fine-tune", "none"]
SourceName = Literal["simulated", "files", "yahoo"]
RunnerName = Literal["threads", "processes", "dask"]
VARIANTS = tuple(
    sorted(each.name for each in pkgutil.iter_modules([str(Path(__file__).parent / "models" / "variants")]))
)
"""The names of their files; none is loaded for it."""
ARMS: tuple[str, ...] = get_args(Arm)


def _choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{name} {value!r} is not known: expected one of {', '.join(known)}")


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} {value} is out of range: expected {low} to {high}")


@dataclass(frozen=True)
class ModelConfig:
    """The network and what it sees.

    Attributes:
        variant: name of its file in `models/variants/`.
        layers: recurrent layers, one on top of the other; `None` takes the variant's own default.
        units: width of each recurrent layer.
        lookback: sessions a window may see, the cutoff included.
        horizon: steps after the cutoff that are forecast, each by its own output.
        dropout: share of each recurrent layer's outputs dropped in training.
    """

    variant: str = "stacked"
    layers: int | None = None
    units: int = 50
    lookback: int = 60
    horizon: int = 5
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _choice("model", self.variant, VARIANTS)
        if self.layers is None:  # a frozen value may still complete itself
            object.__setattr__(self, "layers", 2 if self.variant == "stacked" else 1)
        layers = self.layers or 0
        _within("layers", layers, 1, 8)
        if self.variant == "stacked" and layers < 2:
            raise UsageError(
                f"layers {layers} is too few for model 'stacked': expected 2 or more; use 'lstm' for one"
            )
        _within("units", self.units, 1, 1024)
        _within("lookback", self.lookback, 2, 500)
        _within("horizon", self.horizon, 1, MAX_HORIZON)
        _within("dropout", self.dropout, 0.0, 0.9)


@dataclass(frozen=True)
class TrainConfig:
    """How much, and how, models are trained. One *epoch* is some optimiser steps followed by a validation.

    Attributes:
        members: pooled networks, each with its own seed, whose answers are averaged.
        batch_size: chunks in one optimiser step of a pooled network; `steps_per_epoch` and at most `epochs`
            of them.
        fine_tune_batch_size: the same of one ticker's fine-tuning, with `fine_tune_steps` and
            `fine_tune_epochs`.
        patience: epochs without a better validation loss before training stops; the best epoch's weights are
            kept.
        validation_sessions: the last sessions before the cutoff, never fitted on.
        refit_sessions: with strategy `auto`, a model older than so many sessions is retrained.
        fine_tune_every: with strategy `auto`, a model older than so many sessions is fine-tuned.
    """

    members: int = 3
    batch_size: int = 32
    steps_per_epoch: int = 20
    epochs: int = 30
    fine_tune_batch_size: int = 16
    fine_tune_steps: int = 4
    fine_tune_epochs: int = 3
    patience: int = 5
    learning_rate: float = 1e-3
    fine_tune_learning_rate: float = 5e-4
    validation_sessions: int = 250
    refit_sessions: int = 60
    fine_tune_every: int = 5

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            if each.type is int and each.name not in ("members", "validation_sessions"):
                _within(each.name, getattr(self, each.name), 1, 100_000)
        _within("members", self.members, 1, 100)
        _within("validation_sessions", self.validation_sessions, 20, 5_000)
        for name in ("learning_rate", "fine_tune_learning_rate"):
            _within(name, getattr(self, name), 1e-7, 1.0)


@dataclass(frozen=True)
class BacktestConfig:
    """Rolling-origin backtest over the last part of each history.

    Attributes:
        test_share: share of the sessions, at the end, whose cutoffs are scored.
        folds: how often the model is fitted anew along the test part; 1 fits once, before it.
        arms: instead of folds, the nights of the test part are replayed, once for each of these: `fine-tune`
            as the nights are with strategy `auto`; `retrain` without the fine-tunes; `none` trains once, at
            the start. Empty: folds.
        embargo: sessions between the last target that a model is fitted or judged on and the first cutoff it
            is tested at. 0, as at night: that target is the cutoff's own close, known there, and no session
            is learned from and
                tested (see `splits`).
        window_sessions: models learn from so many of the newest sessions (rolling); None: from all
            (expanding).
    """

    test_share: float = 0.2
    folds: int = 1
    arms: tuple[Arm, ...] = ()
    embargo: int = 0
    window_sessions: int | None = None

    def __post_init__(self) -> None:
        _within("test_share", self.test_share, 0.01, 0.9)
        _within("folds", self.folds, 1, 500)
        _within("embargo", self.embargo, 0, 250)
        for arm in self.arms:
            _choice("arms", arm, ARMS)
        if self.arms and self.folds != 1:
            raise UsageError(
                f"folds {self.folds} and arms {','.join(self.arms)} exclude each other: arms follow the"
                " nightly schedule"
            )
        if self.window_sessions is not None:
            _within("window", self.window_sessions, 100, 100_000)


# The last letter is small in codes of a hundredth, such as GBp.
_CURRENCY = re.compile(r"[A-Z]{2}[A-Za-z]", re.ASCII)


@dataclass(frozen=True)
class SourceConfig:
    """Where prices come from. `path`, `mixed_dates` and `currency` are for `files` only; `market_seed` for
    the simulated market only; the rest for `yahoo` only.

    Attributes:
        mixed_dates: read a date column that mixes two styles if one order of day and month fits all of it;
            else it is refused.
        currency: of tickers whose rows name none.
        proxy: address of an HTTP proxy. May hold a password: it is neither shown nor stored.
        requests_at_once: tickers asked for at the same time.
        pause_s: seconds that a place stays taken after each ticker.
    """

    name: SourceName = "simulated"
    path: Path | None = None
    market_seed: int = 0
    mixed_dates: bool = False
    currency: str | None = None
    proxy: str | None = field(default=None, repr=False, metadata={"secret": True})
    requests_at_once: int = 2
    pause_s: float = 0.25

    def __post_init__(self) -> None:
        _choice("source", self.name, get_args(SourceName))
        if self.currency is not None and not _CURRENCY.fullmatch(self.currency):
            raise UsageError(
                f"currency {self.currency[:20]!a} is no currency: expected a code such as USD, EUR or GBp"
            )
        _within("requests_at_once", self.requests_at_once, 1, 2)  # Yahoo answers larger crowds with 429
        _within("pause", self.pause_s, 0.0, 60.0)
        if self.name == "files" and self.path is None:
            raise UsageError(
                "source 'files' needs a path: give --files PATH, a CSV or Parquet file or a folder of"
                " TICKER.csv"
            )


@dataclass(frozen=True)
class BesideConfig:
    """What else is known beside the prices of the tickers.

    Attributes:
        covariates: file of named series.
        tickers: of the price source, that serve as covariates; they are stored as prices are, and nothing is
            forecast for them.
        events: file of events.
        calendars: ask the source when companies report.
    """

    covariates: Path | None = None
    tickers: tuple[Ticker, ...] = ()
    events: Path | None = None
    calendars: bool = False


@dataclass(frozen=True)
class Rename:
    """A ticker that goes on under another name: `was` until the session before the day `on`, `now` from then
    on.
    """

    was: Ticker
    now: Ticker
    on: dt.date


@dataclass(frozen=True)
class RunConfig:
    """Everything one run was asked to do; built by the settings, handed down, never changed.

    Attributes:
        also: further models that a backtest compares with `model`.
        dask_scheduler: address of the scheduler whose workers `runner` dask uses; None starts some on this
            machine.
        renames: whose past is stored under another name, in the order of their days.
        rules: severities of quality rules that differ from the usual ones, for example
            `zero_volume=drop_row`.
        backfilled: the night of an earlier evening on which no run finished, made up for by a scheduled run.
    """

    run_id: str
    workspace: Path
    tickers: tuple[Ticker, ...]
    as_of: AsOf
    source: SourceConfig = SourceConfig()
    model: ModelConfig = ModelConfig()
    also: tuple[ModelConfig, ...] = ()
    train: TrainConfig = TrainConfig()
    backtest: BacktestConfig = BacktestConfig()
    strategy: Strategy = "auto"
    seed: int = 0
    runner: RunnerName = "threads"
    workers: int = 2
    dask_scheduler: str | None = None
    shard_size: int = 8
    keep_snapshots: int = 7
    renames: tuple[Rename, ...] = ()
    rules: tuple[str, ...] = ()
    beside: BesideConfig = BesideConfig()
    backfilled: bool = False

    def __post_init__(self) -> None:
        _choice("strategy", self.strategy, get_args(Strategy))
        _choice("runner", self.runner, get_args(RunnerName))
        _within("seed", self.seed, 0, 2**31 - 1)
        _within("workers", self.workers, 1, 256)
        _within("shard_size", self.shard_size, 1, 10_000)
        _within("keep_snapshots", self.keep_snapshots, 1, 10_000)
        if not self.tickers:
            raise UsageError(
                "the universe is empty: expected at least one ticker; give --tickers A,B or --universe FILE"
            )


_PLACE_AND_TIME = ("run_id", "workspace", "as_of", "backfilled", "dask_scheduler")


def to_json(config: Any) -> str:
    """A config as JSON with sorted keys; paths and dates as text, secrets left out. What is stored in the
    tables.
    """
    return json.dumps(_shown(config), sort_keys=True, default=str)


def _shown(value: Any) -> Any:
    """The value with dataclasses as mappings, without their secret fields."""
    if dataclasses.is_dataclass(value):
        return {
            each.name: _shown(getattr(value, each.name))
            for each in dataclasses.fields(value)
            if not each.metadata.get("secret")
        }
    return [_shown(each) for each in value] if isinstance(value, list | tuple) else value


def config_hash(config: RunConfig) -> str:
    """First 16 hex digits of the SHA-256 of a run's settings; the same for two nights that differ only in
    run, evening and place.
    """
    settings = {name: value for name, value in _shown(config).items() if name not in _PLACE_AND_TIME}
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]
