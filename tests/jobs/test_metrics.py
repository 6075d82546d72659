"""The metrics file: read by Prometheus's own parser, and every figure held against one counted by hand."""

import datetime as dt

import pytest

from forecast_lib.jobs.monitor.metrics import exposition, metrics_path, write_metrics
from forecast_lib.jobs.record.endings import ENDINGS, Ending, recall, remember
from tests.jobs.monitored import NOW, figures, two_nights

pytestmark = pytest.mark.slow


def of(found: dict, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return two_nights(tmp_path_factory.mktemp("metrics") / "new-york")


def test_every_figure_is_the_one_that_the_tables_say(workspace):
    ending = Ending(
        "nightly", "fresh", 0, "", "2024-01-03T22:05:00+00:00", "run-1", {"ingest": 0.5, "models": 3.25}
    )
    found = figures(exposition(workspace, {"nightly": ending}, NOW))
    finished = dt.datetime(2024, 1, 3, 22, 5, tzinfo=dt.UTC).timestamp()
    assert of(found, "data_age_sessions") == 2
    assert [of(found, "tickers", status=status) for status in ("fresh", "last_good", "naive", "none")] == [
        2,
        0,
        0,
        0,
    ]
    assert of(found, "stage_duration_seconds", kind="nightly", stage="models") == 3.25
    assert of(found, "last_success_timestamp_seconds", kind="nightly") == finished
    assert (
        of(found, "last_run_exit_code", kind="nightly"),
        of(found, "last_run_timestamp_seconds", kind="nightly"),
    ) == (0, finished)
    assert (
        of(found, "forecasts_settled"),
        of(found, "forecast_coverage", level="80"),
        of(found, "forecast_coverage", level="95"),
    ) == (2, 0.5, 1)
    assert of(found, "forecast_skill", measure="rmse") == pytest.approx(0.5)  # errors of 1 where naive has 2
    # A loss of 0.4 where naive has 0.5.
    assert of(found, "forecast_skill", measure="pinball") == pytest.approx(0.2)
    assert (
        of(found, "rows", table="prices"),
        of(found, "rows", table="forecasts"),
        of(found, "rows", table="runs"),
    ) == (4, 8, 2)
    assert [verdict for verdict in ("fresh", "stale", "failed") if of(found, "verdict", verdict=verdict)] == [
        "stale"
    ]


def test_the_deadline_of_the_next_night_is_there_where_one_is_declared(workspace):
    found = figures(exposition(workspace, {}, NOW, dt.time(20)))  # of Thursday, 4 January, in New York
    assert of(found, "deadline_timestamp_seconds") == dt.datetime(2024, 1, 5, 1, tzinfo=dt.UTC).timestamp()
    assert not [name for name, _ in figures(exposition(workspace, {}, NOW)) if name.startswith("deadline")]


def test_a_failed_run_is_in_the_file_and_the_last_success_stays(workspace):
    failed = Ending("nightly", "failed", 1, "no room", "2024-01-04T22:00:00+00:00")
    found = figures(exposition(workspace, {"nightly": failed}, NOW))
    assert of(found, "last_run_exit_code", kind="nightly") == 1
    assert (
        of(found, "last_success_timestamp_seconds", kind="nightly")
        == dt.datetime(2024, 1, 3, 22, 5, tzinfo=dt.UTC).timestamp()
    )


def test_before_the_first_publication_and_after_damage_there_is_a_file_too(tmp_path):
    ending = Ending("nightly", "failed", 1, "", "2024-01-04T22:00:00+00:00")
    (tmp_path / "published.duckdb").write_bytes(b"no database")
    for workspace in (tmp_path / "none", tmp_path):
        found = figures(exposition(workspace, {"nightly": ending}, NOW))
        assert (of(found, "last_run_exit_code", kind="nightly"), of(found, "verdict", verdict="failed")) == (
            1,
            1,
        )


def test_the_file_is_replaced_whole_and_markets_share_a_folder(tmp_path):
    shared = tmp_path / "textfile"
    paths = [metrics_path(tmp_path / market, shared) for market in ("london", "tokyo")]
    for path in paths:
        write_metrics(path, b"old 1\n", shared=True)
        write_metrics(path, b"new 1\n", shared=True)
    assert sorted(path.name for path in shared.iterdir()) == [
        "tickercast-london.prom",
        "tickercast-tokyo.prom",
    ]
    assert {path.read_bytes() for path in paths} == {b"new 1\n"} and oct(
        paths[0].stat().st_mode & 0o777
    ) == "0o644"
    assert metrics_path(tmp_path, None) == tmp_path / "metrics.prom"


def test_endings_are_kept_by_kind_and_a_torn_file_is_none(tmp_path):
    night, ingest = (
        Ending("nightly", "failed", 1, "x", "2024-01-04T22:00:00+00:00"),
        Ending("ingest", "fresh", 0, "", "2024-01-04T23:00:00+00:00"),
    )
    remember(tmp_path, night)
    assert remember(tmp_path, ingest) == recall(tmp_path) == {"nightly": night, "ingest": ingest}
    for text in ("", "[]", '{"nightly": 1}', '{"nightly": {"kind": "x"}}', "\0"):
        (tmp_path / ENDINGS).write_text(text)
        assert recall(tmp_path) == {}
