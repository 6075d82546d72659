"""From a model, or a baseline, and a series to forecasts: point, sigma and quantiles, calibrated by what came true.

A prediction is a centre and a scale of the log return to each step. Its quantiles are the centre plus or minus the scale times
multipliers: for each central coverage the conformal quantile (Vovk et al. 2005; Lei et al. 2018) of the last scores
|return - centre| / scale whose outcome is known at the cutoff. The same function serves the night, the validation and the backtest, one
cutoff or thousands.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from forecast_lib.domain import QUANTILES
from forecast_lib.models.baselines import drift, naive
from forecast_lib.models.bundle import Bundle
from forecast_lib.models.forward import forward
from forecast_lib.models.heads import standardised
from forecast_lib.tables import QUANTILE_COLUMNS
from forecast_lib.windows.features import WARM_UP, session_features
from forecast_lib.windows.scaling import future_log_returns
from forecast_lib.windows.sequences import cut_windows
from forecast_lib.windows.series import Array, TickerSeries

__all__ = ["CALIBRATION_SESSIONS", "Forecasts", "forecast_rows", "forecast_with_baseline", "forecast_with_model"]

CALIBRATION_SESSIONS = 250
_MIN_SCORES = 40
_COVERAGES = (0.5, 0.8, 0.9, 0.95)
# Quantiles of |t| with 6 degrees of freedom and unit variance at those coverages: until there are scores enough.
_PRIOR_MULTIPLIERS = np.array([0.586, 1.176, 1.587, 1.998])
_NARROWEST = 0.1  # of the prior multipliers: after a standstill every score is zero, and an interval without width says "certainly"
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


def _multipliers(scores: Array, wanted: int) -> tuple[Array, Array]:
    """For the last `wanted` cutoffs of `scores` (cutoffs, horizon; NaN where unknown): multipliers (wanted, horizon, 4), and the
    root mean squared score (wanted, horizon)."""
    horizon = scores.shape[1]
    multipliers = np.tile(_PRIOR_MULTIPLIERS, (wanted, horizon, 1))
    spread = np.ones((wanted, horizon))
    for step in range(horizon):
        # At cutoff c the outcome of cutoff c - (step + 1) has just become known.
        known = np.concatenate([np.full((CALIBRATION_SESSIONS + step,), np.nan), scores[:, step]])
        windows = sliding_window_view(known, CALIBRATION_SESSIONS)[: len(scores)][-wanted:]
        count = np.isfinite(windows).sum(axis=1)
        ordered = np.sort(windows, axis=1)  # NaN last
        enough = count >= _MIN_SCORES
        for at, coverage in enumerate(_COVERAGES):
            rank = np.minimum(np.ceil((count + 1) * coverage), count).astype(int)
            values = ordered[np.arange(wanted), np.maximum(rank - 1, 0)]
            multipliers[enough, step, at] = np.maximum(values[enough], _NARROWEST * _PRIOR_MULTIPLIERS[at])
        mean_square = np.nansum(windows**2, axis=1) / np.maximum(count, 1)
        spread[enough, step] = np.sqrt(mean_square[enough])
    return multipliers, spread


def _forecasts(series: TickerSeries, cutoffs: np.ndarray, centre: Array, scale: Array, wanted: int) -> Forecasts:
    horizon = centre.shape[1]
    log_close = np.log(series.close)
    scores = np.abs(future_log_returns(log_close, horizon)[cutoffs] - centre) / scale
    multipliers, spread = _multipliers(scores, wanted)
    cutoffs, centre, scale = cutoffs[-wanted:], np.clip(centre[-wanted:], -_FARTHEST, _FARTHEST), scale[-wanted:]
    reach = scale[..., None] * multipliers
    returns = np.concatenate([centre[..., None] - reach[..., ::-1], centre[..., None], centre[..., None] + reach], axis=2)
    last = series.close[cutoffs][:, None]  # times the exponential, so that a centre of zero is the last close to the last bit
    quantiles = last[..., None] * np.exp(np.clip(returns, -_FARTHEST, _FARTHEST))
    return Forecasts(cutoffs, last * np.exp(centre), np.minimum(scale * spread, _FARTHEST), quantiles)


def _with_history(cutoffs: tuple[int, int], horizon: int, first: int) -> np.ndarray:
    """The cutoffs asked for and, before them, those whose outcomes calibrate them."""
    return np.arange(max(cutoffs[0] - CALIBRATION_SESSIONS - horizon + 1, first), cutoffs[1])


def forecast_with_model(bundle: Bundle, series: TickerSeries, cutoffs: tuple[int, int]) -> Forecasts:
    """The model's forecasts at cutoffs first to last (exclusive); each uses sessions up to its own cutoff only."""
    lookback = bundle.network.lookback
    every = _with_history(cutoffs, bundle.horizon, WARM_UP + lookback - 1)
    features = session_features(series)
    raw = forward(bundle.network, bundle.weights, cut_windows(features.values, every, lookback))
    head = standardised(raw, bundle.horizon)
    sigma = bundle.scale.sigma(features)[every]
    return _forecasts(series, every, bundle.shrinkage * head.location * sigma, head.scale * sigma, cutoffs[1] - cutoffs[0])


def forecast_with_baseline(name: str, series: TickerSeries, horizon: int, cutoffs: tuple[int, int]) -> Forecasts:
    """A baseline's forecasts (`naive` or `drift`) at cutoffs first to last (exclusive)."""
    every = _with_history(cutoffs, horizon, 0)
    centre, scale = {"naive": naive, "drift": drift}[name](session_features(series), every, horizon)
    return _forecasts(series, every, centre, scale, cutoffs[1] - cutoffs[0])


def forecast_rows(forecasts: Forecasts, series: TickerSeries) -> pd.DataFrame:
    """One row a cutoff and step: cutoff, step, last_close, point, sigma and the quantiles; sessions as datetime64[us]."""
    count, horizon = forecasts.point.shape
    rows = pd.DataFrame(forecasts.quantiles.reshape(count * horizon, len(QUANTILES)), columns=list(QUANTILE_COLUMNS))
    sessions = series.sessions[forecasts.cutoffs].astype("datetime64[us]")
    rows.insert(0, "cutoff", np.repeat(sessions, horizon))
    rows.insert(1, "step", np.tile(np.arange(1, horizon + 1), count))
    rows.insert(2, "last_close", np.repeat(series.close[forecasts.cutoffs], horizon))
    rows.insert(3, "point", forecasts.point.ravel())
    rows.insert(4, "sigma", forecasts.sigma.ravel())
    return rows
