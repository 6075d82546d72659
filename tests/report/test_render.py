"""The page's text: what it says, what it escapes, and how it gets to its place."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from forecast_lib import report as report_room
from forecast_lib.errors import UsageError
from forecast_lib.report import (
    Figure,
    Plot,
    RecipeReport,
    ReportInput,
    Series,
    build_summary,
    render_recipe,
    render_report,
    write_report,
)
from forecast_lib.report.render import PLOTS_OPEN
from tests.report import nights

SECTIONS = ["summary", "degraded", "forecasts", "backtest", "settled", "plots", "quality", "models"]
VOID = {"meta", "link", "br", "img", "hr", "input"}


class _Page(HTMLParser):
    """Sections, table cells by row, tag balance and every id of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sections: list[str] = []
        self.ids: list[str] = []
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


def page_of(**changes: object) -> str:
    return render_report(build_summary(nights.night(**changes)))


def test_sections_stand_in_the_promised_order_and_tags_balance() -> None:
    page = _Page(page_of())
    assert page.sections == SECTIONS
    assert len(page.ids) == len(set(page.ids))


def test_first_night_has_every_section_and_says_what_is_missing() -> None:
    html = render_report(build_summary(ReportInput(run=nights.run_frame())))
    assert _Page(html).sections == SECTIONS
    assert "No backtest yet" in html and "a forecast is settled when its target session has closed" in html


def test_forecast_line_holds_close_point_interval_maker_and_targets() -> None:
    rows = _Page(page_of()).rows
    # By hand from nights.forecast_rows: last close 100, point +1 and +2, q10/q90 four (eight) dollars on either side.
    first = ["101.00", "96.00 … 104.00", "2026-11-23 +1"]
    last = ["102.00", "92.00 … 108.00", "2026-11-24 +2"]
    assert ["AAA", "100.00 USD", *first, *last, "stacked", "2026-11-20"] in rows


def test_backtest_line_holds_ratio_significance_and_coverage() -> None:
    rows = _Page(page_of()).rows
    expected = ["AAA", "stacked", "100", "1.60", "2.00", "0.8000", "0.010", "better", "80.0 %", "95.0 %", "0.8000", "1.1000"]
    assert expected in rows


def test_whole_distributions_are_set_against_garch_with_all_baselines() -> None:
    figures = {"winkler95_per_garch": 0.95, "qlike": 0.46, "cov95_low_vol": 0.94, "cov95_mid_vol": 0.95, "cov95_high_vol": 0.96}
    scores = [nights.score_row("*", model, 1.0, pinball_per_garch=0.98, mcs_pvalue=0.5, **figures) for model in ("stacked", "har")]
    page = page_of(backtest_scores=nights.score_frame(*scores))
    figures_shown = ["0.9800", "0.9500", "0.4600", "1.0000", "80.0 %", "95.0 %", "94.0 %", "95.0 %", "96.0 %", "0.500"]
    assert ["stacked", *figures_shown] in _Page(page).rows and ["har baseline", *figures_shown] in _Page(page).rows


def test_arms_of_a_replay_are_shown_with_gain_and_cost() -> None:
    scores = [nights.score_row("AAA", "stacked", 0.9), *nights.arm_rows("fine_tune", 0.02, 50.0)]
    rows = _Page(page_of(backtest_scores=nights.score_frame(*scores))).rows
    assert ["1", "stacked_fine_tune", "0.9900", "2.000 %", "1 of 1 (1 surely)", "0", "0.020", "50.0 s", "0.20000 %"] in rows


def test_rolling_coverage_is_shown_by_model_and_of_the_tickers_outside_their_limits() -> None:
    by_model = nights.coverage_frame(("made_by", "stacked", 0.95, "held"))
    by_ticker = nights.coverage_frame(("ticker", "AAA", 0.95, "held"), ("ticker", "BBB", 0.9, "too narrow"))
    html = page_of(model_coverage=by_model, coverage=by_ticker)
    limits = ["81.0 %", "72.4 % … 87.6 %"]
    assert ["1", "stacked", "250", *limits, "95.0 %", "90.9 % … 99.1 %", "held"] in _Page(html).rows
    assert ["1", "BBB", "250", *limits, "90.0 %", "90.9 % … 99.1 %", "too narrow"] in _Page(html).rows
    assert "1 of 2 tickers outside the limits" in html and not [row for row in _Page(html).rows if row[1:3] == ["AAA", "250"]]


def test_the_page_says_what_a_ratio_of_one_means() -> None:
    assert "a ratio of 1 means no better than “the price stays”" in page_of()


