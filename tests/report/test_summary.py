"""The frames of one night become plain values."""

import datetime as dt

import pandas as pd
import pytest

from forecast_lib.report import ReportInput, build_summary
from tests.report import nights


def test_first_night_needs_only_the_run_itself() -> None:
    summary = build_summary(ReportInput(run=nights.run_frame()))
    assert summary.tickers == 0
    assert [*summary.skills, *summary.settled, *summary.plots, *summary.forecasts, *summary.decisions] == []


def test_a_run_frame_of_two_rows_is_refused() -> None:
    two = pd.concat([nights.run_frame(), nights.run_frame()])
    with pytest.raises(ValueError, match="the run frame has 2 rows, expected exactly 1"):
        build_summary(ReportInput(run=two))


def test_run_facts_hold_the_stages_in_seconds_and_the_whole_time() -> None:
    run = build_summary(nights.night()).run
    assert run.stages == (("ingest", 4.25), ("forecast", 61.0))
    assert run.seconds == 75.0  # 21:30:00 to 21:31:15
    assert run.as_of == dt.date(2026, 11, 20)


def test_libraries_that_are_no_json_are_shown_as_they_are() -> None:
    summary = build_summary(ReportInput(run=nights.run_frame(libraries="numpy 2.4")))
    assert summary.run.libraries == (("", "numpy 2.4"),)


def test_tickers_without_any_forecast_lead_the_degraded_list() -> None:
    summary = build_summary(nights.night())
    assert [(t.ticker, t.status, t.made_by) for t in summary.degraded] == [("CCC", "none", None), ("BBB", "naive", "naive")]
    assert summary.statuses == (("fresh", 1), ("naive", 1), ("none", 1))
    assert summary.worst_behind == 2


def test_forecasts_keep_the_order_of_the_tickers_asked_for() -> None:
    rows = build_summary(nights.night()).forecasts
    assert [row.ticker for row in rows] == ["AAA", "BBB"]


def test_forecast_row_holds_first_and_last_step_with_the_80_percent_interval() -> None:
    row = build_summary(nights.night()).forecasts[0]
    assert row.last is not None
    # By hand: q10 and q90 are the quantiles two places from the median, 2 * 2 * step from the last close of 100.
    assert (row.first.point, row.first.low80, row.first.high80) == (101.0, 96.0, 104.0)
    assert (row.last.step, row.last.point, row.last.low80, row.last.high80) == (2, 102.0, 92.0, 108.0)
    assert row.last.target_session == dt.date(2026, 11, 24)


def test_a_forecast_of_one_step_has_no_last_step() -> None:
    forecasts = pd.DataFrame(nights.forecast_rows("AAA", 100.0)[:1])
    assert build_summary(nights.night(forecasts=forecasts)).forecasts[0].last is None


def test_skill_is_the_geometric_mean_over_tickers_at_the_first_step() -> None:
    (skill,) = build_summary(nights.night()).skills
    assert skill.ratio == pytest.approx(1.0)  # sqrt(0.8 * 1.25)
    assert (skill.better, skill.worse) == (1, 1)
    assert (skill.surely_better, skill.surely_worse) == (1, 0)  # p 0.01 and 0.2
    assert skill.cov80 == pytest.approx(0.65)  # (100 * 0.8 + 300 * 0.6) / 400
    assert skill.n == 400
    assert skill.by_chance == pytest.approx(0.1)  # 2 tickers * 0.05


def test_the_row_over_all_tickers_stands_first_and_is_not_counted_as_a_ticker() -> None:
    scores = nights.score_frame(nights.score_row("AAA", "stacked", 0.5), nights.score_row("*", "stacked", 0.9, rmse=None, rmse_naive=None))
    summary = build_summary(nights.night(backtest_scores=scores))
    assert [row.ticker for row in summary.scores] == ["*", "AAA"]
    assert summary.skills[0].ratio == pytest.approx(0.5)


