"""Scores of a backtest's forecasts, per ticker and for all, always beside the naive forecast's and GARCH's.

Where the nights were replayed with several arms, each arm's pinball loss also stands beside that of `none`,
with what the difference cost.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.backtest.confidence_set import confidence_set
from forecast_lib.backtest.metrics import inside, qlike, thirds, uniform_pvalue, winkler
from forecast_lib.backtest.panels import Losses, Panels
from forecast_lib.backtest.significance import compare_losses, false_discovery_rates
from forecast_lib.backtest.tails import christoffersen, joint_loss, kupiec
from forecast_lib.config import Arm
from forecast_lib.distribution import pinball, probability_below
from forecast_lib.domain import QUANTILES
from forecast_lib.tables import QUANTILE_COLUMNS, SHORTFALL_COLUMNS
from forecast_lib.windows.series import Array

__all__ = ["ArmCost", "arm_model", "scores_of_all", "ticker_scores"]

_REFERENCE = "garch"
"""The baseline to which whole distributions are compared; point forecasts are compared to naive."""

_COLUMNS = """
    ticker model step
    n rmse mae mase rmse_naive rmse_ratio direction_hit up_share pinball winkler95 cov80 cov95
    dm_stat dm_pvalue seconds qlike cov95_low_vol cov95_mid_vol cov95_high_vol pit_pvalue
    pinball_per_garch winkler95_per_garch dm_qvalue dm_garch_stat dm_garch_pvalue dm_garch_qvalue mcs_pvalue
    arm cpu_seconds gain_over_none gain_per_cpu_second dm_none_stat dm_none_pvalue dm_none_qvalue
    cov99 below01 below025 joint01 joint025
    kupiec01_pvalue kupiec01_qvalue kupiec025_pvalue kupiec025_qvalue
    christoffersen01_pvalue christoffersen01_qvalue christoffersen025_pvalue christoffersen025_qvalue
""".split()
_MEANS = """
    rmse mae mase rmse_naive direction_hit up_share pinball winkler95 cov80 cov95
    qlike cov95_low_vol cov95_mid_vol cov95_high_vol
    cov99 below01 below025 joint01 joint025
""".split()
_RATIOS = ["rmse_ratio", "pinball_per_garch", "winkler95_per_garch"]
_VALUES = ("actual", "point", "naive", "sigma", "trailing_sigma", "realised_variance")
_TAILS = {"01": 0.01, "025": 0.025}
"""Levels of the lower tail by their part of a name."""
_TESTED = """
    dm_stat dm_pvalue cov95_low_vol cov95_mid_vol cov95_high_vol pit_pvalue
    kupiec01_pvalue kupiec025_pvalue christoffersen01_pvalue christoffersen025_pvalue
""".split()
_FEWEST = 30  # times below which no confidence set is worth its name
_TESTS = ("dm", "dm_garch", "dm_none", "kupiec01", "kupiec025", "christoffersen01", "christoffersen025")


def arm_model(variant: str, arm: Arm) -> str:
    """The name of an arm's model in the tables.

    >>> arm_model("stacked", "fine-tune")
    'stacked_fine_tune'
    """
    return f"{variant}_{arm.replace('-', '_')}"


@dataclass(frozen=True)
class ArmCost:
    """One arm of a replay.

    Attributes:
        against: the model that was never trained again.
        cpu_seconds: of training, judging and choosing models; the ticker's share of pooled networks in it.
    """

    arm: Arm
    against: str
    cpu_seconds: float


@dataclass(frozen=True)
class _Cells:
    """One ticker's forecasts by model, step and cutoff, (m, s, n) each: frames of so many small groups, or
    arrays of one of them each, would take longer than their scores.

    Attributes:
        models: (m,) names, ascending. steps: (s,), ascending. cutoffs: (n,), ascending.
        known: whether there is a forecast; elsewhere the others mean nothing.
        quantiles: (m, s, n, len(QUANTILES)).
    """

    models: NDArray[np.str_]
    steps: NDArray[np.int64]
    cutoffs: NDArray[np.datetime64]
    known: NDArray[np.bool_]
    actual: Array
    point: Array
    naive: Array
    sigma: Array
    trailing_sigma: Array
    realised_variance: Array
    es01: Array
    es025: Array
    quantiles: Array


Scores = dict[str, Array]
"""By name (m, s), where nothing else is said: one of each model and step; NaN where there is none."""


def _cells(forecasts: pd.DataFrame) -> _Cells:
    """One ticker's rows, in whatever order."""
    model = pd.Categorical(forecasts["model"])
    step, steps = pd.factorize(forecasts["step"].to_numpy(), sort=True)
    cutoff, cutoffs = pd.factorize(forecasts["cutoff"].to_numpy(), sort=True)
    row = np.full((len(model.categories), len(steps), len(cutoffs)), -1)
    row[model.codes, step, cutoff] = np.arange(len(forecasts))

    def taken(names: Sequence[str]) -> dict[str, Array]:
        return {name: forecasts[name].to_numpy().take(row) for name in names}

    levels = np.stack([*taken(QUANTILE_COLUMNS).values()])
    return _Cells(
        np.array(model.categories, str),
        steps,
        cutoffs,
        row >= 0,
        **taken((*_VALUES, *SHORTFALL_COLUMNS)),
        quantiles=np.moveaxis(levels, 0, -1),
    )


