"""Values become coordinates: y grows downwards, time to the right, gaps stay gaps."""

import datetime as dt
import math
import re

import numpy as np
import pytest

from forecast_lib.report.plots import (
    Bar,
    ForecastPath,
    PastBands,
    Plot,
    Range,
    Series,
    draw_bars,
    draw_forecast,
    draw_heap,
    draw_lines,
    draw_ranges,
    draw_shares,
    draw_spark,
    nice_ticks,
)

CUTOFF = dt.date(2026, 11, 25)
TARGETS = (dt.date(2026, 11, 27), dt.date(2026, 11, 30))  # Thanksgiving and a weekend lie between
PATH = ForecastPath(CUTOFF, 100.0, TARGETS, (101.0, 102.0), ((80, (95.0, 92.0), (107.0, 112.0)),))
DAYS, PRICES = np.arange("2026-11-23", "2026-11-26", dtype="datetime64[D]"), np.array([90.0, 110.0, 100.0])


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](\S+?) ([\d.]+)", path)]


def test_forecast_starts_at_the_last_close_on_the_rule() -> None:
    drawing = draw_forecast("AAA", DAYS, PRICES, PATH)
    shapes = {shape.css: points(shape.path) for shape in drawing.shapes}
    assert shapes["forecast"][0] == shapes["actual"][-1]
    assert shapes["forecast"][0][0] == drawing.divider
    assert len(shapes["forecast"]) == 3  # the cutoff and two steps


def test_a_higher_price_is_drawn_higher() -> None:
    shapes = {shape.css: points(shape.path) for shape in draw_forecast("AAA", DAYS, PRICES, PATH).shapes}
    (_, low), (_, high), _ = shapes["actual"]
    assert high < low


def test_band_runs_out_along_the_upper_and_back_along_the_lower_bound() -> None:
    shape = draw_forecast("AAA", DAYS, PRICES, PATH).shapes[0]
    outline = points(shape.path)
    assert shape.css == "b80" and shape.path.count("M") == 1 and shape.path.endswith("Z")
    assert len(outline) == 6
    # Upper above lower at the last step.
    assert outline[2][1] < outline[3][1] and outline[2][0] == outline[3][0]


def test_target_sessions_label_the_axis_and_the_dots() -> None:
    drawing = draw_forecast("AAA", DAYS, PRICES, PATH)
    assert [tick.label for tick in drawing.x_ticks] == ["25 Nov", "30 Nov"]
    assert [mark.text for mark in drawing.marks] == [
        "Fri 2026-11-27: median 101",
        "Mon 2026-11-30: median 102",
    ]


def test_everything_stays_inside_the_drawing() -> None:
    drawing = draw_forecast("AAA", DAYS, PRICES, PATH)
    everything = [point for shape in drawing.shapes for point in points(shape.path)]
    assert all(
        drawing.left - 0.1 <= x <= drawing.right + 0.1 and drawing.top <= y <= drawing.bottom
        for x, y in everything
    )


def test_a_forecast_without_closes_is_drawn_from_its_own_last_close() -> None:
    drawing = draw_forecast("AAA", DAYS[:0], PRICES[:0], PATH)
    assert {shape.css for shape in drawing.shapes} == {"actual", "forecast", "b80"}


def test_closes_without_a_forecast_use_the_whole_width() -> None:
    drawing = draw_forecast("AAA", DAYS, PRICES, None)
    assert drawing.divider is None
    assert points(drawing.shapes[0].path)[-1][0] == drawing.right


def test_a_price_that_never_moves_is_still_drawn() -> None:
    drawing = draw_forecast("AAA", DAYS, np.full(3, 5.0), None)
    assert len({y for _, y in points(drawing.shapes[0].path)}) == 1


def test_month_labels_name_the_year_in_january_only() -> None:
    days = np.datetime64("2026-11-02") + np.arange(120)
    labels = [tick.label for tick in draw_forecast("AAA", days, 100.0 + np.arange(120), None).x_ticks]
    assert labels == ["Dec", "Jan 2027", "Feb", "1 Mar"]


def test_gaps_in_a_series_break_its_line() -> None:
    plot = Plot("closes", list("abcde"), [Series("close", [1.0, 2.0, None, math.nan, 3.0])])
    drawing = draw_lines(plot)
    assert drawing is not None
    assert drawing.shapes[0].path.count("M") == 2


def test_a_plot_without_any_value_is_no_drawing() -> None:
    assert draw_lines(Plot("nothing", ["a"], [Series("close", [None])])) is None
    assert draw_lines(Plot("nothing", [], [])) is None
    assert draw_heap("nothing", []) is None


def test_a_series_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="plot 'closes', series 'close': 1 values for 2 labels"):
        Plot("closes", ["a", "b"], [Series("close", [1.0])])


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(ValueError, match="style 'zigzag' is not known; expected one of actual, forecast"):
        Plot("closes", ["a"], [Series("close", [1.0], "zigzag")])  # type: ignore[arg-type]


