"""The pages in a real browser: they fit a phone, ask for nothing, run no foreign script, and sort, search and
filter.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from forecast_lib.report import (
    INDEX,
    Figure,
    Plot,
    RecipeReport,
    Series,
    render_recipe,
    report_pages,
    show_latest,
    write_report,
)
from tests.report import nights
from tests.report.chromium import Chromium, find_chromium

EXECUTABLE = find_chromium()
NEEDED = pytest.mark.skipif(
    EXECUTABLE is None, reason="chromium is not installed: the page cannot be looked at"
)
pytestmark = [pytest.mark.slow, NEEDED]

SCROLL_WIDTH = "document.documentElement.scrollWidth"
LONG_NAME = "AVERYLONGNAME-X"
NAMES = (
    "[...document.querySelectorAll('#all tbody tr:not([hidden]) th')].map(cell =>"
    " cell.innerText.split(/\\s/)[0])"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    assert EXECUTABLE is not None
    with Chromium(EXECUTABLE, tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def run_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hostile night: long unbroken texts and a large price beside the script tag."""
    rows = nights.ticker_frame(
        nights.ticker_row("AAA", "fresh"),
        nights.ticker_row(LONG_NAME, "last_good", reason="w" * 280, sessions_behind=1, trigger="t" * 280),
        nights.ticker_row("CCC", "none", reason=nights.HOSTILE, made_by=None),
    )
    weights = [
        {"ticker": "AAA", "step": step, "model": m, "weight": 0.5}
        for step in (1, 2)
        for m in ("stacked", "garch")
    ]
    report = nights.night(
        run=nights.run_frame(message="m" * 280, source="s" * 200, code_version="c" * 200),
        run_tickers=rows,
        forecasts=pd.DataFrame(
            nights.forecast_rows("AAA", 100.0) + nights.forecast_rows(LONG_NAME, 1_234_567.89)
        ),
        refused=pd.DataFrame([nights.refused_row("AAA", "gap", "r" * 280)]),
        weights=pd.DataFrame(weights),
        simulated=True,
    )
    workspace = tmp_path_factory.mktemp("workspace")
    return show_latest(write_report(workspace, "run-1", report_pages(report)))


@pytest.fixture(scope="module")
def ticker_page(run_page: Path) -> Path:
    return run_page.parent / "run-1" / "AAA.html"


@pytest.fixture(scope="module")
def glossary_page(run_page: Path) -> Path:
    return run_page.parent / "run-1" / "glossary.html"


@pytest.fixture(scope="module")
def recipe_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    figures = (Figure("test RMSE of a model with quite a long label", 7.9, "USD", "n" * 250),)
    plot = Plot(
        "Closes",
        [f"2020-01-{day:02}" for day in range(1, 31)],
        (Series("close", [float(k % 7) for k in range(30)]),),
    )
    report = RecipeReport(
        name="aapl-stacked",
        title="T" * 120,
        figures=figures,
        honest=figures,
        flattery=("f" * 200,),
        plots=(plot,),
    )
    return write_report(tmp_path_factory.mktemp("workspace"), "recipe-1", [(INDEX, render_recipe(report))])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 800, 1280])
@pytest.mark.parametrize("page", ["run_page", "ticker_page", "glossary_page", "recipe_page"])
def test_no_page_scrolls_sideways(
    browser: Chromium, request: pytest.FixtureRequest, page: str, width: int, dark: bool
) -> None:
    browser.open(request.getfixturevalue(page), width=width, dark=dark)
    assert browser.ask("window.innerWidth") == width
    assert browser.ask(SCROLL_WIDTH) <= width


@pytest.mark.parametrize("page", ["run_page", "ticker_page"])
def test_on_a_phone_no_table_hides_anything_beyond_the_edge(
    browser: Chromium, request: pytest.FixtureRequest, page: str
) -> None:
    browser.open(request.getfixturevalue(page), width=390)
    browser.ask("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    wider = (
        "[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth +"
        " 1).map(box => box.innerText)"
    )
    assert browser.ask(wider) == []


def test_a_phone_shows_the_name_the_close_and_the_range_of_the_next_session(
    browser: Chromium, run_page: Path
) -> None:
    browser.open(run_page, width=390)
    shown = (
        "[...document.querySelectorAll('#all tbody tr')[0].cells].filter(cell => cell.offsetWidth).map(cell"
        " => cell.innerText)"
    )
    assert browser.ask(shown) == ["AAA", "100.00", "96.00 … 104.00"]


def test_on_a_phone_the_record_breaks_no_word(browser: Chromium, run_page: Path) -> None:
    browser.open(run_page, width=390)
    browser.ask("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    lines = (
        "cell => { const text = document.createRange(); text.selectNodeContents(cell); return"
        " text.getClientRects().length; }"
    )
    counts = browser.ask(
        "[...document.querySelectorAll('.record td, .record th')].filter(cell =>"
        f" cell.offsetWidth).map({lines})"
    )
    assert counts and set(counts) == {1}


@pytest.mark.parametrize("page", ["run_page", "ticker_page", "glossary_page", "recipe_page"])
def test_console_is_silent_and_nothing_else_is_asked_for(
    browser: Chromium, request: pytest.FixtureRequest, page: str
) -> None:
    path: Path = request.getfixturevalue(page)
    browser.open(path, width=1280)
    browser.ask("1")
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith("data:")] == [path.resolve().as_uri()]


