"""The pages' text: what they say, in which order, what they escape and what they forbid themselves."""

import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from itertools import pairwise

import pandas as pd
import pytest

from forecast_lib import report as report_room
from forecast_lib.report import (
    INDEX,
    Figure,
    Plot,
    RecipeReport,
    ReportInput,
    Series,
    render_recipe,
    report_pages,
)
from forecast_lib.report.glossary import GLOSSARY
from tests.report import nights

SECTIONS = ["charts", "attention", "changes", "tickers", "skill", "quality", "about"]
TICKER_SECTIONS = ["tonight", "record", "makers", "events"]
VOID = {"meta", "link", "br", "img", "hr", "input", "wbr"}


class _Page(HTMLParser):
    """Sections, table cells by row, tag balance, links and every id of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sections: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self._cell = False
        self.feed(html)
        assert self._open == [], f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        self.ids += [name for key, name in attrs if key == "id" and name]
        self.links += [values["href"] or ""] if tag == "a" else []
        if tag == "section":
            self.sections.append(values["id"] or "")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f"</{tag}> does not match"
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data


def pages_of(**changes: object) -> dict[str, str]:
    return dict(report_pages(nights.night(**changes)))


def index_of(**changes: object) -> str:
    return pages_of(**changes)[INDEX]


def test_charts_come_first_then_attention_then_the_tickers_then_skill_then_the_fine_print() -> None:
    page = _Page(index_of())
    assert page.sections == SECTIONS
    assert len(page.ids) == len(set(page.ids))


def test_the_page_of_a_ticker_has_its_sections_and_leads_back() -> None:
    page = _Page(pages_of()["AAA.html"])
    assert page.sections == TICKER_SECTIONS
    assert len(page.ids) == len(set(page.ids))
    assert {"./index.html", "./BBB.html", "./glossary.html"} <= set(page.links)


def test_first_night_says_what_is_missing() -> None:
    html = dict(report_pages(ReportInput(run=nights.run_frame())))[INDEX]
    # there is nothing to draw, and no width to compare
    assert _Page(html).sections == [name for name in SECTIONS if name not in ("charts", "changes")]
    assert "No backtest yet" in html and "a forecast is settled when its target session has closed" in html


def test_every_link_between_the_pages_leads_to_a_page_and_every_word_to_the_glossary() -> None:
    pages = pages_of()
    ids = set(_Page(pages["glossary.html"]).ids)
    assert ids == set(GLOSSARY)
    for html in pages.values():
        for link in _Page(html).links:
            file, _, place = link.removeprefix("./").partition("#")
            assert file in pages or (link.startswith("#") and place in _Page(html).ids), link
            assert file != "glossary.html" or not place or place in ids, link


def test_a_ticker_s_line_holds_close_ranges_record_and_maker() -> None:
    rows = [[cell.strip() for cell in row] for row in _Page(index_of()).rows]
    # By hand from nights.forecast_rows: q10 and q90 four (eight) dollars on either side of the last close of
    # 100.
    assert ["AAA", "", "100.00 USD", "96.00 … 104.00", "8.0 %", "92.00 … 108.00", "2 of 3", "stacked"] in rows


def test_a_baseline_that_answers_is_called_so_and_named() -> None:
    html = index_of()
    assert "baselines only" in html and "naive only" not in html
    assert "answered by naive, last session 2026-11-18, 2 sessions behind" in html


def test_whole_distributions_are_set_against_garch_with_all_baselines() -> None:
    figures = {
        "winkler95_per_garch": 0.95,
        "qlike": 0.46,
        "cov95_low_vol": 0.94,
        "cov95_mid_vol": 0.95,
        "cov95_high_vol": 0.96,
    }
    scores = [
        nights.score_row("*", model, 1.0, pinball_per_garch=0.98, mcs_pvalue=0.5, **figures)
        for model in ("combined", "har")
    ]
    rows = _Page(index_of(backtest_scores=nights.score_frame(*scores))).rows
    shown = [
        "0.9800",
        "0.9500",
        "0.4600",
        "1.0000",
        "80.0 %",
        "95.0 %",
        "94.0 %",
        "95.0 %",
        "96.0 %",
        "0.500",
    ]
    assert ["combined published", *shown] in rows and ["har baseline", *shown] in rows


def test_arms_of_a_replay_are_shown_with_gain_and_cost() -> None:
    scores = [nights.score_row("AAA", "stacked", 0.9), *nights.arm_rows("fine_tune", 0.02, 50.0)]
    rows = _Page(index_of(backtest_scores=nights.score_frame(*scores))).rows
    assert [
        "1",
        "stacked_fine_tune",
        "0.9900",
        "2.000 %",
        "1 of 1 (1 surely)",
        "0",
        "0.020",
        "50.0 s",
        "0.20000 %",
    ] in rows


def test_rolling_coverage_is_shown_by_model_and_of_the_tickers_outside_their_limits() -> None:
    by_model = nights.coverage_frame(("made_by", "stacked", 0.95, "held"))
    by_ticker = nights.coverage_frame(("ticker", "AAA", 0.95, "held"), ("ticker", "BBB", 0.9, "too narrow"))
    html = index_of(model_coverage=by_model, coverage=by_ticker)
    limits = ["81.0 %", "72.4 % … 87.6 %"]
    assert ["1", "stacked", "250", *limits, "95.0 %", "90.9 % … 99.1 %", "held"] in _Page(html).rows
    assert "Ranges that do not hold: 1 of 2 tickers" in html


def test_two_samples_of_skill_are_told_apart() -> None:
    html = index_of()
    assert "Two samples, kept apart" in html
    record = [row for row in _Page(html).rows if row[:3] == ["1", "stacked", "3"]]
    assert record == [["1", "stacked", "3", "2026-11-20", "2026-11-20", "80.0 %", "95.0 %", "1.0000"]]


def test_the_page_says_what_a_ratio_of_one_means() -> None:
    assert "a ratio of 1 means no better than “the price stays”" in index_of()


@pytest.mark.parametrize(
    ("ratio", "sentence"),
    [(0.98, "2.0 % closer than"), (1.031, "3.1 % further off than"), (1.0, "as far off as")],
)
def test_the_sentence_on_the_ratio_tells_its_direction(ratio: float, sentence: str) -> None:
    scores = nights.score_frame(nights.score_row("AAA", "stacked", ratio))
    assert f"Its point forecast is {sentence} “the price stays”" in index_of(backtest_scores=scores)


def test_degraded_tickers_come_before_the_table_with_reason_and_maker() -> None:
    html = index_of()
    assert html.index('id="attention"') < html.index("too few sessions") < html.index('id="tickers"')


def test_stale_data_are_announced_with_the_sessions_behind() -> None:
    pages = pages_of()
    assert "Stale data: 1 ticker behind, the worst by 2 sessions." in pages[INDEX]
    assert "Stale data: 2 sessions behind." in pages["BBB.html"]


def test_fresh_data_raise_no_alarm() -> None:
    html = index_of(run_tickers=nights.ticker_frame(nights.ticker_row("AAA", "fresh")), past=pd.DataFrame())
    assert "Stale data" not in html and "Nothing: every ticker is fresh, and nothing surprised." in html


def test_a_failed_run_says_that_nothing_was_published() -> None:
    assert "This run failed: nothing was published." in index_of(run=nights.run_frame(status="failed"))


def test_simulated_prices_are_announced_first_of_all_on_every_page_and_real_ones_never() -> None:
    loud, real = pages_of(simulated=True), pages_of()
    for name in (INDEX, "AAA.html"):
        assert loud[name].index("SIMULATED MARKET — not real prices") < loud[name].index("<h1>")
        assert "simulated" not in real[name].partition("<body>")[2].partition("<script")[0].lower()


def test_the_fine_print_names_code_config_libraries_and_what_computed() -> None:
    said = '{"answered_by": "Numba CPU", "numpy": "2.4.6", "trained_by": "TensorFlow GPU NVIDIA H100"}'
    foot = index_of(run=nights.run_frame(libraries=said)).partition('id="about"')[2]
    for text in ("Nothing here is investment advice", "9f3c1a2b4d5e6f70", "0.1.0", "Libraries: numpy 2.4.6<"):
        assert text in foot
    assert "Networks: trained by TensorFlow GPU NVIDIA H100 · answered by Numba CPU<" in foot


def test_hostile_text_stays_text_wherever_it_comes_in() -> None:
    bad = nights.HOSTILE
    row = {
        "ticker": bad,
        "session": nights.CUTOFF,
        "known_at": nights.CUTOFF,
        "verdict": bad,
        "evidence": bad,
    }
    pages = pages_of(
        run=nights.run_frame(
            message=bad, source=bad, code_version=bad, config_hash=bad, libraries=f'{{"{bad[:8]}": "<b>"}}'
        ),
        run_tickers=nights.ticker_frame(
            nights.ticker_row(
                bad, "none", reason=bad, trigger=bad, made_by=bad, model_id=bad, sessions_behind=1
            )
        ),
        forecasts=pd.DataFrame(nights.forecast_rows(bad, 9.0, made_by=bad, currency=bad)),
        past=nights.past_frame(*nights.past_rows(bad, [9.0], 9.0, made_by=bad)),
        nights=pd.DataFrame(
            [
                {
                    "ticker": bad,
                    "as_of": nights.CUTOFF,
                    "status": bad,
                    "made_by": bad,
                    "decision": bad,
                    "reason": bad,
                }
            ]
        ),
        models=pd.DataFrame([nights.model_row(bad, gate_reason=bad, variant=bad)]),
        backtest_scores=nights.score_frame(nights.score_row(bad, bad, 0.9), nights.score_row("B", bad, 1.1)),
        settled=pd.DataFrame([nights.settled_row(1, bad, 3)]),
        quarantined=pd.DataFrame([nights.refused_row(bad, bad, bad)]),
        refused=pd.DataFrame([nights.refused_row(bad, bad, bad)]),
        verdicts=pd.DataFrame([row]),
        weights=pd.DataFrame([{"ticker": bad, "step": 1, "model": bad, "weight": 1.0}]),
        drivers=pd.DataFrame(
            [{"ticker": bad, "step": 1, "driver": bad, "effect": 1.0, "change": 0.5, "why_no_change": None}]
        ),
    )
    for name, html in pages.items():
        assert html.count("<script") == (1 if name == INDEX else 0)
        assert 'alert("x")' not in html
        _Page(html)
    assert sum(html.count("&lt;script&gt;") for html in pages.values()) >= 25


def test_a_hostile_ticker_cannot_name_a_file_elsewhere() -> None:
    names = pages_of(
        run_tickers=nights.ticker_frame(
            nights.ticker_row("../../etc", "none"), nights.ticker_row("^A=B", "fresh")
        )
    )
    assert set(names) == {INDEX, "glossary.html", "_.._2F.._2Fetc.html", "_5EA_3DB.html"}


def test_pages_ask_for_nothing_from_outside_and_forbid_all_scripts_but_their_own() -> None:
    for name, html in pages_of().items():
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
        assert policy and policy[1].startswith(
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        )
        assert ("script-src 'sha256-" in policy[1]) == (name == INDEX)
        assert "unsafe-eval" not in policy[1] and policy[1].count("unsafe-inline") == 1
        assert not re.search(r"""(?:src|href)=["'](?!#|data:|\./)|url\(|@import""", html)
        assert not _Page(html).tags & {"iframe", "object", "embed", "base"}


