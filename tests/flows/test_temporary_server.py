"""The server of a single run: it is there while the run needs it and gone afterwards, and it never takes
another's place.
"""

import contextlib
import os
import sqlite3
import threading

import pytest
from prefect import flow
from prefect.settings import get_current_settings

from flows.running.temporary_server import TemporaryServer
from flows.service.deployments import is_up
from forecast_lib.errors import FatalError
from tests.conftest import clean_environment
from tests.flows.machine import ask

pytestmark = pytest.mark.prefect


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


def waited_for():
    """Threads that send heartbeats: a flow's end waits for them, up to a second."""
    return [each for each in threading.enumerate() if "heartbeat" in repr(getattr(each, "_args", ""))]


def test_flows_of_the_block_use_it_and_it_ends_when_its_input_does(alone, monkeypatch):
    # The home of other runs: a new one's database takes seconds to make.
    environ(monkeypatch, {name: value for name, value in alone.env.items() if "BLOCK" not in name})
    server = TemporaryServer()
    process = server._process
    assert process is not None
    with server.in_use():
        address = str(get_current_settings().api.url)
        assert address.startswith("http://127.0.0.1:") and is_up(address)
        assert flow(waited_for, name="looking")() == []
        assert not ask(address, "admin/settings")["server"]["register_blocks_on_start"]
    TemporaryServer._stop(process)
    assert process.wait(30) is not None and not is_up(address)
    assert get_current_settings().api.url != address


def test_a_package_named_flows_where_the_user_stands_is_not_taken_for_ours(alone, monkeypatch, tmp_path):
    """As in many a project that uses Prefect."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__init__.py").touch()
    environ(monkeypatch, alone.env)
    monkeypatch.chdir(tmp_path)
    server = TemporaryServer()
    assert server._process is not None
    try:
        assert is_up(server._address())
    finally:
        TemporaryServer._stop(server._process)
        server._process.wait(30)


def test_server_that_prefects_own_settings_name_is_left_to_prefect(home):
    (home / "profiles.toml").write_text(
        'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n'
    )
    before, server = get_current_settings().api.url, TemporaryServer()
    with server.in_use():
        assert get_current_settings().api.url == before
    assert server._process is not None and server._process.wait(10) == 0


def test_server_that_the_environment_names_is_used_as_it_is(home, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    server = TemporaryServer()
    assert server._process is None
    with server.in_use():
        pass


def test_server_whose_database_is_of_another_release_says_so_in_a_line(home, capfd):
    with contextlib.closing(sqlite3.connect(home / "prefect.db")) as con, con:
        con.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    server = TemporaryServer()
    with pytest.raises(FatalError, match="Can't locate revision.*; run without it") as error, server.in_use():
        pass
    assert "\n" not in str(error.value) and "Traceback" not in capfd.readouterr().err
