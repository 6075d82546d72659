"""A drawing becomes SVG: what is foreign in it stays text."""

from forecast_lib.report.drawing import Drawing, Mark, Shape, Tick, bar, svg
from tests.report.nights import HOSTILE

SAFE = "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;"


def drawn(**changes: object) -> str:
    made = Drawing("title", 100, 50, 10.0, 90.0, 5.0, 40.0, x_ticks=(Tick(20.0, "Jan"),), **changes)  # type: ignore[arg-type]
    return str(svg(made, "plot-1"))


def test_every_text_of_a_drawing_stays_text() -> None:
    tick = Tick(20.0, HOSTILE)
    made = Drawing(
        HOSTILE, 100, 50, 10.0, 90.0, 5.0, 40.0, (tick,), (tick,), marks=(Mark(1, 2, "a", HOSTILE),)
    )
    html = svg(made, "plot-1")
    assert (html.count("<script"), html.count(SAFE)) == (0, 4)


def test_the_parts_of_a_bar_say_what_they_are_and_their_names_stay_text() -> None:
    assert bar([("w0", HOSTILE, 2 / 3), ("w1", "b", 1 / 3)]) == (
        f'<i class="w0" style="flex:0.667" title="{SAFE} 66.7 %"></i>'
        '<i class="w1" style="flex:0.333" title="b 33.3 %"></i>'
    )


def test_the_title_is_what_names_the_drawing() -> None:
    assert 'aria-labelledby="plot-1"><title id="plot-1">title</title>' in drawn()


def test_lines_of_the_grid_lie_across_and_those_of_ranges_upright() -> None:
    across = '<path class="grid" d="M10.0 30.0H90.0"/>'
    upright = '<path class="grid" d="M20.0 5.0V40.0"/>'
    for css, expected in (("small", [across]), ("mid ranges", [upright])):
        html = drawn(y_ticks=(Tick(30.0, "1.00", "end"),), css=css)
        assert [line for line in (across, upright) if line in html] == expected


def test_a_shape_has_a_width_only_where_the_style_sheet_cannot_know_it() -> None:
    html = drawn(shapes=(Shape("actual", "M1 2"), Shape("past p80", "M3 4", 0.72)))
    assert '<path class="actual" d="M1 2"/>' in html
    assert '<path class="past p80" style="stroke-width:0.72" d="M3 4"/>' in html
