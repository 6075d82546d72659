"""The frames of one night become plain values, section by section."""

import datetime as dt
import re
import time

import pandas as pd
import pytest

from forecast_lib.domain import NOT_COMPARED
from forecast_lib.report import ReportInput
from forecast_lib.report.pages import IndexPage, TickerPage, pages_of, report_pages
from forecast_lib.report.sections.lately import chosen
from forecast_lib.report.sections.tickers import states
from forecast_lib.report.sections.tonight import tonight
from tests.report import nights

pytestmark = pytest.mark.slow


def index_page(report: ReportInput) -> IndexPage:
    return pages_of(report)[0]


def ticker_pages(report: ReportInput) -> list[TickerPage]:
    return list(pages_of(report)[2])


def page_of(ticker: str, **changes: object) -> TickerPage:
    return next(page for page in ticker_pages(nights.night(**changes)) if page.state.ticker == ticker)


def test_first_night_needs_only_the_run_itself() -> None:
    index = index_page(ReportInput(run=nights.run_frame()))
    assert (index.lines, index.statuses, index.charts.pictures, index.charts.risk, index.charts.held) == (
        (),
        (),
        (),
        None,
        None,
    )
    assert (index.skill.headline, index.skill.settled, index.attention.calm) == (None, (), True)
    assert ticker_pages(ReportInput(run=nights.run_frame())) == []


def test_a_run_frame_of_two_rows_is_refused() -> None:
    two = pd.concat([nights.run_frame(), nights.run_frame()])
    with pytest.raises(ValueError, match="the run frame has 2 rows, expected exactly 1"):
        index_page(ReportInput(run=two))


def test_run_facts_hold_the_stages_in_seconds_and_the_whole_time() -> None:
    run = index_page(nights.night()).run
    assert run.stages == (("ingest", 4.25), ("forecast", 61.0))
    assert run.seconds == 75.0  # 21:30:00 to 21:31:15
    assert run.as_of == dt.date(2026, 11, 20)


# --- the table of all tickers


def test_lines_stand_by_name_and_hold_first_and_last_step() -> None:
    index = index_page(nights.night())
    assert [line.state.ticker for line in index.lines] == ["AAA", "BBB", "CCC"]
    line = index.lines[0]
    assert line.first is not None and line.last is not None
    # By hand: q10 and q90 are the quantiles two places from the median, 2 * 2 * step from the last close of
    # 100.
    assert (line.first.point, line.first.low80, line.first.high80) == (101.0, 96.0, 104.0)
    assert (line.last.step, line.last.point, line.last.low80, line.last.high80) == (2, 102.0, 92.0, 108.0)
    assert line.last.target_session == dt.date(2026, 11, 24)
    assert line.width == pytest.approx(0.08)
    assert index.horizon == 2


def test_a_line_counts_the_earlier_ranges_that_held_and_those_that_are_known() -> None:
    line = index_page(nights.night()).lines[0]
    assert (line.held, line.settled) == (2, 3)  # 101 and 99 lie in 96 to 104, 120 does not


def test_a_forecast_of_one_step_has_no_last_step() -> None:
    index = index_page(nights.night(forecasts=pd.DataFrame(nights.forecast_rows("AAA", 100.0)[:1])))
    assert (index.lines[0].last, index.horizon) == (None, 1)


def test_a_ticker_without_a_forecast_still_has_its_line() -> None:
    line = index_page(nights.night()).lines[2]
    assert (line.state.status, line.first, line.width, line.spark) == ("none", None, None, ())


# --- charts


def test_the_widest_ranges_stand_first_in_per_cent_of_the_close() -> None:
    charts = index_page(nights.night()).charts
    assert charts.risk is not None
    # Both ranges are 8 wide, of 50 and of 100.
    assert [tick.label for tick in charts.risk.y_ticks] == ["BBB", "AAA"]
    assert (charts.drawn, charts.forecasts, charts.target) == (2, 2, dt.date(2026, 11, 23))


