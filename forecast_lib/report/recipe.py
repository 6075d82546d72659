"""What the page of a named recipe shows: its figures, the honest ones beside them, and what flatters the
result.
"""

from dataclasses import dataclass

from forecast_lib.report.plots import Plot

__all__ = ["Figure", "RecipeReport"]


@dataclass(frozen=True)
class Figure:
    """One reported number (or word) with its unit and a remark; `value` is shown with six significant
    digits.
    """

    label: str
    value: float | int | str | None
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class RecipeReport:
    """The page of one recipe.

    Attributes:
        name: the recipe's name on the command line, for example `aapl-stacked`.
        title: one line for the reader.
        figures: what the walkthrough reports, reproduced with its quirks.
        honest: the same questions answered without the quirks, baselines included.
        flattery: sentences that say plainly what flatters `figures`.
        plots: drawn in this order.
        about: series, window, network and training in a sentence or two.
        origin: label and text pairs for the page's foot: run, code version, source file and the like.
    """

    name: str
    title: str
    figures: tuple[Figure, ...] = ()
    honest: tuple[Figure, ...] = ()
    flattery: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    about: str = ""
    origin: tuple[tuple[str, str], ...] = ()
