"""A run's results as they grow from step to step, and the tables that come of them."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from forecast_lib.backtest.panels import Panels
from forecast_lib.backtest.run import TickerBacktest
from forecast_lib.config import ModelConfig, RunConfig
from forecast_lib.domain import STATUSES
from forecast_lib.errors import some_of
from forecast_lib.jobs.evaluate.backtests import backtest_tables
from forecast_lib.jobs.forecast.joint import joint_tables
from forecast_lib.jobs.forecast.tickers import (
    Answer,
    Question,
    driver_table,
    forecast_table,
    questions,
    weight_table,
)
from forecast_lib.jobs.ingest.beside import asked_names
from forecast_lib.jobs.ingest.ends import end_of
from forecast_lib.jobs.ingest.new_prices import Market, Problem
from forecast_lib.jobs.record import status_rows
from forecast_lib.jobs.record.settle import settle
from forecast_lib.jobs.record.statuses import degraded
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.jobs.refresh.decisions import model_config_json
from forecast_lib.jobs.refresh.models import Refreshed
from forecast_lib.jobs.refresh.pool import KeptPool
from forecast_lib.jobs.workspace import models_folder
from forecast_lib.models.bundle import Bundle, save
from forecast_lib.store.working import reads
from forecast_lib.store.working.hashing import forecasts_hash
from forecast_lib.store.working.store import Store
from forecast_lib.tables import empty

__all__ = [
    "Night",
    "failed",
    "fitted_anew",
    "frames",
    "keep_models",
    "summary",
    "to_forecast",
    "with_absent",
    "with_backtest",
    "with_ends",
    "with_forecasts",
    "with_outcomes",
    "with_problems",
    "with_scenarios",
]

_NAMED = 5


@dataclass(frozen=True)
class Night:
    """What a run has made so far.

    Attributes:
        served: ticker to the model that answers and its id.
        weights: ticker to the SHA-256 of the model trained tonight.
        pool: the pooled networks that tickers were fitted anew from, where any were.
        combination: columns of `forecast_weights`.
        drivers: columns of `forecast_drivers`.
        settled: columns of `forecast_outcomes`, and `made_by`.
        backtest: rows of the three backtest tables.
        tested_by: what trained the models of the backtest, in words.
        joint: frames of `scenarios` and `portfolio_forecasts`.
    """

    market: Market
    refreshed: tuple[Refreshed, ...] = ()
    served: Mapping[str, tuple[Bundle, str]] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    pool: KeptPool | None = None
    forecasts: pd.DataFrame = field(default_factory=lambda: empty("forecasts"))
    combination: pd.DataFrame = field(default_factory=lambda: empty("forecast_weights"))
    drivers: pd.DataFrame = field(default_factory=lambda: empty("forecast_drivers"))
    settled: pd.DataFrame = field(default_factory=lambda: empty("forecast_outcomes"))
    backtest: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    tested_by: frozenset[str] = frozenset()
    joint: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def with_ends(store: Store, market: Market, config: RunConfig) -> Market:
    """Find out whose prices have come to an end, and whether an earlier run said so."""
    behind, ended = status_rows.sessions_behind(market, config), {}
    for ticker, sessions in behind.items():
        problem = market.problems.get(ticker)
        last = pd.Timestamp(market.series[ticker].sessions[-1])
        rule, refused = problem.rule if problem else None, market.rows_refused.get(ticker, 0)
        if end := end_of(ticker, last, sessions, rule, refused, config.source.name):
            ended[ticker] = end
    if not ended:
        return market
    before = reads.read_last_statuses(store.con, list(ended), config.as_of)
    said = {
        ticker: dataclasses.replace(end, said_before=before.get(ticker) == "ended")
        for ticker, end in ended.items()
    }
    return dataclasses.replace(market, ended=said)


def keep_models(
    config: RunConfig, market: Market, refreshed: Sequence[Refreshed], pool: KeptPool | None
) -> Night:
    """Write tonight's weights to disk; until the run is stored nothing refers to them."""
    folder = models_folder(config.workspace)
    weights = {each.ticker: save(each.trained.bundle, folder) for each in refreshed if each.trained}
    served = {
        each.ticker: (each.served, weights[each.ticker][:16] if each.served_new else str(each.parent_id))
        for each in refreshed
        if each.served
    }
    return Night(market, tuple(refreshed), served, weights, pool)


def fitted_anew(tonight: Night) -> frozenset[str]:
    """Tickers that were fitted anew tonight."""
    return frozenset(
        each.ticker for each in tonight.refreshed if each.trained and each.decision.action == "retrain"
    )


def with_problems(tonight: Night, problems: Mapping[str, Problem]) -> Night:
    """Add what went wrong with tickers after their prices were read; a problem with the prices goes first."""
    market = dataclasses.replace(tonight.market, problems={**problems, **tonight.market.problems})
    return dataclasses.replace(tonight, market=market)


def with_backtest(
    tonight: Night,
    config: RunConfig,
    results: Sequence[TickerBacktest],
    panels: Panels,
    seconds: float,
    models: tuple[ModelConfig, ...] = (),
) -> Night:
    """Add the backtest's tables, but for the forecasts, which are on their way.

    Args:
        panels: of the results' losses.
        models: where others than the night's own were tested.
    """
    tables = backtest_tables(
        results,
        panels,
        models or (config.model,),
        config.backtest,
        run_id=config.run_id,
        as_of=pd.Timestamp(config.as_of.day),
        seconds=seconds,
    )
    tested_by = frozenset[str]().union(*(result.trained_by for result in results))
    return dataclasses.replace(tonight, backtest=tables, tested_by=tested_by)


def to_forecast(tonight: Night, config: RunConfig) -> list[Question]:
    """Every ticker with a history, and who answers for it."""
    return questions(tonight.market, tonight.served, config.tickers)


