"""The page in a real browser: it fits a phone, asks for nothing, complains about nothing and runs no foreign script."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from forecast_lib.report import Figure, Plot, RecipeReport, Series, build_summary, render_recipe, render_report, write_report
from tests.report import nights
from tests.report.chromium import Chromium, find_chromium

EXECUTABLE = find_chromium()
pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="chromium is not installed: the page cannot be looked at")

SCROLL_WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    assert EXECUTABLE is not None
    with Chromium(EXECUTABLE, tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def run_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hostile night: long unbroken texts and a large price beside the script tag."""
    long_name = "AVERYLONGNAME-X"
    rows = nights.ticker_frame(
        nights.ticker_row("AAA", "fresh"),
        nights.ticker_row(long_name, "last_good", reason="w" * 280, sessions_behind=1, trigger="t" * 280),
        nights.ticker_row("CCC", "none", reason=nights.HOSTILE, made_by=None),
    )
    forecasts = pd.DataFrame(nights.forecast_rows("AAA", 100.0) + nights.forecast_rows(long_name, 1_234_567.89))
    run = nights.run_frame(message="m" * 280, source="s" * 200, code_version="c" * 200)
    report = nights.night(run=run, run_tickers=rows, forecasts=forecasts, simulated=True)
    workspace = tmp_path_factory.mktemp("workspace")
    write_report(workspace, "run-1", render_report(build_summary(report)))
    return workspace / "reports" / "latest.html"


@pytest.fixture(scope="module")
def recipe_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    figures = (Figure("test RMSE of a model with quite a long label", 7.9, "USD", "n" * 250),)
    plot = Plot("Closes", [f"2020-01-{day:02}" for day in range(1, 31)], (Series("close", [float(k % 7) for k in range(30)]),))
    report = RecipeReport(name="aapl-stacked", title="T" * 120, figures=figures, honest=figures, flattery=("f" * 200,), plots=(plot,))
    return write_report(tmp_path_factory.mktemp("workspace"), "recipe-1", render_recipe(report))


@pytest.mark.parametrize("width", [320, 390, 800, 1280])
@pytest.mark.parametrize("page", ["run_page", "recipe_page"])
def test_the_page_itself_never_scrolls_sideways(browser: Chromium, request: pytest.FixtureRequest, page: str, width: int) -> None:
    browser.open(request.getfixturevalue(page), width=width)
    assert browser.ask("window.innerWidth") == width
    assert browser.ask(SCROLL_WIDTH) <= width


def test_wide_tables_scroll_inside_their_box(browser: Chromium, run_page: Path) -> None:
    browser.open(run_page, width=390)
    assert browser.ask("[...document.querySelectorAll('.scroll')].some(box => box.scrollWidth > box.clientWidth + 50)") is True


def test_all_sections_and_drawings_reach_the_dom(browser: Chromium, run_page: Path) -> None:
    browser.open(run_page, width=1280)
    sections = browser.ask("[...document.querySelectorAll('section')].map(section => section.id)")
    assert sections == ["summary", "degraded", "forecasts", "backtest", "settled", "plots", "quality", "models"]
    assert browser.ask("document.querySelectorAll('.plots svg').length") == 2  # CCC has neither closes nor forecast
    assert browser.ask("document.querySelector('.plots svg path.forecast').getTotalLength()") > 50
    assert "SIMULATED MARKET — not real prices" in browser.ask("document.body.innerText")


def test_console_is_silent_and_nothing_else_is_asked_for(browser: Chromium, run_page: Path) -> None:
    browser.open(run_page, width=1280)
    browser.ask("1")
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith("data:")] == [run_page.resolve().as_uri()]


def test_hostile_reason_is_shown_as_text_and_makes_no_element(browser: Chromium, run_page: Path) -> None:
    browser.open(run_page, width=1280)
    assert browser.ask("document.scripts.length") == 0
    assert nights.HOSTILE in browser.ask("document.querySelector('#degraded').innerText")


def test_the_policy_stops_a_script_that_got_in_all_the_same(browser: Chromium, run_page: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(run_page.read_text().replace("</body>", "<script>document.title = 'owned'</script></body>"))
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
    height = "document.querySelector('#backtest details').getBoundingClientRect().height"
    folded = browser.ask(height)
    browser.send("Emulation.setEmulatedMedia", media="print", features=[])
    assert browser.ask(height) > folded + 50


def test_tables_fit_on_a4_paper(browser: Chromium, run_page: Path) -> None:
    browser.open(run_page, width=718)  # 210 mm less margins of 1 cm each, at 96 dots an inch
    browser.send("Emulation.setEmulatedMedia", media="print", features=[])
    assert browser.ask(SCROLL_WIDTH) <= 718
