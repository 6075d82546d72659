"""A drawing as plain values, and as one inline SVG; and a bar.

Colours are left to the page's style sheet, so that one drawing serves light, dark and paper.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

from markupsafe import Markup, escape

from forecast_lib.report.words import percent

__all__ = ["Drawing", "Mark", "Shape", "Tick", "bar", "svg"]


class Tick(NamedTuple):
    """A labelled place on an axis."""

    at: float
    label: str
    anchor: str = "middle"


class Shape(NamedTuple):
    """One SVG path with the style class that colours it, and its width where the style sheet cannot
    know it.
    """

    css: str
    path: str
    stroke: float | None = None


class Mark(NamedTuple):
    """A dot, with the text that a reader gets who rests on it (none: no text)."""

    x: float
    y: float
    css: str
    text: str = ""
    radius: float = 2.2


class Drawing(NamedTuple):
    """Everything that `svg` needs; lengths in SVG user units, y downwards."""

    title: str
    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()
    shapes: tuple[Shape, ...] = ()
    marks: tuple[Mark, ...] = ()
    divider: float | None = None
    legend: tuple[tuple[str, str], ...] = ()
    css: str = "small"


@functools.lru_cache(maxsize=1 << 12)
def _text(text: str) -> str:
    """As HTML; days and prices on the axes are those of other drawings too."""
    return str(escape(text))


def svg(drawing: Drawing, name: str) -> Markup:
    """The drawing as SVG. Its texts are escaped here; all else are figures and classes of ours.

    Args:
        name: makes the id of the title unique on the page.
    """
    d = drawing
    of_ranges = "ranges" in d.css
    parts = [
        f'<svg class="{d.css}" viewBox="0 0 {d.width} {d.height}" role="img" aria-labelledby="{name}">'
        f'<title id="{name}">{_text(d.title)}</title>'
    ]
    if not of_ranges:
        parts += [f'<path class="grid" d="M{d.left:.1f} {tick.at}H{d.right}"/>' for tick in d.y_ticks]
    parts += [
        f'<text x="{d.left - 5:.1f}" y="{tick.at}" dy=".33em" text-anchor="end">{_text(tick.label)}</text>'
        for tick in d.y_ticks
    ]
    if d.css == "wide strip":
        parts.append(f'<path class="grid" d="M{d.left} {d.bottom}H{d.right}"/>')
    for tick in d.x_ticks:
        if of_ranges:
            parts.append(f'<path class="grid" d="M{tick.at} {d.top}V{d.bottom}"/>')
        parts.append(
            f'<text x="{tick.at}" y="{d.height - 6}" text-anchor="{tick.anchor}">{_text(tick.label)}</text>'
        )
    for shape in d.shapes:
        width = f' style="stroke-width:{shape.stroke}"' if shape.stroke else ""
        parts.append(f'<path class="{shape.css}"{width} d="{shape.path}"/>')
    if d.divider is not None:
        parts.append(f'<path class="rule" d="M{d.divider} {d.top}V{d.bottom}"/>')
    for mark in d.marks:
        text = f"<title>{_text(mark.text)}</title>" if mark.text else ""
        parts.append(
            f'<circle class="{mark.css}" cx="{mark.x}" cy="{mark.y}" r="{mark.radius}">{text}</circle>'
        )
    return Markup("".join([*parts, "</svg>\n"]))


def bar(parts: Iterable[tuple[str, str, float]]) -> Markup:
    """One bar of several parts: of each its class, and its name and its share of the whole, which a reader
    gets who rests on it.
    """
    drawn = [
        f'<i class="{css}" style="flex:{share:.3f}" title="{_text(name)} {percent(share)}"></i>'
        for css, name, share in parts
    ]
    return Markup("".join(drawn))
