"""The pages in a real browser: they fit a phone, ask for nothing, run no foreign script, and sort, search and
filter.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

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

CHROMIUM = shutil.which("chromium")
NEEDED = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed: the page cannot be looked at"
)
pytestmark = [pytest.mark.slow, NEEDED]

Look = Callable[..., Page]

SCROLL_WIDTH = "document.documentElement.scrollWidth"
LONG_NAME = "AVERYLONGNAME-X"
NAMES = (
    "[...document.querySelectorAll('#all tbody tr:not([hidden]) th')].map(cell =>"
    " cell.innerText.split(/\\s/)[0])"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def said() -> list[str]:
    """Everything that the console shows: log entries, calls, exceptions."""
    return []


@pytest.fixture
def asked() -> list[str]:
    """The addresses that pages asked for."""
    return []


@pytest.fixture
def look(browser: Browser, said: list[str], asked: list[str]) -> Iterator[Look]:
    """Opens a file in a window of that width, as a reader would who prefers dark, or allows no scripts."""
    contexts = []

    def heard(message: ConsoleMessage) -> None:
        said.append(message.text)

    def look(file: Path, width: int, *, dark: bool = False, scripts: bool = True) -> Page:
        contexts.append(
            browser.new_context(
                viewport={"width": width, "height": 900},
                is_mobile=width < 600,
                color_scheme="dark" if dark else "light",
                java_script_enabled=scripts,
            )
        )
        page = contexts[-1].new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.resolve().as_uri())
        return page

    yield look
    for context in contexts:
        context.close()


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
@pytest.mark.parametrize("fixture", ["run_page", "ticker_page", "glossary_page", "recipe_page"])
def test_no_page_scrolls_sideways(
    look: Look, request: pytest.FixtureRequest, fixture: str, width: int, dark: bool
) -> None:
    page = look(request.getfixturevalue(fixture), width, dark=dark)
    assert page.evaluate("window.innerWidth") == width
    assert page.evaluate(SCROLL_WIDTH) <= width


@pytest.mark.parametrize("fixture", ["run_page", "ticker_page"])
def test_on_a_phone_no_table_hides_anything_beyond_the_edge(
    look: Look, request: pytest.FixtureRequest, fixture: str
) -> None:
    page = look(request.getfixturevalue(fixture), 390)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    wider = (
        "[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth +"
        " 1).map(box => box.innerText)"
    )
    assert page.evaluate(wider) == []


def test_a_phone_shows_the_name_the_close_and_the_range_of_the_next_session(
    look: Look, run_page: Path
) -> None:
    page = look(run_page, 390)
    shown = (
        "[...document.querySelectorAll('#all tbody tr')[0].cells].filter(cell => cell.offsetWidth).map(cell"
        " => cell.innerText)"
    )
    assert page.evaluate(shown) == ["AAA", "100.00", "96.00 … 104.00"]


def test_on_a_phone_the_record_breaks_no_word(look: Look, run_page: Path) -> None:
    page = look(run_page, 390)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    lines = (
        "cell => { const text = document.createRange(); text.selectNodeContents(cell); return"
        " text.getClientRects().length; }"
    )
    counts = page.evaluate(
        "[...document.querySelectorAll('.record td, .record th')].filter(cell =>"
        f" cell.offsetWidth).map({lines})"
    )
    assert counts and set(counts) == {1}


@pytest.mark.parametrize("fixture", ["run_page", "ticker_page", "glossary_page", "recipe_page"])
def test_console_is_silent_and_nothing_else_is_asked_for(
    look: Look, request: pytest.FixtureRequest, fixture: str, said: list[str], asked: list[str]
) -> None:
    path: Path = request.getfixturevalue(fixture)
    page = look(path, 1280)
    page.wait_for_load_state("networkidle")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [path.resolve().as_uri()]


def test_all_sections_and_drawings_reach_the_dom(look: Look, run_page: Path) -> None:
    page = look(run_page, 1280)
    sections = page.evaluate("[...document.querySelectorAll('section')].map(section => section.id)")
    assert sections == ["charts", "attention", "changes", "tickers", "skill", "quality", "about"]
    # CCC has neither closes nor forecast.
    assert page.evaluate("document.querySelectorAll('.plots svg').length") == 2
    assert page.evaluate("document.querySelector('.plots svg path.forecast').getTotalLength()") > 50
    assert "SIMULATED MARKET — not real prices" in page.evaluate("document.body.innerText")


def test_a_click_on_a_heading_sorts_by_it_and_a_second_click_turns_it_round(
    look: Look, run_page: Path, said: list[str]
) -> None:
    page = look(run_page, 1280)
    assert page.evaluate(NAMES) == ["AAA", LONG_NAME, "CCC"]
    page.click("#all thead th:nth-child(3) button")
    assert page.evaluate(NAMES) == ["AAA", LONG_NAME, "CCC"]  # 100, 1,234,567.89, none: by value, not by text
    page.click("#all thead th:nth-child(3) button")
    assert page.evaluate(NAMES) == [LONG_NAME, "AAA", "CCC"]  # what is missing stays last
    assert (
        page.evaluate("document.querySelector('#all thead th:nth-child(3)').getAttribute('aria-sort')")
        == "descending"
    )
    assert said == []


def test_typing_searches_in_names_and_reasons(look: Look, run_page: Path) -> None:
    page = look(run_page, 390)
    page.click("#search")
    page.keyboard.type("ccc")
    assert page.evaluate(NAMES) == ["CCC"]
    assert page.evaluate("document.getElementById('shown').textContent") == "1 of 3"
    page.keyboard.type(" nothing like it")
    assert page.evaluate(NAMES) == []
    assert page.evaluate("document.getElementById('none').innerText") == "No ticker fits."
    page.evaluate("document.getElementById('search').value = ''")
    page.keyboard.type("wwww")  # part of a reason
    assert page.evaluate(NAMES) == [LONG_NAME]


def test_the_list_of_statuses_filters(look: Look, run_page: Path) -> None:
    page = look(run_page, 1280)
    assert page.evaluate("[...document.querySelectorAll('#status option')].map(each => each.innerText)") == [
        "all",
        "fresh",
        "last good",
        "no forecast",
    ]
    page.select_option("#status", "fresh")
    assert page.evaluate("document.getElementById('status').value") == "fresh"
    assert page.evaluate(NAMES) == ["AAA"]


def test_a_click_on_a_name_leads_to_its_page_and_back_from_latest_too(look: Look, run_page: Path) -> None:
    page = look(run_page, 1280)
    page.click("#all tbody th a")
    page.wait_for_load_state()
    assert page.evaluate("document.querySelector('h1').innerText").startswith("AAA")
    page.click("nav a")
    page.wait_for_load_state()
    assert page.evaluate("location.pathname").endswith("/reports/run-1/index.html")


def test_without_scripts_the_table_is_there_sorted_and_shows_no_dead_tools(
    look: Look, run_page: Path
) -> None:
    page = look(run_page, 1280, scripts=False)
    assert page.evaluate(NAMES) == ["AAA", LONG_NAME, "CCC"]
    assert not page.locator("#tools").is_visible()
    assert page.locator("#all button").count() == 0


def test_hostile_reason_is_shown_as_text_and_makes_no_element(look: Look, run_page: Path) -> None:
    page = look(run_page, 1280)
    assert page.evaluate("document.scripts.length") == 1
    assert nights.HOSTILE in page.evaluate("document.querySelector('#attention').innerText")


@pytest.mark.parametrize("fixture", ["run_page", "ticker_page"])
def test_the_policy_stops_a_script_that_got_in_all_the_same(
    look: Look, request: pytest.FixtureRequest, fixture: str, tmp_path: Path, said: list[str]
) -> None:
    broken = tmp_path / "broken.html"
    html = request.getfixturevalue(fixture).read_text()
    broken.write_text(html.replace("</body>", "<script>document.title = 'owned'</script></body>"))
    page = look(broken, 1280)
    assert page.evaluate("document.title") != "owned"
    assert any("Content Security Policy" in complaint for complaint in said)


def test_dark_and_light_follow_the_reader_s_choice(look: Look, run_page: Path) -> None:
    colours = []
    for dark in (False, True):
        page = look(run_page, 390, dark=dark)
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(248, 247, 243)", "rgb(17, 21, 26)"]  # --paper: #f8f7f3 and #11151a


def test_folded_parts_are_on_paper_too(look: Look, run_page: Path) -> None:
    page = look(run_page, 1000)
    height = "document.querySelector('#skill details').getBoundingClientRect().height"
    folded = page.evaluate(height)
    page.emulate_media(media="print")
    assert page.evaluate(height) > folded + 50


@pytest.mark.parametrize("fixture", ["run_page", "ticker_page"])
def test_pages_fit_on_a4_paper(look: Look, request: pytest.FixtureRequest, fixture: str) -> None:
    # 210 mm less margins of 1 cm each, at 96 dots an inch.
    page = look(request.getfixturevalue(fixture), 718)
    page.emulate_media(media="print")
    assert page.evaluate(SCROLL_WIDTH) <= 718