def test_coverage_over_time_counts_outcomes_of_all_tickers_by_session() -> None:
    charts = index_page(nights.night()).charts
    assert (charts.outcomes, charts.sessions) == (4, 3)  # three of AAA, one of BBB, whose newest is not known
    assert charts.held is not None
    share = next(shape.path for shape in charts.held.shapes if shape.css == "share s80")
    # The first of three is left out: one session says nothing.
    assert share.count("M") + share.count("L") == 2


def test_a_close_outside_the_95_range_gets_a_dot_and_one_inside_none() -> None:
    def misses(closes: list[float]) -> list[str]:
        changes = {
            "prices": nights.price_rows("AAA", closes),
            "past": nights.past_frame(*nights.past_rows("AAA", [*closes])),
        }
        drawing = index_page(nights.night(**changes)).charts.pictures[0].drawing
        return [mark.text for mark in drawing.marks if mark.css == "miss"]

    assert misses([101.0, 92.0, 108.0]) == []
    assert misses([101.0, 99.0, 120.0]) == ["Fri 2026-11-20: 120 came, outside 92 to 108"]


def test_bands_of_the_past_follow_a_later_split() -> None:
    """The closes are halved by a split since; what had been forecast for 120 before it stands at half the
    height as well.
    """
    prices = nights.price_rows("AAA", [50.5, 49.5, 60.0])
    picture = next(iter(index_page(nights.night(prices=prices)).charts.pictures))
    assert [mark.text for mark in picture.drawing.marks if mark.css == "miss"] == [
        "Fri 2026-11-20: 60 came, outside 46 to 54"
    ]


def test_the_pictures_of_a_large_outage_are_chosen_at_once() -> None:
    """Ten thousand tickers, half of them not fresh, where comparing each with each took seconds."""
    rows = [nights.ticker_row(f"T{at:05}", ("fresh", "last_good")[at % 2]) for at in range(10_000)]
    found = states(ReportInput(run=nights.run_frame(), run_tickers=nights.ticker_frame(*rows)))
    began = time.process_time()
    assert [state.ticker for state in chosen(found, ["T00004"])][:4] == [
        "T00001",
        "T00003",
        "T00004",
        "T00005",
    ]
    assert time.process_time() - began < 1.0


def test_pictures_show_the_last_60_closes_and_the_page_of_the_ticker_the_last_250() -> None:
    prices = nights.price_rows("AAA", [float(k) for k in range(1, 301)])
    page = page_of("AAA", prices=prices, forecasts=pd.DataFrame(), past=pd.DataFrame())
    for picture, closes in ((page.small, 60), (page.large, 250)):
        assert picture is not None
        line = next(shape.path for shape in picture.drawing.shapes if shape.css == "actual")
        assert line.count("M") + line.count("L") == closes
        assert picture.last_close == 300.0


def test_a_picture_shows_what_had_been_forecast_for_its_own_closes() -> None:
    """The last of 300 came outside; a picture of 60 has the last 60 strokes, where its closes are."""
    closes = [100.0] * 299 + [120.0]
    page = page_of(
        "AAA",
        prices=nights.price_rows("AAA", closes),
        past=nights.past_frame(*nights.past_rows("AAA", [*closes])),
    )
    for picture, shown in ((page.small, 60), (page.large, 250)):
        assert picture is not None
        paths = {shape.css: shape.path for shape in picture.drawing.shapes}
        stood = re.findall(r"M(\S+)", paths["past p80"])
        assert len(stood) == shown and stood == re.findall(r"[ML](\S+)", paths["actual"])
        (miss,) = [mark for mark in picture.drawing.marks if mark.css == "miss"]
        assert f"{miss.x:.1f}" == stood[-1]


def test_closes_after_the_cutoff_are_not_drawn_over_the_forecast() -> None:
    late = pd.DataFrame({"ticker": "AAA", "session": [pd.Timestamp("2026-11-23")], "close": [500.0]})
    prices = pd.concat([nights.night().prices, late.astype({"session": "datetime64[us]"})])
    with_late, without = (
        index_page(night).charts.pictures[0] for night in (nights.night(prices=prices), nights.night())
    )
    assert with_late.drawing == without.drawing