def test_score_rows_set_each_model_against_both_baselines() -> None:
    first, second = build_summary(nights.night()).scores
    assert (first.ticker, first.ratio, first.drift_ratio, first.verdict) == ("AAA", 0.8, 1.1, "better")
    assert first.pinball_ratio == pytest.approx(0.8)  # 0.4 / 0.5
    assert (second.ticker, second.drift_ratio, second.verdict) == ("BBB", None, "unclear")


def test_drift_has_its_own_figure() -> None:
    drift = build_summary(nights.night()).drift
    assert drift is not None and drift.ratio == pytest.approx(1.1)


def test_distributions_stand_side_by_side_the_best_first_and_baselines_are_told_apart() -> None:
    rows = [
        nights.score_row("*", model, 1.0, pinball_per_garch=ratio) for model, ratio in (("garch", 1.0), ("stacked", 0.98), ("har", 0.99))
    ]
    summary = build_summary(nights.night(backtest_scores=nights.score_frame(*rows, nights.score_row("AAA", "stacked", 0.9))))
    assert [(row.model, row.is_baseline, row.pinball) for row in summary.rivals] == [
        ("stacked", False, 0.98),
        ("har", True, 0.99),
        ("garch", True, 1.0),
    ]
    assert [row.model for row in summary.scores] == ["stacked", "stacked"]  # what is judged: no baseline among it


def test_backtest_without_garch_shows_no_distributions() -> None:
    scores = nights.score_frame(nights.score_row("*", "stacked", 0.9, pinball_per_garch=None))
    assert build_summary(nights.night(backtest_scores=scores)).rivals == ()


def test_a_repeated_score_counts_once_and_the_last_one_wins() -> None:
    scores = nights.score_frame(nights.score_row("AAA", "stacked", 0.5), nights.score_row("AAA", "stacked", 0.7, backtest_id="b2"))
    summary = build_summary(nights.night(backtest_scores=scores))
    assert [row.ratio for row in summary.scores] == [0.7]


def test_scores_without_figures_leave_the_ratio_open() -> None:
    scores = nights.score_frame(nights.score_row("AAA", "stacked", 1.0, n=0, rmse=None, rmse_ratio=None, dm_pvalue=None, cov80=None))
    (skill,) = build_summary(nights.night(backtest_scores=scores)).skills
    assert (skill.ratio, skill.tickers, skill.cov80) == (None, 0, None)


def test_settled_errors_count_in_percent_of_the_price() -> None:
    (settled,) = build_summary(nights.night()).settled
    # By hand: errors 3 % and 4 %, naive errors 4 % and 3 %: the RMSE are equal. In price units the ratio would be 0.75.
    assert settled.ratio == pytest.approx(1.0)
    assert (settled.step, settled.made_by, settled.n, settled.cov80, settled.cov95) == (1, None, 2, 0.5, 1.0)


def test_settled_forecasts_are_told_apart_by_maker_when_it_is_joined() -> None:
    outcomes = nights.night().outcomes.assign(made_by=["stacked", None])
    settled = build_summary(nights.night(outcomes=outcomes)).settled
    assert [(row.made_by, row.n) for row in settled] == [("stacked", 1), (None, 1)]


def test_settled_ratio_is_open_when_the_price_never_moved() -> None:
    outcomes = pd.DataFrame([nights.outcome_row(1, 100.0, 1.0, 0.0, True)])
    assert build_summary(nights.night(outcomes=outcomes)).settled[0].ratio is None


def test_quality_counts_rows_and_groups_refusals_by_rule() -> None:
    quality = build_summary(nights.night()).quality
    assert (quality.rows_new, quality.rows_refused) == (20, 2)
    assert [(rule.rule, rule.rows, rule.tickers) for rule in quality.rules] == [
        ("gap", 1, ("CCC",)),
        ("high_below_low", 1, ("CCC",)),
    ]
    assert [state.ticker for state in quality.behind] == ["BBB"]


def test_a_refusal_of_a_whole_ticker_has_no_session() -> None:
    refused = pd.DataFrame([nights.refused_row("CCC", "held", "split missing") | {"session": pd.NaT}])
    assert build_summary(nights.night(quarantined=refused)).quality.rules[0].example_session is None


