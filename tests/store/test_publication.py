"""Readers always see one finished, audited run."""

import errno
import os
import stat
import threading
from pathlib import Path
from typing import Any

import duckdb
import pytest

from forecast_lib.errors import AuditFailed, WorkspaceBusy
from forecast_lib.store.disk.copying import copy_bytes
from forecast_lib.store.published import publication, reader
from forecast_lib.store.working import database
from tests.store import children
from tests.store.nights import night, now, store_and_publish, store_night

pytestmark = pytest.mark.slow

COUNT = "SELECT run_id, count(*) AS n FROM latest_forecasts GROUP BY run_id"


def shown(workspace: Path) -> list[tuple[str, int]]:
    return list(reader.query(workspace, COUNT).itertuples(index=False, name=None))


def test_the_newest_night_is_what_readers_see(workspace: Path) -> None:
    assert shown(workspace) == [("run-1", 4)]
    store_and_publish(workspace, 2)
    assert shown(workspace) == [("run-2", 4)]
    assert reader.query(workspace, "SELECT count(*) FROM forecasts").iloc[0, 0] == 12


def test_others_may_read_the_publication_and_nothing_else_is_left(workspace: Path) -> None:
    assert stat.S_IMODE((workspace / "published.duckdb").stat().st_mode) == 0o644
    assert sorted(path.name for path in workspace.iterdir()) == [
        "ledger.jsonl",
        "published.duckdb",
        "snapshots",
        "working.duckdb",
    ]


def test_failed_backtest_and_ingest_runs_do_not_hide_the_last_forecasts(workspace: Path) -> None:
    for number, kind, status in ((2, "nightly", "failed"), (3, "ingest", "fresh"), (4, "backtest", "fresh")):
        frames = night(number, kind=kind, status=status)
        frames["run_tickers"]["status"] = "none"
        store_and_publish(workspace, number, {table: frames[table] for table in ("runs", "run_tickers")})
        assert shown(workspace) == [("run-1", 4)]
    assert reader.query(workspace, "SELECT count(*) FROM runs").iloc[0, 0] == 5


def test_prices_alone_can_be_published(tmp_path: Path) -> None:
    frames = night(0, kind="ingest")
    store_and_publish(tmp_path, 0, {table: frames[table] for table in ("prices", "runs", "run_tickers")})
    assert shown(tmp_path) == []
    assert len(reader.query(tmp_path, "FROM current_prices")) == 2


def test_a_night_without_any_forecast_is_not_published(workspace: Path) -> None:
    frames = night(2, status="degraded")
    frames["run_tickers"]["status"] = "none"
    store_night(workspace, 2, {table: frames[table] for table in ("runs", "run_tickers")})
    with pytest.raises(
        AuditFailed, match="latest_forecasts shows 0 runs, expected the newest nightly run, run-2"
    ):
        publication.publish(workspace, "run-2", 7)
    assert shown(workspace) == [("run-1", 4)]


@pytest.mark.parametrize("run_id", ["run-9", "../run-1", "run-1'; --"])
def test_a_run_that_is_not_stored_is_not_published(workspace: Path, run_id: str) -> None:
    with pytest.raises(AuditFailed, match="is not stored"):
        publication.publish(workspace, run_id, 7)


def test_a_copy_that_differs_from_what_is_stored_is_not_published(workspace: Path) -> None:
    """The finished file is altered before its audit: one price, same number of rows."""
    store_night(workspace, 2)

    def alter(point: str) -> None:
        if point == "built":
            with duckdb.connect(str(next(workspace.glob("published.duckdb.next-*")))) as con:
                con.execute("UPDATE prices SET close = 1.0 WHERE run_id = 'run-0'")

    with pytest.raises(AuditFailed, match="the copy of prices is not what is stored"):
        publication.publish(workspace, "run-2", 7, reached=alter)
    assert shown(workspace) == [("run-1", 4)]
    assert not list(workspace.glob("*.next-*"))


