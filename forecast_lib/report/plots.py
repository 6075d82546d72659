"""Where the ink goes: values -> coordinates of a `Drawing`.

The x axis counts sessions (or labels), not days: weekends and holidays take no room.
"""

import datetime as dt
import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from forecast_lib.report.drawing import Drawing, Mark, Shape, Tick

__all__ = [
    "Bar",
    "ForecastPath",
    "PastBands",
    "Plot",
    "Range",
    "Series",
    "Style",
    "draw_bars",
    "draw_forecast",
    "draw_heap",
    "draw_lines",
    "draw_ranges",
    "draw_shares",
    "draw_spark",
    "nice_ticks",
]

Style = Literal["actual", "forecast", "baseline"]

# A horizon of 5 after 120 closes would get 4 % of the width: too little to see a band in.
_FORECAST_SHARE, _FORECAST_SHARE_WIDE = 0.32, 0.2
_LETTER = 6.0  # width of one digit at the 10-unit font of the small plots


@dataclass(frozen=True)
class Series:
    """One named line of a plot; `None` and NaN leave a gap."""

    name: str
    values: Sequence[float | None]
    style: Style = "actual"


@dataclass(frozen=True)
class Plot:
    """Lines over one common x axis; `labels` names each point (usually an ISO date), one for each value."""

    title: str
    labels: Sequence[str]
    series: Sequence[Series]
    unit: str = ""

    def __post_init__(self) -> None:
        for series in self.series:
            if len(series.values) != len(self.labels):
                raise ValueError(
                    f"plot {self.title!r}, series {series.name!r}: {len(series.values)} values for"
                    f" {len(self.labels)} labels; expected one value a label, None where there is none"
                )
            if series.style not in get_args(Style):
                raise ValueError(
                    f"plot {self.title!r}, series {series.name!r}: style {series.style!r} is not known; "
                    f"expected one of {', '.join(get_args(Style))}"
                )


