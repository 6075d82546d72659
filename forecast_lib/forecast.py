"""From a model, or a baseline, and a series to forecasts: point, sigma and quantiles, calibrated by what came
true.

A prediction is a centre and a scale of the log return to each step; `calibration` turns them into quantiles.
The same function serves the night, the validation and the backtest, one cutoff or thousands.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from forecast_lib.calibration import CALIBRATION_SESSIONS, multipliers, student_t_shape, variance_factor
from forecast_lib.combination import WEIGHT_SESSIONS, averaged, part_weights, prior_weights
from forecast_lib.distribution import expected_shortfalls, pinball
from forecast_lib.domain import QUANTILES
from forecast_lib.models.along import Remembered, said_along
from forecast_lib.models.baselines import (
    BASELINES,
    BESIDE_A_NETWORK,
    PARTS,
    WITH_OWN_QUANTILES,
    Prediction,
    predict,
)
from forecast_lib.models.bundle import Bundle
from forecast_lib.models.heads import Standardised
from forecast_lib.tables import QUANTILE_COLUMNS, SHORTFALL_COLUMNS
from forecast_lib.windows.features import WARM_UP, SessionFeatures, session_features
from forecast_lib.windows.pooled_shape import leaning
from forecast_lib.windows.series import Array, TickerSeries
from forecast_lib.windows.volatility_inputs import scale_inputs

__all__ = [
    "COMBINED",
    "LARGEST_DIVIDEND",
    "Combined",
    "Forecasts",
    "announced_dividends",
    "combine",
    "combined_at",
    "combined_forecast",
    "forecast_columns",
    "forecast_with_baseline",
    "forecast_with_model",
    "known_actuals",
    "last_evenings",
    "relative_losses",
    "weighing",
    "with_scale",
]

COMBINED = "combined"
"""In `made_by` and in the tables of backtests: all parts together."""
LARGEST_DIVIDEND = 0.5
"""Of the last close. What is said to pay more up to a step is taken for a slip, and moves nothing."""
_SHOCK, _AFTER_SHOCK = 8.0, 5  # scales, sessions
_OUTER = [QUANTILES.index(0.025), QUANTILES.index(0.975)]
_EXCEEDANCES = CALIBRATION_SESSIONS * 2 * np.minimum(np.array(QUANTILES), 1 - np.array(QUANTILES))
# Of a ticker's own outcomes in its tails.
_TAIL_SHARE = np.where(_EXCEEDANCES < 20, _EXCEEDANCES / (_EXCEEDANCES + 20), 1.0)
_FIRST_WEIGHED = 9  # with fewer sessions than ten not even a baseline has a volatility to stand on

# log return, a factor of 148: a jump after a frozen price is a million of its scales, and exp() of that
# infinite
_FARTHEST = 5.0


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of one ticker by one model at several cutoffs.

    Attributes:
        cutoffs: (n,) indices into the series, ascending, without gaps.
        point: (n, horizon) prices.
        sigma: (n, horizon) standard deviation of the log return up to the step.
        quantiles: (n, horizon, len(QUANTILES)) prices, ascending, positive and finite.
        head: what a model's networks said, before calibration; None of what no network made.
    """

    cutoffs: np.ndarray
    point: Array
    sigma: Array
    quantiles: Array
    head: Standardised | None = None

    def part(self, chosen: slice | NDArray[np.intp]) -> "Forecasts":
        """Those of some of the cutoffs; by a slice they hold all the others in memory."""
        return Forecasts(
            self.cutoffs[chosen],
            self.point[chosen],
            self.sigma[chosen],
            self.quantiles[chosen],
            None if self.head is None else self.head.part(chosen),
        )


