"""Forecasts of every ticker that has a history: by its model, or by a baseline, which is then named."""

from collections.abc import Mapping, Sequence

import pandas as pd

from forecast_lib.forecast import forecast_rows, forecast_with_baseline, forecast_with_model
from forecast_lib.jobs.ingest import Market
from forecast_lib.models.bundle import Bundle
from forecast_lib.tables import empty
from forecast_lib.windows.series import TickerSeries

__all__ = ["FEWEST_SESSIONS", "forecast_ticker", "forecasts_of"]

FEWEST_SESSIONS = 10
"""Below so many sessions not even a baseline has a volatility to stand on."""


def forecast_ticker(series: TickerSeries, answers: Bundle | str, horizon: int) -> pd.DataFrame:
    """Rows of the forecast from the series' last session, one a step, without run, model and target session.

    Args:
        answers: a model, or the name of a baseline.
    """
    last = (len(series) - 1, len(series))
    if isinstance(answers, str):
        forecasts = forecast_with_baseline(answers, series, horizon, last)
    else:
        forecasts = forecast_with_model(answers, series, last)
    return forecast_rows(forecasts, series)


def forecasts_of(
    market: Market,
    served: Mapping[str, tuple[Bundle, str]],
    instead: Mapping[str, str],
    tickers: Sequence[str],
    horizon: int,
    run_id: str,
) -> pd.DataFrame:
    """Columns of `forecasts` but the source, for every ticker with enough history, in the order of `tickers`.

    Args:
        served: ticker to the model that answers and its id.
        instead: ticker to the baseline that answers where no model does; naive for those in neither.
    """
    parts = []
    for ticker in tickers:
        series = market.series.get(ticker)
        if series is None or len(series) < FEWEST_SESSIONS:
            continue
        bundle, model_id = served.get(ticker, (None, None))
        baseline = instead.get(ticker, "naive")
        rows = forecast_ticker(series, bundle or baseline, horizon)
        targets = market.calendars[ticker].following(pd.Timestamp(series.sessions[-1]), horizon)
        parts.append(
            rows.assign(
                run_id=run_id,
                ticker=ticker,
                model_id=model_id,
                made_by=bundle.network.variant if bundle else baseline,
                target_session=targets.to_numpy(),
                currency=market.currencies[ticker],
            )
        )
    columns = list(empty("forecasts").columns.drop("source"))
    return pd.concat(parts, ignore_index=True)[columns] if parts else empty("forecasts")[columns]