def test_all_sections_and_drawings_reach_the_dom(browser: Chromium, run_page: Path) -> None:
    browser.open(run_page, width=1280)
    sections = browser.ask("[...document.querySelectorAll('section')].map(section => section.id)")
    assert sections == ["charts", "attention", "changes", "tickers", "skill", "quality", "about"]
    # CCC has neither closes nor forecast.
    assert browser.ask("document.querySelectorAll('.plots svg').length") == 2
    assert browser.ask("document.querySelector('.plots svg path.forecast').getTotalLength()") > 50
    assert "SIMULATED MARKET — not real prices" in browser.ask("document.body.innerText")


def test_a_click_on_a_heading_sorts_by_it_and_a_second_click_turns_it_round(
    browser: Chromium, run_page: Path
) -> None:
    browser.open(run_page, width=1280)
    assert browser.ask(NAMES) == ["AAA", LONG_NAME, "CCC"]
    browser.click("#all thead th:nth-child(3) button")
    assert browser.ask(NAMES) == ["AAA", LONG_NAME, "CCC"]  # 100, 1,234,567.89, none: by value, not by text
    browser.click("#all thead th:nth-child(3) button")
    assert browser.ask(NAMES) == [LONG_NAME, "AAA", "CCC"]  # what is missing stays last
    assert (
        browser.ask("document.querySelector('#all thead th:nth-child(3)').getAttribute('aria-sort')")
        == "descending"
    )
    assert browser.complaints() == []


def test_typing_searches_in_names_and_reasons(browser: Chromium, run_page: Path) -> None:
    browser.open(run_page, width=390)
    browser.click("#search")
    browser.type("ccc")
    assert browser.ask(NAMES) == ["CCC"]
    assert browser.ask("document.getElementById('shown').textContent") == "1 of 3"
    browser.type(" nothing like it")
    assert browser.ask(NAMES) == []
    assert browser.ask("document.getElementById('none').innerText") == "No ticker fits."
    browser.ask("document.getElementById('search').value = ''")
    browser.type("wwww")  # part of a reason
    assert browser.ask(NAMES) == [LONG_NAME]


def test_the_list_of_statuses_filters(browser: Chromium, run_page: Path) -> None:
    browser.open(run_page, width=1280)
    assert browser.ask("[...document.querySelectorAll('#status option')].map(each => each.innerText)") == [
        "all",
        "fresh",
        "last good",
        "no forecast",
    ]
    browser.click("#status")
    for key in ("ArrowDown", "Enter"):
        for kind in ("keyDown", "keyUp"):
            code = {"ArrowDown": 40, "Enter": 13}[key]
            browser.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)
    assert browser.ask("document.getElementById('status').value") == "fresh"
    assert browser.ask(NAMES) == ["AAA"]


def test_a_click_on_a_name_leads_to_its_page_and_back_from_latest_too(
    browser: Chromium, run_page: Path
) -> None:
    browser.open(run_page, width=1280)
    browser.events.clear()
    browser.click("#all tbody th a")
    browser.wait("Page.loadEventFired")
    assert browser.ask("document.querySelector('h1').innerText").startswith("AAA")
    browser.events.clear()
    browser.click("nav a")
    browser.wait("Page.loadEventFired")
    assert browser.ask("location.pathname").endswith("/reports/run-1/index.html")


def test_without_scripts_the_table_is_there_sorted_and_shows_no_dead_tools(
    browser: Chromium, run_page: Path
) -> None:
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(run_page, width=1280)
        assert browser.ask(NAMES) == ["AAA", LONG_NAME, "CCC"]
        assert browser.ask("document.getElementById('tools').offsetHeight") == 0
        assert browser.ask("document.querySelectorAll('#all button').length") == 0
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


def test_hostile_reason_is_shown_as_text_and_makes_no_element(browser: Chromium, run_page: Path) -> None:
    browser.open(run_page, width=1280)
    assert browser.ask("document.scripts.length") == 1
    assert nights.HOSTILE in browser.ask("document.querySelector('#attention').innerText")


@pytest.mark.parametrize("page", ["run_page", "ticker_page"])
def test_the_policy_stops_a_script_that_got_in_all_the_same(
    browser: Chromium, request: pytest.FixtureRequest, page: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.html"
    html = request.getfixturevalue(page).read_text()
    broken.write_text(html.replace("</body>", "<script>document.title = 'owned'</script></body>"))
    browser.open(broken, width=1280)
    assert browser.ask("document.title") != "owned"
    assert any("Content Security Policy" in complaint for complaint in browser.complaints())


def test_dark_and_light_follow_the_reader_s_choice(browser: Chromium, run_page: Path) -> None:
    colours = []
    for dark in (False, True):
        browser.open(run_page, width=390, dark=dark)
        colours.append(browser.ask("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(248, 247, 243)", "rgb(17, 21, 26)"]  # --paper: #f8f7f3 and #11151a


def test_folded_parts_are_on_paper_too(browser: Chromium, run_page: Path) -> None:
    browser.open(run_page, width=1000)
    height = "document.querySelector('#skill details').getBoundingClientRect().height"
    folded = browser.ask(height)
    browser.send("Emulation.setEmulatedMedia", media="print", features=[])
    assert browser.ask(height) > folded + 50


@pytest.mark.parametrize("page", ["run_page", "ticker_page"])
def test_pages_fit_on_a4_paper(browser: Chromium, request: pytest.FixtureRequest, page: str) -> None:
    # 210 mm less margins of 1 cm each, at 96 dots an inch.
    browser.open(request.getfixturevalue(page), width=718)
    browser.send("Emulation.setEmulatedMedia", media="print", features=[])
    assert browser.ask(SCROLL_WIDTH) <= 718
