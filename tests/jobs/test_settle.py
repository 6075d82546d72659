"""Forecasts meet what came true."""

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest

from forecast_lib.jobs.record.settle import settle
from tests import made_up
from tests.made_up import forecast_row

NOW = dt.datetime(2024, 1, 10, 22, tzinfo=dt.UTC)
WEEK = made_up.closes_only([100.0, 101.0, 99.0, 104.0, 110.0])
"""Monday, 6 January 2020, to Friday."""


def settled(*rows: dict[str, object], series=WEEK) -> pd.DataFrame:
    return settle(pd.DataFrame(rows), {series.ticker: series}, NOW, "run-2")


def test_outcome_by_hand():
    row = settled(forecast_row(1, "2020-01-07")).iloc[0]
    assert (row["actual"], row["error"], row["naive_error"]) == (101.0, 1.0, -1.0)  # too high is positive
    assert row["pinball"] == pytest.approx(5.15 / 9)  # the sum is in tests/backtest/test_metrics.py
    assert (row["settled_by"], row["settled_at"], row["made_by"]) == (
        "run-2",
        pd.Timestamp("2024-01-10 22:00"),
        "lstm",
    )


@pytest.mark.parametrize(
    ("target", "inside80", "inside95"),
    [("2020-01-09", True, True), ("2020-01-10", False, False)],  # 104 lies within 93 to 107; 110 above 109
)
def test_intervals_are_checked(target, inside80, inside95):
    row = settled(forecast_row(3, target)).iloc[0]
    assert (row["inside80"], row["inside95"]) == (inside80, inside95)


@pytest.mark.parametrize("ratio", [2.0, 4.0, 0.1])
def test_split_after_the_forecast_changes_nothing(ratio):
    """The series is now on the new share basis; the forecast, and so its outcome, on the old one."""
    split = dataclasses.replace(WEEK, close=WEEK.close / ratio)
    before, after = (
        settled(forecast_row(1, "2020-01-07")),
        settled(forecast_row(1, "2020-01-07"), series=split),
    )
    pd.testing.assert_frame_equal(before, after)


def test_missing_target_session_waits():
    holed = made_up.closes_only([100.0, 101.0])
    made = settled(forecast_row(1, "2020-01-07"), forecast_row(2, "2020-01-08"), series=holed)
    assert made["step"].tolist() == [1]


def test_session_missing_in_the_middle_does_not_shift_the_others():
    keep = np.array([0, 1, 3, 4])
    holed = dataclasses.replace(
        WEEK, **{name: getattr(WEEK, name)[keep] for name in ("sessions", *made_up.PRICES)}
    )
    made = settled(
        forecast_row(1, "2020-01-07"),
        forecast_row(2, "2020-01-08"),
        forecast_row(3, "2020-01-09"),
        series=holed,
    )
    assert made[["step", "actual"]].to_numpy().tolist() == [[1, 101.0], [3, 104.0]]


def test_missing_cutoff_session_waits():
    assert settled(forecast_row(1, "2020-01-07", cutoff="2020-01-03")).empty


def test_ticker_without_prices_waits():
    made = settled(forecast_row(1, "2020-01-07"), forecast_row(1, "2020-01-07", ticker="GONE"))
    assert made["ticker"].tolist() == ["ACME"]


def test_nothing_to_settle_gives_an_empty_table():
    for made in (
        settled(forecast_row(1, "2021-01-07")),
        settle(pd.DataFrame([forecast_row(1, "2020-01-07")]), {}, NOW, "run-2"),
    ):
        assert made.empty and "made_by" in made.columns


def test_rows_are_those_of_the_store():
    made = settled(forecast_row(1, "2020-01-07"), forecast_row(2, "2020-01-08"))
    assert len(made_up.stored("forecast_outcomes", made.drop(columns="made_by"))) == 2


def test_step_and_error_keep_their_row_when_some_wait():
    made = settled(forecast_row(9, "2021-01-07", point=1.0), forecast_row(1, "2020-01-07", point=103.0))
    assert made[["step", "error"]].to_numpy().tolist() == [[1, 2.0]]


def test_a_correction_of_the_cutoffs_close_does_not_move_the_actual():
    """The close that the forecast started from, 100, turned out to be 98; the next day's 101 is 101 all the
    same.
    """
    corrected = dataclasses.replace(WEEK, close=np.array([98.0, 101.0, 99.0, 104.0, 110.0]))
    row = settled(forecast_row(1, "2020-01-07"), series=corrected).iloc[0]
    assert (row["actual"], row["naive_error"]) == (101.0, -1.0)


def test_a_reported_split_between_cutoff_and_target_is_undone():
    """Two for one on Wednesday: the series is halved up to Tuesday, and Monday's share is two of today's."""
    split = dataclasses.replace(
        WEEK, close=np.array([50.0, 50.5, 49.5, 52.0, 55.0]), divided_by=np.array([2.0, 2.0, 1.0, 1.0, 1.0])
    )
    assert settled(forecast_row(2, "2020-01-08"), series=split).iloc[0]["actual"] == 99.0