@pytest.mark.parametrize(
    ("ratio", "sentence"),
    [(0.98, "2.0 % closer than"), (1.031, "3.1 % further off than"), (1.0, "as far off as")],
)
def test_the_sentence_under_the_ratio_tells_its_direction(ratio: float, sentence: str) -> None:
    scores = nights.score_frame(nights.score_row("AAA", "stacked", ratio))
    assert f"the point forecasts are {sentence} “the price stays”" in page_of(backtest_scores=scores)


def test_degraded_tickers_come_before_the_forecasts_with_reason_and_maker() -> None:
    html = page_of()
    rows = _Page(html).rows
    assert ["BBB", "naive only", "naive", "2026-11-18", "2", "too few sessions"] in rows
    assert html.index('id="degraded"') < html.index("too few sessions") < html.index('id="forecasts"')


def test_stale_data_are_announced_with_the_sessions_behind() -> None:
    assert "Stale data: 1 ticker behind, the worst by 2 sessions." in page_of()


def test_fresh_data_raise_no_alarm() -> None:
    html = page_of(run_tickers=nights.ticker_frame(nights.ticker_row("AAA", "fresh")))
    assert "Stale data" not in html and "None: every ticker is fresh." in html


def test_a_failed_run_says_that_nothing_was_published() -> None:
    assert "This run failed: nothing was published." in page_of(run=nights.run_frame(status="failed"))


def test_simulated_prices_are_announced_first_of_all_and_real_ones_never() -> None:
    loud = page_of(simulated=True)
    assert loud.index("SIMULATED MARKET — not real prices") < loud.index("<h1>")
    assert "simulated" not in page_of().partition("<body>")[2].lower()


def test_decisions_name_model_epochs_time_and_gate() -> None:
    rows = _Page(page_of()).rows
    decision = [
        "AAA",
        "retrain",
        "first model",
        "model-of-A",
        "0123456789 stacked",
        "7",
        "2.5 s",
        "passed",
        "validation RMSE 0.99 of naive",
    ]
    assert decision in rows


def test_footer_names_code_config_and_libraries() -> None:
    foot = page_of().partition("<footer")[2]
    for text in ("Nothing here is investment advice", "9f3c1a2b4d5e6f70", "0.1.0", "numpy 2.4.6"):
        assert text in foot


def test_footer_says_what_trained_and_what_answered() -> None:
    said = '{"answered_by": "Numba CPU", "numpy": "2.4.6", "trained_by": "TensorFlow GPU NVIDIA H100"}'
    foot = page_of(run=nights.run_frame(libraries=said)).partition("<footer")[2]
    assert "Networks: trained by TensorFlow GPU NVIDIA H100 · answered by Numba CPU<" in foot
    assert "Libraries: numpy 2.4.6<" in foot and "Networks" not in page_of().partition("<footer")[2]


def test_hostile_text_stays_text_wherever_it_comes_in() -> None:
    bad = nights.HOSTILE
    html = page_of(
        run=nights.run_frame(message=bad, source=bad, code_version=bad, config_hash=bad, libraries=f'{{"{bad[:8]}": "<b>"}}'),
        run_tickers=nights.ticker_frame(
            nights.ticker_row(bad, "none", reason=bad, trigger=bad, made_by=bad, model_id=bad, sessions_behind=1)
        ),
        forecasts=pd.DataFrame(nights.forecast_rows(bad, 9.0, made_by=bad, currency=bad)),
        models=pd.DataFrame([nights.model_row(bad, gate_reason=bad, variant=bad)]),
        backtest_scores=nights.score_frame(
            nights.score_row(bad, bad, 0.9), nights.score_row("B", bad, 1.1), nights.score_row("C", bad, 1.1)
        ),
        outcomes=pd.DataFrame([nights.outcome_row(1, 9.0, 1.0, 1.0, True) | {"made_by": bad}]),
        quarantined=pd.DataFrame([nights.refused_row(bad, bad, bad)]),
    )
    assert "<script" not in html and "<b>" not in html.partition("<footer")[2].partition("Libraries")[2]
    assert html.count("&lt;script&gt;") >= 15


