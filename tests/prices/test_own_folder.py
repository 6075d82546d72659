"""Each process has a folder of its own, and finds in it what the one before it left: real processes, the real
Yahoo client.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from forecast_lib.prices.sources.own_folder import own_folder
from tests.prices.children import child, said
from tests.prices.fake_yahoo import Bar, FakeYahoo, Listing

DAYS = [day.date() for day in pd.bdate_range("2024-06-03", "2024-06-28")]


@pytest.fixture
def yahoo() -> Iterator[FakeYahoo]:
    bars = [Bar(day, 100.0, 102.0, 99.0, 101.0, 1000.0) for day in DAYS]
    with FakeYahoo([Listing(ticker, bars) for ticker in ("ACME", "BOLT", "COIL", "DUNE")]) as running:
        yield running


def folders(parent: Path) -> list[str]:
    return sorted(path.name for path in parent.iterdir())


def zones_known(folder: Path) -> set[str]:
    """The tickers whose time zone the client has written down there."""
    with sqlite3.connect(f"file:{folder / 'tkr-tz.db'}?mode=ro", uri=True) as con:
        return {ticker for (ticker,) in con.execute('SELECT "key" FROM "_tz_kv"')}


class TestFolder:
    def test_two_processes_have_two_and_the_third_takes_the_first_again(self, tmp_path: Path) -> None:
        with child("hold", tmp_path) as one:
            assert said(one) == "0"
            with child("hold", tmp_path) as other:
                assert said(other) == "1"
        with child("hold", tmp_path) as third:
            assert said(third) == "0"
        assert folders(tmp_path) == ["0", "1"]

    def test_is_free_when_its_process_was_killed(self, tmp_path: Path) -> None:
        with child("hold", tmp_path) as one:
            assert said(one) == "0"
            one.kill()
        with child("hold", tmp_path) as other:
            assert said(other) == "0"

    def test_no_forked_child_has_a_part_in_it(self, tmp_path: Path) -> None:
        """The child takes the next one, and when its parent has ended the parent's is free while the child
        still lives.
        """
        with child("leave_a_child", tmp_path) as parent:
            assert {said(parent), said(parent)} == {"0", "1"}
            assert parent.wait() == 0
            with child("hold", tmp_path) as other:
                assert said(other) == "0"

    def test_is_for_the_owner_alone(self, tmp_path: Path) -> None:
        folder = own_folder(tmp_path / "cache" / "yahoo")
        modes = [path.stat().st_mode & 0o777 for path in (folder.parent, folder, folder / ".lock")]
        assert modes == [0o700, 0o700, 0o600]

    def test_that_cannot_be_made_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file")
        with pytest.raises(OSError, match="cache"):
            own_folder(tmp_path / "cache")


class TestYahooClient:
    def test_two_at_once_keep_apart_and_what_they_learned_is_there_the_next_night(
        self, yahoo: FakeYahoo, tmp_path: Path
    ) -> None:
        """A ticker whose time zone is known costs one request for its chart; a new one two."""
        with child("ask", tmp_path, yahoo.address, "ACME") as one:
            assert said(one) == str(len(DAYS))
            with child("ask", tmp_path, yahoo.address, "BOLT") as other:
                assert said(other) == str(len(DAYS))
        assert [zones_known(tmp_path / number) for number in ("0", "1")] == [{"ACME"}, {"BOLT"}]
        assert [yahoo.charts_asked(ticker) for ticker in ("ACME", "BOLT")] == [2, 2]
        yahoo.reset()
        with child("ask", tmp_path, yahoo.address, "ACME", "BOLT") as third:
            assert said(third) == str(2 * len(DAYS))
        assert [yahoo.charts_asked(ticker) for ticker in ("ACME", "BOLT")] == [1, 2]
        assert folders(tmp_path) == ["0", "1"]

    def test_threads_of_a_process_share_its_folder(self, yahoo: FakeYahoo, tmp_path: Path) -> None:
        with child("ask", tmp_path, yahoo.address, *yahoo.listings) as process:
            assert said(process) == str(4 * len(DAYS))
        assert folders(tmp_path) == ["0"]
        assert zones_known(tmp_path / "0") == set(yahoo.listings)

    def test_second_workspace_of_a_process_is_served_from_the_first_folder(
        self, yahoo: FakeYahoo, tmp_path: Path
    ) -> None:
        with child("ask_for_two_workspaces", tmp_path / "one", tmp_path / "other", yahoo.address) as process:
            assert said(process) == str([len(DAYS)] * 2)
        assert folders(tmp_path) == ["one"]
        assert zones_known(tmp_path / "one" / "0") == {"ACME", "BOLT"}

    def test_is_refused_to_a_process_forked_after_a_fetch_and_stays_the_parents(
        self, yahoo: FakeYahoo, tmp_path: Path
    ) -> None:
        """Connections and SQLite files that two processes write to by turns are broken."""
        with child("ask_and_fork", tmp_path, yahoo.address) as process:
            heard = [said(process) for _ in range(3)]
        assert (heard[0], heard[2]) == (str(len(DAYS)), str(len(DAYS)))
        assert heard[1].startswith("FatalError: this process was forked from one that had asked Yahoo")

    def test_writes_in_the_workspace_and_nowhere_else(self, tmp_path: Path) -> None:
        workspace, home = tmp_path / "workspace", tmp_path / "home"
        home.mkdir()
        places = dict.fromkeys(
            ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR"), str(home)
        )
        with child("ask_nobody", workspace, **places) as process:
            assert said(process).startswith("SourceOutage: ACME: no answer from Yahoo")
        assert folders(home) == []
        assert [folders(workspace), folders(workspace / "cache")] == [["cache"], ["yahoo"]]
        assert "tkr-tz.db" in folders(workspace / "cache" / "yahoo" / "0")

    def test_cache_that_cannot_be_written_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file")
        with child("ask_nobody", tmp_path) as process:
            assert f"see that {tmp_path / 'cache' / 'yahoo'} can be written" in said(process)
