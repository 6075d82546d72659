"""Scores of a backtest's forecasts, per ticker and for all, always beside the naive forecast's and GARCH's.

Where the nights were replayed with several arms, each arm's pinball loss also stands beside that of `none`,
with what the difference cost.
"""

import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.backtest.confidence_set import confidence_set
from forecast_lib.backtest.metrics import inside, qlike, thirds, uniform_pvalue, winkler
from forecast_lib.backtest.significance import compare_losses, false_discovery_rates
from forecast_lib.backtest.tails import christoffersen, joint_loss, kupiec
from forecast_lib.config import Arm
from forecast_lib.distribution import expected_shortfalls, pinball, probability_below
from forecast_lib.domain import QUANTILES
from forecast_lib.tables import QUANTILE_COLUMNS
from forecast_lib.windows.series import Array

__all__ = ["ArmCost", "Losses", "Panels", "arm_model", "scores_of_all", "ticker_scores"]

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
class _Block:
    """The forecasts of one ticker at one step by the models that forecast from the same cutoffs, in the order
    of time.

    Attributes:
        models: (m,) names, ascending.
        cutoff: (n,), the same for all of them.
        actual, point, naive, sigma, trailing_sigma, realised_variance: (m, n).
        quantiles: (m, n, len(QUANTILES)).
    """

    step: int
    models: tuple[str, ...]
    cutoff: NDArray[np.datetime64]
    actual: Array
    point: Array
    naive: Array
    sigma: Array
    trailing_sigma: Array
    realised_variance: Array
    quantiles: Array

    @functools.cached_property
    def squared(self) -> Array:
        return (self.point - self.actual) ** 2

    @functools.cached_property
    def squared_naive(self) -> Array:
        return (self.naive - self.actual) ** 2

    @functools.cached_property
    def pinball(self) -> Array:
        return pinball(self.actual, self.quantiles)

    @functools.cached_property
    def winkler95(self) -> Array:
        return winkler(self.actual, self.quantiles, 0.95)


Scores = dict[str, Array]
"""By name (m,): one of each model of a block."""

Losses = dict[tuple[str, int], tuple[NDArray[np.datetime64], Array]]
"""One ticker's by model and step: cutoffs (n,), ascending, and (n, 3): the squared loss, naive's squared loss
and the pinball loss, in units of what the ticker's price usually moves; no cutoff where it never moves.
"""


def _blocks(forecasts: pd.DataFrame) -> list[_Block]:
    """One ticker's rows, by step. As arrays of several models: frames of so many small groups, or arrays of
    one model each, would take longer than their scores.
    """
    model, names = pd.factorize(forecasts["model"], sort=True)
    step, cutoff = forecasts["step"].to_numpy(), forecasts["cutoff"].to_numpy()
    order = np.lexsort((cutoff, model, step))
    changes = np.diff(model[order], prepend=-1) | np.diff(step[order], prepend=-1)
    same: dict[tuple[int, bytes], list[NDArray[np.intp]]] = {}
    for rows in np.split(order, np.flatnonzero(changes)[1:]):
        same.setdefault((int(step[rows[0]]), cutoff[rows].tobytes()), []).append(rows)
    values = {name: forecasts[name].to_numpy() for name in _VALUES}
    quantiles = np.ascontiguousarray(forecasts[list(QUANTILE_COLUMNS)].to_numpy())
    blocks = []
    for (at, _), parts in same.items():
        rows = np.stack(parts)
        models = tuple(str(names[each]) for each in model[rows[:, 0]])
        own = {name: each[rows] for name, each in values.items()}
        blocks.append(_Block(at, models, cutoff[rows[0]], **own, quantiles=quantiles[rows]))
    return blocks


def _ratio(value: float, base: float) -> float:
    return value / base if base > 0 else math.nan


def _ratios(values: Array, bases: Array) -> Array:
    return np.divide(values, bases, out=np.full(values.shape, math.nan), where=bases > 0)