def test_a_publication_that_is_built_is_seen_when_it_is_shown_and_not_before(workspace: Path) -> None:
    store_night(workspace, 2)
    audited = threading.Event()
    with publication.prepared(
        workspace, "run-2", reached=lambda at: at == "audited" and audited.set()
    ) as show:
        assert audited.wait(60)
        assert shown(workspace) == [("run-1", 4)]
        assert len(publication.list_snapshots(workspace)) == 2
        assert show(7) == workspace / "published.duckdb"
        assert shown(workspace) == [("run-2", 4)]
    assert len(publication.list_snapshots(workspace)) == 3
    assert not list(workspace.glob("*.next-*"))


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_where_what_is_made_beside_it_fails_nothing_is_shown(workspace: Path, error: type) -> None:
    store_night(workspace, 2)
    with pytest.raises(error), publication.prepared(workspace, "run-2"):
        raise error
    assert shown(workspace) == [("run-1", 4)]
    assert len(publication.list_snapshots(workspace)) == 2
    assert not list(workspace.glob("*.next-*"))
    publication.publish(workspace, "run-2", 7)
    assert shown(workspace) == [("run-2", 4)]


def test_snapshots_are_kept_newest_first_up_to_the_number_asked_for(workspace: Path) -> None:
    for number in range(2, 5):
        store_and_publish(workspace, number, keep=3)
    assert publication.list_snapshots(workspace) == tuple(
        f"2024010{number + 2}T220500Z_run-{number}" for number in (4, 3, 2)
    )
    assert reader.query(publication.snapshot_path(workspace, "20240104T220500Z_run-2"), COUNT)[
        "run_id"
    ].tolist() == ["run-2"]


def test_a_publication_is_written_once_and_its_snapshot_stays_when_the_next_comes(workspace: Path) -> None:
    published = workspace / "published.duckdb"
    publication.publish(workspace, "run-1", 7)
    newest = publication.snapshot_path(workspace, publication.list_snapshots(workspace)[0])
    assert newest.samefile(published)
    store_and_publish(workspace, 2)
    assert not newest.samefile(published)
    os.truncate(published, 100)
    assert reader.query(newest, COUNT)["run_id"].tolist() == ["run-1"]