def _ratio(value: float, base: float) -> float:
    return value / base if base > 0 else math.nan


def _ratios(values: Array, bases: NDArray[Any]) -> Array:
    return np.divide(values, bases, out=np.full(values.shape, math.nan), where=bases > 0)


def _each(cells: _Cells) -> Scores:
    """(m, s, n) each: what is added up over cutoffs, those of `Losses` first."""
    actual, point, naive, quantiles = cells.actual, cells.point, cells.naive, cells.quantiles
    moved, returns = actual != naive, actual / naive - 1
    called = moved & (point != naive)  # a forecast of "no change" calls no direction
    found = {
        "squared": (point - actual) ** 2,
        "squared_naive": (naive - actual) ** 2,
        "pinball": pinball(actual, quantiles),
        "mae": np.abs(point - actual),
        "mae_naive": np.abs(naive - actual),
        "called": called,
        "direction_hit": called & (np.sign(point - naive) == np.sign(actual - naive)),
        "moved": moved,
        "up_share": actual > naive,
        "winkler95": winkler(actual, quantiles, 0.95),
        "qlike": qlike(cells.sigma, cells.realised_variance),
        "probability": probability_below(quantiles, actual),
        "cov80": inside(actual, quantiles, 0.8),
        "cov95": inside(actual, quantiles, 0.95),
        "cov99": inside(actual, quantiles, 0.99),
    }
    for (name, level), shortfall in zip(_TAILS.items(), (cells.es01, cells.es025), strict=True):
        quantile = quantiles[..., QUANTILES.index(level)]
        found[f"below{name}"] = actual < quantile
        found[f"joint{name}"] = joint_loss(returns, quantile / naive - 1, shortfall / naive - 1, level)
    return found


def _summed_up(total: Scores, count: NDArray[np.int64]) -> Scores:
    """What is a mean over the cutoffs, or made of some."""
    mean = dict(zip(total, _ratios(np.stack([*total.values()]), count), strict=True))
    rmse, rmse_naive = np.sqrt(mean["squared"]), np.sqrt(mean["squared_naive"])
    return {
        **mean,
        "n": count,
        "rmse": rmse,
        "mase": _ratios(mean["mae"], mean["mae_naive"]),
        "rmse_naive": rmse_naive,
        "rmse_ratio": _ratios(rmse, rmse_naive),
        "direction_hit": _ratios(total["direction_hit"], total["called"]),
        "up_share": _ratios(total["up_share"], total["moved"]),
    }


def _tested(own: Scores, trailing_sigma: Array, step: int) -> list[Array]:
    """(m,) each, in the order of _TESTED: of models that forecast from the same cutoffs the tests, and how
    their intervals held by thirds of volatility.

    Args:
        own: (m, n) each, in the order of time. trailing_sigma: (n,).
    """
    third = (thirds(trailing_sigma)[:, None] == np.arange(3)).astype(float)
    by_third = _ratios(own["cov95"] @ third, third.sum(axis=0))
    passed = np.stack([own[f"below{name}"][:, ::step] > 0 for name in _TAILS])  # outcomes do not overlap
    levels = np.array([*_TAILS.values()])[:, None]
    return [
        *compare_losses(own["squared"], own["squared_naive"], step),
        *by_third.T,
        uniform_pvalue(own["probability"][:, ::step]),
        *kupiec(passed, levels),
        *christoffersen(passed, levels),
    ]


