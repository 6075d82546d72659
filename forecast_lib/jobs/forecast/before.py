"""What the nightly run before published of each ticker, for the drivers of tonight's widths.

Where that run was asked for other tickers, each ticker of both is compared with itself among those of then:
what they have in common is made anew of their histories, those that are no longer asked for among them.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from forecast_lib.config import RunConfig
from forecast_lib.covariates.inputs import COVARIATE, EVENT
from forecast_lib.domain import Ticker
from forecast_lib.drivers import Before, log_width
from forecast_lib.errors import ModelDamaged
from forecast_lib.jobs.forecast.commonality import with_common_volatility
from forecast_lib.jobs.forecast.known_inputs import with_known_inputs
from forecast_lib.jobs.forecast.tickers import Question
from forecast_lib.jobs.ingest.gaps import knowing_gaps
from forecast_lib.jobs.ingest.new_prices import Market, stored_market
from forecast_lib.jobs.record.status_rows import code_version, libraries
from forecast_lib.jobs.workspace import models_folder
from forecast_lib.models.bundle import load_bundle
from forecast_lib.store.working import reads
from forecast_lib.store.working.store import Store
from forecast_lib.tables import QUANTILE_COLUMNS
from forecast_lib.windows.series import TickerSeries

__all__ = ["read_answered", "with_before"]


@dataclasses.dataclass(frozen=True)
class _Published:
    """What the run before published, ticker by ticker.

    Attributes:
        widths: (horizon,) log widths.
        covariates: by driver, (horizon,) effects of covariates and events.
        cutoffs, models: what each started from, and which model answered.
        weights: by model, the SHA-256 of its weights.
        tickers: that it was asked for.
    """

    widths: Mapping[str, np.ndarray]
    covariates: Mapping[str, Mapping[str, np.ndarray]]
    cutoffs: Mapping[str, np.datetime64]
    models: Mapping[str, str]
    weights: Mapping[str, str]
    tickers: tuple[str, ...]


def with_before(store: Store, config: RunConfig, asked: Sequence[Question], market: Market) -> list[Question]:
    """The questions with what each ticker's forecast is to be compared with, or why there is nothing.

    A model that still answers is not read again; one that was replaced, and is no longer to be read, leaves
    its ticker without a comparison.
    """
    published = _read(store, config)
    among = {} if isinstance(published, str) else _among_those_of_then(store, config, market, published)
    return [dataclasses.replace(each, before=_before(config, each, published, among)) for each in asked]


def _among_those_of_then(
    store: Store, config: RunConfig, market: Market, published: _Published
) -> Mapping[str, TickerSeries]:
    """The histories of the tickers of both runs, with what they had in common with those of the run before;
    none where it was asked for the same.
    """
    gone = [Ticker(each) for each in published.tickers if each not in config.tickers]
    if not gone and len(published.tickers) == len(config.tickers):
        return {}
    stored = stored_market(store, gone, config.as_of)
    calendars = {**market.calendars, **stored.calendars}
    others = {**market.series, **knowing_gaps(stored.series, stored.calendars)}
    then = dataclasses.replace(
        market,
        series={ticker: others[ticker] for ticker in published.tickers if ticker in others},
        calendars={ticker: calendars[ticker] for ticker in published.tickers if ticker in calendars},
    )
    then = with_common_volatility(then, published.tickers, config.model, config.train)
    return with_known_inputs(then, config.as_of, config.model.horizon).series


def read_answered(store: Store, config: RunConfig) -> dict[str, tuple[str, str]]:
    """By ticker, the id of the model that answered in the run before and the SHA-256 of its weights; empty
    where there is no run to compare with.
    """
    published = _read(store, config)
    if isinstance(published, str):
        return {}
    return {ticker: (model, published.weights[model]) for ticker, model in published.models.items()}


def _read(store: Store, config: RunConfig) -> _Published | str:
    found = reads.read_run_before(store.con, config.as_of, config.tickers)
    if found.empty:
        return "first"
    run = found.iloc[0]
    statuses = reads.read_of_run(store.con, "run_tickers", run["run_id"])
    now, then = libraries(), json.loads(run["libraries"])
    if run["code_version"] != code_version() or now != {name: then.get(name) for name in now}:
        return "version"
    forecasts = reads.read_of_run(store.con, "forecasts", run["run_id"])
    covariates = reads.read_drivers(store.con, run["run_id"], (COVARIATE, EVENT))
    horizon = config.model.horizon
    quantiles = forecasts[list(QUANTILE_COLUMNS)].to_numpy(np.float64)
    first = forecasts.drop_duplicates("ticker").set_index("ticker")
    answered = first["model_id"].dropna()
    return _Published(
        _by_step(forecasts, log_width(quantiles), horizon),
        {
            str(ticker): _by_step(rows, rows["effect"].to_numpy(np.float64), horizon, "driver")
            for ticker, rows in covariates.groupby("ticker")
        },
        dict(zip(first.index, first["cutoff"].to_numpy("datetime64[D]"), strict=True)),
        answered.to_dict(),
        reads.read_weights_of(store.con, answered.unique().tolist()),
        tuple(statuses["ticker"]),
    )


def _by_step(
    rows: pd.DataFrame, values: np.ndarray, horizon: int, key: str = "ticker"
) -> dict[str, np.ndarray]:
    """By key, (horizon,) the value of each step; NaN where there is none."""
    place, names = pd.factorize(rows[key])
    step = rows["step"].to_numpy(np.int64)
    found = np.full((len(names), horizon), np.nan)
    found[place[step <= horizon], step[step <= horizon] - 1] = values[step <= horizon]
    return dict(zip(names, found, strict=True))


def _before(
    config: RunConfig,
    question: Question,
    published: _Published | str,
    among: Mapping[str, TickerSeries],
) -> Before | str:
    ticker = question.series.ticker
    if isinstance(published, str):
        return published
    if ticker not in published.widths:
        return "first"
    covariates = published.covariates.get(ticker, {})
    before = Before(
        published.cutoffs[ticker],
        published.widths[ticker],
        covariates=covariates,
        among=among.get(ticker),
    )
    model_id = published.models.get(ticker)
    if model_id is None or model_id == question.model_id:
        return dataclasses.replace(before, same_model=model_id == question.model_id)
    try:
        model = load_bundle(models_folder(config.workspace), published.weights[model_id], ticker)
    except (KeyError, ModelDamaged):
        return "weights"
    return dataclasses.replace(before, same_model=False, model=model)
