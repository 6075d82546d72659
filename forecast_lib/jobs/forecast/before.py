"""What the nightly run before published of each ticker, for the drivers of tonight's widths."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from forecast_lib.config import RunConfig
from forecast_lib.covariates.inputs import COVARIATE, EVENT
from forecast_lib.drivers import Before, log_width
from forecast_lib.errors import ModelDamaged
from forecast_lib.jobs.forecast.tickers import Question
from forecast_lib.jobs.record.status_rows import code_version, libraries
from forecast_lib.jobs.workspace import models_folder
from forecast_lib.models.bundle import load_bundle
from forecast_lib.store.working import reads
from forecast_lib.store.working.store import Store
from forecast_lib.tables import QUANTILE_COLUMNS

__all__ = ["read_answered", "with_before"]


@dataclasses.dataclass(frozen=True)
class _Published:
    """The rows of the run before, and the SHA-256 of the weights of the models that answered."""

    forecasts: Mapping[str, pd.DataFrame]
    covariates: Mapping[str, pd.DataFrame]
    weights: Mapping[str, str]


def with_before(store: Store, config: RunConfig, asked: Sequence[Question]) -> list[Question]:
    """The questions with what each ticker's forecast is to be compared with, or why there is nothing.

    A model that still answers is not read again; one that was replaced, and is no longer to be read, leaves
    its ticker without a comparison.
    """
    published = _read(store, config)
    return [dataclasses.replace(each, before=_before(config, each, published)) for each in asked]


def read_answered(store: Store, config: RunConfig) -> dict[str, tuple[str, str]]:
    """By ticker, the id of the model that answered in the run before and the SHA-256 of its weights."""
    found = reads.read_run_before(store.con, config.as_of)
    if found.empty:
        return {}
    rows = reads.read_of_run(store.con, "forecasts", found.iloc[0]["run_id"]).dropna(subset="model_id")
    weights = reads.read_weights_of(store.con, rows["model_id"].unique().tolist())
    pairs = zip(rows["ticker"], rows["model_id"], strict=True)
    return {ticker: (model_id, weights[model_id]) for ticker, model_id in pairs}


def _read(store: Store, config: RunConfig) -> _Published | str:
    found = reads.read_run_before(store.con, config.as_of)
    if found.empty:
        return "first"
    run = found.iloc[0]
    forecasts, drivers, statuses = (
        reads.read_of_run(store.con, table, run["run_id"])
        for table in ("forecasts", "forecast_drivers", "run_tickers")
    )
    if set(statuses["ticker"]) != set(config.tickers):
        return "universe"
    now, then = libraries(), json.loads(run["libraries"])
    if run["code_version"] != code_version() or now != {name: then.get(name) for name in now}:
        return "version"
    covariates = drivers[drivers["driver"].str.startswith((COVARIATE, EVENT))]
    return _Published(
        {str(ticker): rows for ticker, rows in forecasts.groupby("ticker")},
        {str(ticker): rows for ticker, rows in covariates.groupby("ticker")},
        reads.read_weights_of(store.con, forecasts["model_id"].dropna().unique().tolist()),
    )


def _before(config: RunConfig, question: Question, published: _Published | str) -> Before | str:
    ticker = question.series.ticker
    if isinstance(published, str):
        return published
    if ticker not in published.forecasts:
        return "first"
    rows = published.forecasts[ticker]
    horizon = config.model.horizon
    width = _by_step(rows["step"], log_width(rows[list(QUANTILE_COLUMNS)].to_numpy(np.float64)), horizon)
    effects = {
        str(driver): _by_step(own["step"], own["effect"].to_numpy(np.float64), horizon)
        for driver, own in published.covariates.get(ticker, pd.DataFrame({"driver": []})).groupby("driver")
    }
    before = Before(rows["cutoff"].iloc[0].to_datetime64().astype("datetime64[D]"), width, covariates=effects)
    answered = rows["model_id"].iloc[0]
    model_id = None if pd.isna(answered) else str(answered)
    if model_id is None or model_id == question.model_id:
        return dataclasses.replace(before, same_model=model_id == question.model_id)
    try:
        model = load_bundle(models_folder(config.workspace), published.weights[model_id], ticker)
    except (KeyError, ModelDamaged):
        return "weights"
    return dataclasses.replace(before, same_model=False, model=model)


def _by_step(steps: pd.Series, values: np.ndarray, horizon: int) -> np.ndarray:
    """(horizon,) the value of each step; NaN where there is none."""
    by_step = pd.Series(values, steps.to_numpy())
    return by_step.reindex(range(1, horizon + 1)).to_numpy()
