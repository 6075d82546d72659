"""How good forecasts were, whoever made them, against those of one of the models."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecast_lib.api.frames import like, pandas_of
from forecast_lib.api.long import Bounds, models_in, refuse_nameless
from forecast_lib.backtest.significance import compare_losses
from forecast_lib.distribution import pinball_at
from forecast_lib.errors import UsageError
from forecast_lib.windows.series import Array

__all__ = ["score_long"]

_WIDEST = (
    95  # per cent: the tails beyond have scores of their own, a loss of the middle would hardly see them
)


def score_long(
    frame: Any, against: str, *, models: Sequence[str] = (), coverage: Sequence[float] = (80, 95)
) -> Any:
    """Scores of past forecasts beside what came, each model's and step's, the best first.

    Args:
        frame: `unique_id`, `ds`, `cutoff`, `y` and models' columns, as `backtest_long` gives them, or
            `cross_validation` of Nixtla's libraries. Without `cutoff` all rows count as one step.
        against: the model that the others are compared with.
        models: those that are scored; all where none is named.
        coverage: per cent of the intervals whose share of outcomes is counted.

    Returns:
        A frame of the kind of `frame`, one row a model and step, on the rows that the model shares with
        `against`:

        - `n`: so many;
        - `rmse_ratio`, `pinball_ratio`: root mean squared error and mean pinball loss (over the bounds up to
          95 % that both have) divided by those of `against`, geometric mean over the series; below 1 is
          better;
        - `pvalue`: of the Diebold-Mariano test that the pinball losses (without bounds the squared errors),
          averaged by cutoff, are the same;
        - `cov80`, `cov95`: the share of outcomes inside these intervals.

    Raises:
        UsageError: `y`, a model or its columns are missing, a row has no name or date, or a column holds no
            numbers.
    """
    known = pandas_of(frame, ("unique_id", "ds", "y"))
    found = models_in(known)
    if unknown := [name for name in (against, *models) if name not in found]:
        raise UsageError(f"the frame has no model {unknown[0]!r}: it has {', '.join(found) or 'none'}")
    if worded := [name for name in models or found if not pd.api.types.is_numeric_dtype(known[name])]:
        raise UsageError(
            f"column {worded[0]} holds no numbers: name the models that are meant, models=[...], or drop it"
        )
    refuse_nameless(known, [name for name in ("unique_id", "ds", "cutoff") if name in known])
    # Steps are counted before a forecast without an outcome is left out: those after it stay where they are.
    known = known.assign(step=_steps(known), by=known["cutoff"] if "cutoff" in known else known["ds"])
    known = known.dropna(subset=["y"]).sort_values(["unique_id", "ds"])
    if known.empty:
        raise UsageError("no row has an outcome y: there is nothing to score")
    rows = [
        {
            "model": name,
            "step": step,
            **_scores(part, name, against, found, int(step)),
            **_coverage(part, found[name], coverage),
        }
        for step, part in known.groupby("step", sort=True)
        for name in models or found
    ]
    scores = pd.DataFrame(rows)
    order = ["step", "pinball_ratio", "rmse_ratio"]
    return like(scores.sort_values(order, ignore_index=True), frame)


def _steps(known: pd.DataFrame) -> pd.Series | int:
    return (
        known.groupby(["unique_id", "cutoff"])["ds"].rank(method="dense").astype(int)
        if "cutoff" in known
        else 1
    )


def _scores(
    part: pd.DataFrame, model: str, against: str, found: Mapping[str, Bounds], step: int
) -> dict[str, float]:
    levels = [level for level in found[model] if level in found[against] and level <= _WIDEST]
    bounds = [name for asked in (model, against) for level in levels for name in found[asked][level]]
    both = part.dropna(subset=list(dict.fromkeys([model, against, *bounds])))
    squared, base = (((both[name] - both["y"]) ** 2).to_numpy(float) for name in (model, against))
    rmse_ratio = math.sqrt(_ratio(both, squared, base))
    if not levels:
        return {
            "n": len(both),
            "rmse_ratio": rmse_ratio,
            "pinball_ratio": math.nan,
            "pvalue": _pvalue(both, squared, base, step),
        }
    losses, base = (
        _pinball(both, [found[name][level] for level in levels], levels) for name in (model, against)
    )
    ratio, pvalue = _ratio(both, losses, base), _pvalue(both, losses, base, step)
    return {"n": len(both), "rmse_ratio": rmse_ratio, "pinball_ratio": ratio, "pvalue": pvalue}


def _pinball(rows: pd.DataFrame, bounds: Sequence[tuple[str, str]], levels: Sequence[float]) -> Array:
    """(rows,) mean pinball loss over both bounds of each level."""
    tails = np.array([(1 - level / 100) / 2 for level in levels])
    quantiles = rows[[pair[side] for side in (0, 1) for pair in bounds]].to_numpy(float)
    return pinball_at(rows["y"].to_numpy(float), quantiles, np.concatenate([tails, 1 - tails])).mean(axis=1)


def _ratio(rows: pd.DataFrame, losses: Array, base: Array) -> float:
    """Of the mean losses, the geometric mean over the series."""
    means = pd.DataFrame({"own": losses, "base": base}).groupby(rows["unique_id"].to_numpy()).mean()
    means = means[(means > 0).all(axis=1)]
    return float(np.exp(np.log(means["own"] / means["base"]).mean())) if len(means) else math.nan


def _pvalue(rows: pd.DataFrame, losses: Array, base: Array, step: int) -> float:
    """The test of losses averaged by cutoff: series move together, so that a date counts once."""
    table = pd.DataFrame({"own": losses, "base": base})
    unit = table["base"].groupby(rows["unique_id"].to_numpy()).transform("mean")
    daily = table.div(unit.where(unit > 0), axis=0).groupby(rows["by"].to_numpy()).mean().dropna()
    return float(compare_losses(daily["own"].to_numpy(), daily["base"].to_numpy(), step)[1])


def _coverage(part: pd.DataFrame, bounds: Bounds, coverage: Sequence[float]) -> dict[str, float]:
    shares = {}
    for level in coverage:
        low, high = bounds.get(level, (None, None))
        rows = part.dropna(subset=[low, high]) if low in part else part.iloc[:0]
        shares[f"cov{level:g}"] = (
            float(rows["y"].between(rows[low], rows[high]).mean()) if len(rows) else math.nan
        )
    return shares