def _announced(series: TickerSeries, cutoffs: np.ndarray, horizon: int) -> Array:
    """(cutoffs, horizon): the share of the last close that will have been paid up to each step, by dividends
    that are announced at the cutoff.
    """
    if series.inputs is None or series.inputs.dividends is None:
        return np.zeros((len(cutoffs), horizon))
    paid = series.inputs.dividends.at(series.sessions[cutoffs], horizon) / series.close[cutoffs][:, None]
    return np.where(paid < LARGEST_DIVIDEND, paid, 0.0)


def _announced_falls(series: TickerSeries, cutoffs: np.ndarray, horizon: int) -> Array:
    """(cutoffs, horizon): the log return that they cost the price up to each step: whatever it is by then, it
    is lower by the share that was paid, so that a distribution keeps its width.
    """
    paid = _announced(series, cutoffs, horizon)
    return np.log1p(-paid) if paid.any() else paid


def announced_dividends(series: TickerSeries, horizon: int) -> Array:
    """(horizon,): cash for a share that the forecast from the last session takes off the price at each
    step.
    """
    return _announced(series, np.array([len(series) - 1]), horizon)[0] * series.close[-1]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _outcomes(
    log_close: Array, total_variance: Array, cutoffs: np.ndarray, centre: Array, scale: Array
) -> tuple[Array, Array]:
    """(cutoffs, horizon) each: by how many scales the log return to each step missed its centre, and the
    variance of the sessions up to it over the squared scale; NaN where not known yet.

    Args:
        total_variance: (sessions + 1,) of all sessions before each.
    """
    missed, ratios = np.full(scale.shape, np.nan), np.full(scale.shape, np.nan)
    for i in range(len(cutoffs)):
        first = cutoffs[i]
        for at in range(min(scale.shape[1], len(log_close) - 1 - first)):
            end = first + at + 1
            missed[i, at] = abs(log_close[end] - log_close[first] - centre[i, at]) / scale[i, at]
            realised = total_variance[end + 1] - total_variance[first + 1]
            ratios[i, at] = realised / (scale[i, at] * scale[i, at])
    return missed, ratios


def _forecasts(
    series: TickerSeries,
    features: SessionFeatures,
    cutoffs: np.ndarray,
    centre: Array,
    scale: Array,
    wanted: int,
    head: Standardised | None = None,
) -> Forecasts:
    """Calibrated forecasts at the last `wanted` cutoffs; `head` where networks made them."""
    head = None if head is None else head.part(slice(-wanted, None))
    centre = centre + _announced_falls(series, cutoffs, centre.shape[1])
    total_variance = np.concatenate([[0.0], np.cumsum(features.variance)])
    scores, ratios = _outcomes(features.log_close, total_variance, cutoffs, centre, scale)
    reach = (
        multipliers(scores, wanted, None if head is None else student_t_shape(head.df))
        * scale[-wanted:, :, None]
    )
    sigma = scale[-wanted:] * np.sqrt(variance_factor(ratios, wanted))
    cutoffs, centre = cutoffs[-wanted:], np.clip(centre[-wanted:], -_FARTHEST, _FARTHEST)
    returns = np.concatenate(
        [centre[..., None] - reach[..., ::-1], centre[..., None], centre[..., None] + reach], axis=2
    )
    # Times the exponential, so that a centre of zero is the last close to the last bit.
    last = series.close[cutoffs][:, None]
    quantiles = last[..., None] * np.exp(np.clip(returns, -_FARTHEST, _FARTHEST))
    return Forecasts(cutoffs, last * np.exp(centre), np.minimum(sigma, _FARTHEST), quantiles, head)


def _as_it_says(series: TickerSeries, cutoffs: np.ndarray, made: Prediction, returns: Array) -> Forecasts:
    """The forecasts of a baseline that has quantiles of its own."""
    last, falls = series.close[cutoffs][:, None], _announced_falls(series, cutoffs, made.centre.shape[1])
    quantiles = last[..., None] * np.exp(np.clip(returns + falls[..., None], -_FARTHEST, _FARTHEST))
    return Forecasts(
        cutoffs,
        last * np.exp(np.clip(made.centre + falls, -_FARTHEST, _FARTHEST)),
        np.minimum(made.scale, _FARTHEST),
        quantiles,
    )