def test_a_web_page_as_a_reason_is_cut_short() -> None:
    row = nights.ticker_row("AAA", "none", reason="x" * 100_000)
    assert all(len(html) < 60_000 for html in pages_of(run_tickers=nights.ticker_frame(row)).values())


def _many(count: int) -> ReportInput:
    """So many tickers with 250 closes, an earlier forecast for each of them one session ahead, and a
    backtest.
    """
    names = [f"T{k}" for k in range(count)]
    closes = [100.0 + (k * 37 % 11) / 4 for k in range(250)]
    past = nights.past_frame(*nights.past_rows("T0", [*closes], 101.0))
    return nights.night(
        run_tickers=nights.ticker_frame(*(nights.ticker_row(name, "fresh") for name in names)),
        prices=pd.concat([nights.price_rows(name, closes) for name in names]),
        past=pd.concat([past.assign(ticker=name) for name in names], ignore_index=True),
        forecasts=pd.DataFrame([row for name in names for row in nights.forecast_rows(name, 100.0)]),
        backtest_scores=nights.score_frame(*(nights.score_row(name, "stacked", 1.01) for name in names)),
    )


@pytest.mark.slow
def test_500_tickers_have_500_pages_and_a_first_page_below_a_megabyte() -> None:
    began = time.process_time()
    pages = dict(report_pages(_many(500)))
    seconds = time.process_time() - began
    assert len(pages) == 502
    assert len(pages[INDEX].encode()) < 1_000_000
    assert pages[INDEX].count("<tr data-status=") == 500
    assert seconds < 30  # three on an idle machine; this one may be ten times slower


