"""The joint forecast of a night: scenarios of all its tickers, and what they say of the reference
portfolios.
"""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from forecast_lib import portfolios, scenarios
from forecast_lib.config import RunConfig
from forecast_lib.tables import QUANTILE_COLUMNS, empty
from forecast_lib.windows.series import TickerSeries

__all__ = ["joint_tables"]


def joint_tables(
    forecasts: pd.DataFrame, series: Mapping[str, TickerSeries], troubled: Collection[str], config: RunConfig
) -> dict[str, pd.DataFrame]:
    """Frames of `scenarios` and `portfolio_forecasts`; empty ones of a night without forecasts.

    Args:
        forecasts: rows of the table, every ticker with the same steps in order. series: the histories they
            start from.
        troubled: tickers that nobody else's draws, and no portfolio, may depend on.
    """
    if forecasts.empty:
        return {table: empty(table).drop(columns="source") for table in ("scenarios", "portfolio_forecasts")}
    tickers, horizon = [str(ticker) for ticker in forecasts["ticker"].unique()], int(forecasts["step"].max())
    days = scenarios.evenings(config.as_of.day, horizon)
    moves = np.stack([scenarios.scores(series[ticker], days, horizon) for ticker in tickers])
    sound = np.array([ticker not in troubled for ticker in tickers])
    ranks = scenarios.places(moves, tickers, sound, config.seed)
    quantiles = forecasts[list(QUANTILE_COLUMNS)].to_numpy(np.float64).reshape(len(tickers), horizon, -1)
    prices = scenarios.draws(quantiles, ranks)
    drawn = forecasts[["run_id", "ticker", "step"]].assign(prices=list(prices.reshape(len(forecasts), -1)))
    return {"scenarios": drawn, "portfolio_forecasts": _portfolios(forecasts, prices, sound, config.run_id)}


def _portfolios(forecasts: pd.DataFrame, prices: np.ndarray, sound: np.ndarray, run_id: str) -> pd.DataFrame:
    """A row a reference portfolio and step."""
    if not sound.any():
        return empty("portfolio_forecasts").drop(columns="source")
    first = forecasts[forecasts["step"] == 1][sound]
    tickers, sigma = first["ticker"].tolist(), first["sigma"].to_numpy(np.float64)
    weights = portfolios.reference_portfolios(tickers, sigma)
    last_close = first["last_close"].to_numpy(np.float64)
    paid = forecasts["dividend"].to_numpy(np.float64).reshape(len(prices), -1)[sound]
    held = np.stack(list(weights.values()))
    names = np.array(tickers, dtype=object)
    parts = []
    for step in range(prices.shape[1]):
        returns = held @ (
            (prices[sound, step].astype(np.float64) + paid[:, [step]]) / last_close[:, None] - 1
        )
        parts.append(
            pd.DataFrame(
                {
                    "run_id": run_id,
                    "portfolio": list(weights),
                    "step": step + 1,
                    "tickers": [names[each != 0] for each in held],
                    "weights": [each[each != 0] for each in held],
                    **portfolios.risk(returns),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