def _with_history(cutoffs: tuple[int, int], horizon: int, first: int) -> np.ndarray:
    """The cutoffs asked for and, before them, those whose outcomes calibrate them."""
    return np.arange(max(cutoffs[0] - CALIBRATION_SESSIONS - horizon + 1, first), cutoffs[1])


def _first_window(bundle: Bundle) -> int:
    """The first cutoff that the model can answer from."""
    return WARM_UP + bundle.network.lookback - 1


def forecast_with_model(
    bundle: Bundle, series: TickerSeries, cutoffs: tuple[int, int], remembered: Remembered | None = None
) -> Forecasts:
    """The model's forecasts at cutoffs first to last (exclusive), none of them before its first whole window;
    each uses sessions up to its own cutoff only.

    Args:
        remembered: what its networks said before.
    """
    first, features = _first_window(bundle), session_features(series)
    every = _with_history(cutoffs, bundle.horizon, first)
    head = said_along(bundle, features.values, every, first=first, remembered=remembered)
    inputs, ahead = scale_inputs(series, bundle.inputs, bundle.horizon)
    sigma = bundle.scale.sigma(inputs[every], None if ahead is None else ahead[every])
    centre, scale = bundle.shrinkage * head.location * sigma, head.scale * sigma
    return _forecasts(series, features, every, centre, scale, cutoffs[1] - cutoffs[0], head)


def forecast_with_baseline(
    name: str, series: TickerSeries, horizon: int, cutoffs: tuple[int, int]
) -> Forecasts:
    """A baseline's forecasts (one of `models.baselines.BASELINES`) at cutoffs first to last (exclusive)."""
    every = np.arange(*cutoffs) if name in WITH_OWN_QUANTILES else _with_history(cutoffs, horizon, 0)
    features = session_features(series)
    made = predict(name, features, every, horizon)
    if made.returns is None:
        return _forecasts(series, features, every, made.centre, made.scale, cutoffs[1] - cutoffs[0])
    return _as_it_says(series, every, made, made.returns)


@dataclass(frozen=True)
class Combined:
    """What answers from some cutoffs, and what it is made of.

    Attributes:
        parts: each part's own forecasts; NaN where it has none.
        weights: (parts, cutoffs, horizon), in the order of `parts`; they sum to one.
    """

    forecasts: Forecasts
    parts: Mapping[str, Forecasts]
    weights: Array

    def part(self, chosen: slice | NDArray[np.intp]) -> "Combined":
        """The same from some of the cutoffs, as `Forecasts.part`."""
        parts = {name: made.part(chosen) for name, made in self.parts.items()}
        return Combined(self.forecasts.part(chosen), parts, self.weights[:, chosen])


def weighing(cutoffs: tuple[int, int]) -> tuple[int, int]:
    """The cutoffs asked for and, before them, those whose outcomes weigh the parts."""
    return min(max(cutoffs[0] - WEIGHT_SESSIONS, _FIRST_WEIGHED), cutoffs[0]), cutoffs[1]


def known_actuals(made: Forecasts, series: TickerSeries) -> Array:
    """(cutoffs, horizon): the closes that came true, NaN where they are not known yet."""
    targets = made.cutoffs[:, None] + np.arange(1, made.point.shape[1] + 1)
    return np.where(targets < len(series), series.close[np.minimum(targets, len(series) - 1)], np.nan)


def relative_losses(made: Forecasts, series: TickerSeries) -> Array:
    """(cutoffs, horizon): pinball losses as shares of the last close; NaN where the outcome is not known, or
    there is no forecast.
    """
    return pinball(known_actuals(made, series), made.quantiles) / series.close[made.cutoffs][:, None]


