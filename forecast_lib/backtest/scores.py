"""Scores of a backtest's forecasts, per ticker and for all, always beside the naive forecast's."""

import math

import numpy as np
import pandas as pd

from forecast_lib.backtest.metrics import inside, pinball, winkler
from forecast_lib.backtest.significance import compare_losses
from forecast_lib.tables import QUANTILE_COLUMNS

__all__ = ["pooled_scores", "ticker_scores"]

_MEANS = ["rmse", "mae", "mase", "rmse_naive", "direction_hit", "up_share", "pinball", "winkler95", "cov80", "cov95"]


def _score(rows: pd.DataFrame, step: int) -> dict[str, float]:
    actual, point, naive = (rows[name].to_numpy() for name in ("actual", "point", "naive"))
    quantiles = rows[list(QUANTILE_COLUMNS)].to_numpy()
    squared, squared_naive = (point - actual) ** 2, (naive - actual) ** 2
    naive_mae = np.abs(naive - actual).mean()
    moved = actual != naive
    called = moved & (point != naive)  # a forecast of "no change" calls no direction
    stat, pvalue = compare_losses(squared, squared_naive, step)
    rmse, rmse_naive = math.sqrt(squared.mean()), math.sqrt(squared_naive.mean())
    return {
        "n": len(rows),
        "rmse": rmse,
        "mae": np.abs(point - actual).mean(),
        "mase": np.abs(point - actual).mean() / naive_mae if naive_mae > 0 else math.nan,
        "rmse_naive": rmse_naive,
        "rmse_ratio": rmse / rmse_naive if rmse_naive > 0 else math.nan,
        "direction_hit": (np.sign(point - naive) == np.sign(actual - naive))[called].mean() if called.any() else math.nan,
        "up_share": (actual > naive)[moved].mean() if moved.any() else math.nan,
        "pinball": pinball(actual, quantiles).mean(),
        "winkler95": winkler(actual, quantiles, 0.95).mean(),
        "cov80": inside(actual, quantiles, 0.8).mean(),
        "cov95": inside(actual, quantiles, 0.95).mean(),
        "dm_stat": stat,
        "dm_pvalue": pvalue,
    }


def ticker_scores(forecasts: pd.DataFrame, seconds: dict[str, float]) -> pd.DataFrame:
    """Scores of one ticker's `backtest_forecasts` rows, one row a model and step; `seconds` per model."""
    rows = [
        {"ticker": ticker, "model": model, "step": step, **_score(part, step), "seconds": seconds.get(model, 0.0)}
        for (ticker, model, step), part in forecasts.groupby(["ticker", "model", "step"], sort=True)
    ]
    return pd.DataFrame(rows)


def _panel_losses(forecasts: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    squared = pd.DataFrame(
        {
            "model": (forecasts["point"] - forecasts["actual"]) ** 2,
            "naive": (forecasts["naive"] - forecasts["actual"]) ** 2,
            "ticker": forecasts["ticker"],
            "cutoff": forecasts["cutoff"],
        }
    )
    unit = squared.groupby("ticker")["naive"].transform("mean")
    by_date = squared[["model", "naive"]].div(unit.where(unit > 0), axis=0).groupby(squared["cutoff"]).mean().dropna().sort_index()
    return by_date["model"].to_numpy(), by_date["naive"].to_numpy()


def pooled_scores(forecasts: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Rows for all tickers together (`ticker` is `*`).

    `n` is the sum over tickers, `rmse_ratio` the geometric mean of the tickers' ratios, the other scores are means over tickers, each
    with the same weight; the test is on losses averaged by date.
    """
    rows = []
    for (model, step), part in scores.groupby(["model", "step"], sort=True):
        ratios = part["rmse_ratio"].to_numpy()
        chosen = forecasts[(forecasts["model"] == model) & (forecasts["step"] == step)]
        stat, pvalue = compare_losses(*_panel_losses(chosen), horizon=int(step))
        rows.append(
            {
                "ticker": "*",
                "model": model,
                "step": step,
                "n": part["n"].sum(),
                **part[_MEANS].mean().to_dict(),
                "rmse_ratio": float(np.exp(np.nanmean(np.log(ratios)))) if np.isfinite(ratios).any() else math.nan,
                "dm_stat": stat,
                "dm_pvalue": pvalue,
                "seconds": part["seconds"].sum(),
            }
        )
    return pd.DataFrame(rows, columns=scores.columns)
