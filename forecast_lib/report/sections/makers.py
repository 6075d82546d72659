"""What makes a ticker's forecast: the weights of the models in it, what moves its width, and how each did on
the past.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from forecast_lib.report.drawing import Drawing
from forecast_lib.report.frames import columns_of
from forecast_lib.report.plots import Bar, draw_bars
from forecast_lib.report.sections.drivers import Driver
from forecast_lib.report.sections.skill import Score
from forecast_lib.report.words import clip, percent

__all__ = ["Makers", "StepWeights", "makers", "step_weights"]

_ALWAYS = "usual level"
_COLOURS = 8
_SEEN = 0.0005
_SMALLEST = 0.005
"""In logs: what has a smaller effect and a smaller change is not drawn."""


class StepWeights(NamedTuple):
    """The weights of the models at one step (and part of the distribution, where they differ by it), the
    largest first.
    """

    step: int
    part: str
    weights: tuple[tuple[str, float], ...]

    @property
    def shown(self) -> list[tuple[str, float]]:
        """Those that are seen in a bar."""
        return [(model, weight) for model, weight in self.weights if weight >= _SEEN]

    def bars(self, colours: Mapping[str, int]) -> list[tuple[str, str, float]]:
        """Class, name and share of each."""
        return [(f"w{colours[model]}", clip(model), weight) for model, weight in self.shown]

    @property
    def largest(self) -> str:
        """The first three in words."""
        return ", ".join([f"{clip(model)} {percent(weight, 0)}" for model, weight in self.shown[:3]])


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


def step_weights(frame: pd.DataFrame) -> dict[str, tuple[StepWeights, ...]]:
    """By ticker, from the rows of `forecast_weights`."""
    found: dict[str, dict[tuple[int, str], list[tuple[str, float]]]] = {}
    for ticker, step, part, *weight in zip(
        *columns_of(frame, ("ticker", "step", "part", "model", "weight")), strict=True
    ):
        found.setdefault(ticker, {}).setdefault((step, part or ""), []).append((weight[0], weight[1]))
    return {
        ticker: tuple(
            StepWeights(step, part, tuple(sorted(own, key=lambda pair: -pair[1])))
            for (step, part), own in sorted(steps.items(), key=lambda item: item[0][0])
        )
        for ticker, steps in found.items()
    }


def makers(
    ticker: str,
    weights: tuple[StepWeights, ...],
    drivers: Sequence[Driver],
    scores: tuple[Score, ...],
    why: str | None = None,
) -> Makers:
    """What is known of one ticker. `why`: the sentence on the change of its width."""
    order: dict[str, float] = {}
    for each in weights:
        for model, weight in each.weights:
            order[model] = order.get(model, 0.0) + weight
    usual = next((driver.effect for driver in drivers if driver.name == _ALWAYS), None)
    moved = sorted(drivers, key=lambda driver: -abs(driver.effect))
    return Makers(
        weights,
        {
            model: min(place, _COLOURS - 1)
            for place, model in enumerate(sorted(order, key=lambda name: -order[name]))
        },
        tuple(moved),
        _drawn(ticker, moved),
        None if usual is None else math.expm1(math.exp(usual)),
        why,
        scores,
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
