"""Each question of QUESTIONS.md is asked of a real published file."""

import re
from pathlib import Path

import pandas as pd
import pytest

from forecast_lib.store.published import reader
from tests.store.nights import outcomes, store_and_publish
from tests.store.test_joint import joint_night

PAGE = Path(reader.__file__).with_name("QUESTIONS.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"\n([^\n]+)\n\n```sql\n(.*?)```", PAGE, re.DOTALL)
EMPTY = ("Which tickers are not", "Which models answered")  # here nothing is wrong, and one model answers


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


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five steps; SIM1 closed at 95 after 100 on the second night."""
    workspace = tmp_path_factory.mktemp("questions")
    store_and_publish(workspace, 0, named(joint_night(0, horizon=5)))
    settled = outcomes("run-0", "run-1", 1, 0).assign(actual=[95.0, 100.0])
    store_and_publish(workspace, 1, named(joint_night(1, horizon=5, forecast_outcomes=settled)))
    return workspace


def test_the_page_has_its_questions() -> None:
    assert len(QUESTIONS) == PAGE.count("```sql") >= 15


@pytest.mark.parametrize(("question", "sql"), QUESTIONS, ids=[question[:50] for question, _ in QUESTIONS])
def test_a_question_has_an_answer(published: Path, question: str, sql: str) -> None:
    answer = reader.query(published, sql)
    assert len(answer) > 0 or question.startswith(EMPTY)
    assert not answer.columns.empty


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
