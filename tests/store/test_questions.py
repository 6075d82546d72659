"""Each question of QUESTIONS.md is asked of a real published file."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib.store.published import reader
from tests.store.nights import day, joint_night, now, outcomes, stamp, store_and_publish

pytestmark = pytest.mark.slow

PAGE = (Path(reader.__file__).parents[1] / "QUESTIONS.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"\n([^\n]+)\n\n```sql\n(.*?)```", PAGE, re.DOTALL)
EMPTY = ("Which tickers are not", "Which models answered", "Which dividends and splits")
"""Here nothing is wrong, one model answers, and nothing is announced."""


def named(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The night with the tickers of the page."""
    names = {"AAA": "SIM1", "BBB": "SIM2"}
    renamed = {
        table: frame.replace({"ticker": names}) if "ticker" in frame else frame
        for table, frame in frames.items()
    }
    return {
        **renamed,
        "portfolio_forecasts": frames["portfolio_forecasts"].assign(tickers=[["SIM1", "SIM2"]]),
    }


def drivers(made: pd.DataFrame, changed: bool) -> pd.DataFrame:
    """Falls make each of these intervals a tenth of a log unit wider, all else is the usual level."""
    width = np.log(np.log(made["q90"] / made["q10"]))
    parts = (("usual level", width - 0.1, 0.0), ("falls", 0.1, 0.2))
    return pd.concat(
        [
            made[["run_id", "ticker", "step"]].assign(
                driver=driver,
                effect=effect,
                change=change if changed else None,
                why_no_change=None if changed else "first",
            )
            for driver, effect, change in parts
        ]
    )


def tried(number: int) -> dict[str, pd.DataFrame]:
    """A covariate that was kept; on the first night a report is listed for the second."""
    run = {"run_id": f"run-{number}", "source": "simulated"}
    trial = {
        "model_id": f"model-run-{number}",
        "name": "covariate vix",
        "inputs": ["covariate vix/level"],
        "half_years": 20,
        "tickers": 2,
        "loss_without": 0.3,
        "loss_with": 0.294,
        "tickers_better": 2,
        "pvalue": 0.001,
        "pvalue_adjusted": 0.009,
        "kept": True,
    }
    report = {
        "kind": "earnings",
        "ticker": "SIM1",
        "session": stamp(day(1)),
        "revision": 0,
        "expected": True,
        "announced_at": pd.NaT,
        "known_at": stamp(now(0)),
        "value": np.nan,
    }
    listed = {"events": pd.DataFrame([run | report])} if number == 0 else {}
    return {"covariate_trials": pd.DataFrame([run | trial]), **listed}


def night(number: int, **changed: pd.DataFrame) -> dict[str, pd.DataFrame]:
    frames = named(joint_night(number, horizon=5, **changed))
    return {**frames, **tried(number), "forecast_drivers": drivers(frames["forecasts"], number > 0)}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five steps; SIM1 closed at 95 after 100 on the second night."""
    workspace = tmp_path_factory.mktemp("questions")
    store_and_publish(workspace, 0, night(0))
    settled = outcomes("run-0", "run-1", 1, 0).assign(actual=[95.0, 100.0])
    store_and_publish(workspace, 1, night(1, forecast_outcomes=settled))
    return workspace


def test_the_page_has_its_questions() -> None:
    assert len(QUESTIONS) == PAGE.count("```sql") >= 15


@pytest.mark.parametrize(("question", "sql"), QUESTIONS, ids=[question[:50] for question, _ in QUESTIONS])
def test_a_question_has_an_answer(published: Path, question: str, sql: str) -> None:
    answer = reader.query(published, sql)
    assert len(answer) > 0 or question.startswith(EMPTY)
    assert not answer.columns.empty


def test_the_factors_of_the_drivers_make_the_width(published: Path) -> None:
    why = reader.query(
        published, next(sql for question, sql in QUESTIONS if question.startswith("Why is this"))
    )
    # By hand: SIM1's quantiles are 100 * exp(0.01 ln(p / (1 - p))), so that q90 / q10 is exp(0.02 ln 9).
    assert why["factor"].prod() == pytest.approx(0.02 * math.log(9))
    assert why["percent_since_the_night_before"].tolist() == [0.0, 22.1]  # exp(0.2) = 1.2214
    changes = reader.query(published, "SELECT DISTINCT largest_drivers, width_change FROM forecast_changes")
    assert changes.to_numpy().tolist() == [["falls +22 %", pytest.approx(0.0)]]


def test_what_was_tried_and_how_often_dates_stood(published: Path) -> None:
    answers = {question: reader.query(published, sql) for question, sql in QUESTIONS}
    trials = next(rows for question, rows in answers.items() if question.startswith("Which covariates"))
    assert trials[["name", "kept", "ratio"]].to_numpy().tolist() == [["covariate vix", True, 0.98]]
    record = next(rows for question, rows in answers.items() if question.startswith("How often did a date"))
    assert record[["kind", "dates", "stood", "days_ahead"]].to_numpy().tolist() == [["earnings", 1, 1.0, 1.0]]


def test_worlds_of_one_mind_fall_together(published: Path) -> None:
    """Both lists rise with the worlds: SIM2, twice as wide, falls wherever SIM1 does, and their logs are in
    one line.
    """
    both = reader.query(
        published, next(sql for question, sql in QUESTIONS if question.startswith("How likely do both"))
    )
    assert both["both"].iloc[0] == both["first_alone"].iloc[0] > 0
    together = reader.query(
        published, next(sql for question, sql in QUESTIONS if question.startswith("How closely"))
    )
    assert together["correlation"].iloc[0] == pytest.approx(1.0)