def test_of_many_tickers_those_that_are_not_fresh_or_surprised_are_drawn_first() -> None:
    names = [f"T{k:02}" for k in range(40)]
    rows = [nights.ticker_row(name, "naive" if name == "T30" else "fresh") for name in names]
    index = index_page(
        nights.night(
            run_tickers=nights.ticker_frame(*rows),
            prices=pd.concat([nights.price_rows(name, [99.0, 100.0]) for name in names]),
            forecasts=pd.DataFrame(),
            past=nights.past_frame(*nights.past_rows("T35", [120.0])),
        )
    )
    drawn = [picture.state.ticker for picture in index.charts.pictures]
    assert len(drawn) == 24 and {"T30", "T35"} <= set(drawn) and drawn == sorted(drawn)


# --- attention


def test_tickers_without_any_forecast_lead_the_degraded_list() -> None:
    index = index_page(nights.night())
    assert [(t.ticker, t.status, t.made_by) for t in index.attention.degraded] == [
        ("CCC", "none", None),
        ("BBB", "naive", "naive"),
    ]
    assert index.statuses == (("fresh", 1), ("naive", 1), ("none", 1))
    assert index.attention.worst_behind == 2


def test_a_surprise_is_a_close_of_the_newest_session_outside_its_95_range() -> None:
    attention = index_page(nights.night()).attention
    (surprise,) = attention.surprises
    assert (surprise.ticker, surprise.session, surprise.actual, surprise.above) == (
        "AAA",
        "2026-11-20",
        120.0,
        True,
    )
    assert attention.settled == 1  # BBB's newest outcome is of the session before


def test_only_tickers_outside_their_limits_are_named() -> None:
    rows = (("ticker", "AAA", 0.95, "held"), ("ticker", "BBB", 0.90, "too narrow"))
    attention = index_page(nights.night(coverage=nights.coverage_frame(*rows))).attention
    assert [(row.of, row.state) for row in attention.uncovered] == [("BBB", "too narrow")]
    assert attention.covered == 2


# --- skill


def test_the_headline_is_what_a_night_would_have_published() -> None:
    rows = [
        nights.score_row("*", model, 1.0, pinball_per_garch=ratio)
        for model, ratio in (("stacked", 0.98), ("combined", 0.99))
    ]
    skill = index_page(nights.night(backtest_scores=nights.score_frame(*rows))).skill
    assert skill.headline is not None
    assert (skill.headline.model, skill.headline.pinball) == ("combined", 0.99)
    assert [row.model for row in skill.models] == ["combined", "stacked"]


def test_without_a_row_of_all_tickers_ratios_are_geometric_means() -> None:
    skill = index_page(nights.night()).skill
    assert skill.headline is not None
    assert skill.headline.ratio == pytest.approx(1.0)  # sqrt(0.8 * 1.25)
    assert skill.headline.n == 400
    assert skill.headline.cov80 == pytest.approx(0.7)  # (0.8 + 0.6) / 2


def test_sides_are_counted_as_the_ratios_read_and_one_is_on_neither() -> None:
    scores = [
        nights.score_row(name, "stacked", ratio, pinball_per_garch=None)
        for name, ratio in (("A", 1.00004), ("B", 0.9), ("C", 1.1))
    ]
    skill = index_page(nights.night(backtest_scores=nights.score_frame(*scores))).skill
    assert (skill.better, skill.worse, skill.equal, skill.drawn) == (1, 1, 1, "rmse")
    assert skill.by_chance == pytest.approx(0.15)  # 3 tickers * 0.05


