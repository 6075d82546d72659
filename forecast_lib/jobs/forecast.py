"""Forecasts of every ticker that has a history: by its model, or by a baseline, which is then named.

A shard is a few tickers' questions; like every shard it opens no database, and what it answers for one ticker depends on that one alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast_lib.distribution import expected_shortfalls
from forecast_lib.forecast import Forecasts, forecast_with_baseline, forecast_with_model
from forecast_lib.jobs.ingest import Market
from forecast_lib.models.bundle import Bundle
from forecast_lib.tables import QUANTILE_COLUMNS, SHORTFALL_COLUMNS, empty
from forecast_lib.windows.series import TickerSeries

__all__ = ["FEWEST_SESSIONS", "Question", "forecast_shard", "forecast_table", "questions"]

FEWEST_SESSIONS = 10
"""Below so many sessions not even a baseline has a volatility to stand on."""


@dataclass(frozen=True)
class Question:
    """A ticker whose next sessions are to be forecast.

    Attributes:
        answers: a model, or the name of a baseline.
        model_id: of the model, where one answers.
    """

    series: TickerSeries
    answers: Bundle | str
    model_id: str | None = None

    @property
    def made_by(self) -> str:
        """The network's variant, or the baseline's name."""
        return self.answers if isinstance(self.answers, str) else self.answers.network.variant


def questions(
    market: Market, served: Mapping[str, tuple[Bundle, str]], instead: Mapping[str, str], tickers: Sequence[str]
) -> list[Question]:
    """One for every ticker with enough history that goes on, in the order of `tickers`.

    Args:
        served: ticker to the model that answers and its id.
        instead: ticker to the baseline that answers where no model does; naive for those in neither.
    """
    going_on = market.going_on
    able = [going_on[ticker] for ticker in tickers if ticker in going_on and len(going_on[ticker]) >= FEWEST_SESSIONS]
    return [
        Question(each, *served[each.ticker]) if each.ticker in served else Question(each, instead.get(each.ticker, "naive"))
        for each in able
    ]


def forecast_shard(shard: Sequence[Question], horizon: int) -> list[Forecasts]:
    """Each ticker's forecasts from its last session."""
    return [_answer(question, horizon) for question in shard]


def _answer(question: Question, horizon: int) -> Forecasts:
    last = (len(question.series) - 1, len(question.series))
    if isinstance(question.answers, str):
        return forecast_with_baseline(question.answers, question.series, horizon, last)
    return forecast_with_model(question.answers, question.series, last)


def forecast_table(asked: Sequence[Question], made: Sequence[Forecasts], market: Market, run_id: str) -> pd.DataFrame:
    """Columns of `forecasts` but the source: of each question's answer one row a step, in the order of the questions."""
    columns = list(empty("forecasts").columns.drop("source"))
    if not asked:
        return empty("forecasts")[columns]
    horizon = made[0].point.shape[1]
    cutoffs = [pd.Timestamp(question.series.sessions[-1]) for question in asked]
    targets = [market.calendars[each.series.ticker].following(cutoff, horizon) for each, cutoff in zip(asked, cutoffs, strict=True)]
    quantiles = np.concatenate([each.quantiles[0] for each in made])
    same = pd.DataFrame(
        {
            "run_id": run_id,
            "ticker": [question.series.ticker for question in asked],
            "model_id": [question.model_id for question in asked],
            "made_by": [question.made_by for question in asked],
            "cutoff": np.array(cutoffs, "datetime64[us]"),
            "last_close": [question.series.close[-1] for question in asked],
            "currency": [market.currencies[question.series.ticker] for question in asked],
        }
    )
    each_step = same.loc[same.index.repeat(horizon)].reset_index(drop=True)
    return each_step.assign(
        step=np.tile(np.arange(1, horizon + 1), len(asked)),
        target_session=np.concatenate([days.to_numpy("datetime64[us]") for days in targets]),
        point=np.concatenate([each.point[0] for each in made]),
        sigma=np.concatenate([each.sigma[0] for each in made]),
        **dict(zip(QUANTILE_COLUMNS, quantiles.T, strict=True)),
        **dict(zip(SHORTFALL_COLUMNS, expected_shortfalls(quantiles), strict=True)),
    )[columns]
