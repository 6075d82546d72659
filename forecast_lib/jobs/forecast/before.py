"""What the nightly run before published of each ticker, for the drivers of tonight's widths."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from forecast_lib.config import RunConfig
from forecast_lib.drivers import COVARIATE, Before, log_width
from forecast_lib.errors import ModelDamaged
from forecast_lib.jobs.forecast.tickers import Question
from forecast_lib.jobs.record.status_rows import code_version, libraries
from forecast_lib.jobs.workspace import models_folder
from forecast_lib.models.bundle import load_bundle
from forecast_lib.store.working import database, reads
from forecast_lib.tables import QUANTILE_COLUMNS

__all__ = ["read_answered", "with_before"]


@dataclasses.dataclass(frozen=True)
class _Published:
    """The rows of the run before, and the SHA-256 of the weights of the models that answered."""

    forecasts: Mapping[str, pd.DataFrame]
    covariates: Mapping[str, pd.DataFrame]
    weights: Mapping[str, str]


def with_before(config: RunConfig, asked: Sequence[Question]) -> list[Question]:
    """The questions with what each ticker's forecast is to be compared with, or why there is nothing.

    A model that still answers is not read again; one that was replaced, and is no longer to be read, leaves
    its ticker without a comparison.
    """
    published = _read(config)
    return [dataclasses.replace(each, before=_before(config, each, published)) for each in asked]


def read_answered(config: RunConfig) -> dict[str, tuple[str, str]]:
    """By ticker, the id of the model that answered in the run before and the SHA-256 of its weights."""
    with database.open_working(config.workspace, config.as_of.now) as con:
        found = reads.read_run_before(con, config.as_of)
        if found.empty:
            return {}
        answered = reads.read_of_run(con, "forecasts", found.iloc[0]["run_id"]).dropna(subset="model_id")
        weights = reads.read_weights_of(con, answered["model_id"].unique().tolist())
    pairs = zip(answered["ticker"], answered["model_id"], strict=True)
    return {ticker: (model_id, weights[model_id]) for ticker, model_id in pairs}


def _read(config: RunConfig) -> _Published | str:
    with database.open_working(config.workspace, config.as_of.now) as con:
        found = reads.read_run_before(con, config.as_of)
        if found.empty:
            return "first"
        run = found.iloc[0]
        asked = reads.read_of_run(con, "run_tickers", run["run_id"])["ticker"]
        if set(asked) != set(config.tickers):
            return "universe"
        made_with = json.loads(run["libraries"])
        if (run["code_version"], {name: made_with.get(name) for name in libraries()}) != (
            code_version(),
            libraries(),
        ):
            return "version"
        forecasts = reads.read_of_run(con, "forecasts", run["run_id"])
        drivers = reads.read_of_run(con, "forecast_drivers", run["run_id"])
        weights = reads.read_weights_of(con, forecasts["model_id"].dropna().unique().tolist())
    covariates = drivers[drivers["driver"].str.startswith(COVARIATE)]
    return _Published(
        {str(ticker): rows for ticker, rows in forecasts.groupby("ticker")},
        {str(ticker): rows for ticker, rows in covariates.groupby("ticker")},
        weights,
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