def test_decisions_join_tonight_s_models_and_ignore_older_ones() -> None:
    models = pd.DataFrame([nights.model_row("AAA"), nights.model_row("BBB", run_id="last-week")])
    first, second, _ = build_summary(nights.night(models=models)).decisions
    assert (first.ticker, first.epochs, first.promoted, first.seconds) == ("AAA", 7, True, 2.5)
    assert (second.ticker, second.trained_id, second.epochs, second.promoted) == ("BBB", None, None, None)


def test_a_pooled_model_has_its_own_line_before_the_tickers() -> None:
    models = pd.DataFrame([nights.model_row("AAA"), nights.model_row("*")])
    decisions = build_summary(nights.night(models=models)).decisions
    assert [decision.ticker for decision in decisions] == ["*", "AAA", "BBB", "CCC"]


def test_a_ticker_with_neither_closes_nor_forecast_is_not_drawn() -> None:
    assert [plot.ticker for plot in build_summary(nights.night()).plots] == ["AAA", "BBB"]


def test_plots_show_the_last_120_closes() -> None:
    prices = nights.price_rows("AAA", [float(k) for k in range(1, 301)])
    plot = build_summary(nights.night(prices=prices, forecasts=pd.DataFrame())).plots[0]
    line = next(shape.path for shape in plot.drawing.shapes if shape.css == "actual")
    assert line.count("M") + line.count("L") == 120
    assert plot.last_close == 300.0


def test_closes_after_the_cutoff_are_not_drawn_over_the_forecast() -> None:
    late = pd.DataFrame({"ticker": "AAA", "session": [pd.Timestamp("2026-11-23")], "close": [500.0]})
    prices = pd.concat([nights.night().prices, late.astype({"session": "datetime64[us]"})])
    with_late, without = build_summary(nights.night(prices=prices)), build_summary(nights.night())
    assert with_late.plots[0].drawing == without.plots[0].drawing


def test_an_infinite_ratio_counts_as_no_figure() -> None:
    scores = nights.score_frame(nights.score_row("AAA", "stacked", 0.5), nights.score_row("BBB", "stacked", float("inf")))
    summary = build_summary(nights.night(backtest_scores=scores))
    assert [row.ratio for row in summary.scores] == [0.5, None]
    assert summary.skills[0].tickers == 1


def test_arms_of_a_replay_stand_apart_from_the_models_the_cheapest_first() -> None:
    scores = [nights.score_row("AAA", "stacked", 0.9), *nights.arm_rows("fine_tune", 0.02, 50.0), *nights.arm_rows("none", 0.0, 5.0)]
    summary = build_summary(nights.night(backtest_scores=nights.score_frame(*scores)))
    assert [(arm.model, arm.gain, arm.cpu_seconds) for arm in summary.arms] == [
        ("stacked_none", 0.0, 5.0),
        ("stacked_fine_tune", 0.02, 50.0),
    ]
    tuned = summary.arms[1]
    assert (tuned.tickers, tuned.better, tuned.worse, tuned.surely_better, tuned.surely_worse) == (1, 1, 0, 1, 0)
    assert [skill.model for skill in summary.skills] == ["stacked"]


def test_arms_alone_are_models_like_others() -> None:
    scores = nights.score_frame(*nights.arm_rows("fine_tune", 0.02, 50.0), nights.score_row("AAA", "naive", 1.0))
    assert [skill.model for skill in build_summary(nights.night(backtest_scores=scores)).skills] == ["stacked_fine_tune"]


def test_only_tickers_outside_their_limits_are_named() -> None:
    rows = (("ticker", "AAA", 0.95, "held"), ("ticker", "BBB", 0.90, "too narrow"))
    summary = build_summary(nights.night(coverage=nights.coverage_frame(*rows)))
    assert [(row.of, row.state) for row in summary.uncovered] == [("BBB", "too narrow")]
    assert summary.tickers_covered == 2
