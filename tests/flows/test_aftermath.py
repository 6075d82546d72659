"""What follows a run that published: readers elsewhere get their copy, and one that failed is said and
degrades nothing.
"""

import logging

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flows import cli
from flows.settings.layers import gather
from flows.shown import ending
from forecast_lib.jobs.record.copies import LATEST
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.store.disk.lock import hold_workspace
from tests.loopback import receiver
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


@pytest.mark.slow
def test_maintenance_by_hand_is_noted_and_told_of_as_that_of_the_schedule(tmp_path, monkeypatch, capsys):
    workspace, metrics = tmp_path / "w", tmp_path / "collected"
    nights.store_and_publish(workspace, 0)
    asked = ["maintain", "--workspace", str(workspace), "--metrics-dir", str(metrics)]
    with receiver() as told:
        monkeypatch.setenv("TICKERCAST_NOTIFY", f"json://127.0.0.1:{told.port}")
        assert cli.main([*asked, "--dry-run"]) == 0 and not metrics.exists()
        assert cli.main(asked) == 0
        assert ended(metrics / "tickercast-w.prom") == 0
        with hold_workspace(workspace, "run-9"):
            assert cli.main(asked) == 75
        (workspace / "working.duckdb").write_bytes(b"no database")
        assert cli.main(asked) == 1
        assert ended(metrics / "tickercast-w.prom") == 1
        (workspace / "working.duckdb").unlink()
        assert cli.main(asked) == 2  # said to whoever typed it, and to nobody else
    titles = [body["title"] for body in told.bodies]
    assert titles == ["Tickercast w: maintenance failed"] * 2


def ended(metrics) -> float:
    """The exit code of the last maintenance, as Prometheus reads it."""
    [found] = [
        sample.value
        for family in text_string_to_metric_families(metrics.read_text())
        for sample in family.samples
        if sample.name == "tickercast_last_run_exit_code" and sample.labels["kind"] == "maintenance"
    ]
    return found
