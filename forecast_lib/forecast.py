"""From a model, or a baseline, and a series to forecasts: point, sigma and quantiles, calibrated by what came true.

A prediction is a centre and a scale of the log return to each step; `calibration` turns them into quantiles. The same function serves
the night, the validation and the backtest, one cutoff or thousands.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast_lib.calibration import CALIBRATION_SESSIONS, multipliers, student_t_shape, variance_factor
from forecast_lib.distribution import expected_shortfalls
from forecast_lib.domain import QUANTILES
from forecast_lib.models.baselines import WITH_OWN_QUANTILES, Prediction, predict
from forecast_lib.models.bundle import Bundle
from forecast_lib.models.forward import outputs
from forecast_lib.models.heads import combined
from forecast_lib.tables import QUANTILE_COLUMNS, SHORTFALL_COLUMNS
from forecast_lib.windows.features import WARM_UP, SessionFeatures, session_features
from forecast_lib.windows.scaling import future_log_returns
from forecast_lib.windows.series import Array, TickerSeries
from forecast_lib.windows.volatility_inputs import volatility_inputs

__all__ = ["Forecasts", "forecast_rows", "forecast_with_baseline", "forecast_with_model"]

_FARTHEST = 5.0  # log return, a factor of 148: a jump after a frozen price is a million of its scales, and exp() of that infinite


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of one ticker by one model at several cutoffs.

    Attributes:
        cutoffs: (n,) indices into the series, ascending, without gaps.
        point: (n, horizon) prices.
        sigma: (n, horizon) standard deviation of the log return up to the step.
        quantiles: (n, horizon, len(QUANTILES)) prices, ascending, positive and finite.
    """

    cutoffs: np.ndarray
    point: Array
    sigma: Array
    quantiles: Array


def _variance_ratios(features: SessionFeatures, cutoffs: np.ndarray, scale: Array) -> Array:
    """(cutoffs, horizon): the variance of the sessions up to each step over the squared scale; NaN where not known yet."""
    total = np.concatenate([[0.0], np.cumsum(features.variance)])
    ends = cutoffs[:, None] + np.arange(1, scale.shape[1] + 1)
    known = ends < len(features.variance)
    realised = total[np.minimum(ends, len(features.variance) - 1) + 1] - total[cutoffs + 1][:, None]
    return np.where(known, realised, np.nan) / scale**2


def _forecasts(
    series: TickerSeries, features: SessionFeatures, cutoffs: np.ndarray, centre: Array, scale: Array, wanted: int, df: Array | None = None
) -> Forecasts:
    """Calibrated forecasts at the last `wanted` cutoffs; `df` where the distribution is a Student-t."""
    scores = np.abs(future_log_returns(features.log_close, centre.shape[1])[cutoffs] - centre) / scale
    reach = multipliers(scores, wanted, None if df is None else student_t_shape(df[-wanted:])) * scale[-wanted:, :, None]
    sigma = scale[-wanted:] * np.sqrt(variance_factor(_variance_ratios(features, cutoffs, scale), wanted))
    cutoffs, centre = cutoffs[-wanted:], np.clip(centre[-wanted:], -_FARTHEST, _FARTHEST)
    returns = np.concatenate([centre[..., None] - reach[..., ::-1], centre[..., None], centre[..., None] + reach], axis=2)
    last = series.close[cutoffs][:, None]  # times the exponential, so that a centre of zero is the last close to the last bit
    quantiles = last[..., None] * np.exp(np.clip(returns, -_FARTHEST, _FARTHEST))
    return Forecasts(cutoffs, last * np.exp(centre), np.minimum(sigma, _FARTHEST), quantiles)


def _as_it_says(series: TickerSeries, cutoffs: np.ndarray, made: Prediction, returns: Array) -> Forecasts:
    """The forecasts of a baseline that has quantiles of its own."""
    last = series.close[cutoffs][:, None]
    quantiles = last[..., None] * np.exp(np.clip(returns, -_FARTHEST, _FARTHEST))
    return Forecasts(cutoffs, last * np.exp(np.clip(made.centre, -_FARTHEST, _FARTHEST)), np.minimum(made.scale, _FARTHEST), quantiles)


def _with_history(cutoffs: tuple[int, int], horizon: int, first: int) -> np.ndarray:
    """The cutoffs asked for and, before them, those whose outcomes calibrate them."""
    return np.arange(max(cutoffs[0] - CALIBRATION_SESSIONS - horizon + 1, first), cutoffs[1])


def forecast_with_model(bundle: Bundle, series: TickerSeries, cutoffs: tuple[int, int]) -> Forecasts:
    """The model's forecasts at cutoffs first to last (exclusive); each uses sessions up to its own cutoff only."""
    first = WARM_UP + bundle.network.lookback - 1
    every = _with_history(cutoffs, bundle.horizon, first)
    features = session_features(series)
    head = combined([outputs(bundle.network, member, features.values, every, first=first) for member in bundle.members], bundle.horizon)
    sigma = bundle.scale.sigma(volatility_inputs(series))[every]
    centre, scale = bundle.shrinkage * head.location * sigma, head.scale * sigma
    return _forecasts(series, features, every, centre, scale, cutoffs[1] - cutoffs[0], head.df)


def forecast_with_baseline(name: str, series: TickerSeries, horizon: int, cutoffs: tuple[int, int]) -> Forecasts:
    """A baseline's forecasts (one of `models.baselines.BASELINES`) at cutoffs first to last (exclusive)."""
    every = np.arange(*cutoffs) if name in WITH_OWN_QUANTILES else _with_history(cutoffs, horizon, 0)
    features = session_features(series)
    made = predict(name, features, every, horizon)
    if made.returns is None:
        return _forecasts(series, features, every, made.centre, made.scale, cutoffs[1] - cutoffs[0])
    return _as_it_says(series, every, made, made.returns)


def forecast_rows(forecasts: Forecasts, series: TickerSeries) -> pd.DataFrame:
    """One row a cutoff and step: cutoff, step, last_close, point, sigma, the quantiles and shortfalls; sessions as datetime64[us]."""
    count, horizon = forecasts.point.shape
    rows = pd.DataFrame(forecasts.quantiles.reshape(count * horizon, len(QUANTILES)), columns=list(QUANTILE_COLUMNS))
    sessions = series.sessions[forecasts.cutoffs].astype("datetime64[us]")
    rows[list(SHORTFALL_COLUMNS)] = np.stack(expected_shortfalls(rows.to_numpy()), axis=1)
    rows.insert(0, "cutoff", np.repeat(sessions, horizon))
    rows.insert(1, "step", np.tile(np.arange(1, horizon + 1), count))
    rows.insert(2, "last_close", np.repeat(series.close[forecasts.cutoffs], horizon))
    rows.insert(3, "point", forecasts.point.ravel())
    rows.insert(4, "sigma", forecasts.sigma.ravel())
    return rows
