"""Forecasts of every ticker that has a history: its model, where it has one, and the baselines, combined; and
why each interval is as wide as it is.

A shard is a few tickers' questions; like every shard it opens no database, and what it answers for one ticker
depends on that one alone.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from forecast_lib.distribution import expected_shortfalls
from forecast_lib.drivers import Before, Drivers, driver_rows, drivers
from forecast_lib.forecast import COMBINED, Combined, announced_dividends, last_evenings
from forecast_lib.jobs.forecast.remembered import recalled, remember
from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.models.bundle import Bundle
from forecast_lib.tables import QUANTILE_COLUMNS, SHORTFALL_COLUMNS, empty
from forecast_lib.windows.series import TickerSeries

__all__ = [
    "FEWEST_SESSIONS",
    "Answer",
    "Question",
    "driver_table",
    "forecast_shard",
    "forecast_table",
    "questions",
    "weight_table",
]

FEWEST_SESSIONS = 10
"""Below so many sessions not even a baseline has a volatility to stand on."""


@dataclass(frozen=True)
class Question:
    """A ticker whose next sessions are to be forecast.

    Attributes:
        model, model_id: its model and the model's id, where it has one.
        before: what the run before published of it, or why there is nothing to compare with, in a word.
    """

    series: TickerSeries
    model: Bundle | None = None
    model_id: str | None = None
    before: Before | str = "first"


@dataclass(frozen=True)
class Answer:
    """A ticker's forecasts from its last session, and what drives their widths."""

    forecast: Combined
    drivers: Drivers


def questions(
    market: Market, served: Mapping[str, tuple[Bundle, str]], tickers: Sequence[str]
) -> list[Question]:
    """One for every ticker with enough history that goes on, in the order of `tickers`.

    Args:
        served: ticker to its model and the model's id.
    """
    going_on = market.going_on
    able = [
        going_on[ticker]
        for ticker in tickers
        if ticker in going_on and len(going_on[ticker]) >= FEWEST_SESSIONS
    ]
    return [Question(each, *served.get(each.ticker, (None, None))) for each in able]


def forecast_shard(shard: Sequence[Question], horizon: int, remembered: Path | None = None) -> list[Answer]:
    """Each ticker's forecasts from its last session, and what drives their widths.

    Args:
        remembered: folder of what their models have said before; where there is none, all is asked anew.
    """
    return [_answer(question, horizon, remembered) for question in shard]


def _answer(question: Question, horizon: int, folder: Path | None) -> Answer:
    series, remembered = question.series, None
    if folder is not None and question.model_id is not None:
        remembered = recalled(folder, series.ticker, question.model_id)
    evenings = last_evenings(question.model, series, horizon, remembered)
    driven = drivers(question.model, series, evenings, question.before)
    if folder is not None and remembered is not None:
        remember(folder, series.ticker, remembered)
    # without those cutoffs whose outcomes weighed the parts: half a megabyte a ticker
    return Answer(evenings.part(np.array([-1])), driven)


def _model_id(question: Question, made: Combined) -> str | None:
    """Of the model that has a part in the forecast."""
    return question.model_id if question.model and question.model.network.variant in made.parts else None


def forecast_table(
    asked: Sequence[Question], made: Sequence[Combined], market: Market, run_id: str, day: dt.date
) -> pd.DataFrame:
    """Columns of `forecasts` but the source: of each question's answer one row a step, in the order of the
    questions.

    Args:
        day: of the run's evening.
    """
    columns = list(empty("forecasts").columns.drop("source"))
    if not asked:
        return empty("forecasts")[columns]
    horizon = made[0].weights.shape[2]
    cutoffs = [pd.Timestamp(question.series.sessions[-1]) for question in asked]
    targets = [
        market.calendars[each.series.ticker].following(cutoff, horizon)
        for each, cutoff in zip(asked, cutoffs, strict=True)
    ]
    quantiles = np.concatenate([each.forecasts.quantiles[0] for each in made])
    splits = market.beside.splits_to_come(day)
    same = pd.DataFrame(
        {
            "run_id": run_id,
            "ticker": [question.series.ticker for question in asked],
            "model_id": [_model_id(*each) for each in zip(asked, made, strict=True)],
            "made_by": COMBINED,
            "cutoff": np.array(cutoffs, "datetime64[us]"),
            "last_close": [question.series.close[-1] for question in asked],
            "currency": [market.currencies[question.series.ticker] for question in asked],
        }
    )
    each_step = same.loc[same.index.repeat(horizon)].reset_index(drop=True)
    return each_step.assign(
        step=np.tile(np.arange(1, horizon + 1), len(asked)),
        target_session=np.concatenate([days.to_numpy("datetime64[us]") for days in targets]),
        point=np.concatenate([each.forecasts.point[0] for each in made]),
        sigma=np.concatenate([each.forecasts.sigma[0] for each in made]),
        **dict(zip(QUANTILE_COLUMNS, quantiles.T, strict=True)),
        **dict(zip(SHORTFALL_COLUMNS, expected_shortfalls(quantiles), strict=True)),
        dividend=np.concatenate([announced_dividends(each.series, horizon) for each in asked]),
        split=np.concatenate(
            [
                _announced_splits(splits.get(each.series.ticker), days)
                for each, days in zip(asked, targets, strict=True)
            ]
        ),
    )[columns]


def _announced_splits(to_come: pd.DataFrame | None, targets: pd.DatetimeIndex) -> np.ndarray:
    """(targets,) shares that one share of tonight will have become by each of them."""
    if to_come is None:
        return np.ones(len(targets))
    by_then = to_come["session"].to_numpy("datetime64[D]") <= targets.to_numpy("datetime64[D]")[:, None]
    return np.where(by_then, to_come["value"].to_numpy(np.float64), 1.0).prod(axis=1)


def weight_table(asked: Sequence[Question], made: Sequence[Combined], run_id: str) -> pd.DataFrame:
    """Columns of `forecast_weights` but the source: what each part said and how much it counted; those
    without a forecast are left out.
    """
    columns = list(empty("forecast_weights").columns.drop("source"))
    if not asked:
        return empty("forecast_weights")[columns]
    steps = np.arange(1, made[0].weights.shape[2] + 1)
    sizes = [len(steps) * len(each.parts) for each in made]
    said = [part for each in made for part in each.parts.values()]
    quantiles = np.concatenate([part.quantiles[0] for part in said])
    rows = pd.DataFrame(
        {
            "run_id": run_id,
            "ticker": np.repeat([question.series.ticker for question in asked], sizes),
            "step": np.tile(steps, len(said)),
            "model": np.repeat([name for each in made for name in each.parts], len(steps)),
            "weight": np.concatenate([each.weights[:, 0].ravel() for each in made]),
            "point": np.concatenate([part.point[0] for part in said]),
            "sigma": np.concatenate([part.sigma[0] for part in said]),
            **dict(zip(QUANTILE_COLUMNS, quantiles.T, strict=True)),
        }
    )
    return rows.loc[rows["point"].notna(), columns].reset_index(drop=True)


def driver_table(asked: Sequence[Question], made: Sequence[Drivers], run_id: str) -> pd.DataFrame:
    """Columns of `forecast_drivers` but the source."""
    columns = list(empty("forecast_drivers").columns.drop("source"))
    if not asked:
        return empty("forecast_drivers")[columns]
    rows = driver_rows(made)
    names = np.array([question.series.ticker for question in asked], dtype=object)
    return rows.assign(run_id=run_id, ticker=names[rows["of"].to_numpy()])[columns].reset_index(drop=True)
