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
_VALUES = ("cutoff", "actual", "point", "naive", "sigma", "trailing_sigma", "realised_variance")
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
class _Part:
    """The forecasts of one ticker by one model at one step, in the order of time: each (n,), quantiles (n,
    len(QUANTILES)).
    """

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


Parts = Mapping[tuple[str, int], _Part]


def _parts(forecasts: pd.DataFrame) -> Parts:
    """One ticker's rows by model and step. As arrays: frames of so many small groups would take longer than
    their scores.
    """
    model, names = pd.factorize(forecasts["model"], sort=True)
    step = forecasts["step"].to_numpy()
    order = np.lexsort((forecasts["cutoff"].to_numpy(), step, model))
    model, step = model[order], step[order]
    values = {name: forecasts[name].to_numpy()[order] for name in _VALUES}
    quantiles = forecasts[list(QUANTILE_COLUMNS)].to_numpy()[order]
    starts = np.flatnonzero(np.diff(model, prepend=-1) | np.diff(step, prepend=-1))
    return {
        (str(names[model[first]]), int(step[first])): _Part(
            **{name: each[first:end] for name, each in values.items()}, quantiles=quantiles[first:end]
        )
        for first, end in itertools.pairwise([*starts.tolist(), len(order)])
    }


def _ratio(value: float, base: float) -> float:
    return value / base if base > 0 else math.nan


def _point_scores(part: _Part, step: int) -> dict[str, float]:
    actual, point, naive = part.actual, part.point, part.naive
    moved = actual != naive
    called = moved & (point != naive)  # a forecast of "no change" calls no direction
    stat, pvalue = compare_losses(part.squared, part.squared_naive, step)
    rmse, rmse_naive = math.sqrt(part.squared.mean()), math.sqrt(part.squared_naive.mean())
    mae = float(np.abs(point - actual).mean())
    return {
        "n": len(actual),
        "rmse": rmse,
        "mae": mae,
        "mase": _ratio(mae, float(np.abs(naive - actual).mean())),
        "rmse_naive": rmse_naive,
        "rmse_ratio": _ratio(rmse, rmse_naive),
        "direction_hit": (np.sign(point - naive) == np.sign(actual - naive))[called].mean()
        if called.any()
        else math.nan,
        "up_share": (actual > naive)[moved].mean() if moved.any() else math.nan,
        "dm_stat": stat,
        "dm_pvalue": pvalue,
    }


def _interval_scores(part: _Part, step: int) -> dict[str, float]:
    inside95, third = inside(part.actual, part.quantiles, 0.95), thirds(part.trailing_sigma)
    low, mid, high = (inside95[third == at].mean() if (third == at).any() else math.nan for at in range(3))
    return {
        "pinball": part.pinball.mean(),
        "winkler95": part.winkler95.mean(),
        "cov80": inside(part.actual, part.quantiles, 0.8).mean(),
        "cov95": inside95.mean(),
        "qlike": qlike(part.sigma, part.realised_variance).mean(),
        "cov95_low_vol": low,
        "cov95_mid_vol": mid,
        "cov95_high_vol": high,
        "pit_pvalue": uniform_pvalue(
            probability_below(part.quantiles[::step], part.actual[::step])
        ),  # outcomes that do not overlap
    }


def _tail_scores(part: _Part, step: int) -> dict[str, float]:
    """How the lower tail held; the tests on outcomes that do not overlap."""
    scores = {"cov99": inside(part.actual, part.quantiles, 0.99).mean()}
    returns = part.actual / part.naive - 1
    for level, shortfall in zip((0.01, 0.025), expected_shortfalls(part.quantiles), strict=True):
        name = f"{level:g}"[2:]
        quantile = part.quantiles[:, QUANTILES.index(level)]
        passed = part.actual < quantile
        scores |= {
            f"below{name}": passed.mean(),
            f"joint{name}": joint_loss(
                returns, quantile / part.naive - 1, shortfall / part.naive - 1, level
            ).mean(),
            f"kupiec{name}_pvalue": kupiec(passed[::step], level),
            f"christoffersen{name}_pvalue": christoffersen(passed[::step], level),
        }
    return scores


def _against_reference(part: _Part, reference: _Part | None, step: int) -> dict[str, float]:
    """Ratios to GARCH on the cutoffs of both, and the test of the pinball loss."""
    if reference is None:
        return dict.fromkeys(
            ("pinball_per_garch", "winkler95_per_garch", "dm_garch_stat", "dm_garch_pvalue"), math.nan
        )
    common = _common([part.cutoff, reference.cutoff])
    ours, theirs = (np.searchsorted(each.cutoff, common) for each in (part, reference))
    stat, pvalue = compare_losses(part.pinball[ours], reference.pinball[theirs], step)
    return {
        "pinball_per_garch": _ratio(part.pinball[ours].sum(), reference.pinball[theirs].sum()),
        "winkler95_per_garch": _ratio(part.winkler95[ours].sum(), reference.winkler95[theirs].sum()),
        "dm_garch_stat": stat,
        "dm_garch_pvalue": pvalue,
    }


