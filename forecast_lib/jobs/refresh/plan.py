"""What tonight's work is: a decision for each ticker, its last good model, and the work cut into shards."""

import dataclasses
import datetime as dt
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import pandas as pd

from forecast_lib.config import RunConfig
from forecast_lib.errors import ModelDamaged
from forecast_lib.jobs.forecast.tickers import FEWEST_SESSIONS
from forecast_lib.jobs.ingest.new_prices import Market, Problem
from forecast_lib.jobs.refresh.decisions import (
    Decision,
    Lineage,
    Worth,
    chunks_of,
    decide,
    lineages,
    model_config_json,
    worths,
)
from forecast_lib.jobs.refresh.drift import has_drifted
from forecast_lib.jobs.refresh.models import Work
from forecast_lib.jobs.refresh.pool import KeptPool
from forecast_lib.jobs.workspace import models_folder
from forecast_lib.models.bundle import Bundle, load_bundle
from forecast_lib.models.training import POOL
from forecast_lib.store.working import reads
from forecast_lib.store.working.store import Store

__all__ = [
    "drifted_since_fit",
    "label",
    "plan_refresh",
    "read_drifted",
    "read_lineages",
    "read_worths",
    "shards",
    "with_pool",
]

Item = TypeVar("Item")


_LIGHTER = 8
"""A task run costs some 50 ms beside its work, here and in Prefect's server: as much as training one ticker,
or forecasting seven.
"""


def shards(items: Sequence[Item], config: RunConfig, *, light: bool = False) -> list[tuple[Item, ...]]:
    """The items in their order, cut so that every worker gets several and none more than `shard_size`;
    results do not depend on it.

    Args:
        light: each is the work of milliseconds: eight times `shard_size` at most.
    """
    most = config.shard_size * (_LIGHTER if light else 1)
    size = max(1, min(most, math.ceil(len(items) / (2 * config.workers))))
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]


def label(tickers: Sequence[str]) -> str:
    """A shard's name for people.

    >>> label(["AAPL"]), label(["AAPL", "MSFT", "XOM"])
    ('AAPL', 'AAPL..XOM')
    """
    return tickers[0] if len(tickers) == 1 else f"{tickers[0]}..{tickers[-1]}"


def read_lineages(store: Store, config: RunConfig, asked: Sequence[str] = ()) -> dict[str, Lineage]:
    """The registry as this run may know it, the pool's own lineage under `*`.

    Args:
        asked: covariates and events that the run is asked to try.

    Models trained on the run's own evening do not count, so that a rerun of an evening finds what the first
    run found; except for the strategy `forecast`, which is there to use them. Neither do those of runs
    started after its known-at.
    """
    before = config.as_of.day + dt.timedelta(days=1 if config.strategy == "forecast" else 0)
    history = reads.read_model_history(
        store.con, (*config.tickers, POOL), config.model.variant, before, config.as_of.known_at
    )
    return lineages(history, model_config_json(config, asked))


def read_drifted(store: Store, config: RunConfig, known: dict[str, Lineage]) -> frozenset[str]:
    """Tickers whose forecasts have become worse than the naive ones since their model was fitted anew, as
    this run may know it.
    """
    losses = reads.read_losses(
        store.con, config.tickers, config.model.variant, config.as_of.day, config.as_of.known_at
    )
    columns = {name: losses[name].to_numpy() for name in ("target_session", "pinball", "baseline_pinball")}
    return frozenset(
        str(ticker)
        for ticker, rows in losses.groupby("ticker").indices.items()
        if drifted_since_fit(
            {name: values[rows] for name, values in columns.items()}, known.get(str(ticker), Lineage())
        )
    )


def drifted_since_fit(losses: Mapping[str, np.ndarray], lineage: Lineage) -> bool:
    """Whether the forecasts of a ticker's last good model have become worse than the naive ones since its
    line was fitted anew.

    Args:
        losses: target_session, pinball and baseline_pinball of its settled forecasts of one step, by session.
    """
    if lineage.last_good is None or lineage.anew_through is None:
        return False
    since = losses["target_session"] > np.datetime64(lineage.anew_through)
    return has_drifted(losses["pinball"][since], losses["baseline_pinball"][since])


def read_worths(store: Store, config: RunConfig, asked: Sequence[str] = ()) -> dict[str, Worth]:
    """What trainings of these settings gained and cost in the year before, all tickers together, as this run
    may know it.
    """
    settings = model_config_json(config, asked)
    log = reads.read_training_log(
        store.con, config.model.variant, settings, config.as_of.day, config.as_of.known_at
    )
    return worths(log, chunks_of(config.train, len(config.tickers)))


def _parent(config: RunConfig, ticker: str, lineage: Lineage) -> tuple[Bundle | None, bool]:
    """The last good model, and whether it is damaged."""
    if lineage.last_good is None:
        return None, False
    try:
        return load_bundle(models_folder(config.workspace), lineage.last_good.weights_sha256, ticker), False
    except ModelDamaged:
        return None, True


def _work(
    config: RunConfig, market: Market, ticker: str, lineage: Lineage, drifted: bool, log: Mapping[str, Worth]
) -> Work:
    series = market.series[ticker]
    cutoff = pd.Timestamp(series.sessions[-1])
    decision = decide(
        config.strategy, lineage, market.calendars[ticker], cutoff, config.train, drifted=drifted, log=log
    )
    parent, damaged = _parent(config, ticker, lineage)
    if damaged:
        lineage = Lineage(tried_through=lineage.tried_through)
        decision = Decision("skip" if config.strategy == "forecast" else "retrain", "model_damaged")
    if ticker in market.problems and parent is not None:
        decision = Decision("skip", "no_new_prices")
    return Work(series, decision, parent, lineage.last_good.model_id if lineage.last_good else None)


def with_pool(work: Sequence[Work], kept: KeptPool | Problem | None) -> list[Work]:
    """The work with what each training goes on from."""
    return [_started(each, kept) for each in work]


def _started(work: Work, kept: KeptPool | Problem | None) -> Work:
    if work.decision.action == "skip":
        return work
    if work.decision.action == "fine_tune":
        return dataclasses.replace(work, start=work.parent, start_id=work.parent_id)
    if isinstance(kept, KeptPool):
        return dataclasses.replace(work, start=kept.pool, start_id=kept.model_id, pool_sha256=kept.sha256)
    return dataclasses.replace(work, problem=kept)


def plan_refresh(
    config: RunConfig,
    market: Market,
    known: dict[str, Lineage],
    drifted: frozenset[str] = frozenset(),
    log: Mapping[str, Worth] = MappingProxyType({}),
) -> list[Work]:
    """Work for every ticker with enough history that goes on, in the order asked for."""
    going_on = market.going_on
    able = [
        ticker for ticker in config.tickers if ticker in going_on and len(going_on[ticker]) >= FEWEST_SESSIONS
    ]
    return [
        _work(config, market, ticker, known.get(ticker, Lineage()), ticker in drifted, log) for ticker in able
    ]
