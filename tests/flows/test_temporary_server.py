"""The server of a single run: it is there while the run needs it and gone afterwards, and it never takes
another's place.
"""

import contextlib
import datetime as dt
import os
import sqlite3
import subprocess
import sys

import pytest

from flows.running.run_log import run_logger
from flows.shown.told import ToldPage
from forecast_lib.errors import FatalError
from forecast_lib.jobs.record.summary import RunSummary
from tests.conftest import clean_environment

pytestmark = pytest.mark.prefect

DONE = RunSummary("r", "nightly", "fresh", dt.date(2024, 5, 3), "done", tickers={"fresh": 1})


def environ(monkeypatch, wanted):
    """The environment is this one, with nothing of the user's in it."""
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "TICKERCAST_"))]:
        monkeypatch.delenv(name)
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A new home of Prefect's."""
    environ(monkeypatch, clean_environment(tmp_path))
    return tmp_path


def test_its_database_has_all_of_the_run_and_it_ends_with_it(home, monkeypatch):
    for name in [name for name in os.environ if "BLOCK" in name]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_LOGGING_TO_API_ENABLED", "true")
    with ToldPage("nightly", "all-of-it") as page:
        run_logger().info("its last line")
        advance = page.progress("ingest", 2)
        advance(2, "B")
        page.leave(DONE, "http://localhost/report")
        page.ended(DONE)
    assert page._process.wait(60) is not None
    with contextlib.closing(sqlite3.connect(home / "prefect.db")) as con:
        assert con.execute("SELECT name, state_name FROM flow_run").fetchall() == [("all-of-it", "Fresh")]
        kept = con.execute("SELECT key, description FROM artifact ORDER BY key").fetchall()
        assert kept == [
            ("nightly-report", None),
            ("nightly-summary", "How the run ended"),
            ("nightly-tickers", "Tickers by status"),
            ("progress-ingest", "ingest: 2 of 2, B"),
        ]
        assert con.execute("SELECT count(*) FROM log WHERE message = 'its last line'").fetchone() == (1,)
        events = {name for (name,) in con.execute("SELECT event FROM events")}
        assert {"prefect.flow-run.Running", "prefect.flow-run.Fresh", "prefect.artifact.created"} <= events
        assert "prefect.flow-run.heartbeat" not in events
        assert con.execute("SELECT count(*) FROM block_type").fetchone() == (0,)


def test_a_package_named_flows_where_the_user_stands_is_not_taken_for_ours(home, monkeypatch):
    """As in many a project that uses Prefect."""
    (home / "flows").mkdir()
    (home / "flows" / "__init__.py").touch()
    monkeypatch.chdir(home)
    with ToldPage("nightly") as page:
        page.keeping()
        page.ended(DONE)
    with contextlib.closing(sqlite3.connect(home / "prefect.db")) as con:
        assert con.execute("SELECT state_name FROM flow_run").fetchall() == [("Fresh",)]


def test_server_that_prefects_own_settings_name_is_left_to_prefect(home):
    (home / "profiles.toml").write_text(
        'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n'
    )
    with (
        pytest.raises(FatalError, match="Failed to reach API at http://127.0.0.1:9/api"),
        ToldPage("x") as page,
    ):
        page.keeping()


def test_server_whose_database_is_of_another_release_says_so_in_a_line(home, capfd):
    with contextlib.closing(sqlite3.connect(home / "prefect.db")) as con, con:
        con.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    refused = pytest.raises(FatalError, match="Can't locate revision.*; run without it")
    with refused as error, ToldPage("nightly") as page:
        page.keeping()
    assert "\n" not in str(error.value) and "Traceback" not in capfd.readouterr().err


def test_a_run_that_is_gone_before_it_answers_leaves_nothing_of_it(home):
    with ToldPage("nightly") as page:
        pass
    assert page._process.wait(60) == 0
    with contextlib.closing(sqlite3.connect(home / "prefect.db")) as con:
        assert con.execute("SELECT count(*) FROM flow_run").fetchone() == (0,)


def test_its_services_make_no_second_application(home):
    """Which takes a tenth of its start; they do where it is told in another way that it is temporary."""
    code = (
        "import time; from flows.shown.temporary_server import serve;"
        " from prefect.server.api.server import APP_CACHE;"
        " serve(lambda address: (time.sleep(2), print(len(APP_CACHE))))"
    )
    env = {**os.environ, "PREFECT__SERVER_EPHEMERAL": "1"}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert ran.stdout == "1\n", ran.stderr
