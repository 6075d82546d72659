"""Why an interval is as wide as it is, and why it is wider or narrower than the evening before.

What is explained is ln(ln(q90 / q10)), the log width of the 80 % interval. Widths multiply, so their
logarithms add, and the scale of a model is a regression whose effects add in the logarithm too: the effects
of all drivers are the log width, whatever the models are. From the inside out:

1. A network's own interval is twice its reach at 80 %, in units of its scale. The scale is half a regression
   of log variances on inputs: each input counts by how far it is from what it usually is for the ticker
   (the mean over the sessions that the regression was fitted on), and what is the same every evening, the
   intercept and the width of an untrained network among it, is the *usual level*.
2. *network* is what training has made of an untrained network, *calibration* what came true has made of it.
3. *combination* is what the baselines beside it and the shape of all tickers' returns make of that.

A ticker without a network has its volatility over 250 sessions in the place of the regression, and *recent
sessions*; *calibration* is that of `naive`, and *combination* what is left.

Changes exchange one thing at a time, in this order: what was published, the same from the prices known by
now (*revised prices*, those of other tickers among them as far as they are pooled), the covariates known by
now (*new covariates*), where the run before was asked for other tickers, those of tonight (*other tickers*,
by what they have in common; where the model is new too, it counts with it), tonight's model (*new weights*),
and tonight's session, to which each driver's own change belongs. They add up to the change of the log width.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from forecast_lib.calibration import COVERAGES, student_t_shape
from forecast_lib.domain import QUANTILES
from forecast_lib.forecast import Combined, Forecasts, combined_at, with_scale
from forecast_lib.models.bundle import Bundle
from forecast_lib.models.heads import Standardised, standardised
from forecast_lib.windows.features import log_mean_variance, session_features
from forecast_lib.windows.series import Array, TickerSeries
from forecast_lib.windows.volatility_inputs import VOLATILITY_INPUTS, scale_inputs

__all__ = ["Before", "Drivers", "driver_of", "driver_rows", "drivers", "effects", "log_width"]


_DRIVER_OF = {
    "log_var_1": "last session",
    "intraday_share": "last session",
    "log_var_3": "last week",
    "log_var_5": "last week",
    "log_var_22": "last months",
    "log_var_66": "last months",
    "log_var_250": "last months",
    "return_z": "falls",
    "fall_z": "falls",
    "returns_z_5": "falls",
    "returns_z_22": "falls",
    **dict.fromkeys(("monday", "tuesday", "wednesday", "thursday"), "weekday"),
    **dict.fromkeys((name for name in VOLATILITY_INPUTS if "shock" in name), "season"),
    **dict.fromkeys((name for name in VOLATILITY_INPUTS if name.startswith("common_")), "market-wide"),
}
_LOW, _HIGH = QUANTILES.index(0.1), QUANTILES.index(0.9)
_AT_80 = COVERAGES.index(0.8)
_LONG_RUN = 250  # sessions

Effects = Mapping[str, Array]
"""By driver, (horizon,) its part of the log width."""


@dataclass(frozen=True)
class Before:
    """What the run before published of a ticker.

    Attributes:
        cutoff: the session that it started from, datetime64[D].
        width: (horizon,) its log width; NaN at steps that it did not have.
        same_model: tonight's model answered then.
        model: what answered then, where it was another; None: baselines only.
        covariates: by driver, (horizon,) the effects of covariates and events as published.
        among: the ticker's history as it is known by now, but with what it had in common with the tickers
            that were asked for then; None: with those of tonight.
    """

    cutoff: np.datetime64
    width: Array
    same_model: bool = True
    model: Bundle | None = None
    covariates: Mapping[str, Array] = field(default_factory=dict)
    among: TickerSeries | None = None


@dataclass(frozen=True)
class Drivers:
    """The parts of one ticker's log width.

    Attributes:
        effects: (drivers, horizon), in the order of `names`; they add up to the log width.
        changes: the same since the run before; NaN where it cannot be compared.
        why: (horizon,) why it cannot, in a word; None where it was.
    """

    names: tuple[str, ...]
    effects: Array
    changes: Array
    why: tuple[str | None, ...]


def driver_of(name: str) -> str:
    """The driver that an input of the volatility scale belongs to.

    >>> [driver_of(name) for name in ("log_var_3", "covariate VIX/level", "event earnings")]
    ['last week', 'covariate VIX', 'event earnings']
    """
    return _DRIVER_OF.get(name, name.partition("/")[0])


def log_width(quantiles: Array) -> Array:
    """(...,): ln(ln(q90 / q10)); minus infinity for an interval without width.

    Args:
        quantiles: (..., len(QUANTILES)) prices.
    """
    with np.errstate(divide="ignore"):
        return np.log(np.log(quantiles[..., _HIGH] / quantiles[..., _LOW]))


def _own_reach(head: Standardised) -> Array:
    """(..., horizon): ln of how many units of the volatility a head reaches at 80 %."""
    return np.log(head.scale * student_t_shape(head.df).reach[..., _AT_80])


@functools.cache
def _untrained() -> float:
    return float(_own_reach(standardised(np.zeros((1, 3)), 1))[0, 0])


def _always(steps: int) -> Array:
    """(steps,): the log width of an untrained network with a volatility of 1 a session."""
    return np.log(2) + _untrained() + 0.5 * np.log(np.arange(1, steps + 1))


def _of_inputs(bundle: Bundle, series: TickerSeries, cutoffs: np.ndarray) -> dict[str, Array]:
    scale = bundle.scale
    at_close, ahead = scale_inputs(series, bundle.inputs, bundle.horizon)
    # (cutoffs, inputs + events, horizon)
    values = np.repeat(at_close[cutoffs][..., None], bundle.horizon, axis=2)
    if ahead is not None:
        values = np.concatenate([values, ahead[cutoffs]], axis=1)
    parts = 0.5 * np.where(np.isnan(values), 0.0, values - scale.usual) * scale.coefficients[1:]
    found: dict[str, Array] = {}
    for name, part in zip((*VOLATILITY_INPUTS, *bundle.inputs), parts.swapaxes(0, 1), strict=True):
        driver = driver_of(name)
        found[driver] = found[driver] + part if driver in found else part
    return found


def _of_network(
    bundle: Bundle, series: TickerSeries, cutoffs: np.ndarray, head: Standardised
) -> dict[str, Array]:
    """By driver, (cutoffs, horizon): what a network's interval would be without calibration.

    Args:
        head: what the networks said from there.
    """
    scale = bundle.scale
    usual = scale.coefficients[0] + (scale.usual * scale.coefficients[1:]).sum(axis=0)
    return {
        "usual level": np.tile(_always(bundle.horizon) + 0.5 * usual, (len(cutoffs), 1)),
        **_of_inputs(bundle, series, cutoffs),
        "network": _own_reach(head) - _untrained(),
    }


def _of_baselines(series: TickerSeries, cutoffs: np.ndarray, steps: int) -> dict[str, Array]:
    features = session_features(series)
    long_run = 0.5 * log_mean_variance(features.variance, _LONG_RUN)[cutoffs, None]
    recent = np.log(features.ewma_sigma[cutoffs, None]) - long_run
    return {"usual level": _always(steps) + long_run, "recent sessions": np.tile(recent, steps)}


def effects(bundle: Bundle | None, series: TickerSeries, made: Combined) -> list[Effects]:
    """What the log width forecast from each cutoff of `made` is made of.

    Args:
        bundle: the ticker's model. made: what it and the baselines forecast from some cutoffs.
    """
    network = bundle.network.variant if bundle else ""
    able: np.ndarray = np.zeros(len(made.forecasts.cutoffs), dtype=bool)
    if network in made.parts:
        able = np.asarray(np.isfinite(made.parts[network].point).all(axis=1))
    by_place: dict[int, Effects] = {}
    for places, own in ((np.flatnonzero(able), network), (np.flatnonzero(~able), "naive")):
        if len(places):
            every = _whole(bundle if own == network else None, series, made, places, made.parts[own])
            by_place |= {
                place: {name: part[at] for name, part in every.items()}
                for at, place in enumerate(places.tolist())
            }
    return [by_place[place] for place in range(len(able))]


def _whole(
    bundle: Bundle | None, series: TickerSeries, made: Combined, places: np.ndarray, own: Forecasts
) -> dict[str, Array]:
    """By driver, (places, horizon): the whole log width.

    Args:
        bundle: of the network that `own` is of; None: of `naive`.
    """
    cutoffs, steps = made.forecasts.cutoffs[places], made.weights.shape[2]
    if bundle and own.head:
        inner = _of_network(bundle, series, cutoffs, own.head.part(places))
    else:
        inner = _of_baselines(series, cutoffs, steps)
    said, width = sum(inner.values()), log_width(own.quantiles[places])
    width = np.where(np.isfinite(width), width, said)
    whole = log_width(made.forecasts.quantiles[places])
    return {**inner, "calibration": width - said, "combination": whole - width}


def drivers(bundle: Bundle | None, series: TickerSeries, made: Combined, before: Before | str) -> Drivers:
    """The parts of the log width forecast from the last session, and of its change since the run before.

    Args:
        bundle: the ticker's model. made: its forecasts with the baselines from the last session, and any
            before it.
        before: what the run before published, or why there is nothing to compare with, in a word.
    """
    every, steps = effects(bundle, series, made), made.weights.shape[2]
    found = every[-1]
    if isinstance(before, str):
        return _not_compared(found, before, steps)
    at = int(np.searchsorted(series.sessions, before.cutoff))
    if at == len(series) or series.sessions[at] != before.cutoff:
        return _not_compared(found, "session", steps)
    if before.model is not None and before.model.horizon != steps:
        return _not_compared(found, "settings", steps)

    def again(model: Bundle | None, history: TickerSeries = series) -> tuple[Combined, Effects]:
        """From the cutoff of then, as the prices are known by now."""
        once_more = combined_at(model, history, steps, (at, at + 1))
        return once_more, effects(model, history, once_more)[0]

    place = at - int(made.forecasts.cutoffs[0])
    there = 0 <= place < len(every)
    then = (made.part(slice(place, place + 1)), every[place]) if there else again(bundle)
    model, was = (bundle, then) if before.same_model else (before.model, None)
    among = again(model, before.among or series) if before.among or was is None else was
    was = was or among  # a model that is new learned with those of tonight: one exchange for both
    with np.errstate(invalid="ignore"):  # where a width is not finite
        changes = {
            **_of_the_session(found, then[1], steps),
            **_of_what_is_known(before, model, before.among or series, *among),
            **({} if before.among is None else {"other tickers": _sum(was[1]) - _sum(among[1])}),
            "new weights": _sum(then[1]) - _sum(was[1]),
        }
    changed = np.stack([*changes.values()])
    known = np.asarray(np.isfinite(changed).all(axis=0))
    return Drivers(
        tuple(changes),
        np.stack([found.get(name, np.zeros(steps)) for name in changes]),
        np.where(known, changed, np.nan),
        tuple(
            None if each else "first" if np.isnan(width) else "width"
            for each, width in zip(known.tolist(), before.width, strict=True)
        ),
    )


def _not_compared(found: Effects, why: str, steps: int) -> Drivers:
    effects_of = np.stack([*found.values()])
    return Drivers(tuple(found), effects_of, np.full(effects_of.shape, np.nan), (why,) * steps)


def _of_the_session(tonight: Effects, then: Effects, steps: int) -> dict[str, Array]:
    """By driver, (horizon,) its change from the one cutoff to the other."""
    zero = np.zeros(steps)
    return {name: tonight.get(name, zero) - then.get(name, zero) for name in {**tonight, **then}}


def _of_what_is_known(
    before: Before, model: Bundle | None, series: TickerSeries, made: Combined, known: Effects
) -> dict[str, Array]:
    """What revised prices and covariates changed in the forecast that was published.

    Args:
        model: what answered then. made, known: the same forecast as known by now, and its effects.
    """
    now = log_width(made.forecasts.quantiles[0])
    if not before.covariates or model is None or model.network.variant not in made.parts:
        return {"revised prices": now - before.width}
    # A covariate acts through the volatility at the cutoff alone, so that it can be put back.
    revised = _sum({name: known.get(name, 0.0) - said for name, said in before.covariates.items()})
    as_informed = with_scale(made, series, model.network.variant, np.exp(-revised)[None])
    width = log_width(as_informed.forecasts.quantiles[0])
    return {"revised prices": width - before.width, "new covariates": now - width}


def _sum(parts: Effects) -> Array:
    return np.sum([*parts.values()], axis=0)


def driver_rows(made: Sequence[Drivers]) -> pd.DataFrame:
    """step, driver, effect, change and why_no_change: of each in turn a row a step and driver, but none of a
    step whose interval has no width; `of` is the place of each among `made`.
    """
    sizes = [each.effects.size for each in made]
    steps = [np.repeat(np.arange(1, len(each.why) + 1), len(each.names)) for each in made]
    names = [name for each in made for name in each.names * len(each.why)]
    why = [word for each in made for word in each.why for _ in each.names]
    rows = pd.DataFrame(
        {
            "of": np.repeat(np.arange(len(made)), sizes),
            "step": np.concatenate(steps),
            "driver": np.array(names, dtype=object),
            "effect": np.concatenate([each.effects.T.ravel() for each in made]) + 0.0,  # no minus zero
            "change": np.concatenate([each.changes.T.ravel() for each in made]) + 0.0,
            "why_no_change": np.array(why, dtype=object),
        }
    )
    if np.isfinite(rows["effect"]).all():
        return rows
    narrow = pd.MultiIndex.from_frame(rows.loc[~np.isfinite(rows["effect"]), ["of", "step"]])
    return rows[~pd.MultiIndex.from_frame(rows[["of", "step"]]).isin(narrow)]