def _shares(hits: NDArray[np.bool_], of: NDArray[np.bool_]) -> Array:
    """(m,): of the places that count, the share of hits; NaN where none counts."""
    return _ratios((hits & of).sum(axis=1).astype(float), of.sum(axis=1).astype(float))


def _point_scores(block: _Block) -> Scores:
    actual, point, naive = block.actual, block.point, block.naive
    moved = actual != naive
    called = moved & (point != naive)  # a forecast of "no change" calls no direction
    stat, pvalue = compare_losses(block.squared, block.squared_naive, block.step)
    rmse, rmse_naive = np.sqrt(block.squared.mean(axis=1)), np.sqrt(block.squared_naive.mean(axis=1))
    mae = np.abs(point - actual).mean(axis=1)
    return {
        "n": np.full(len(actual), actual.shape[1]),
        "rmse": rmse,
        "mae": mae,
        "mase": _ratios(mae, np.abs(naive - actual).mean(axis=1)),
        "rmse_naive": rmse_naive,
        "rmse_ratio": _ratios(rmse, rmse_naive),
        "direction_hit": _shares(np.sign(point - naive) == np.sign(actual - naive), called),
        "up_share": _shares(actual > naive, moved),
        "dm_stat": stat,
        "dm_pvalue": pvalue,
    }


def _interval_scores(block: _Block) -> Scores:
    actual, quantiles, step = block.actual, block.quantiles, block.step
    inside95, third = inside(actual, quantiles, 0.95), thirds(block.trailing_sigma)
    low, mid, high = (_shares(inside95, third == at) for at in range(3))
    return {
        "pinball": block.pinball.mean(axis=1),
        "winkler95": block.winkler95.mean(axis=1),
        "cov80": inside(actual, quantiles, 0.8).mean(axis=1),
        "cov95": inside95.mean(axis=1),
        "qlike": qlike(block.sigma, block.realised_variance).mean(axis=1),
        "cov95_low_vol": low,
        "cov95_mid_vol": mid,
        "cov95_high_vol": high,
        # of outcomes that do not overlap
        "pit_pvalue": uniform_pvalue(probability_below(quantiles[:, ::step], actual[:, ::step])),
    }


def _tail_scores(block: _Block) -> Scores:
    """How the lower tail held; the tests on outcomes that do not overlap."""
    scores = {"cov99": inside(block.actual, block.quantiles, 0.99).mean(axis=1)}
    returns = block.actual / block.naive - 1
    for level, shortfall in zip((0.01, 0.025), expected_shortfalls(block.quantiles), strict=True):
        name = f"{level:g}"[2:]
        quantile = block.quantiles[..., QUANTILES.index(level)]
        passed = block.actual < quantile
        apart = passed[:, :: block.step]
        losses = joint_loss(returns, quantile / block.naive - 1, shortfall / block.naive - 1, level)
        scores |= {
            f"below{name}": passed.mean(axis=1),
            f"joint{name}": losses.mean(axis=1),
            f"kupiec{name}_pvalue": kupiec(apart, level),
            f"christoffersen{name}_pvalue": christoffersen(apart, level),
        }
    return scores


def _against_reference(block: _Block, reference: _Block | None) -> Scores:
    """Ratios to GARCH on the cutoffs of both, and the test of the pinball loss."""
    if reference is None:
        names = ("pinball_per_garch", "winkler95_per_garch", "dm_garch_stat", "dm_garch_pvalue")
        return {name: np.full(len(block.models), math.nan) for name in names}
    common, at = _common([block.cutoff, reference.cutoff]), reference.models.index(_REFERENCE)
    ours, theirs = (np.searchsorted(each.cutoff, common) for each in (block, reference))
    own, other = block.pinball.take(ours, axis=1), reference.pinball[at, theirs]
    winklers = block.winkler95.take(ours, axis=1).sum(axis=1), reference.winkler95[at, theirs].sum()
    stat, pvalue = compare_losses(own, other, block.step)
    return {
        "pinball_per_garch": _ratios(own.sum(axis=1), other.sum()),
        "winkler95_per_garch": _ratios(*winklers),
        "dm_garch_stat": stat,
        "dm_garch_pvalue": pvalue,
    }


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