@pytest.mark.parametrize(("kind", "most"), [("nightly", 2), ("ingest", 1000)])
def test_of_very_many_tickers_and_of_prices_only_those_that_are_spoken_of_have_a_page(
    kind: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forecast_lib.report.pages._MOST_PAGES", most)
    pages = pages_of(
        run=nights.run_frame(kind=kind),
        **dict.fromkeys(("past", "prices", "forecasts", "drivers"), pd.DataFrame()),
    )
    assert set(pages) == {
        INDEX,
        "glossary.html",
        "BBB.html",
        "CCC.html",
    }  # AAA is fresh
    assert './AAA.html"' not in pages[INDEX] and './BBB.html"' in pages[INDEX]
    assert "Of so many tickers only those that this page speaks of have one" in pages[INDEX]
    assert "Of so many tickers" not in index_of()


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_colour_has_the_contrast_of_wcag_aa(scheme: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", index_of(), re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[0 if scheme == "light" else 1]))
    pairs = [
        (ink, ground)
        for ink in ("ink", "soft", "accent", "good", "bad")
        for ground in ("paper", "card", "zebra")
    ]
    pairs += [("loud-ink", "loud"), ("ink", "warn-bg"), ("ink", "bad-bg"), ("ink", "plain-bg")]
    pairs += [(tone, f"{tone}-bg") for tone in ("good", "warn", "bad")]
    for ink, ground in pairs:
        dark, light = sorted((_luminance(colours[ink]), _luminance(colours[ground])))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{scheme}: {ink} on {ground}"


def test_headings_never_skip_a_level() -> None:
    for html in pages_of().values():
        levels = [int(level) for level in re.findall(r"<h([1-6])", html)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))


RECIPE = RecipeReport(
    name="aapl-stacked",
    title="Apple from 60 closes",
    figures=(Figure("test RMSE", 7.9123456, "USD"),),
    honest=(Figure("naive test RMSE", 2.5, "USD", "tomorrow = today"),),
    flattery=("The scaler saw the test part.",),
    plots=(
        Plot(
            "Closes",
            ["2020-01-01", "2020-01-02"],
            (Series("close", [1.0, 2.0]), Series("test", [None, 2.0], "forecast")),
        ),
    ),
)


def test_recipe_tells_flattery_before_the_figures_and_the_honest_ones_beside() -> None:
    html = render_recipe(RECIPE)
    assert html.index("The scaler saw the test part.") < html.index("7.91235") < html.index("naive test RMSE")
    assert ["naive test RMSE", "2.5", "USD", "tomorrow = today"] in _Page(html).rows


def test_recipe_without_parts_still_makes_a_page() -> None:
    html = render_recipe(RecipeReport(name="sine-small", title="A sine"))
    assert _Page(html).sections == ["figures", "honest", "plots"]


def test_recipe_escapes_every_text() -> None:
    bad = nights.HOSTILE
    figure = Figure(bad, bad, bad, bad)
    texts = {"name": bad, "title": bad, "about": bad, "flattery": (bad,), "origin": ((bad, bad),)}
    plot = Plot(bad, [bad], (Series(bad, [1.0]),), unit=bad)
    assert "<script" not in render_recipe(
        RecipeReport(**texts, figures=(figure,), honest=(figure,), plots=(plot,))
    )


@pytest.mark.slow
def test_importing_the_room_is_light() -> None:
    heavy = "{'tensorflow', 'keras', 'prefect', 'duckdb', 'yfinance', 'matplotlib', 'pandera'}"
    code = f"import sys, forecast_lib.report; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    assert all(hasattr(report_room, name) for name in report_room.__all__)