def _at_every(made: Forecasts, cutoffs: tuple[int, int]) -> Forecasts:
    """The same at every cutoff from first to last (exclusive), NaN where there is none, or none that can be
    used.
    """
    every = np.arange(*cutoffs)
    if np.array_equal(made.cutoffs, every) and np.isfinite(made.quantiles).all():
        return made
    both = np.intersect1d(every, made.cutoffs)
    own = (
        made.part(slice(*np.searchsorted(made.cutoffs, [both[0], both[-1] + 1])))
        if len(both)
        else made.part(slice(0))
    )
    usable = np.isfinite(own.point) & np.isfinite(own.sigma) & np.isfinite(own.quantiles).all(axis=2)

    def filled(part: Array) -> Array:
        whole = np.full((len(every), *part.shape[1:]), np.nan)
        whole[own.cutoffs - cutoffs[0]] = np.where(
            usable if part.ndim == 2 else usable[..., None], part, np.nan
        )
        return whole

    said = own.head
    head = Standardised(filled(said.location), filled(said.scale), filled(said.df)) if said else None
    return Forecasts(every, filled(own.point), filled(own.sigma), filled(own.quantiles), head)


def _shocked(series: TickerSeries, cutoffs: np.ndarray) -> np.ndarray:
    """(cutoffs,) whether one of the five sessions up to the cutoff moved by more than eight times the
    volatility before it.
    """
    features = session_features(series)
    scores = np.abs(np.diff(features.log_close)) / features.ewma_sigma[:-1]
    large = np.concatenate([[0], np.cumsum(np.concatenate([[False], scores > _SHOCK]))])
    return large[cutoffs + 1] > large[np.maximum(cutoffs + 1 - _AFTER_SHOCK, 0)]


def _as_pooled(returns: Array, series: TickerSeries, cutoffs: np.ndarray) -> Array:
    """The quantiles of the log return, leaning as the ticker's and all tickers' do, and reaching as those of
    all tickers, as far as that is known.
    """
    if series.shape is None:
        return returns
    lean, reach, known = leaning(series.shape, series, cutoffs)
    low, high = returns[..., _OUTER[:1]], returns[..., _OUTER[1:]]
    half = (high - low) / 2
    tails = np.where(_TAIL_SHARE < 1, (high + low) / 2 + half * reach, returns)
    moved = _TAIL_SHARE * returns + (1 - _TAIL_SHARE) * tails + lean * half
    return np.maximum.accumulate(np.where(known[..., None], moved, returns), axis=-1)


def combine(parts: Mapping[str, Forecasts], series: TickerSeries, cutoffs: tuple[int, int]) -> Combined:
    """All parts together at cutoffs first to last (exclusive), weighed by what each lost before.

    Args:
        parts: by name, their forecasts at `weighing(cutoffs)`, or at some of them; networks before baselines.
    """
    every = {name: _at_every(made, weighing(cutoffs)) for name, made in parts.items()}
    own = {name: made.part(slice(cutoffs[0] - cutoffs[1], None)) for name, made in every.items()}
    present = np.stack([np.isfinite(made.point) for made in own.values()])
    networks = np.array([name not in BASELINES for name in parts])
    # Averages of past squares hold a shock for weeks, and would be too wide; the network has learned what
    # follows one.
    alone = _shocked(series, np.arange(*cutoffs))[:, None] & present[networks].any(axis=0)
    present &= networks[:, None, None] | ~alone
    prior = prior_weights(int(networks.sum()), int((~networks).sum()))
    weights = part_weights(
        np.stack([relative_losses(made, series) for made in every.values()]), present, prior
    )
    return Combined(_together(own, weights, series, np.arange(*cutoffs)), own, weights)


