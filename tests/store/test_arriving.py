"""Rows that are stored as they come: unseen, held by nobody, and all there or none once the run ends."""

import contextlib
import gc
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forecast_lib.errors import AuditFailed
from forecast_lib.store.disk import ledger
from forecast_lib.store.working import database
from forecast_lib.store.working.appending import Arriving
from forecast_lib.store.working.reads import read_table
from forecast_lib.tables import validate
from tests.store import children
from tests.store.many_prices import EACH, many_prices
from tests.store.nights import night, now, store_and_publish

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def opened(workspace: Path, table: str) -> Iterator[tuple[database.Connection, Arriving]]:
    """The working database on the first evening, and room for rows of a table that arrive."""
    with database.open_working(workspace, now(0)) as con, Arriving(con, table, "simulated") as arriving:
        yield con, arriving


def store(workspace: Path, table: str, parts: Iterable[pd.DataFrame]) -> dict[str, Any]:
    """The first night, its rows of a table in parts."""
    frames = night(0)
    del frames[table]
    with opened(workspace, table) as (con, arriving):
        for part in parts:
            arriving.add(part)
        entry = database.record_run(con, frames, arriving=arriving)
    ledger.append(workspace, entry)
    return entry


def rows_in(workspace: Path, table: str = "forecasts") -> int:
    with database.open_working(workspace, now(1)) as con:
        return len(read_table(con, table))


@pytest.mark.parametrize("sizes", [(2, 2), (4,), (3, 0, 1), (0, 1, 1, 2)])
def test_what_comes_in_parts_is_stored_as_if_it_came_whole(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    whole = night(0)["forecasts"]
    parts = [whole.iloc[sum(sizes[:place]) :][:size] for place, size in enumerate(sizes)]
    assert store(tmp_path, "forecasts", parts)["rows"]["forecasts"] == 4
    with database.open_working(tmp_path, now(1)) as con:
        pd.testing.assert_frame_equal(read_table(con, "forecasts"), validate("forecasts", whole))


def test_a_run_to_which_nothing_came_is_stored_too(tmp_path: Path) -> None:
    with opened(tmp_path, "backtest_forecasts") as (con, arriving):
        entry = database.record_run(con, night(0), arriving=arriving)
    assert entry["rows"]["forecasts"] == 4
    assert "backtest_forecasts" not in entry["rows"]


def test_nobody_sees_what_has_come_before_the_run_is_stored(tmp_path: Path) -> None:
    with opened(tmp_path, "prices") as (con, arriving):
        for part in many_prices():
            arriving.add(part)
            assert read_table(con, "prices").empty
        frames = night(0)
        del frames["prices"]
        database.record_run(con, frames, arriving=arriving)
        assert con.execute("SELECT count(*) FROM prices").fetchall() == [(3 * EACH,)]


def test_what_was_handed_over_is_not_held_until_the_end(tmp_path: Path) -> None:
    """What DuckDB is told of by name stays until the transaction ends: millions of rows in memory."""
    frames, whole = night(0, horizon=5), night(0, horizon=5)["forecasts"]
    del frames["forecasts"]
    with opened(tmp_path, "forecasts") as (con, arriving):
        seen = list[weakref.ref[pd.DataFrame]]()
        for row in range(len(whole)):
            part = whole.iloc[row : row + 1].reset_index(drop=True)
            seen.append(weakref.ref(part))
            arriving.add(part)
            del part
            gc.collect()
            assert sum(each() is not None for each in seen) <= 4  # one is appended, three wait
        assert len(seen) == 10
        database.record_run(con, frames, arriving=arriving)


def test_many_parts_take_no_more_room_than_their_rows(tmp_path: Path) -> None:
    """Row groups that are not full would be written once more, and the file stay twice as large."""
    store(tmp_path, "prices", many_prices())
    assert (tmp_path / "working.duckdb").stat().st_size < 1.3 * 3 * EACH * 6 * 8


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [("point", -1.0, "point breaks"), ("ticker", None, "ticker breaks not_nullable")],
)
def test_a_part_that_breaks_a_rule_leaves_nothing_of_the_run(
    tmp_path: Path, column: str, value: object, said: str
) -> None:
    whole = night(0)["forecasts"]
    bad = whole.iloc[2:].copy()
    bad.iloc[0, bad.columns.get_loc(column)] = value
    with pytest.raises(AuditFailed, match=f"nothing was stored: forecasts.{said}"):
        store(tmp_path, "forecasts", [whole.iloc[:2], bad])
    assert [rows_in(tmp_path, table) for table in ("forecasts", "prices", "runs")] == [0, 0, 0]
    store(tmp_path, "forecasts", [whole])
    assert rows_in(tmp_path) == 4


def test_a_run_that_fails_before_it_is_stored_leaves_nothing(tmp_path: Path) -> None:
    def come_and_fail() -> Iterator[pd.DataFrame]:
        yield from many_prices()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store(tmp_path, "prices", come_and_fail())
    assert rows_in(tmp_path, "prices") == 0


def test_a_run_that_is_killed_while_rows_come_leaves_nothing(workspace: Path) -> None:
    child = children.start("be_killed_while_rows_come", workspace)
    child.communicate()
    assert child.returncode == -9
    with database.open_working(workspace, now(3)) as con:
        found = con.execute("SELECT run_id, count(*) FROM prices GROUP BY run_id ORDER BY 1").fetchall()
    assert found == [("run-0", 2), ("run-1", 2)]
    store_and_publish(workspace, 2)
    assert list(ledger.read(workspace).runs()) == ["run-0", "run-1", "run-2"]
    assert not list(workspace.glob("*.wal"))