def _against_reference(cells: _Cells, losses: Array) -> Scores:
    """Ratios of the losses (2, m, s, n), pinball and Winkler, to GARCH's on the cutoffs of both, and the test
    of the first.
    """
    names = ("pinball_per_garch", "winkler95_per_garch", "dm_garch_stat", "dm_garch_pvalue")
    found = np.full((len(names), *cells.known.shape[:2]), math.nan)
    for garch in np.flatnonzero(cells.models == _REFERENCE):
        for at, step in enumerate(cells.steps.tolist()):
            for models, cutoffs in _together(cells.known[:, at] & cells.known[garch, at]):
                own, other = _part(losses, at, models, cutoffs), losses[:, garch, at].take(cutoffs, axis=-1)
                found[:2, models, at] = _ratios(own.sum(axis=-1), other.sum(axis=-1)[:, None])
                found[2:, models, at] = compare_losses(own[0], other[0], step)
    return dict(zip(names, found, strict=True))


def _against_none(
    pinball: Array, none: Array | None, cost: ArmCost, none_seconds: float, step: int
) -> dict[str, object]:
    """The share of `none`'s pinball loss that the arm saves, the test of it, and the share saved by each CPU
    second more.
    """
    gain, stat, pvalue = math.nan, math.nan, math.nan
    if none is not None:
        gain = 1 - _ratio(pinball.sum(), none.sum())
        stat, pvalue = map(float, compare_losses(pinball, none, step))
    return {
        "arm": cost.arm.replace("-", "_"),
        "cpu_seconds": cost.cpu_seconds,
        "gain_over_none": gain,
        "gain_per_cpu_second": _ratio(gain, cost.cpu_seconds - none_seconds),
        "dm_none_stat": stat,
        "dm_none_pvalue": pvalue,
    }


def _arm_scores(cells: _Cells, pinball: Array, arms: Mapping[str, ArmCost]) -> dict[str, NDArray[Any]]:
    """Of the models that are arms; nothing where none is."""
    scores, places = dict[str, NDArray[Any]](), cells.models.tolist()
    for (place, model), (at, step) in itertools.product(enumerate(places), enumerate(cells.steps.tolist())):
        known = cells.known[place, at]
        if model not in arms or not known.any():
            continue
        cost = arms[model]
        none_seconds = arms[cost.against].cpu_seconds if cost.against in arms else math.nan
        none = pinball[places.index(cost.against), at, known] if cost.against in places else None
        for name, value in _against_none(pinball[place, at, known], none, cost, none_seconds, step).items():
            nowhere = np.full(cells.known.shape[:2], math.nan, object if name == "arm" else float)
            scores.setdefault(name, nowhere)[place, at] = value
    return scores


def _in_the_set(losses: Array) -> Array:
    """(..., m) p-value of each model in the confidence set, from its losses (..., n, m)."""
    if losses.shape[-1] < 2 or losses.shape[-2] < _FEWEST:
        return np.full((*losses.shape[:-2], losses.shape[-1]), math.nan)
    return confidence_set(losses)


def _in_the_sets(pinball: Array, known: NDArray[np.bool_]) -> Array:
    """(m, s) p-value of each model in the confidence set of its step, on the cutoffs that all have."""
    found, count = np.full(known.shape[:2], math.nan), known.sum(axis=-1)
    # The last cutoffs lack their later steps. The same number for every step, and so the same resampling.
    counted = known & (known.cumsum(axis=-1) <= count[count > 0].min())
    alike: dict[tuple[int, ...], list[tuple[int, NDArray[np.intp], Array]]] = {}
    for at in range(known.shape[1]):
        there = np.flatnonzero(count[:, at])
        losses = _part(pinball, at, there, np.flatnonzero(counted[there, at].all(axis=0))).T
        alike.setdefault(losses.shape, []).append((at, there, losses))
    for parts in alike.values():
        pvalues = _in_the_set(np.stack([losses for *_, losses in parts]))
        for (at, there, _), pvalue in zip(parts, pvalues, strict=True):
            found[there, at] = pvalue
    return found