def test_sure_ones_are_those_of_the_diebold_mariano_test() -> None:
    rows = [
        nights.score_row("A", "stacked", 1.0, pinball_per_garch=0.9, dm_garch_pvalue=0.01),
        nights.score_row("B", "stacked", 1.0, pinball_per_garch=1.1, dm_garch_pvalue=0.2),
    ]
    skill = index_page(nights.night(backtest_scores=nights.score_frame(*rows))).skill
    assert (skill.drawn, skill.surely_better, skill.surely_worse) == ("pinball", 1, 0)


def test_a_repeated_score_counts_once_and_the_last_one_wins() -> None:
    scores = nights.score_frame(
        nights.score_row("AAA", "stacked", 0.5), nights.score_row("AAA", "stacked", 0.7, backtest_id="b2")
    )
    skill = index_page(nights.night(backtest_scores=scores)).skill
    assert skill.headline is not None and skill.headline.ratio == pytest.approx(0.7)


def test_an_infinite_ratio_counts_as_no_figure() -> None:
    scores = nights.score_frame(
        nights.score_row("AAA", "stacked", 0.5), nights.score_row("BBB", "stacked", float("inf"))
    )
    skill = index_page(nights.night(backtest_scores=scores)).skill
    assert skill.headline is not None and skill.headline.ratio == pytest.approx(0.5)


def test_arms_of_a_replay_stand_apart_from_the_models_the_cheapest_first() -> None:
    scores = [
        nights.score_row("AAA", "stacked", 0.9),
        *nights.arm_rows("fine_tune", 0.02, 50.0),
        *nights.arm_rows("none", 0.0, 5.0),
    ]
    skill = index_page(nights.night(backtest_scores=nights.score_frame(*scores))).skill
    assert [(arm.model, arm.gain, arm.cpu_seconds) for arm in skill.arms] == [
        ("stacked_none", 0.0, 5.0),
        ("stacked_fine_tune", 0.02, 50.0),
    ]
    tuned = skill.arms[1]
    assert (tuned.tickers, tuned.better, tuned.worse, tuned.surely_better, tuned.surely_worse) == (
        1,
        1,
        0,
        1,
        0,
    )
    assert [row.model for row in skill.models] == ["stacked"]


def test_arms_alone_are_models_like_others() -> None:
    scores = nights.score_frame(
        *nights.arm_rows("fine_tune", 0.02, 50.0), nights.score_row("AAA", "naive", 1.0)
    )
    skill = index_page(nights.night(backtest_scores=scores)).skill
    assert skill.headline is not None and skill.headline.model == "stacked_fine_tune"


# --- data and models


def test_quality_counts_rows_and_groups_refusals_by_rule() -> None:
    quality = index_page(nights.night()).quality
    assert (quality.rows_new, quality.rows_refused) == (20, 2)
    assert [(rule.rule, rule.rows, rule.tickers) for rule in quality.rules] == [
        ("gap", 1, ("CCC",)),
        ("high_below_low", 1, ("CCC",)),
    ]


def test_a_refusal_of_a_whole_ticker_has_no_session() -> None:
    refused = pd.DataFrame([nights.refused_row("CCC", "held", "split missing") | {"session": pd.NaT}])
    assert index_page(nights.night(quarantined=refused)).quality.rules[0].example_session is None


def test_a_pooled_model_of_this_run_is_named_and_decisions_are_counted() -> None:
    models = pd.DataFrame(
        [nights.model_row("AAA"), nights.model_row("*"), nights.model_row("*", run_id="last-week")]
    )
    quality = index_page(nights.night(models=models)).quality
    assert [(pooled.variant, pooled.epochs) for pooled in quality.pooled] == [("stacked", 7)]
    assert quality.decisions == (("retrain", 3),)


# --- the page of a ticker


def test_pages_lead_to_their_neighbours_by_name() -> None:
    found = [(page.before, page.state.ticker, page.after) for page in ticker_pages(nights.night())]
    assert found == [(None, "AAA", "BBB"), ("AAA", "BBB", "CCC"), ("BBB", "CCC", None)]