@dataclass(frozen=True)
class ForecastPath:
    """One ticker's forecast: the median and the nested bands at each target session, in order.

    Attributes:
        cutoff: last session that the forecast knew.
        last_close: close of the cutoff, in price units.
        targets: (steps,) target sessions, at least one.
        median: (steps,) prices.
        bands: from wide to narrow, (percent, lower, upper), each of (steps,) prices.
    """

    cutoff: dt.date
    last_close: float
    targets: tuple[dt.date, ...]
    median: tuple[float, ...]
    bands: tuple[tuple[int, tuple[float, ...], tuple[float, ...]], ...]

    @functools.cached_property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest price of all."""
        prices = [*self.median, *(price for _, *sides in self.bands for side in sides for price in side)]
        return min(prices), max(prices)

    @functools.cached_property
    def texts(self) -> list[str]:
        """What a reader gets who rests on the median of a session."""
        return [
            f"{_weekday_and_day(day)}: median {median:,.6g}"
            for day, median in zip(self.targets, self.median, strict=True)
        ]


Band = tuple[int, float, float]
"""Per cent, lower and upper bound."""
Array = NDArray[np.float64]
Sessions = NDArray[np.datetime64]
"""Days, datetime64[D]."""


@dataclass(frozen=True, eq=False)
class PastBands:
    """What was forecast for sessions that have come.

    Attributes:
        places: those of the sessions among the closes that are drawn, in order.
        percents: of the bands, from wide to narrow.
        bounds: (bands, 2, sessions), their lower and upper bounds, prices on today's share basis.
    """

    places: NDArray[np.intp]
    percents: tuple[int, ...]
    bounds: Array

    def without(self, closes: int) -> "PastBands":
        """Where so many of the oldest closes are left out."""
        first = self.places.searchsorted(closes)
        return PastBands(self.places[first:] - closes, self.percents, self.bounds[:, :, first:])


class Range(NamedTuple):
    """One line of a range plot: its bands, wide to narrow, and the middle; `text` is what a reader gets who
    rests on it.
    """

    label: str
    bands: tuple[Band, ...]
    middle: float
    text: str


class Bar(NamedTuple):
    """One line of a plot of factors: two of them, as natural logs; None for none."""

    label: str
    upper: float
    lower: float | None


def nice_ticks(low: float, high: float, count: int = 4) -> tuple[tuple[float, str], ...]:
    """Round numbers inside [low, high], about `count` of them, with labels of equal decimals.

    >>> nice_ticks(96.2, 113.0)
    ((100.0, '100'), (105.0, '105'), (110.0, '110'))
    >>> nice_ticks(0.991, 1.012, 3)
    ((1.0, '1.00'), (1.01, '1.01'))
    """
    if not high > low:
        return ((low, f"{low:,.6g}"),)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1.0, 2.0, 2.5, 5.0) if factor * power >= rough), 10.0 * power)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step, decimals) != round(step, decimals + 1):  # a step of 2.5 needs one more
        decimals += 1
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    label = f"{{:,.{decimals}f}}".format
    return tuple([(round(k * step, decimals), label(k * step)) for k in range(first, last + 1)])


class _Frame:
    """The plotting area: values to user units. `low` and `high` are the padded limits of the y axis."""

    def __init__(self, low: float, high: float, width: int, height: int, letter: float, foot: float) -> None:
        """Args:
        low, high: the least and the largest value.
        letter: width of a digit of the labels. foot: height below the area.
        """
        pad = (high - low) * 0.06 or abs(high) * 0.01 or 1.0
        self.low, self.high = low - pad, high + pad
        self.width, self.height = width, height
        ticks = nice_ticks(self.low, self.high)
        self.left = 8 + letter * max(len(label) for _, label in ticks)
        self.right, self.top, self.bottom = width - 8.0, 8.0, height - foot
        self.scale = (self.bottom - self.top) / (self.high - self.low)
        self.y_ticks = tuple([Tick(round(self.y(value), 1), label, "end") for value, label in ticks])

    def y(self, value: float) -> float:
        return self.bottom - (value - self.low) * self.scale

    def ys(self, values: Array) -> Array:
        """As `y`, of many."""
        return self.bottom - (values - self.low) * self.scale


class _Across:
    """Places from left to right, and paths through them whose heights are to be filled in: most of a night's
    drawings, thousands of them, share theirs.
    """

    def __init__(self, count: int, left: float, right: float) -> None:
        """Both ends are places; one alone stands at the right."""
        step = (right - left) * np.arange(count) / max(count - 1, 1)
        self.xs: list[float] = (left + step).tolist() if count > 1 else [right] * count

    @functools.cached_property
    def line(self) -> str:
        return _path(self.xs)

    @functools.cached_property
    def outline(self) -> str:
        """Out along one line, and back along another."""
        return _path(self.xs + self.xs[::-1]) + "Z"

    @functools.cached_property
    def strokes(self) -> list[str]:
        """An upright one at each place."""
        return [f"M{x:.1f} %.1fV%.1f" for x in self.xs]


_across = functools.lru_cache(maxsize=1 << 8)(_Across)


def _path(xs: Iterable[float]) -> str:
    return "M" + "L".join([f"{x:.1f} %.1f" for x in xs])


def _path_with_gaps(xs: Sequence[float], ys: Array) -> str:
    """A line whose height is not known everywhere."""
    shown = np.isfinite(ys)
    letters = np.where(shown & np.append(False, shown[:-1]), "L", "M")
    points = zip(letters[shown], np.array(xs)[shown], ys[shown], strict=True)
    return "".join([f"{letter}{x:.1f} {y:.1f}" for letter, x, y in points])


def _finite(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


# The days of one ticker's drawing are those of all others'.


@functools.cache
def _day_and_month(day: dt.date) -> str:
    return f"{day.day} {day:%b}"


@functools.cache
def _month(day: dt.date) -> str:
    return f"{day:%b %Y}" if day.month == 1 else f"{day:%b}"


@functools.cache
def _weekday_and_day(day: dt.date) -> str:
    return f"{day:%a} {day}"


@functools.lru_cache(maxsize=1 << 10)
def _month_ticks(days: bytes, across: _Across, stop: float) -> list[Tick]:
    """The first session of a month, thinned to one label every 46 units and none beyond `stop`.

    Args:
        days: the sessions, as the bytes of their array: they are the same for most tickers.
    """
    sessions, xs = np.frombuffer(days, "datetime64[D]"), across.xs
    months = sessions.astype("datetime64[M]")
    ticks: list[Tick] = []
    for at in (np.flatnonzero(months[1:] != months[:-1]) + 1).tolist():
        if xs[at] <= stop and (not ticks or xs[at] - ticks[-1].at >= 46):
            ticks.append(Tick(round(xs[at], 1), _month(sessions[at].item())))
    return ticks


def draw_forecast(
    title: str,
    sessions: Sessions,
    closes: Array,
    forecast: ForecastPath | None,
    past: PastBands | None = None,
    *,
    width: int = 360,
    height: int = 190,
) -> Drawing:
    """One ticker's last closes over the bands that had been forecast for them and, after them, the fan of its
    forecast.

    Sessions after the cutoff are drawn wider than those before it, so that the bands can be read; a rule
    marks the cutoff.

    Args:
        title: what the reader hears or reads on the whole drawing.
        sessions: of the closes, oldest first, none after the cutoff; may be empty when there is a forecast.
        forecast: `None` draws the closes alone.
        past: what had been forecast for some of the sessions; a close outside the widest band gets a dot.
    """
    if forecast and (not len(sessions) or sessions[-1] < np.datetime64(forecast.cutoff)):
        sessions = np.append(sessions, np.datetime64(forecast.cutoff))
        closes = np.append(closes, forecast.last_close)
    past = past if past and len(past.places) else None
    drawn = [closes, past.bounds] if past else [closes]
    limits = [limit for each in drawn for limit in (each.min().item(), each.max().item())]
    limits += forecast.limits if forecast else ()
    frame = _Frame(min(limits), max(limits), width, height, _LETTER, 22)
    split = frame.right
    if forecast:
        steps = len(forecast.targets)
        least = _FORECAST_SHARE if width < 720 else _FORECAST_SHARE_WIDE
        split -= (frame.right - frame.left) * max(least, steps / (len(sessions) + steps))
    across = _across(len(sessions), frame.left, split)
    ticks = [*_month_ticks(sessions.tobytes(), across, split - 44)]
    shapes = _past_strokes(frame, across, past) if past else []
    shapes.append(Shape("actual", across.line % tuple(frame.ys(closes).tolist())))
    marks = _misses(frame, across, sessions, closes, past) if past else []
    if forecast:
        future = _across(steps + 1, split, frame.right)
        start, *medians = map(frame.y, (forecast.last_close, *forecast.median))
        shapes[:0] = [
            Shape(f"b{percent}", future.outline % (start, *map(frame.y, (*high, *low[::-1])), start))
            for percent, low, high in forecast.bands
        ]
        shapes.append(Shape("forecast", future.line % (start, *medians)))
        marks += [
            Mark(round(x, 1), round(y, 1), "forecast", text)
            for x, y, text in zip(future.xs[1:], medians, forecast.texts, strict=True)
        ]
        ticks += [
            Tick(round(split, 1), _day_and_month(sessions[-1].item())),
            Tick(frame.right, _day_and_month(forecast.targets[-1]), "end"),
        ]
    else:
        ticks.append(Tick(frame.right, _day_and_month(sessions[-1].item()), "end"))
    return Drawing(
        title, width, height, frame.left, frame.right, frame.top, frame.bottom, tuple(ticks), frame.y_ticks,
        tuple(shapes), tuple(marks), round(split, 1) if forecast else None,
    )  # fmt: skip


def _past_strokes(frame: _Frame, across: _Across, past: PastBands) -> list[Shape]:
    """One upright stroke a session and band; each forecast stands alone, so they are not joined."""
    xs = across.xs
    width = round(0.72 * (xs[1] - xs[0]), 2) if len(xs) > 1 else 4.0
    path = "".join([across.strokes[at] for at in past.places.tolist()])
    return [
        Shape(f"past p{percent}", path % tuple(ends.T.ravel().tolist()), width)
        for percent, ends in zip(past.percents, frame.ys(past.bounds), strict=True)
    ]


def _misses(frame: _Frame, across: _Across, sessions: Sessions, closes: Array, past: PastBands) -> list[Mark]:
    """A dot on each close that came outside the widest band."""
    (lows, highs), came = past.bounds[0], closes[past.places]
    return [
        Mark(
            round(across.xs[past.places[at]], 1),
            round(frame.y(came[at].item()), 1),
            "miss",
            f"{_weekday_and_day(sessions[past.places[at]].item())}: {came[at]:,.6g} came, outside"
            f" {lows[at]:,.6g} to {highs[at]:,.6g}",
        )
        for at in np.flatnonzero((came < lows) | (came > highs)).tolist()
    ]


def draw_spark(
    closes: Sequence[float], band: tuple[float, float] | None, *, width: int = 96, height: int = 26
) -> tuple[Shape, ...]:
    """The last closes as a small line, and the interval of the next session as an upright stroke; no axes, no
    words.
    """
    values = [*closes, *(band or ())]
    low, span = min(values), (max(values) - min(values)) or 1.0
    right = width - 6 if band else width - 1
    ys = [height - 2 - (value - low) / span * (height - 4) for value in values]
    shapes = (Shape("actual", _spark_line(len(closes), right) % tuple(ys[: len(closes)])),)
    return (*shapes, Shape("spark", f"M{width - 3} {ys[-2]:.1f}V{ys[-1]:.1f}")) if band else shapes


@functools.cache
def _spark_line(count: int, right: int) -> str:
    """A line through so many heights, which are to be filled in: a night has thousands of them."""
    step = (right - 2) / max(count - 1, 1)
    return "M" + "L".join(f"{1 + k * step:.0f} %.1f" for k in range(count))


def draw_ranges(
    title: str,
    ranges: Sequence[Range],
    *,
    unit: str = "",
    zero: bool = False,
    width: int = 560,
    css: str = "mid",
) -> Drawing:
    """Bands lying on one common axis, one line each, the first on top.

    Args:
        ranges: at least one.
        unit: behind the labels of the axis.
        zero: a rule stands at 0.
    """
    # A handful of lines makes no drawing lower than its neighbour.
    few = min(48.0, max(21.0, 192.0 / len(ranges)))
    line, foot, letter = (few, 26.0, _LETTER * 1.5) if css == "mid" else (26.0, 34.0, _LETTER * 2)
    height = round(6 + line * len(ranges) + foot)
    left = 10 + letter * max(len(each.label) for each in ranges)
    right, top, bottom = width - 10.0, 6.0, height - foot
    values = [value for each in ranges for _, low, high in each.bands for value in (low, high)]
    low, high = min(values), max(values)
    pad = (high - low) * 0.02 or abs(high) * 0.01 or 1.0
    low, high = low - pad, high + pad

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    strokes: dict[int, list[str]] = {}
    ys = [top + line * (place + 0.5) for place in range(len(ranges))]
    for y, each in zip(ys, ranges, strict=True):
        for percent, lower, upper in each.bands:
            strokes.setdefault(percent, []).append(f"M{x(lower):.1f} {y:.1f}H{x(upper):.1f}")
    ticks = tuple(Tick(round(x(value), 1), f"{label}{unit}") for value, label in nice_ticks(low, high, 5))
    return Drawing(
        title, width, height, left, right, top, bottom,
        x_ticks=tuple(tick for tick in ticks if left + 8 <= tick.at <= right - 8),
        y_ticks=tuple(Tick(round(y, 1), each.label, "end") for y, each in zip(ys, ranges, strict=True)),
        shapes=tuple(Shape(f"range r{percent}", "".join(parts), round(0.53 * line, 1))
            for percent, parts in strokes.items()),
        marks=tuple(Mark(round(x(each.middle), 1), round(y, 1), "middle", each.text)
            for y, each in zip(ys, ranges, strict=True)),
        divider=round(x(0.0), 1) if zero and low <= 0 <= high else None,
        css=f"{css} ranges",
    )  # fmt: skip


def draw_bars(title: str, bars: Sequence[Bar], *, width: int = 560) -> Drawing:
    """Factors as bars to both sides of a rule at 1, two a line (classes `effect` and `change`), the first
    line on top; the axis is logarithmic, its labels are per cent more or less.

    Args:
        bars: at least one.
    """
    line, foot, letter = 24.0, 26.0, _LETTER * 1.5
    height = round(6 + line * len(bars) + foot)
    left, right = 10 + letter * max(len(each.label) for each in bars), width - 14.0
    reach = [value for each in bars for value in (each.upper, each.lower or 0.0)]
    low, high = min(0.0, *reach), max(0.0, *reach)
    pad = (high - low) * 0.04 or 0.01
    low, high = low - pad, high + pad

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    paths = {"effect": "", "change": ""}
    ys = [6 + line * (place + 0.5) for place in range(len(bars))]
    for y, each in zip(ys, bars, strict=True):
        for css, value, shift in (("effect", each.upper, -4.5), ("change", each.lower, 4.5)):
            if value:
                paths[css] += f"M{x(0.0):.1f} {y + shift:.1f}H{x(value):.1f}"
    ticks = [
        Tick(round(x(math.log1p(share)), 1), f"{100 * share:+.0f} %".replace("-", "−").replace("+0", "0"))
        for share, _ in nice_ticks(math.expm1(low), math.expm1(high), 5)
        if share > -1
    ]
    return Drawing(
        title, width, height, left, right, 6.0, height - foot,
        x_ticks=tuple(tick for tick in ticks if left + 14 <= tick.at <= right - 14),
        y_ticks=tuple(Tick(round(y, 1), each.label, "end") for y, each in zip(ys, bars, strict=True)),
        shapes=tuple(Shape(css, path, 8.0) for css, path in paths.items() if path),
        divider=round(x(0.0), 1),
        css="mid ranges",
    )  # fmt: skip


def draw_shares(
    title: str,
    sessions: Sessions,
    shares: Sequence[tuple[int, Array, Array | None]],
    *,
    width: int = 560,
    height: int = 220,
    css: str = "mid",
) -> Drawing | None:
    """Shares of outcomes inside intervals over time, each with the level that was promised and the limits of
    chance around it.

    Args:
        sessions: oldest first; fewer than two are no drawing.
        shares: per cent of the interval, its share at each session, and the half width of its limits there,
            None for none.
    """
    if len(sessions) < 2:
        return None
    drawn = [(percent, 100 * own, limits) for percent, own, limits in shares]
    reach = [value for percent, own, _ in drawn for value in (percent, own.min().item(), own.max().item())]
    frame = _Frame(
        min(reach), max(reach), width, height,
        _LETTER * (1.5 if css == "mid" else 1.9), 22 if css == "mid" else 32,
    )  # fmt: skip
    across = _across(len(sessions), frame.left, frame.right)
    shapes = []
    for percent, own, limits in drawn:
        if limits is not None:
            low = np.maximum(percent - 100 * limits, frame.low)
            high = np.minimum(percent + 100 * limits, frame.high)
            around = frame.ys(np.concatenate([high, low[::-1]]))
            shapes.append(Shape("limits", across.outline % tuple(around.tolist())))
        rule = _across(2, frame.left, frame.right).line % ((frame.y(percent),) * 2)
        line = across.line % tuple(frame.ys(own).tolist())
        shapes += [Shape("rule", rule), Shape(f"share s{percent}", line)]
    ticks = [
        Tick(frame.left, _day_and_month(sessions[0].item()), "start"),
        Tick(frame.right, _day_and_month(sessions[-1].item()), "end"),
    ]
    return Drawing(
        title, width, height, frame.left, frame.right, frame.top, frame.bottom, tuple(ticks), frame.y_ticks,
        tuple(shapes), css=css
    )  # fmt: skip


def draw_lines(plot: Plot, *, width: int = 720, height: int = 340) -> Drawing | None:
    """Any lines over labels, with a legend; `None` when there is no finite value at all."""
    everything = [value for series in plot.series for value in _finite(series.values)]
    if not everything:
        return None
    frame = _Frame(min(everything), max(everything), width, height, 2 * _LETTER, 36)
    xs = _across(len(plot.labels), frame.left, frame.right).xs
    places = sorted({round(k * (len(xs) - 1) / 3) for k in range(4)})
    anchors = ["start", *["middle"] * (len(places) - 2), "end"] if len(places) > 1 else ["end"]
    ticks = tuple(
        Tick(round(xs[at], 1), plot.labels[at], anchor) for at, anchor in zip(places, anchors, strict=True)
    )
    shapes = tuple(
        Shape(series.style, _path_with_gaps(xs, frame.ys(np.array(series.values, float))))
        for series in plot.series
    )
    return Drawing(
        plot.title, width, height, frame.left, frame.right, frame.top, frame.bottom, ticks, frame.y_ticks,
        shapes, legend=tuple((series.style, series.name) for series in plot.series), css="wide",
    )  # fmt: skip


_BINS = 36
_AS_GOOD = 0.00005
"""A ratio that reads 1.0000 lies on the rule, on nobody's side."""


