"""`restore` brings back what can be brought back, says what cannot, and the next night works."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from forecast_lib.errors import StoreDamaged, UsageError
from forecast_lib.store import restoration
from forecast_lib.store.disk import ledger
from forecast_lib.store.published import publication, reader
from tests.store.nights import night, now, store_and_publish, store_night

pytestmark = pytest.mark.slow

NOW = now(9)
FIRST, SECOND = "20240102T220500Z_run-0", "20240103T220500Z_run-1"


def runs(workspace: Path) -> list[str]:
    return list(reader.query(workspace, "SELECT run_id FROM runs ORDER BY 1")["run_id"])


def damage(path: Path) -> None:
    os.truncate(path, 20_000)


def test_nothing_damaged_nothing_done(workspace: Path) -> None:
    before = {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()}
    done = restoration.restore(workspace, None, now=NOW)
    assert (done.published_from, done.working_from, done.lost_runs) == (None, None, ())
    assert done.message.startswith("nothing is damaged and nothing was changed")
    assert {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()} == before


def test_a_named_snapshot_becomes_the_publication_and_stored_runs_stay(workspace: Path) -> None:
    done = restoration.restore(workspace, FIRST, now=NOW)
    assert (done.published_from, done.working_from, done.lost_runs) == (f"{FIRST}.duckdb", None, ())
    assert runs(workspace) == ["run-0"]
    store_and_publish(workspace, 2)
    assert runs(workspace) == ["run-0", "run-1", "run-2"]


@pytest.mark.parametrize("harm", [Path.unlink, damage, lambda path: path.write_bytes(b"")])
def test_a_harmed_working_file_is_rebuilt_from_the_publication(workspace: Path, harm: object) -> None:
    harm(workspace / "working.duckdb")  # type: ignore[operator]
    done = restoration.restore(workspace, None, now=NOW)
    assert (done.published_from, done.working_from, done.lost_runs) == (None, "published.duckdb", ())
    store_and_publish(workspace, 2)
    assert runs(workspace) == ["run-0", "run-1", "run-2"]


def test_runs_beyond_the_newest_copy_are_named_as_lost_and_not_asked_for_again(workspace: Path) -> None:
    store_night(workspace, 2)
    damage(workspace / "working.duckdb")
    done = restoration.restore(workspace, None, now=NOW)
    assert done.lost_runs == ("run-2",)
    assert (
        done.message == "working.duckdb restored from published.duckdb; damaged files kept as"
        " working.duckdb.damaged-20240111T220000Z; 1 stored runs could not be brought back: run-2"
    )
    assert ledger.read(workspace).entries[-1]["lost"] == ["run-2"]
    store_and_publish(workspace, 2)
    assert runs(workspace) == ["run-0", "run-1", "run-2"]


def test_an_old_snapshot_is_not_taken_for_the_working_file_when_a_fuller_copy_is_there(
    workspace: Path,
) -> None:
    damage(workspace / "working.duckdb")
    done = restoration.restore(workspace, FIRST, now=NOW)
    assert (done.published_from, done.working_from, done.lost_runs) == (
        f"{FIRST}.duckdb",
        "published.duckdb",
        (),
    )
    assert runs(workspace) == ["run-0"]
    store_and_publish(workspace, 2)
    assert runs(workspace) == ["run-0", "run-1", "run-2"]


def test_with_everything_but_one_old_snapshot_gone_that_one_is_taken(workspace: Path) -> None:
    for path in (
        workspace / "working.duckdb",
        workspace / "published.duckdb",
        publication.snapshot_path(workspace, SECOND),
    ):
        damage(path)
    done = restoration.restore(workspace, None, now=NOW)
    assert (done.published_from, done.working_from) == (f"{FIRST}.duckdb", f"{FIRST}.duckdb")
    assert done.lost_runs == ("run-1",)
    assert runs(workspace) == ["run-0"]
    store_and_publish(workspace, 1)
    assert runs(workspace) == ["run-0", "run-1"]


def test_a_log_beside_a_damaged_file_is_not_replayed_into_the_new_one(workspace: Path) -> None:
    damage(workspace / "working.duckdb")
    (workspace / "working.duckdb.wal").write_bytes(b"of another file")
    done = restoration.restore(workspace, None, now=NOW)
    assert [path.name for path in done.put_aside] == [
        "working.duckdb.wal.damaged-20240111T220000Z",
        "working.duckdb.damaged-20240111T220000Z",
    ]
    store_and_publish(workspace, 2)


def test_a_damaged_publication_whose_snapshot_is_damaged_with_it_is_published_anew(workspace: Path) -> None:
    """They are one file under two names; the working database has the same rows in another."""
    publication.publish(workspace, "run-1", 7)
    damage(workspace / "published.duckdb")
    with pytest.raises(StoreDamaged, match="tickercast restore"):
        runs(workspace)
    done = restoration.restore(workspace, None, now=NOW)
    assert (done.published_from, done.working_from, done.lost_runs) == ("working.duckdb", None, ())
    assert [path.name for path in done.put_aside] == ["published.duckdb.damaged-20240111T220000Z"]
    assert runs(workspace) == ["run-0", "run-1"]
    assert publication.list_snapshots(workspace) == (SECOND, FIRST)
    assert (workspace / "published.duckdb").samefile(publication.snapshot_path(workspace, SECOND))


@pytest.mark.parametrize("harm", [Path.unlink, damage])
def test_a_publication_comes_back_from_its_snapshot_where_that_is_sound(
    workspace: Path, harm: Callable[[Path], None]
) -> None:
    harm(workspace / "published.duckdb")
    assert restoration.restore(workspace, None, now=NOW).published_from == f"{SECOND}.duckdb"
    assert runs(workspace) == ["run-0", "run-1"]
    damage(workspace / "published.duckdb")  # a file of its own from now on
    assert reader.query(publication.snapshot_path(workspace, SECOND), "FROM runs").shape[0] == 2


def test_a_stored_night_that_must_not_be_shown_is_not_published_by_restore(workspace: Path) -> None:
    """It has no forecast. The newest publication that can be read is of the night before the damaged one."""
    publication.publish(workspace, "run-1", 7)
    frames = night(2, status="degraded")
    frames["run_tickers"]["status"] = "none"
    store_night(workspace, 2, {table: frames[table] for table in ("runs", "run_tickers")})
    damage(workspace / "published.duckdb")
    done = restoration.restore(workspace, None, now=NOW)
    assert (done.published_from, done.lost_runs) == (f"{FIRST}.duckdb", ())
    assert runs(workspace) == ["run-0"]
    store_and_publish(workspace, 3)
    assert runs(workspace) == ["run-0", "run-1", "run-2", "run-3"]


def test_a_damaged_ledger_is_put_aside_and_written_again(workspace: Path) -> None:
    file = workspace / "ledger.jsonl"
    file.write_text(file.read_text().replace('"nightly"', '"nightlx"'))
    done = restoration.restore(workspace, None, now=NOW)
    assert [path.name for path in done.put_aside] == ["ledger.jsonl.damaged-20240111T220000Z"]
    assert list(ledger.read(workspace).runs()) == ["run-0", "run-1"]
    store_and_publish(workspace, 2)


def test_a_block_that_cannot_be_read_is_found_even_where_opening_does_not_touch_it(workspace: Path) -> None:
    """A byte in each block, each on a fresh copy: afterwards everything stored is back."""
    path, good = workspace / "working.duckdb", (workspace / "working.duckdb").read_bytes()
    rebuilt = 0
    for place in range(4096 * 3 + 1000, len(good), 262_144):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x40]) + good[place + 1 :])
        done = restoration.restore(workspace, None, now=NOW)
        assert done.lost_runs == ()
        rebuilt += done.working_from is not None
    assert rebuilt > 0
    store_and_publish(workspace, 2)
    assert runs(workspace) == ["run-0", "run-1", "run-2"]


@pytest.mark.parametrize(
    "name", ["nobody", "../working", "/etc/passwd", "", "20240102T220500Z_run-0/../x", "*"]
)
def test_a_name_that_is_no_kept_snapshot_is_refused_with_the_list(workspace: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"is not kept: expected one of {SECOND}, {FIRST}"):
        restoration.restore(workspace, name, now=NOW)


def test_a_named_snapshot_that_cannot_be_read_changes_nothing(workspace: Path) -> None:
    damage(publication.snapshot_path(workspace, FIRST))
    with pytest.raises(StoreDamaged, match="cannot be read: choose another"):
        restoration.restore(workspace, FIRST, now=NOW)
    assert runs(workspace) == ["run-0", "run-1"]


def test_a_workspace_without_publication_has_nothing_to_restore(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a publication nor a snapshot"):
        restoration.restore(tmp_path, None, now=NOW)
