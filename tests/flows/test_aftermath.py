"""What follows a run that published: readers elsewhere get their copy, and one that failed is said and
degrades nothing.
"""

import logging

import pytest

from flows.running import ending
from flows.settings.layers import gather
from forecast_lib.jobs.record.copies import LATEST
from forecast_lib.jobs.record.summary import RunSummary
from tests.store import nights


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run that published, called outside of Prefect: its log is Python's, and there is no page for
    artifacts.
    """
    monkeypatch.setattr(ending, "get_run_logger", lambda: logging.getLogger("run"))
    monkeypatch.setattr(ending, "leave_artifacts", lambda *given: None)
    workspace = tmp_path / "w"
    nights.store_and_publish(workspace, 0)
    summary = RunSummary(
        "run-0",
        "nightly",
        "fresh",
        nights.day(0),
        "2 of 2 tickers fresh",
        published=str(workspace / "published.duckdb"),
    )
    return lambda folder: ending.followed(
        "nightly", gather({"workspace": str(workspace), "publish_to": str(folder)}), lambda: summary
    )


def test_a_copy_is_put_where_other_machines_read(run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    assert run(tmp_path / "elsewhere").data.notices == ()
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == [LATEST, "published.duckdb"]


def test_a_copy_that_failed_is_a_notice_and_degrades_nothing(run, tmp_path, caplog):
    state = run(tmp_path / "unmounted")
    [notice] = state.data.notices
    assert (
        notice.startswith("the publication was not copied: ")
        and str(tmp_path / "unmounted") in notice
        and notice in caplog.text
    )
    assert (state.name, state.data.status, state.data.exit_code) == ("Fresh", "fresh", 0)