def _together(known: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Models that forecast from the same cutoffs, and these, by their places in `known` (m, n)."""
    same: dict[bytes, list[int]] = {}
    for place, row in enumerate(known):
        same.setdefault(row.tobytes(), []).append(place)
    for models in same.values():
        if known[models[0]].any():
            yield np.array(models), np.flatnonzero(known[models[0]])


def _part(values: Array, at: int, models: NDArray[np.intp], cutoffs: NDArray[np.intp]) -> Array:
    """(..., models, cutoffs): of values (..., m, s, n) those of one step."""
    *others, _, steps, count = values.shape
    place = (models[:, None] * steps + at) * count + cutoffs
    return values.reshape(*others, -1).take(place, axis=-1)


def _losses(cells: _Cells, values: Array, scores: Mapping[str, Array]) -> Losses:
    """Of values (3, m, s, n) as in `Losses`, but for their units."""
    units = np.stack([scores["squared_naive"], scores["squared_naive"], scores["mae_naive"]])[..., None]
    known = cells.known & units.all(axis=0)
    found = np.zeros((4, *known.shape))
    np.divide(values, units, out=found[:3], where=known)
    found[3] = known
    return Losses((cells.models, cells.steps, cells.cutoffs), found)


def ticker_scores(
    forecasts: pd.DataFrame, seconds: Mapping[str, float], arms: Mapping[str, ArmCost] = MappingProxyType({})
) -> tuple[pd.DataFrame, Losses]:
    """Scores of one ticker's `backtest_forecasts` rows, one row a model and step, and its losses.

    q-values are left open: they take all tickers (`scores_of_all`).

    Args:
        seconds: by model.
        arms: of the models that are arms of a replay, all at the same cutoffs.
    """
    cells = _cells(forecasts)
    each = _each(cells)
    values, count = np.stack([*each.values()], dtype=float), cells.known.sum(axis=-1)
    sums, tests = np.zeros(values.shape[:-1]), np.full((len(_TESTED), *count.shape), math.nan)
    for at, step in enumerate(cells.steps.tolist()):
        for models, cutoffs in _together(cells.known[:, at]):
            part = _part(values, at, models, cutoffs)
            sums[:, models, at] = part.sum(axis=-1)
            own = dict(zip(each, part, strict=True))
            tests[:, models, at] = _tested(own, cells.trailing_sigma[models[0], at, cutoffs], step)
    scores: dict[str, Any] = {
        **_summed_up(dict(zip(each, sums, strict=True)), count),
        **dict(zip(_TESTED, tests, strict=True)),
        **_against_reference(cells, np.stack([each["pinball"], each["winkler95"]])),
        **_arm_scores(cells, each["pinball"], arms),
        "mcs_pvalue": _in_the_sets(each["pinball"], cells.known),
    }
    table = _table(forecasts["ticker"].iloc[0], cells, scores, seconds)
    return table, _losses(cells, values[:3], scores)


def _table(
    ticker: str, cells: _Cells, scores: Mapping[str, NDArray[Any]], seconds: Mapping[str, float]
) -> pd.DataFrame:
    """One row a model and step, by both; NaN where there is no such score."""
    there = scores["n"] > 0
    model, step = np.nonzero(there)
    names = cells.models[model].tolist()
    columns = {
        "ticker": ticker,
        "model": names,
        "step": cells.steps[step],
        "seconds": [seconds.get(name, 0.0) for name in names],
        **{name: values[there] for name, values in scores.items()},
    }
    return pd.DataFrame({name: columns.get(name, math.nan) for name in _COLUMNS})


def _compared(panel: pd.DataFrame, other: pd.DataFrame | None, step: int) -> tuple[float, float]:
    """The test of the pinball losses of two panels, on the dates of both."""
    if other is None:
        return math.nan, math.nan
    both = panel.join(other["pinball"].rename("other"), how="inner")
    stat, pvalue = compare_losses(both["pinball"].to_numpy(), both["other"].to_numpy(), step)
    return float(stat), float(pvalue)


def _pooled_arm(
    own: pd.DataFrame, none: pd.DataFrame, panel: pd.DataFrame, none_panel: pd.DataFrame | None, step: int
) -> dict[str, object]:
    """What `_against_none` says of a ticker, for all of them; nothing where the model is no arm."""
    if own["arm"].isna().all():
        return {}
    seconds, saved = own["cpu_seconds"].sum(), 1 - own["gain_over_none"]
    gain = 1 - float(np.exp(np.log(saved.where(saved > 0)).mean()))
    stat, pvalue = _compared(panel, none_panel, step)
    return {
        "arm": own["arm"].iloc[0],
        "cpu_seconds": seconds,
        "gain_over_none": gain,
        "gain_per_cpu_second": _ratio(gain, seconds - none["cpu_seconds"].sum()) if len(none) else math.nan,
        "dm_none_stat": stat,
        "dm_none_pvalue": pvalue,
    }


def _pooled_row(
    scores: pd.DataFrame, panel: pd.DataFrame, reference: pd.DataFrame | None, step: int
) -> dict[str, object]:
    logs = np.log(scores[_RATIOS].where(scores[_RATIOS] > 0))
    stat, pvalue = compare_losses(panel["squared"].to_numpy(), panel["naive"].to_numpy(), step)
    garch = _compared(panel, reference, step)
    return {
        "n": scores["n"].sum(),
        **scores[_MEANS].mean().to_dict(),
        **np.exp(logs.mean()).to_dict(),
        "dm_stat": stat,
        "dm_pvalue": pvalue,
        "dm_garch_stat": garch[0],
        "dm_garch_pvalue": garch[1],
        "seconds": scores["seconds"].sum(),
    }


def _none_of(model: str, own: pd.DataFrame) -> str:
    """The arm `none` of the same variant."""
    arm = own["arm"].iloc[0]
    return f"{model.removesuffix(arm)}none" if isinstance(arm, str) else ""


def _pooled_scores(panels: Mapping[tuple[str, int], pd.DataFrame], scores: pd.DataFrame) -> pd.DataFrame:
    tickers = {
        (str(model), int(step)): part for (model, step), part in scores.groupby(["model", "step"], sort=True)
    }
    rows = []
    for step in sorted({step for _, step in tickers}):
        own = {model: panels[model, step] for model, at in tickers if at == step}
        common = pd.concat([panel["pinball"] for panel in own.values()], axis=1, join="inner").to_numpy()
        for (model, panel), in_set in zip(own.items(), _in_the_set(common), strict=True):
            chosen = tickers[model, step]
            none = _none_of(model, chosen)
            row = _pooled_row(chosen, panel, own.get(_REFERENCE), step)
            row |= _pooled_arm(chosen, tickers.get((none, step), chosen.iloc[:0]), panel, own.get(none), step)
            rows.append({"ticker": "*", "model": model, "step": step, **row, "mcs_pvalue": in_set})
    return pd.DataFrame(rows, columns=_COLUMNS).sort_values(["model", "step"], ignore_index=True)


def scores_of_all(panels: Panels, scores: pd.DataFrame) -> pd.DataFrame:
    """The tickers' scores with their q-values, and rows for all tickers together (`ticker` is `*`).

    There `n` and the seconds are sums over tickers, ratios and gains geometric means over tickers, the other
    scores are means over tickers, each with the same weight; the tests and the confidence set are on losses
    averaged by date. A q-value has no meaning there.

    Args:
        panels: of the losses that `ticker_scores` made of every ticker.
        scores: what it made beside them, one ticker after the other.
    """
    by_model = scores.groupby(["model", "step"])
    for test in _TESTS:
        rates = by_model[f"{test}_pvalue"].transform(
            lambda values: false_discovery_rates(values.to_numpy(float))
        )
        scores = scores.assign(**{f"{test}_qvalue": rates})
    pooled = _pooled_scores(panels.means(), scores)
    return pd.concat([scores, pooled.astype(scores.dtypes.to_dict())], ignore_index=True)