def draw_heap(
    title: str, ratios: Sequence[tuple[str, float]], *, width: int = 720, height: int = 150
) -> Drawing | None:
    """Ratios as a heap of dots, one a ticker, with a rule at 1; `None` for no ratio.

    Args:
        ratios: (ticker, ratio); ratios above 0.
    """
    if not ratios:
        return None
    reach = max(0.01, *(abs(ratio - 1) for _, ratio in ratios)) * 1.06
    bins: dict[int, list[tuple[str, float]]] = {}
    for ticker, ratio in sorted(ratios, key=lambda pair: pair[1]):
        bins.setdefault(_bin(ratio, reach), []).append((ticker, ratio))
    highest = max(len(group) for group in bins.values())
    height = min(height, 76 + 9 * highest)
    left, right, top, bottom = 16.0, width - 16.0, 10.0, height - 36.0
    gap = min(9.0, (bottom - top - 4) / highest)
    middle, half = (left + right) / 2, (right - left) / 2
    marks = tuple(
        Mark(
            round(middle + place / (_BINS + 1) * half, 1),
            round(bottom - 5 - k * gap, 1),
            "better" if place < 0 else "worse" if place > 0 else "points",
            f"{ticker}: {ratio:.4f}",
            radius=round(min(4.2, max(1.5, gap * 0.47)), 1),
        )
        for place, group in bins.items()
        for k, (ticker, ratio) in enumerate(group)
    )
    ticks = [
        Tick(round(middle + (value - 1) / reach * half, 1), label)
        for value, label in nice_ticks(1 - reach, 1 + reach, 6)
    ]
    inside = tuple(tick for tick in ticks if left + 20 <= tick.at <= right - 20)
    return Drawing(
        title, width, height, left, right, top, bottom, inside, marks=marks, divider=middle, css="wide strip"
    )


def _bin(ratio: float, reach: float) -> int:
    """The heap of a ratio: 0 on the rule, below it negative, above it positive; no heap straddles the
    rule.
    """
    if abs(ratio - 1) < _AS_GOOD:
        return 0
    place = 1 + math.floor(abs(ratio - 1) / reach * _BINS)
    return place if ratio > 1 else -place