def with_forecasts(
    tonight: Night, config: RunConfig, asked: Sequence[Question], made: Sequence[Answer]
) -> Night:
    """Add the forecasts that answer the questions, and what drives their widths."""
    forecasts = [each.forecast for each in made]
    return dataclasses.replace(
        tonight,
        forecasts=forecast_table(asked, forecasts, tonight.market, config.run_id, config.as_of.day),
        combination=weight_table(asked, forecasts, config.run_id),
        drivers=driver_table(asked, [each.drivers for each in made], config.run_id),
    )


def with_scenarios(tonight: Night, config: RunConfig) -> Night:
    """Add what the forecasts say of all tickers together."""
    behind = status_rows.sessions_behind(tonight.market, config)
    troubled = {ticker for ticker, sessions in behind.items() if sessions} | set(tonight.market.problems)
    return dataclasses.replace(
        tonight, joint=joint_tables(tonight.forecasts, tonight.market.series, troubled, config)
    )


def with_absent(store: Store, tonight: Night, config: RunConfig) -> Night:
    """Say which tickers had a forecast the night before and are not asked for tonight: a file that was
    mislaid, a line that fell out of a universe.
    """
    before = reads.read_run_before(store.con, config.as_of, config.tickers)
    if before.empty:
        return tonight
    then = reads.read_of_run(store.con, "run_tickers", before["run_id"].iloc[0])
    here = {*config.tickers, *(rename.was for rename in config.renames)}
    gone = sorted(set(then.loc[~then["status"].isin(["ended", "none"]), "ticker"]) - here)
    if not gone:
        return tonight
    sentence = (
        f"forecast on {before['as_of'].iloc[0]:%Y-%m-%d} and not asked for now: {some_of(gone, _NAMED)}"
    )
    market = dataclasses.replace(tonight.market, passed_over=(*tonight.market.passed_over, sentence))
    return dataclasses.replace(tonight, market=market)


def with_outcomes(tonight: Night, config: RunConfig, unsettled: pd.DataFrame, now: dt.datetime) -> Night:
    """Settle what earlier runs forecast."""
    return dataclasses.replace(tonight, settled=settle(unsettled, tonight.market.series, now, config.run_id))


def frames(
    config: RunConfig, kind: str, tonight: Night, now: dt.datetime, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Every table's new rows, the run's own row last known at `now`; of `backtest_forecasts` in parts."""
    market = tonight.market
    answered = frozenset(tonight.forecasts["ticker"]) if kind == "nightly" else frozenset(market.series)
    refreshed = {each.ticker: each for each in tonight.refreshed}
    served = {ticker: model_id for ticker, (_, model_id) in tonight.served.items()}
    statuses = status_rows.status_rows(market, refreshed, served, answered, config, kind)
    run = status_rows.run_row(
        config,
        kind,
        statuses,
        finished_at=pd.Timestamp(now).tz_localize(None),
        prices_hash=market.prices_hash,
        forecasts_hash=forecasts_hash(tonight.forecasts) if len(tonight.forecasts) else None,
        seconds=seconds,
        computed_by=status_rows.devices(tonight.refreshed, tonight.pool, tonight.tested_by),
        missing=market.missing,
    )
    return {
        "prices": market.prices.assign(run_id=config.run_id),
        "corporate_actions": market.actions.assign(run_id=config.run_id),
        "quarantined_prices": market.quarantined.assign(run_id=config.run_id),
        "price_verdicts": market.verdicts.assign(run_id=config.run_id),
        "price_gaps": market.gaps.assign(run_id=config.run_id),
        "quality_counts": market.findings.assign(run_id=config.run_id),
        "covariates": market.beside.new_covariates.assign(run_id=config.run_id),
        "events": market.beside.new_events.assign(run_id=config.run_id),
        "runs": run,
        "run_tickers": statuses,
        "models": status_rows.model_rows(
            tonight.refreshed,
            tonight.weights,
            tonight.pool,
            config,
            model_config_json(config, asked_names(market.beside, config)),
        ),
        "covariate_trials": status_rows.trial_rows(tonight.pool, config.run_id),
        "forecasts": tonight.forecasts,
        "forecast_weights": tonight.combination,
        "forecast_drivers": tonight.drivers,
        "forecast_outcomes": tonight.settled.drop(columns="made_by", errors="ignore"),
        **tonight.joint,
        **tonight.backtest,
    }


def failed(made: Mapping[str, Any]) -> bool:
    """Whether there is nothing to publish."""
    return bool(made["runs"]["status"].iloc[0] == "failed")


def summary(
    config: RunConfig,
    made: Mapping[str, Any],
    seconds: Mapping[str, float],
    *,
    published: Path | None = None,
    report: Path | None = None,
    notices: tuple[str, ...] = (),
) -> RunSummary:
    """The run in a few values."""
    run, statuses = made["runs"].iloc[0], made["run_tickers"]
    counts = statuses["status"].value_counts()
    looked_at = degraded(zip(statuses["status"], statuses["reason"], strict=True))
    return RunSummary(
        run_id=config.run_id,
        kind=run["kind"],
        status=run["status"],
        as_of=config.as_of.day,
        message=run["message"],
        simulated=config.source.name == "simulated",
        tickers={status: int(counts.get(status, 0)) for status in STATUSES},
        degraded=tuple(statuses.loc[looked_at, ["ticker", "status", "reason"]].to_dict("records")),
        flags=tuple(statuses.loc[statuses["flags"].notna(), ["ticker", "flags"]].to_dict("records")),
        report=str(report) if report else None,
        published=str(published) if published else None,
        forecasts_hash=run["forecasts_hash"],
        seconds={name: round(value, 3) for name, value in seconds.items()},
        notices=notices,
    )
