"""A run that was started before another one and got the workspace after it."""

import datetime as dt

import pytest

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.jobs.night import run_ingest
from forecast_lib.jobs.stages import InOrder
from tests import plain_runs, reading

pytestmark = pytest.mark.slow

BEGAN = dt.datetime(2024, 5, 3, 22, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def config(workspace, now):
    return resolve(gather({"workspace": str(workspace), "tickers": "SIM1,SIM2"}, environ={}), now=now)


def known_at(workspace, run):
    sql = "SELECT known_at FROM runs WHERE run_id = $run"
    [(known,)] = reading.published(workspace, sql, {"run": run.run_id})
    return known.replace(tzinfo=dt.UTC)


@pytest.fixture
def waiting(tmp_path):
    """The config of a run that has begun, while another one, begun a minute later, does its work."""
    plain_runs.ingest(config(tmp_path / "w", BEGAN - dt.timedelta(days=1)))
    begun = config(tmp_path / "w", BEGAN)
    other = plain_runs.ingest(config(tmp_path / "w", BEGAN + MINUTE))
    assert (other.status, known_at(tmp_path / "w", other)) == ("fresh", BEGAN + MINUTE)
    return begun


def test_it_knows_what_the_other_one_stored(waiting):
    run = run_ingest(waiting, InOrder(waiting, lambda: BEGAN + 2 * MINUTE))
    assert (run.status, run.degraded, run.as_of) == ("fresh", (), BEGAN.date())
    assert known_at(waiting.workspace, run) == BEGAN + 2 * MINUTE


def test_where_the_clock_went_back_it_stays_at_its_time(waiting):
    run = run_ingest(waiting, InOrder(waiting, lambda: BEGAN))
    assert known_at(waiting.workspace, run) == BEGAN