def _against_none(
    part: _Part, none: _Part | None, cost: ArmCost, none_seconds: float, step: int
) -> dict[str, object]:
    """The share of `none`'s pinball loss that the arm saves, the test of it, and the share saved by each CPU
    second more.
    """
    gain, stat, pvalue = math.nan, math.nan, math.nan
    if none is not None:
        gain = 1 - _ratio(part.pinball.sum(), none.pinball.sum())
        stat, pvalue = compare_losses(part.pinball, none.pinball, step)
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
    model: str, own: Mapping[str, _Part], arms: Mapping[str, ArmCost], step: int
) -> dict[str, object]:
    if model not in arms:
        return {}
    cost = arms[model]
    none_seconds = arms[cost.against].cpu_seconds if cost.against in arms else math.nan
    return _against_none(own[model], own.get(cost.against), cost, none_seconds, step)


def ticker_scores(
    forecasts: pd.DataFrame, seconds: Mapping[str, float], arms: Mapping[str, ArmCost] = MappingProxyType({})
) -> pd.DataFrame:
    """Scores of one ticker's `backtest_forecasts` rows, one row a model and step; `seconds` per model.

    q-values are left open: they take all tickers (`scores_of_all`).

    Args:
        arms: of the models that are arms of a replay, all at the same cutoffs.
    """
    parts = _parts(forecasts)
    # The last cutoffs lack their later steps. The same number for every step, and so the same resampling.
    times = min(len(part.cutoff) for part in parts.values())
    rows = []
    for step in sorted({step for _, step in parts}):
        own = {model: part for (model, at), part in parts.items() if at == step}
        in_set = _in_the_set(
            {model: (part.cutoff[:times], part.pinball[:times]) for model, part in own.items()}
        )
        rows += [
            {
                "ticker": forecasts["ticker"].iloc[0],
                "model": model,
                "step": step,
                **_point_scores(part, step),
                **_interval_scores(part, step),
                **_tail_scores(part, step),
                **_against_reference(part, own.get(_REFERENCE), step),
                "seconds": seconds.get(model, 0.0),
                "mcs_pvalue": in_set[model],
                **_arm_scores(model, own, arms, step),
            }
            for model, part in own.items()
        ]
    return pd.DataFrame(rows, columns=_COLUMNS).sort_values(["model", "step"], ignore_index=True)


class _Panel:
    """Losses by cutoff, averaged over tickers, each in units of what its price usually moves: squared,
    naive's squared, pinball. They are added ticker by ticker, so that never all rows are held at once.
    """

    def __init__(self) -> None:
        self._days = np.empty(0, "datetime64[us]")
        self._sums, self._counts = np.empty((0, 3)), np.empty(0)

    def add(self, part: _Part) -> None:
        """One ticker's; nothing of one whose price never moves."""
        moves = np.abs(part.naive - part.actual)
        units = np.array([part.squared_naive.mean(), part.squared_naive.mean(), moves.mean()])
        if not units.all():
            return
        if not np.array_equal(self._days, part.cutoff):
            self._widen(part.cutoff)
        at = np.searchsorted(self._days, part.cutoff)
        self._sums[at] += np.stack([part.squared, part.squared_naive, part.pinball], axis=1) / units
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


def _compared(panel: pd.DataFrame, other: pd.DataFrame | None, step: int) -> tuple[float, float]:
    """The test of the pinball losses of two panels, on the dates of both."""
    if other is None:
        return math.nan, math.nan
    both = panel.join(other["pinball"].rename("other"), how="inner")
    return compare_losses(both["pinball"].to_numpy(), both["other"].to_numpy(), step)


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


def _panels(forecasts: Iterable[pd.DataFrame]) -> dict[tuple[str, int], pd.DataFrame]:
    """By model and step."""
    panels: dict[tuple[str, int], _Panel] = {}
    for rows in forecasts:
        for _, own in rows.groupby("ticker", sort=False):
            for key, part in _parts(own).items():
                panels.setdefault(key, _Panel()).add(part)
    return {key: panels[key].means() for key in sorted(panels)}


def _pooled_scores(forecasts: Iterable[pd.DataFrame], scores: pd.DataFrame) -> pd.DataFrame:
    panels = _panels(forecasts)
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


def scores_of_all(forecasts: Iterable[pd.DataFrame], scores: pd.DataFrame) -> pd.DataFrame:
    """The tickers' scores with their q-values, and rows for all tickers together (`ticker` is `*`).

    There `n` and the seconds are sums over tickers, ratios and gains geometric means over tickers, the other
    scores are means over tickers, each with the same weight; the tests and the confidence set are on losses
    averaged by date. A q-value has no meaning there.

    Args:
        forecasts: `backtest_forecasts` rows, in frames of one or more whole tickers. scores: what
            `ticker_scores` made of them, one ticker after the other.
    """
    by_model = scores.groupby(["model", "step"])
    for test in _TESTS:
        rates = by_model[f"{test}_pvalue"].transform(
            lambda values: false_discovery_rates(values.to_numpy(float))
        )
        scores = scores.assign(**{f"{test}_qvalue": rates})
    pooled = _pooled_scores(forecasts, scores)
    return pd.concat([scores, pooled.astype(scores.dtypes.to_dict())], ignore_index=True)
