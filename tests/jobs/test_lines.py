"""A line of the log is one line whatever a source wrote into it, and splits back into its fields."""

import shlex

import pandas as pd
import pytest

from forecast_lib.jobs.ingest.new_prices import Problem
from forecast_lib.jobs.record.run_log import line_of, lines_of_statuses, log_line
from forecast_lib.jobs.refresh.decisions import Decision
from forecast_lib.jobs.refresh.models import Refreshed


def test_what_a_stage_made_of_a_ticker_is_in_its_line():
    trained = Refreshed("SIM1", Decision("retrain", "no_model"), seconds=1.25)
    assert (
        line_of("r1", "models", trained)
        == "run_id=r1 stage=models ticker=SIM1 status=retrain seconds=1.250 reason=no_model"
    )
    failed = ("SIM2", Problem("too_short", "12 sessions"))
    assert (
        line_of("r1", "backtest", failed)
        == 'run_id=r1 stage=backtest ticker=SIM2 status=too_short reason="12 sessions"'
    )
    assert line_of("r1", "pool", object()) is None


def test_the_outcome_names_the_model_that_answered():
    told = {"ticker": ["SIM1", "SIM2"], "status": "naive", "made_by": ["naive", pd.NA], "reason": None}
    assert list(lines_of_statuses("r1", pd.DataFrame(told))) == [
        "run_id=r1 stage=outcome ticker=SIM1 status=naive model=naive",
        "run_id=r1 stage=outcome ticker=SIM2 status=naive",
    ]


@pytest.mark.parametrize("reason", ["two\nlines", 'a "quote" and \\', "x=1 y=2", "", "\x1b[31mred", "Zürich"])
def test_hostile_text_stays_on_one_line_and_in_its_field(reason):
    line = log_line(ticker="SIM1", reason=reason, status="ok")
    assert line.isprintable() and line.isascii()
    first, *_, last = shlex.split(line)
    assert (first, last) == ("ticker=SIM1", "status=ok")
