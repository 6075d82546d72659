"""What a run leaves on its page in Prefect: here which tables, by their keys; that Prefect has them is seen
where a server runs.
"""

import datetime as dt

import pytest

from flows.shown import artifacts
from forecast_lib.jobs.record.summary import RunSummary


@pytest.fixture
def left(monkeypatch):
    """By key, what was left."""
    found = {}
    monkeypatch.setattr(
        artifacts, "create_table_artifact", lambda key, table, description: found.update({key: table})
    )
    monkeypatch.setattr(
        artifacts,
        "create_markdown_artifact",
        lambda key, markdown, description: found.update({key: markdown}),
    )
    return found


def test_degraded_tickers_and_what_is_odd_have_tables_of_their_own(left):
    degraded, flags = (
        {"ticker": "A", "status": "none", "reason": "gap"},
        {"ticker": "B", "flags": "real move of +104 %"},
    )
    artifacts.leave_artifacts(
        RunSummary(
            "r", "nightly", "degraded", dt.date(2024, 5, 3), "done", degraded=(degraded,), flags=(flags,)
        ),
        None,
    )
    assert (left["nightly-degraded"], left["nightly-flags"]) == ([degraded], [flags])


def test_a_quiet_night_leaves_none_of_them_and_a_notice_cannot_be_markup(left):
    artifacts.leave_artifacts(
        RunSummary("r", "nightly", "fresh", dt.date(2024, 5, 3), "done", notices=("not read: '<b>.csv'",)),
        None,
    )
    assert set(left) == {"nightly-summary"} and "&lt;b&gt;.csv" in left["nightly-summary"]