def test_a_bad_outcome_is_read_from_the_lower_quantiles() -> None:
    tonight = page_of("AAA").tonight
    assert tonight is not None
    falls = {odds: [price for price, _ in ends] for odds, ends in tonight.falls}
    # By hand: q05 is three places of 2 (4) below 100 at the first (last) step.
    assert falls["20"] == [94.0, 88.0]


def test_the_record_says_what_came_and_where_the_newest_first() -> None:
    record = page_of("AAA").record
    (step,) = record.steps
    assert (step.n, step.cov80, step.cov95) == (3, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert [(came.actual, came.verdict) for came in record.newest] == [
        (120.0, "outside 95 %"),
        (99.0, "inside"),
        (101.0, "inside"),
    ]


def test_weights_are_shown_by_step_the_largest_first() -> None:
    weights = pd.DataFrame(
        [
            {"ticker": "AAA", "step": 1, "model": model, "weight": weight}
            for model, weight in (("garch", 0.25), ("stacked", 0.75))
        ]
    )
    makers = page_of("AAA", weights=weights).makers
    assert makers.weights[0].weights == (("stacked", 0.75), ("garch", 0.25))
    assert page_of("BBB", weights=weights).makers.weights == ()


def test_drivers_are_drawn_without_the_usual_level_which_stands_in_words() -> None:
    makers = page_of(
        "BBB", drivers=nights.driver_frame("BBB", {"usual level": -3.0, "calibration": 0.2})
    ).makers
    # By hand: exp(exp(-3)) - 1 = 0.05105.
    assert makers.usual == pytest.approx(0.05105, abs=1e-5)
    assert [driver.name for driver in makers.drivers] == ["usual level", "calibration"]
    assert makers.drawing is not None
    drawn = {shape.css: shape.path.count("M") for shape in makers.drawing.shapes}
    # The usual level has no bar for its effect, and one for its change.
    assert drawn == {"effect": 1, "change": 2}
    assert page_of("CCC").makers.drawing is None


def test_scores_of_a_ticker_name_what_is_published_first() -> None:
    rows = [
        nights.score_row("AAA", model, 1.0, pinball_per_garch=ratio)
        for model, ratio in (("garch", 1.0), ("stacked", 0.98), ("combined", 0.99))
    ]
    scores = page_of("AAA", backtest_scores=nights.score_frame(*rows)).makers.scores
    assert [score.model for score in scores] == ["combined", "stacked", "garch"]


def test_announced_dividends_and_splits_are_said_where_the_figures_are() -> None:
    changes = [{"dividend": 0.0, "split": 1.0}, {"dividend": 0.5, "split": 4.0}]
    rows = [row | more for row, more in zip(nights.forecast_rows("AAA", 100.0), changes, strict=True)]
    found = tonight("AAA", rows)
    day = "Tuesday, 24 November"
    assert found is not None and found.announced == (
        f"On {day} a dividend of 0.5 goes off the price: it is off these figures.",
        f"By an announced split one share becomes 4 up to {day}: these figures stay for one share of"
        " tonight.",
    )
    plain = tonight("AAA", nights.forecast_rows("AAA", 100.0))
    assert plain is not None and plain.announced == ()


def test_tonight_s_model_is_told_and_older_ones_are_not() -> None:
    models = pd.DataFrame([nights.model_row("AAA"), nights.model_row("BBB", run_id="last-week")])
    first, second = (page_of(name, models=models).events.decision for name in ("AAA", "BBB"))
    assert (first.epochs, first.gate_reason, first.seconds) == (7, "validation RMSE 0.99 of naive", 2.5)
    assert (second.trained_id, second.epochs) == (None, None)


def test_refused_rows_and_verdicts_stand_together_the_newest_first() -> None:
    verdict = {
        "ticker": "AAA",
        "session": nights.TARGETS[0],
        "known_at": nights.CUTOFF,
        "verdict": "real",
        "evidence": '{"volume": 3.5}',
    }
    refused = pd.DataFrame([nights.refused_row("AAA", "gap", "no price")])
    prices = page_of("AAA", refused=refused, verdicts=pd.DataFrame([verdict])).events.prices
    assert [(event.what, event.said, event.released) for event in prices] == [
        ("judged real", "volume 3.5", False),
        ("gap", "no price", False),
    ]


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (
            '{"move": 1.04, "sentence": "close moved by +104.0%: taken as real"}',
            "close moved by +104.0%: taken as real",
        ),
        (
            '{"by": "person", "note": "checked, M. Mustermann", "rows": []}',
            "a person said so: checked, M. Mustermann",
        ),
        ("no JSON", "no JSON"),
    ],
)
def test_a_verdict_is_shown_in_words(evidence: str, said: str) -> None:
    verdict = {
        "ticker": "AAA",
        "session": nights.CUTOFF,
        "known_at": nights.CUTOFF,
        "verdict": "real",
        "evidence": evidence,
    }
    assert page_of("AAA", verdicts=pd.DataFrame([verdict])).events.prices[0].said == said


