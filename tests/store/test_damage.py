"""A working database that lost something is noticed when it is opened; it never starts empty in silence."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from forecast_lib.errors import LedgerMismatch, StoreDamaged, TickercastError, WorkspaceBusy
from forecast_lib.jobs.record.takeover import hold, ledger_loss
from forecast_lib.store import restoration
from forecast_lib.store.disk import ledger
from forecast_lib.store.published import publication
from forecast_lib.store.working import database
from tests.store import children
from tests.store.nights import now, store_and_publish, store_night

pytestmark = pytest.mark.slow


def open_it(workspace: Path) -> int:
    with database.open_working(workspace, now(5)) as con:
        return int(con.execute("SELECT count(*) FROM runs").fetchall()[0][0])


def test_a_new_workspace_gets_a_working_file_for_its_owner_only(tmp_path: Path) -> None:
    assert open_it(tmp_path / "new") == 0
    assert stat.S_IMODE((tmp_path / "new" / "working.duckdb").stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["working.duckdb"]


def test_a_missing_file_is_damage_when_the_ledger_knows_runs(workspace: Path) -> None:
    (workspace / "working.duckdb").unlink()
    with pytest.raises(
        StoreDamaged,
        match="working.duckdb is missing, but ledger.jsonl records finished runs: run `tickercast restore`",
    ):
        open_it(workspace)
    assert not (workspace / "working.duckdb").exists()


@pytest.mark.parametrize(
    "sign", ["published.duckdb", "working.duckdb.wal", "snapshots/20240102T220500Z_run-0.duckdb"]
)
def test_a_missing_file_is_damage_when_anything_says_there_was_one(tmp_path: Path, sign: str) -> None:
    (tmp_path / sign).parent.mkdir(exist_ok=True)
    (tmp_path / sign).write_bytes(b"committed")
    with pytest.raises(StoreDamaged, match="is missing, but .* there|is missing, but snapshots/ holds"):
        open_it(tmp_path)
    assert (tmp_path / sign).read_bytes() == b"committed"


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000])
def test_an_empty_or_foreign_file_is_damage(workspace: Path, content: bytes) -> None:
    (workspace / "working.duckdb").write_bytes(content)
    with pytest.raises(StoreDamaged, match="not a valid DuckDB database file.*tickercast restore"):
        open_it(workspace)


def test_a_truncated_file_is_damage(workspace: Path) -> None:
    os.truncate(workspace / "working.duckdb", 20_000)
    with pytest.raises(StoreDamaged):
        open_it(workspace)


def test_an_older_copy_of_the_file_lacks_what_the_ledger_records(workspace: Path) -> None:
    older = (workspace / "working.duckdb").read_bytes()
    store_night(workspace, 2)
    (workspace / "working.duckdb").write_bytes(older)
    with pytest.raises(
        LedgerMismatch,
        match="lacks what ledger.jsonl records: run run-2 has 0 of 4 rows in forecasts .4 more like it.",
    ):
        open_it(workspace)


def test_rows_taken_out_of_a_run_are_missed(workspace: Path) -> None:
    with database.open_working(workspace, now(2)) as con:
        con.execute("DELETE FROM forecasts WHERE run_id = 'run-0' AND ticker = 'AAA' AND step = 2")
    with pytest.raises(LedgerMismatch, match="run run-0 has 3 of 4 rows in forecasts"):
        open_it(workspace)


def _delete(path: Path) -> None:
    path.unlink()


def _zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _first_line(path: Path) -> None:
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])


LOSSES = (_delete, _zero, _empty, _first_line)


@pytest.mark.parametrize("lose", LOSSES)
def test_a_lost_ledger_is_noticed_and_rebuilt_with_a_line_that_says_so(
    workspace: Path, lose: Callable[[Path], None]
) -> None:
    lose(workspace / "ledger.jsonl")
    kept = len(ledger.read(workspace).entries)
    assert f"lacks {2 - kept} of the published runs, run-1 among them" in ledger_loss(workspace)
    told: list[str] = []
    with hold(workspace, "run-2", now(2), told.append), database.open_working(workspace, now(2)):
        pass
    assert [sentence.endswith("; it is rebuilt from the database") for sentence in told] == [True]
    entries = ledger.read(workspace).entries
    assert [entry["kind"] for entry in entries[kept:]] == ["rebuilt", *["nightly"] * (2 - kept)]
    assert entries[kept]["runs"] == 2 - kept
    assert ledger_loss(workspace) == ""


@pytest.mark.parametrize("lose", LOSSES)
def test_a_lost_ledger_beside_an_older_working_file_is_refused(
    workspace: Path, lose: Callable[[Path], None]
) -> None:
    """What would have told is gone, just then; the publication tells."""
    older = (workspace / "working.duckdb").read_bytes()
    store_and_publish(workspace, 2)
    (workspace / "working.duckdb").write_bytes(older)
    lose(workspace / "ledger.jsonl")
    with pytest.raises(
        LedgerMismatch,
        match=r"lacks run run-2, which published.duckdb shows: it is older; run `tickercast restore`",
    ):
        open_it(workspace)
    restoration.restore(workspace, None, now=now(3))
    with database.open_working(workspace, now(3)) as con:
        assert con.execute("SELECT count(*) FROM runs WHERE run_id = 'run-2'").fetchall() == [(1,)]


def test_a_run_that_died_before_its_line_is_no_loss(workspace: Path) -> None:
    line = (workspace / "ledger.jsonl").read_bytes()
    store_night(workspace, 2)
    (workspace / "ledger.jsonl").write_bytes(line)  # stored, and neither entered nor published
    assert ledger_loss(workspace) == ""
    with database.open_working(workspace, now(3)):
        pass
    assert [entry["kind"] for entry in ledger.read(workspace).entries] == ["nightly"] * 3


def test_a_ledger_that_was_deleted_is_written_again_from_the_tables(workspace: Path) -> None:
    (workspace / "ledger.jsonl").unlink()
    (workspace / "published.duckdb").unlink()
    assert open_it(workspace) == 2
    assert list(ledger.read(workspace).runs()) == ["run-0", "run-1"]
    assert all(entry["entered_late"] for entry in ledger.read(workspace).entries)


def test_a_file_that_another_process_reads_is_busy_and_names_the_process(workspace: Path) -> None:
    holder = children.start("hold_file", workspace / "working.duckdb")
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(
        WorkspaceBusy, match=f"working.duckdb is open in process {holder.pid}: close it there"
    ):
        open_it(workspace)
    holder.communicate("")
    assert open_it(workspace) == 2


def test_a_wrong_query_inside_the_block_comes_out_as_ours(workspace: Path) -> None:
    with pytest.raises(StoreDamaged, match="no_such_table"), database.open_working(workspace, now(2)) as con:
        con.execute("SELECT * FROM no_such_table")


def test_no_flipped_byte_of_the_working_file_is_ever_published(workspace: Path) -> None:
    """One byte in every block, each on a fresh copy: either the night fails as ours, or what is published is
    what was stored.
    """
    path = workspace / "working.duckdb"

    def stored() -> object:
        with duckdb.connect() as con:
            con.execute(
                "ATTACH $path AS looked_at (READ_ONLY)", {"path": str(workspace / "published.duckdb")}
            )
            return publication.fingerprints(con, "looked_at")

    store_and_publish(workspace, 2)
    expected = stored()
    good = path.read_bytes()
    noticed = 0
    for place in range(4096 * 3 + 1000, len(good), 262_144 // 2):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x40]) + good[place + 1 :])
        try:
            publication.publish(workspace, "run-2", 7)
        except TickercastError:
            noticed += 1
        assert stored() == expected
    assert noticed > 0