@pytest.mark.parametrize("why", [errno.EPERM, errno.EXDEV, errno.EMLINK])
def test_where_a_file_cannot_have_two_names_its_snapshot_is_a_copy(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    def refused(*_: object) -> None:
        raise OSError(why, os.strerror(why))

    monkeypatch.setattr(os, "link", refused)
    store_and_publish(workspace, 2)
    newest = publication.snapshot_path(workspace, publication.list_snapshots(workspace)[0])
    assert not newest.samefile(workspace / "published.duckdb")
    assert newest.read_bytes() == (workspace / "published.duckdb").read_bytes()
    assert not list(workspace.rglob("*.next-*"))


def test_only_what_was_written_since_the_last_publication_is_read_row_by_row(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run 2 stores no price; the blocks of the table of prices are looked at all the same, see
    `test_damage`.
    """
    read: list[set[str]] = []
    whole = publication.fingerprints

    def noted(*args: Any) -> publication.Fingerprints:
        found = whole(*args)
        read.append(set(found))
        return found

    monkeypatch.setattr(publication, "fingerprints", noted)
    frames = night(2)
    store_and_publish(workspace, 2, {table: frame for table, frame in frames.items() if table != "prices"})
    assert "prices" not in read[0] and {"forecasts", "runs", "run_tickers", "scenarios"} <= read[0]
    store_night(workspace, 3)
    (workspace / "published.duckdb").unlink()  # then nothing is known to be good
    publication.publish(workspace, "run-3", 7)
    assert {"prices", "forecasts"} <= read[1]
    monkeypatch.setattr(publication._Blocks, "see", lambda blocks, _: setattr(blocks, "whole", False))
    publication.publish(workspace, "run-3", 7)
    assert read[2] == read[1]
    monkeypatch.setattr(publication, "copy_bytes", lambda *paths: copy_bytes(*paths) and False)
    publication.publish(workspace, "run-3", 7)
    assert read[3:] == [read[1], read[1]]  # of the copy, and of the original


def test_of_a_table_that_grew_the_rows_from_a_row_group_before_the_new_ones_on_are_read(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "_ROW_GROUP", 1)
    asked: list[tuple[Any, ...]] = []
    whole = publication.fingerprints

    def noted(*args: Any) -> publication.Fingerprints:
        asked.append((args[2], whole(*args)))
        return asked[-1][1]

    monkeypatch.setattr(publication, "fingerprints", noted)
    rows = {table: reader.query(workspace, f"SELECT * FROM {table}") for table in ("prices", "forecasts")}
    store_and_publish(workspace, 2)
    begins, read = asked[0]
    for table, before in rows.items():
        now_there = len(reader.query(workspace, f"SELECT * FROM {table}"))
        assert begins[table] == len(before) - 1 and read[table][0] == now_there - len(before) + 1
    assert begins["schema_migrations"] == 0 < read["schema_migrations"][0]


def test_the_checksum_of_every_block_is_known(workspace: Path) -> None:
    """DuckDB documents none: should another release count in another way, each publication would be read row
    by row, rightly and slowly.
    """
    path = workspace / "published.duckdb"

    def whole() -> bool:
        blocks = publication._Blocks()
        assert copy_bytes(path, path, blocks.see)
        return blocks.whole

    assert path.stat().st_size > 10 * (256 << 10) and whole()
    good = path.read_bytes()
    for place in range(3 * 4096 + 5, len(good), 256 << 10):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert not whole()


def test_leftovers_of_dead_processes_are_removed_and_those_of_living_ones_stay(workspace: Path) -> None:
    dead = children.start("run_night", "/nonexistent", "x", "")
    dead.communicate()
    for name in (
        f"published.duckdb.next-{dead.pid}",
        f"published.duckdb.next-{dead.pid}.wal",
        "published.duckdb.next-1",
    ):
        (workspace / name).write_bytes(b"unfinished")
    publication.publish(workspace, "run-1", 7)
    assert [path.name for path in workspace.glob("*.next-*")] == ["published.duckdb.next-1"]


def test_a_reader_that_stays_keeps_the_publication_it_opened(workspace: Path) -> None:
    with duckdb.connect(str(workspace / "published.duckdb"), read_only=True) as analyst:
        analyst.execute("SELECT count(*) FROM prices").fetchall()
        store_and_publish(workspace, 2)
        assert analyst.execute("SELECT count(*) FROM runs").fetchall() == [(2,)]
    assert shown(workspace) == [("run-2", 4)]


def test_a_working_file_that_somebody_writes_is_busy_and_readers_go_on(workspace: Path) -> None:
    holder = children.start("hold_file", workspace / "working.duckdb", "writing")
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(WorkspaceBusy, match=f"working.duckdb is open in process {holder.pid}"):
        publication.publish(workspace, "run-1", 7)
    assert shown(workspace) == [("run-1", 4)]
    holder.communicate("")
    assert not list(workspace.glob("*.next-*"))


def test_a_working_file_still_open_in_this_program_is_busy(workspace: Path) -> None:
    with (
        database.open_working(workspace, now(2)),
        pytest.raises(WorkspaceBusy, match="working.duckdb is open in this program"),
    ):
        publication.publish(workspace, "run-1", 7)


def test_readers_in_a_loop_never_fail_and_never_see_a_mixture(workspace: Path, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    readers = [children.start("read_in_a_loop", workspace, stop) for _ in range(2)]
    for watched in readers:
        assert watched.stdout is not None
        watched.stdout.readline()
    for number in range(2, 8):
        store_and_publish(workspace, number)
    stop.touch()
    for watched in readers:
        lines = [line.split() for line in watched.communicate()[0].splitlines()]
        assert watched.returncode == 0
        assert len(lines) > 6
        assert {tuple(line[:3]) for line in lines} == {("1", "4", "True")}
        assert [line[3] for line in lines] == sorted(line[3] for line in lines)
        assert lines[-1][3] == "run-7"