def test_an_end_is_said_with_what_to_do_once_and_then_mentioned() -> None:
    rows = [
        nights.ticker_row(
            "AAA", "ended", made_by=None, reason="ended: no row since 2026-10-20; take it off the list"
        ),
        nights.ticker_row("BBB", "ended", made_by=None, flags="ended since 2020-01-02"),
    ]
    html = dict(report_pages(nights.night(run_tickers=nights.ticker_frame(*rows))))["index.html"]
    assert "ended: no row since 2026-10-20; take it off the list" in html
    assert "ended since 2020-01-02" in html


def test_earlier_nights_say_why() -> None:
    night = {
        "ticker": "AAA",
        "as_of": nights.CUTOFF,
        "status": "last_good",
        "made_by": "stacked",
        "decision": "skip",
        "reason": "late",
    }
    assert page_of("AAA", nights=pd.DataFrame([night])).events.nights[0].said == "late"


def test_what_was_tried_of_covariates_is_shown_with_figures_the_kept_first() -> None:
    same = {"run_id": "r", "model_id": "m", "half_years": 20, "tickers": 30, "pvalue": 0.001}
    rows = [
        {"name": "event month_end", "inputs": ["event month_end"], "loss_without": 0.3, "loss_with": 0.303}
        | {"tickers_better": 9, "pvalue_adjusted": 1.0, "kept": False},
        {"name": "covariate <b>", "inputs": ["covariate <b>/level"], "loss_without": 0.3, "loss_with": 0.291}
        | {"tickers_better": 28, "pvalue_adjusted": 0.004, "kept": True},
    ]
    frame = nights.checked("covariate_trials", pd.DataFrame([same | row for row in rows]))
    shown = index_page(nights.night(trials=frame)).trials
    assert [(each.name, each.kept, each.ratio) for each in shown] == [
        ("covariate <b>", True, pytest.approx(0.97)),
        ("event month_end", False, pytest.approx(1.01)),
    ]
    html = dict(report_pages(nights.night(trials=frame)))["index.html"]
    assert "covariate &lt;b&gt;" in html and "28 of 30" in html and "0.9700" in html
    assert "What else was known" not in dict(report_pages(nights.night()))["index.html"]


# --- what changed


def changed(drivers: pd.DataFrame, **frames: object) -> tuple[str, ...]:
    """The sentences of a night with these drivers, after the night of Thursday, 19 November."""
    given = {"nights": pd.DataFrame([nights.earlier_night("AAA", "2026-11-19")]), **frames}
    found = index_page(nights.night(drivers=drivers, **given)).changes
    return tuple(f"{each.ticker} {each.text}" for each in found.widths)


def test_a_width_that_moved_by_more_than_a_tenth_has_a_sentence_on_why() -> None:
    """By hand: 99 to 100 is 1 %; exp(0.1 + 0.1) = 1.221, exp(-0.05) = 0.951, both together 1.162."""
    drivers = nights.driver_frame("AAA", {"falls": 0.1, "market-wide": -0.05, "last session": 0.1})
    assert changed(drivers) == (
        "AAA 16 % wider than yesterday: Friday's +1 % (+22 %), the market calmer (−5 %)",
    )


