"""What `tests.bench.same` calls the same, on two stored nights that are."""

from pathlib import Path

import duckdb
import pytest

from tests.bench.same import Done, differences
from tests.store import nights

pytestmark = pytest.mark.slow

SUMMARY = {
    "status": "fresh",
    "prices_hash": "1",
    "forecasts_hash": "2",
    "figures": [
        {"label": "RMSE", "value": 0.5, "unit": ""},
        {"label": "training", "value": 3.0, "unit": "s"},
    ],
}


@pytest.fixture
def done(tmp_path: Path) -> tuple[Done, Done]:
    files = [tmp_path / name / "published.duckdb" for name in ("ours", "theirs")]
    for file in files:
        nights.store_and_publish(file.parent, 0)
    return Done(0, SUMMARY, files[0]), Done(0, SUMMARY, files[1])


def altered(done: Done, sql: str) -> None:
    with duckdb.connect(str(done.published)) as con:
        con.execute(sql)


def test_runs_at_other_times_are_the_same(done: tuple[Done, Done]) -> None:
    altered(done[0], "UPDATE runs SET finished_at = finished_at + INTERVAL 1 HOUR")
    assert differences(*done) == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (
            "UPDATE forecasts SET q05 = q05 * 0.999999 WHERE ticker = 'AAA'",
            "forecasts: 2 rows differ (4 now), in q05",
        ),
        ("INSERT INTO prices SELECT * REPLACE (1 AS revision) FROM prices LIMIT 1", "prices: 1 rows differ"),
        ("CREATE TABLE more (x INTEGER)", "only one of them has the table more"),
        ("ALTER TABLE corporate_actions ADD COLUMN note VARCHAR", "only one of them has note"),
    ],
)
def test_what_differs_is_named_from_either_side(done: tuple[Done, Done], sql: str, said: str) -> None:
    altered(done[0], sql)
    for pair in (done, done[::-1]):
        (found,) = differences(*pair)
        assert said in found


def test_how_a_run_ended_and_what_it_said_count_but_not_how_long_it_took() -> None:
    slower = {**SUMMARY, "figures": [SUMMARY["figures"][0], {"label": "training", "value": 9.0, "unit": "s"}]}
    assert differences(Done(0, slower, None), Done(0, SUMMARY, None)) == []
    other = {
        **SUMMARY,
        "forecasts_hash": "3",
        "figures": [{"label": "RMSE", "value": 0.6, "unit": ""}, {"model": "har", "pinball": 0.9}],
    }
    assert differences(Done(10, other, None), Done(0, SUMMARY, None)) == [
        "exit code 10, was 0",
        "forecasts_hash 3, was 2",
        "RMSE 0.6, was 0.5",
        "har {'model': 'har', 'pinball': 0.9}, was None",
    ]