def _common(cutoffs: Sequence[NDArray[np.datetime64]]) -> NDArray[np.datetime64]:
    """Those that are in all of them, each of which is ascending."""
    first, *others = cutoffs
    if all(np.array_equal(first, each) for each in others):
        return first
    return functools.reduce(np.intersect1d, cutoffs)


def _in_the_set(losses: Mapping[str, tuple[NDArray[np.datetime64], Array]]) -> dict[str, float]:
    """p-value of each model in the confidence set, from its losses by cutoff (ascending), on the cutoffs that
    all have.
    """
    common = _common([cutoff for cutoff, _ in losses.values()])
    if len(losses) < 2 or len(common) < _FEWEST:
        return dict.fromkeys(losses, math.nan)
    table = np.column_stack([values[np.searchsorted(cutoff, common)] for cutoff, values in losses.values()])
    return dict(zip(losses, confidence_set(table).tolist(), strict=True))


def _arm_scores(
    models: Sequence[str], losses: Mapping[str, tuple[Any, Array]], arms: Mapping[str, ArmCost], step: int
) -> dict[str, list[object]]:
    """Of the models that are arms; nothing where none is."""
    scores = dict[str, list[object]]()
    for place, model in enumerate(models):
        if model in arms:
            cost = arms[model]
            none_seconds = arms[cost.against].cpu_seconds if cost.against in arms else math.nan
            _, none = losses.get(cost.against, (None, None))
            for name, value in _against_none(losses[model][1], none, cost, none_seconds, step).items():
                scores.setdefault(name, [math.nan] * len(models))[place] = value
    return scores


def _losses(blocks: Iterable[_Block]) -> Losses:
    found: Losses = {}
    for block in blocks:
        moves = np.abs(block.naive - block.actual).mean(axis=1)
        usual = block.squared_naive.mean(axis=1)
        units = np.stack([usual, usual, moves], axis=1)
        losses = np.stack([block.squared, block.squared_naive, block.pinball], axis=2)
        for model, each, unit in zip(block.models, losses, units, strict=True):
            count = len(block.cutoff) if unit.all() else 0
            found[model, block.step] = block.cutoff[:count], each[:count] / unit
    return found


def ticker_scores(
    forecasts: pd.DataFrame, seconds: Mapping[str, float], arms: Mapping[str, ArmCost] = MappingProxyType({})
) -> tuple[pd.DataFrame, Losses]:
    """Scores of one ticker's `backtest_forecasts` rows, one row a model and step, and its losses.

    q-values are left open: they take all tickers (`scores_of_all`).

    Args:
        seconds: by model.
        arms: of the models that are arms of a replay, all at the same cutoffs.
    """
    blocks = _blocks(forecasts)
    # The last cutoffs lack their later steps. The same number for every step, and so the same resampling.
    times = min(len(block.cutoff) for block in blocks)
    parts = list[dict[str, Sequence[Any] | Array]]()
    for step, found in itertools.groupby(blocks, lambda block: block.step):
        own = list(found)
        losses = {
            model: (block.cutoff, values)
            for block in own
            for model, values in zip(block.models, block.pinball, strict=True)
        }
        in_set = _in_the_set(
            {model: (losses[model][0][:times], losses[model][1][:times]) for model in sorted(losses)}
        )
        reference = next((block for block in own if _REFERENCE in block.models), None)
        for block in own:
            count = len(block.models)
            parts.append(
                {
                    "ticker": [forecasts["ticker"].iloc[0]] * count,
                    "model": block.models,
                    "step": [step] * count,
                    **_point_scores(block),
                    **_interval_scores(block),
                    **_tail_scores(block),
                    **_against_reference(block, reference),
                    "seconds": [seconds.get(model, 0.0) for model in block.models],
                    "mcs_pvalue": [in_set[model] for model in block.models],
                    **_arm_scores(block.models, losses, arms, step),
                }
            )
    return _table(parts), _losses(blocks)