def test_page_asks_for_nothing_from_outside_and_forbids_scripts() -> None:
    html = page_of()
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)|url\(|@import""", html)
    assert not _Page(html).tags & {"script", "iframe", "object", "embed", "form", "base"}


def test_a_web_page_as_a_reason_is_cut_short() -> None:
    row = nights.ticker_row("AAA", "none", reason="x" * 100_000)
    assert len(page_of(run_tickers=nights.ticker_frame(row))) < 60_000


def test_plots_beyond_the_first_are_folded() -> None:
    names = [f"T{k}" for k in range(PLOTS_OPEN + 1)]
    html = page_of(
        run_tickers=nights.ticker_frame(*(nights.ticker_row(name, "fresh") for name in names)),
        prices=pd.concat([nights.price_rows(name, [1.0, 2.0]) for name in names]),
        forecasts=pd.DataFrame(),
    )
    shown, _, folded = html.partition("<details><summary>T24 to T24 (1 plot)</summary>")
    assert (shown.count("<figure><figcaption"), folded.count("<figure><figcaption")) == (PLOTS_OPEN, 1)


def test_500_tickers_stay_below_6_megabytes() -> None:
    names = [f"T{k}" for k in range(500)]
    closes = [100.0 + (k * 37 % 11) for k in range(120)]
    html = page_of(
        run_tickers=nights.ticker_frame(*(nights.ticker_row(name, "naive", reason="r" * 100) for name in names)),
        prices=pd.concat([nights.price_rows(name, closes) for name in names]),
        forecasts=pd.DataFrame([row for name in names for row in nights.forecast_rows(name, 100.0)]),
        backtest_scores=nights.score_frame(*(nights.score_row(name, "stacked", 1.01) for name in names)),
    )
    assert html.count('class="small"') == 500
    assert len(html.encode()) < 6_000_000


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_colour_has_the_contrast_of_wcag_aa(scheme: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", page_of(), re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[0 if scheme == "light" else 1]))
    pairs = [(ink, ground) for ink in ("ink", "soft", "accent", "good", "bad") for ground in ("paper", "card", "zebra")]
    pairs += [("loud-ink", "loud"), ("ink", "warn-bg"), ("ink", "bad-bg"), ("ink", "plain-bg")]
    pairs += [(tone, f"{tone}-bg") for tone in ("good", "warn", "bad")]
    for ink, ground in pairs:
        dark, light = sorted((_luminance(colours[ink]), _luminance(colours[ground])))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{scheme}: {ink} on {ground}"


def test_headings_never_skip_a_level() -> None:
    levels = [int(level) for level in re.findall(r"<h([1-6])", page_of())]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


RECIPE = RecipeReport(
    name="aapl-stacked",
    title="Apple from 60 closes",
    figures=(Figure("test RMSE", 7.9123456, "USD"),),
    honest=(Figure("naive test RMSE", 2.5, "USD", "tomorrow = today"),),
    flattery=("The scaler saw the test part.",),
    plots=(Plot("Closes", ["2020-01-01", "2020-01-02"], (Series("close", [1.0, 2.0]), Series("test", [None, 2.0], "forecast"))),),
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
    plot = Plot(bad, [bad], (Series(bad, [1.0]),), unit=bad)
    figure = Figure(bad, bad, bad, bad)
    html = render_recipe(
        RecipeReport(
            name=bad,
            title=bad,
            figures=(figure,),
            honest=(figure,),
            flattery=(bad,),
            plots=(plot,),
            about=bad,
            origin=((bad, bad),),
        )
    )
    assert "<script" not in html


def test_report_is_written_for_the_run_and_as_the_latest(tmp_path: Path) -> None:
    page = write_report(tmp_path, "run-1", "<p>one</p>")
    write_report(tmp_path, "run-2", "<p>zwei – ü</p>")
    assert page == tmp_path / "reports" / "run-1" / "index.html"
    assert page.read_text(encoding="utf-8") == "<p>one</p>"
    latest = tmp_path / "reports" / "latest.html"
    assert latest.read_text(encoding="utf-8") == "<p>zwei – ü</p>"
    assert not latest.is_symlink() and latest.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in latest.parent.rglob("*")) == ["index.html", "index.html", "latest.html", "run-1", "run-2"]


def test_a_refused_write_leaves_the_old_page_and_no_scraps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(tmp_path, "run-1", "old")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, "run-1", "new")
    files = [path for path in (tmp_path / "reports").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["index.html", "latest.html"]
    assert {path.read_text() for path in files} == {"old"}


@pytest.mark.parametrize("run_id", ["", "..", "../up", "a/b", ".hidden", "a\n", "x" * 129])
def test_a_run_id_that_is_no_folder_name_is_refused(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(UsageError, match="cannot name a folder"):
        write_report(tmp_path, run_id, "page")
    assert list(tmp_path.iterdir()) == []


def test_a_lone_surrogate_does_not_cost_the_page(tmp_path: Path) -> None:
    assert write_report(tmp_path, "run-1", "a\ud800b").read_bytes() == b"a?b"


def test_importing_the_room_is_light() -> None:
    heavy = "{'tensorflow', 'keras', 'prefect', 'duckdb', 'yfinance', 'matplotlib', 'pandera'}"
    code = f"import sys, forecast_lib.report; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    assert all(hasattr(report_room, name) for name in report_room.__all__)
