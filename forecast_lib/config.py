"""What a run was asked to do, as frozen values; grouped by who uses them. Ranges are checked when built.

A field with a `setting` is all there is to say of it: option, variable, key of profiles, field of a form and
row of the table of settings are made from it.
"""

import dataclasses
import datetime as dt
import hashlib
import json
import pkgutil
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from forecast_lib.domain import MAX_HORIZON, AsOf, Ticker
from forecast_lib.errors import UsageError
from forecast_lib.setting import refuse_impossible, setting, setting_of

__all__ = [
    "ARMS",
    "VARIANTS",
    "Arm",
    "BacktestConfig",
    "BesideConfig",
    "ModelConfig",
    "Policy",
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


@dataclass(frozen=True)
class ModelConfig:
    """The network and what it sees."""

    variant: str = setting(
        "stacked",
        "Network variant; a backtest compares several.",
        "VARIANT",
        option="model",
        kind="choices",
        choices=VARIANTS,
        form="Model",
    )
    layers: int | None = setting(
        None, "Recurrent layers; 2 for stacked and 1 for the others when not given.", "N", within=(1, 8)
    )
    units: int = setting(50, "Width of each recurrent layer.", "N", within=(1, 1024))
    lookback: int = setting(60, "Sessions that a window sees, the cutoff included.", "N", within=(2, 500))
    horizon: int = setting(5, "Sessions ahead to forecast.", "N", within=(1, MAX_HORIZON), form="Horizon")
    dropout: float = setting(
        0.0, "Share of each layer's outputs dropped in training.", "SHARE", within=(0.0, 0.9)
    )

    def __post_init__(self) -> None:
        if self.layers is None and self.variant in VARIANTS:  # a frozen value may still complete itself
            object.__setattr__(self, "layers", 2 if self.variant == "stacked" else 1)
        refuse_impossible(self)
        if self.variant == "stacked" and (self.layers or 0) < 2:
            raise UsageError(
                f"layers {self.layers} is too few for model 'stacked': expected 2 or more; use 'lstm' for one"
            )


_COUNT = (1, 100_000)


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

    members: int = setting(3, within=(1, 100))
    batch_size: int = setting(32, within=_COUNT)
    steps_per_epoch: int = setting(20, within=_COUNT)
    epochs: int = setting(30, "At most so many training epochs of the pooled networks.", "N", within=_COUNT)
    fine_tune_batch_size: int = setting(16, within=_COUNT)
    fine_tune_steps: int = setting(2, within=_COUNT)
    fine_tune_epochs: int = setting(2, within=_COUNT)
    patience: int = setting(5, within=_COUNT)
    learning_rate: float = setting(1e-3, within=(1e-7, 1.0))
    fine_tune_learning_rate: float = setting(1e-3, within=(1e-7, 1.0))
    validation_sessions: int = setting(250, within=(20, 5_000))
    refit_sessions: int = setting(60, within=_COUNT)
    fine_tune_every: int = setting(5, within=_COUNT)

    def __post_init__(self) -> None:
        refuse_impossible(self)


@dataclass(frozen=True)
class BacktestConfig:
    """Rolling-origin backtest over the last part of each history.

    `embargo` 0, as at night: the last target that a model is fitted or judged on is the cutoff's own close,
    known there, and no session is learned from and tested (see `splits`).
    """

    test_share: float = setting(
        0.2, "Share of the sessions, at the end, that is scored.", "SHARE", within=(0.01, 0.9)
    )
    folds: int = setting(1, "How often the model is fitted anew along the test part.", "N", within=(1, 500))
    arms: tuple[Arm, ...] = setting(
        (),
        "Replay the nights of the test part instead of folds, once for each of these: fine-tune as the nights"
        " are, retrain without their fine-tunes, none trains once. Shows what keeping models fresh gains, and"
        " what it costs.",
        "ARM",
        choices=ARMS,
        form="Arms",
        most=3,
    )
    embargo: int = setting(
        0,
        "Sessions held back before each test cutoff; 0 as at night, where none is needed.",
        "N",
        within=(0, 250),
    )
    window_sessions: int | None = setting(
        None,
        "Learn from so many of the newest sessions; from all when not given.",
        "N",
        option="window",
        within=(100, 100_000),
    )

    def __post_init__(self) -> None:
        refuse_impossible(self)
        if self.arms and self.folds != 1:
            raise UsageError(
                f"folds {self.folds} and arms {','.join(self.arms)} exclude each other: arms follow the"
                " nightly schedule"
            )


# The last letter is small in codes of a hundredth, such as GBp.
_CURRENCY = re.compile(r"[A-Z]{2}[A-Za-z]", re.ASCII)


@dataclass(frozen=True)
class SourceConfig:
    """Where prices come from. `path`, `mixed_dates` and `currency` are for `files` only; `market_seed` for
    the simulated market only; the rest for `yahoo` only.
    """

    name: SourceName = setting("simulated", "Where prices come from.", "NAME", option="source")
    path: Path | None = setting(
        None,
        "CSV or Parquet file, or a folder of TICKER.csv; implies --source files.",
        "PATH",
        option="files",
        implies=("source", "files"),
    )
    market_seed: int = setting(0, "Which simulated market: the same number gives the same series.", "N")
    mixed_dates: bool = setting(
        False,
        "Read a date column that mixes two styles, if one order of day and month fits all of it; else such a"
        " file is refused by line.",
    )
    currency: str | None = setting(
        None, "Currency of prices in files that have no currency column, for example EUR.", "CODE"
    )
    proxy: str | None = setting(
        None,
        "HTTP proxy for Yahoo, for example http://user:password@host:3128; better set as a variable, where no"
        " list of processes shows it.",
        "URL",
        kind="proxy",
        secret=True,
    )
    requests_at_once: int = setting(
        2,
        "Tickers that Yahoo is asked for at the same time, 1 or 2: larger crowds are refused.",
        "N",
        within=(1, 2),
    )
    pause_s: float = setting(
        0.25,
        "Seconds to wait after each ticker that Yahoo was asked for.",
        "SECONDS",
        option="pause",
        within=(0.0, 60.0),
    )

    def __post_init__(self) -> None:
        refuse_impossible(self)
        if self.currency is not None and not _CURRENCY.fullmatch(self.currency):
            raise UsageError(
                f"currency {self.currency[:20]!a} is no currency: expected a code such as USD, EUR or GBp"
            )
        if self.name == "files" and self.path is None:
            raise UsageError(
                "source 'files' needs a path: give --files PATH, a CSV or Parquet file or a folder of"
                " TICKER.csv"
            )


@dataclass(frozen=True)
class BesideConfig:
    """What else is known beside the prices of the tickers."""

    covariates: Path | None = setting(
        None,
        "CSV or Parquet file of series that are known beside prices: name, session, value, and maybe ticker"
        " and known_at. Each enters the models only where it pays.",
        "FILE",
    )
    tickers: tuple[Ticker, ...] = setting(
        (),
        "Tickers of the source that serve as covariates, for example ^VIX,^GSPC: stored as prices are, not"
        " forecast.",
        "A,B",
        option="covariate_tickers",
        form="Covariates",
        most=100,
    )
    events: Path | None = setting(
        None,
        "CSV or Parquet file of events, past and to come: session, kind, and maybe ticker, known_at and value"
        " (of ex_dividend and split). The exchange's own calendar is known without it.",
        "FILE",
    )
    calendars: bool = setting(
        False,
        "Ask the source each night when companies report and which splits are to come; the dates become"
        " events.",
    )


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
        renames: whose past is stored under another name, in the order of their days.
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
    strategy: Strategy = setting(
        "auto",
        "What to do with yesterday's models; auto decides for each ticker.",
        "NAME",
        form="Strategy",
        taken_with=ModelConfig,
    )
    seed: int = setting(0, "Seed of everything random in a run.", "N", within=(0, 2**31 - 1), form="Seed")
    runner: RunnerName = setting("threads", "What trains shards of tickers side by side.", "NAME")
    workers: int = setting(2, "How many shards are worked on at once.", "N", within=(1, 256))
    dask_scheduler: str | None = setting(
        None,
        "Scheduler whose workers --runner dask uses, for example tcp://10.0.0.5:8786; implies that runner."
        " When not given, that runner starts --workers processes of its own.",
        "ADDRESS",
        kind="scheduler",
        implies=("runner", "dask"),
    )
    shard_size: int = setting(16, "Tickers trained together in one task.", "N", within=(1, 10_000))
    keep_snapshots: int = setting(7, "Published files that are kept.", "N", within=(1, 10_000))
    renames: tuple[Rename, ...] = ()
    rules: tuple[str, ...] = setting(
        (),
        "Severities of quality rules that differ from the usual ones, RULE=SEVERITY with commas between; see"
        " the table of rules.",
        "RULES",
    )
    beside: BesideConfig = BesideConfig()
    backfilled: bool = False

    def __post_init__(self) -> None:
        refuse_impossible(self)
        if not self.tickers:
            raise UsageError(
                "the universe is empty: expected at least one ticker; give --tickers A,B or --universe FILE"
            )


@dataclass(frozen=True)
class Policy:
    """How much maintenance keeps. Every evening within `models_days` can be run again with the models of its
    time.
    """

    reports: int = setting(
        60,
        "Reports that are kept, besides those of the kept snapshots.",
        "N",
        option="keep_reports",
        within=_COUNT,
    )
    models_days: int = setting(
        90,
        "Days within which no model is removed; an evening since then can be run again with the models of its"
        " time.",
        "DAYS",
        option="keep_models_days",
        within=_COUNT,
    )

    def __post_init__(self) -> None:
        refuse_impossible(self)


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
            if not setting_of(each).secret
        }
    return [_shown(each) for each in value] if isinstance(value, list | tuple) else value


def config_hash(config: RunConfig) -> str:
    """First 16 hex digits of the SHA-256 of a run's settings; the same for two nights that differ only in
    run, evening and place.
    """
    settings = {name: value for name, value in _shown(config).items() if name not in _PLACE_AND_TIME}
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]