def _table(parts: Sequence[Mapping[str, Sequence[Any] | Array]]) -> pd.DataFrame:
    """One row a model and step, by both; NaN where a part has no such score. Of arrays: frames of lists, and
    their sorting, take as long as the scores.
    """
    named = [named for part in parts for named in zip(part["model"], part["step"], strict=True)]
    order = sorted(range(len(named)), key=named.__getitem__)
    columns: dict[str, Array | list[Any]] = {}
    for name in _COLUMNS:
        values = [part.get(name, np.full(len(part["model"]), math.nan)) for part in parts]
        if all(isinstance(each, np.ndarray) for each in values):
            columns[name] = np.concatenate(values)[order]
        else:
            listed = list(itertools.chain.from_iterable(values))
            columns[name] = [listed[place] for place in order]
    return pd.DataFrame(columns)


class _Panel:
    """Losses of one model and step by cutoff, averaged over tickers."""

    def __init__(self) -> None:
        self._days = np.empty(0, "datetime64[us]")
        self._sums, self._counts = np.empty((0, 3)), np.empty(0)

    def add(self, cutoff: NDArray[np.datetime64], losses: Array) -> None:
        """One ticker's, (n, 3)."""
        if not np.array_equal(self._days, cutoff):
            self._widen(cutoff)
        at = np.searchsorted(self._days, cutoff)
        self._sums[at] += losses
        self._counts[at] += 1

    def _widen(self, cutoff: NDArray[np.datetime64]) -> None:
        days = np.union1d(self._days, cutoff)
        at, sums, counts = np.searchsorted(days, self._days), np.zeros((len(days), 3)), np.zeros(len(days))
        sums[at], counts[at] = self._sums, self._counts
        self._days, self._sums, self._counts = days, sums, counts

    def means(self) -> pd.DataFrame:
        """Columns squared, naive and pinball by cutoff, ascending."""
        return pd.DataFrame(
            self._sums / self._counts[:, None], self._days, columns=["squared", "naive", "pinball"]
        )


class Panels:
    """Losses by cutoff of each model and step, averaged over tickers: tickers are added as they come, so that
    never the losses of all are held at once, and are summed up in their own order, whoever comes first.
    """

    def __init__(self) -> None:
        self._panels = dict[tuple[str, int], _Panel]()
        self._waiting, self._next = dict[int, Sequence[Losses]](), 0

    def add(self, place: int, tickers: Sequence[Losses]) -> None:
        """Those of some tickers. The places are 0, 1, 2 and so on, in any order, each given once."""
        self._waiting[place] = tickers
        while self._next in self._waiting:
            for losses in self._waiting.pop(self._next):
                for key, own in losses.items():
                    self._panels.setdefault(key, _Panel()).add(*own)
            self._next += 1

    def means(self) -> dict[tuple[str, int], pd.DataFrame]:
        """By model and step, ascending: columns squared, naive and pinball by cutoff."""
        return {key: self._panels[key].means() for key in sorted(self._panels)}


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
    for step in sorted({step for _, step in panels}):
        own = {model: panel for (model, at), panel in panels.items() if at == step}
        in_set = _in_the_set(
            {model: (panel.index.to_numpy(), panel["pinball"].to_numpy()) for model, panel in own.items()}
        )
        for model, panel in own.items():
            chosen = tickers[model, step]
            none = _none_of(model, chosen)
            row = _pooled_row(chosen, panel, own.get(_REFERENCE), step)
            row |= _pooled_arm(chosen, tickers.get((none, step), chosen.iloc[:0]), panel, own.get(none), step)
            rows.append({"ticker": "*", "model": model, "step": step, **row, "mcs_pvalue": in_set[model]})
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