def test_a_session_that_swung_and_came_back_is_said_to_have_swung() -> None:
    """The close moved by half a per cent only: what made the range wider is the way it went."""
    prices = nights.price_rows("AAA", [98.0, 99.5, 100.0])
    wider = nights.driver_frame("AAA", {"last session": 0.2})
    assert changed(wider, prices=prices) == (
        "AAA 22 % wider than yesterday: Friday's swings, +0.5 % in all (+22 %)",
    )
    calmer = nights.driver_frame("AAA", {"last session": -0.2})
    assert changed(calmer, prices=prices) == ("AAA 18 % narrower than yesterday: Friday's +0.5 % (−18 %)",)


@pytest.mark.parametrize(("change", "said"), [(0.095, 0), (0.096, 1), (-0.105, 0), (-0.106, 1)])
def test_a_tenth_is_the_border(change: float, said: int) -> None:
    """exp(0.0953) is 1.1, exp(-0.1054) is 0.9."""
    assert len(changed(nights.driver_frame("AAA", {"calibration": change}))) == said


def test_only_the_largest_are_named_and_the_rest_together() -> None:
    small = {"weekday": 0.03, "season": 0.031, "network": 0.029}
    drivers = nights.driver_frame(
        "AAA", {"new weights": 0.2, "last week": 0.1, **small, "revised prices": 0.001}
    )
    # By hand: 0.029 and 0.001 are left, exp(0.03) = 1.0305.
    assert changed(drivers)[0].endswith(
        "a new model (+22 %), the last week wilder (+11 %), it moved more at this time of earlier quarters"
        " (+3 %), the weekday (+3 %), all else (+3 %)"
    )


def test_covariates_and_events_stand_by_their_names() -> None:
    """A session before a holiday is a calm one: its effect is below zero."""
    moved = {"covariate ^VIX": 0.2, "event earnings": 0.1, "event month_end": -0.05}
    effects = {"event earnings": 0.099, "event month_end": -0.001, "event before_holiday": -0.039}
    drivers = nights.driver_frame("AAA", {**moved, "event before_holiday": -0.04}, effects=effects)
    assert changed(drivers)[0].endswith(
        ": ^VIX (+22 %), earnings ahead (+11 %), a month end over (−5 %), the session before a holiday ahead"
        " (−4 %)"
    )


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("2026-11-18", "wider than on Wednesday: +2 % since Wednesday (+22 %)"),
        ("2026-11-02", "wider than on 2 November: the last session (+22 %)"),
        ("2026-11-20", "wider than on Friday: the last session (+22 %)"),
    ],
)
def test_the_night_compared_with_is_named_and_so_is_the_move_since(before: str, said: str) -> None:
    """Closes are known of 18, 19 and 20 November: 98, 99, 100."""
    night = pd.DataFrame([nights.earlier_night("AAA", before)])
    assert changed(nights.driver_frame("AAA", {"falls": 0.2}), nights=night)[0].endswith(said)


def test_what_could_not_be_compared_is_counted_with_the_reason() -> None:
    drivers = pd.concat(
        [
            nights.driver_frame("AAA", {"falls": 0.01}),
            nights.driver_frame("BBB", None, "weights"),
            nights.driver_frame("CCC", None, "weights"),
        ]
    )
    found = index_page(nights.night(drivers=drivers)).changes
    assert (found.widths, found.compared) == ((), 1)
    assert found.left_out == (("the model that answered then is no longer there", 2),)


def test_every_reason_there_is_has_words() -> None:
    for why in NOT_COMPARED:
        found = index_page(nights.night(drivers=nights.driver_frame("AAA", None, why))).changes
        assert found.left_out[0][0] != "nothing is known of it", why