def test_ratios_below_one_lie_left_of_the_rule_above_one_right_of_it_and_one_on_it() -> None:
    drawing = draw_heap("ratios", [("AAA", 0.9999), ("BBB", 1.0001), ("CCC", 1.02), ("DDD", 1.00004)])
    assert drawing is not None and drawing.divider is not None
    sides = {
        mark.text: (mark.css, (mark.x > drawing.divider) - (mark.x < drawing.divider))
        for mark in drawing.marks
    }
    assert sides == {
        "AAA: 0.9999": ("better", -1),
        "BBB: 1.0001": ("worse", 1),
        "CCC: 1.0200": ("worse", 1),
        "DDD: 1.0000": ("points", 0),
    }


def test_past_bands_stand_upright_at_their_session_and_around_the_close() -> None:
    past = PastBands(np.array([1]), (95, 80), np.array([[[80.0], [120.0]], [[90.0], [115.0]]]))
    drawing = draw_forecast("AAA", DAYS, PRICES, None, past)
    strokes = {shape.css: shape.path for shape in drawing.shapes}
    x, y = points(strokes["actual"])[1]
    wide, low, high = (float(part) for part in re.findall(r"[\d.]+", strokes["past p95"]))
    assert (wide, strokes["past p80"].startswith(f"M{wide:.1f} ")) == (x, True)
    assert high < y < low
    assert [mark for mark in drawing.marks if mark.css == "miss"] == []


def test_ranges_lie_on_one_axis_the_first_on_top() -> None:
    ranges = [
        Range("AAA", ((95, -4.0, 4.0), (80, -2.0, 2.0)), 0.0, "a"),
        Range("B", ((95, -1.0, 1.0),), 0.0, "b"),
    ]
    drawing = draw_ranges("ranges", ranges, zero=True)
    first, second = re.findall(
        r"M([\d.]+) [\d.]+H([\d.]+)", next(s.path for s in drawing.shapes if s.css == "range r95")
    )
    assert float(first[1]) - float(first[0]) == pytest.approx(
        4 * (float(second[1]) - float(second[0])), abs=0.5
    )
    assert drawing.marks[0].x == drawing.divider == drawing.marks[1].x
    assert drawing.marks[0].y < drawing.marks[1].y


def test_shares_are_drawn_over_what_was_promised() -> None:
    drawing = draw_shares("coverage", DAYS, [(80, np.array([0.8, 0.7, 0.9]), np.full(3, 0.2))])
    assert drawing is not None
    share, rule = (
        points(next(s.path for s in drawing.shapes if s.css == css)) for css in ("share s80", "rule")
    )
    assert share[0][1] == rule[0][1] and share[1][1] > rule[0][1] > share[2][1]
    assert draw_shares("one day says nothing", DAYS[:1], [(80, np.array([0.8]), np.array([0.2]))]) is None


def test_a_spark_ends_with_the_interval_of_the_next_session() -> None:
    line, band = draw_spark([1.0, 2.0, 3.0], (2.5, 3.5))
    assert len(points(line.path)) == 3
    low, high = (float(value) for value in re.findall(r"[\d.]+", band.path)[1:])
    assert high < points(line.path)[-1][1] < low
    assert len(draw_spark([1.0, 1.0], None)) == 1


@pytest.mark.parametrize(
    ("low", "high", "step"),
    [(0.0, 10.0, 2.5), (3.1, 3.4, 0.1), (0.0011, 0.0019, 0.0002), (900, 12_000, 5000)],
)
def test_ticks_are_round_and_inside(low: float, high: float, step: float) -> None:
    ticks = nice_ticks(low, high)
    values = [value for value, _ in ticks]
    assert low <= values[0] and values[-1] <= high
    assert values[1] - values[0] == pytest.approx(step)
    assert [float(label.replace(",", "")) for _, label in ticks] == pytest.approx(values)


def test_bars_lie_on_both_sides_of_the_rule_on_a_logarithmic_axis() -> None:
    drawing = draw_bars("drivers", [Bar("falls", math.log(2), math.log(0.5)), Bar("network", 0.0, None)])
    effect, change = ((shape.css, shape.path) for shape in drawing.shapes)
    assert (effect[0], change[0]) == ("effect", "change")
    (start, wider), (again, narrower) = (
        map(float, re.findall(r"M([\d.]+) [\d.]+H([\d.]+)", path)[0]) for _, path in (effect, change)
    )
    assert start == again == drawing.divider
    # Twice as wide and half as wide are as far from the rule.
    assert wider - start == pytest.approx(start - narrower, abs=0.2) and wider > start
    labels = {tick.label: tick.at for tick in drawing.x_ticks}
    assert labels["0 %"] == drawing.divider and labels["−50 %"] == pytest.approx(narrower, abs=0.2)
    assert [tick.label for tick in drawing.y_ticks] == ["falls", "network"]
