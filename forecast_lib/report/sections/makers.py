"""What makes a ticker's forecast: the weights of the models in it, what moves its width, and how each did on
the past.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forecast_lib.report.frames import Record, group_by
from forecast_lib.report.plots import Bar, Drawing, draw_bars
from forecast_lib.report.sections.skill import Score

__all__ = ["WEIGHTS_READ", "Driver", "Makers", "StepWeights", "makers"]

WEIGHTS_READ = ("ticker", "step", "part", "model", "weight")
"""Columns of `forecast_weights`."""

_ALWAYS = "usual level"
_COLOURS = 8
_SMALLEST = 0.005
"""In logs: what has a smaller effect and a smaller change is not drawn."""


@dataclass(frozen=True)
class StepWeights:
    """The weights of the models at one step (and part of the distribution, where they differ by it), the
    largest first.
    """

    step: int
    part: str
    weights: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Driver:
    """What one driver does to the width of the first step's interval: `effect` and its `change` since the run
    before, in logs.
    """

    name: str
    effect: float
    change: float | None


@dataclass(frozen=True)
class Makers:
    """Weights by step, drivers of the first step, and backtest figures one session ahead.

    Attributes:
        models: those that have a weight, the largest first, each with the number of its colour.
        drivers: of the first step, the largest effect first.
        drawing: of those that matter.
        usual: width of the interval on a usual evening, as a share of the price; None where nothing is known.
        why: the sentence on what changed, where the width moved notably.
    """

    weights: tuple[StepWeights, ...]
    models: Mapping[str, int]
    drivers: tuple[Driver, ...]
    drawing: Drawing | None
    usual: float | None
    why: str | None
    scores: tuple[Score, ...]


def makers(
    ticker: str,
    weights: Sequence[Record],
    drivers: Sequence[Record],
    scores: Sequence[Score],
    why: str | None = None,
) -> Makers:
    """The rows of one ticker's `forecast_weights` and, one session ahead, `forecast_drivers`, and its scores,
    in plain values.
    """
    steps = [
        StepWeights(int(step), str(part or ""), tuple(sorted(_pairs(own), key=lambda pair: -pair[1])))
        for step, rows in sorted(group_by(weights, "step").items())
        for part, own in group_by([{"part": None, **row} for row in rows], "part").items()
    ]
    order: dict[str, float] = {}
    for each in steps:
        for model, weight in each.weights:
            order[model] = order.get(model, 0.0) + weight
    moved = [Driver(row["driver"], float(row["effect"]), row.get("change")) for row in drivers]
    moved.sort(key=lambda driver: -abs(driver.effect))
    usual = next((driver.effect for driver in moved if driver.name == _ALWAYS), None)
    return Makers(
        tuple(steps),
        {
            model: min(place, _COLOURS - 1)
            for place, model in enumerate(sorted(order, key=lambda name: -order[name]))
        },
        tuple(moved),
        _drawn(ticker, moved),
        None if usual is None else math.expm1(math.exp(usual)),
        why,
        tuple(scores),
    )


def _drawn(ticker: str, drivers: Sequence[Driver]) -> Drawing | None:
    """All that matter but the usual level, which is the width itself and would dwarf them."""
    bars = [
        Bar(each.name, 0.0 if each.name == _ALWAYS else each.effect, each.change)
        for each in drivers
        if max(abs(each.effect) if each.name != _ALWAYS else 0.0, abs(each.change or 0.0)) >= _SMALLEST
    ]
    return (
        draw_bars(f"{ticker}: what makes the next session's range wider or narrower", bars) if bars else None
    )


def _pairs(rows: Sequence[Record]) -> list[tuple[str, float]]:
    return [(row["model"], float(row["weight"])) for row in rows]