def _together(
    parts: Mapping[str, Forecasts], weights: Array, series: TickerSeries, cutoffs: np.ndarray
) -> Forecasts:
    """What these parts say with these weights."""
    last = series.close[cutoffs][:, None]
    point = last * np.exp(averaged(np.stack([np.log(made.point / last) for made in parts.values()]), weights))
    returns = np.stack([np.log(made.quantiles / last[..., None]) for made in parts.values()])
    shaped = _as_pooled(averaged(returns, weights[..., None]), series, cutoffs)
    quantiles = last[..., None] * np.exp(np.clip(shaped, -_FARTHEST, _FARTHEST))
    sigma = averaged(np.stack([made.sigma for made in parts.values()]), weights)
    return Forecasts(cutoffs, point, sigma, quantiles)


def with_scale(made: Combined, series: TickerSeries, name: str, factor: Array) -> Combined:
    """The same with the volatility of one part so many times as large, and the weights as they are.

    Args:
        name: of a part whose quantiles follow its volatility. factor: (cutoffs, horizon).
    """
    cutoffs, part = made.forecasts.cutoffs, made.parts[name]
    # What is left of the last close once announced dividends are paid: they do not grow with the volatility.
    left = series.close[cutoffs][:, None] * np.exp(_announced_falls(series, cutoffs, factor.shape[1]))
    moved = Forecasts(
        cutoffs,
        left * np.exp(np.log(part.point / left) * factor),
        part.sigma * factor,
        left[..., None] * np.exp(np.log(part.quantiles / left[..., None]) * factor[..., None]),
    )
    parts = {**made.parts, name: moved}
    return Combined(_together(parts, made.weights, series, cutoffs), parts, made.weights)


def combined_at(
    bundle: Bundle | None,
    series: TickerSeries,
    horizon: int,
    cutoffs: tuple[int, int],
    remembered: Remembered | None = None,
) -> Combined:
    """At cutoffs first to last (exclusive), by the model, where there is one that the history is long enough
    for, and the baselines.

    Args:
        remembered: as of `forecast_with_model`.
    """
    first, end = weighing(cutoffs)
    parts = dict[str, Forecasts]()
    if bundle is not None and (able := _first_window(bundle)) < end:
        parts[bundle.network.variant] = forecast_with_model(
            bundle, series, (max(first, able), end), remembered
        )
    for name in BESIDE_A_NETWORK if parts else PARTS:
        parts[name] = forecast_with_baseline(name, series, horizon, (first, end))
    return combine(parts, series, cutoffs)


def last_evenings(
    bundle: Bundle | None, series: TickerSeries, horizon: int, remembered: Remembered | None = None
) -> Combined:
    """From the last two sessions, or from the last alone where before it there is no volatility to stand on.

    Both at once cost what one does.

    Args:
        remembered: as of `forecast_with_model`.
    """
    last = len(series) - 1
    cutoffs = max(last - 1, min(last, _FIRST_WEIGHED)), last + 1
    return combined_at(bundle, series, horizon, cutoffs, remembered)


def combined_forecast(bundle: Bundle | None, series: TickerSeries, horizon: int) -> Combined:
    """From the last session: what a night answers."""
    return last_evenings(bundle, series, horizon).part(slice(-1, None))


def forecast_columns(forecasts: Forecasts, series: TickerSeries) -> dict[str, np.ndarray]:
    """One entry a cutoff and step, by name: cutoff (datetime64[us]), step, last_close, point, sigma, the
    quantiles and shortfalls.
    """
    count, horizon = forecasts.point.shape
    levels = np.ascontiguousarray(forecasts.quantiles.reshape(count * horizon, len(QUANTILES)).T)
    return {
        "cutoff": np.repeat(series.sessions[forecasts.cutoffs].astype("datetime64[us]"), horizon),
        "step": np.tile(np.arange(1, horizon + 1), count),
        "last_close": np.repeat(series.close[forecasts.cutoffs], horizon),
        "point": forecasts.point.ravel(),
        "sigma": forecasts.sigma.ravel(),
        **dict(zip(QUANTILE_COLUMNS, levels, strict=True)),
        **dict(zip(SHORTFALL_COLUMNS, expected_shortfalls(levels.T), strict=True)),
    }
