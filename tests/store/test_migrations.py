from pathlib import Path

import duckdb
import pytest

from forecast_lib.errors import SchemaTooNew, StoreDamaged
from forecast_lib.store import database, migrations, publication
from forecast_lib.store.migrations import Migration
from tests.store.nights import now, store_and_publish

FIRST = Migration(1, "first", "CREATE TABLE a (x BIGINT);")
SECOND = Migration(2, "second", "ALTER TABLE a ADD COLUMN y BIGINT;")
BROKEN = Migration(2, "broken", "CREATE TABLE b (x BIGINT); INSERT INTO nowhere VALUES (1);")


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def tables(con: duckdb.DuckDBPyConnection) -> set[str]:
    return {name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}


def test_released_files_are_numbered_from_one_without_gaps() -> None:
    files = migrations.released()
    assert [file.version for file in files] == list(range(1, len(files) + 1))


def test_each_file_is_recorded_with_its_time_and_hash(con: duckdb.DuckDBPyConnection) -> None:
    migrations.upgrade(con, (FIRST, SECOND), now(0))
    # sha256sum of the text "CREATE TABLE a (x BIGINT);"
    sha = "6727eeb12bf7723d92d284f013894a1428de1154ef57436c5dbb721eff978925"
    record = con.execute("SELECT version, name, applied_at, sha256 FROM schema_migrations ORDER BY version").fetchall()
    assert [row[:3] for row in record] == [(1, "first", now(0).replace(tzinfo=None)), (2, "second", now(0).replace(tzinfo=None))]
    assert record[0][3] == sha


def test_only_files_not_yet_seen_are_pending(con: duckdb.DuckDBPyConnection) -> None:
    migrations.upgrade(con, (FIRST,), now(0))
    assert migrations.pending(con, (FIRST, SECOND)) == (SECOND,)


def test_a_file_that_fails_halfway_leaves_the_schema_of_the_file_before(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.CatalogException):
        migrations.upgrade(con, (FIRST, BROKEN), now(0))
    assert tables(con) == {"a", "schema_migrations"}
    assert migrations.pending(con, (FIRST, BROKEN)) == (BROKEN,)


def test_a_database_of_a_newer_version_is_refused_with_both_numbers(con: duckdb.DuckDBPyConnection) -> None:
    migrations.upgrade(con, (FIRST, SECOND), now(0))
    with pytest.raises(SchemaTooNew, match="has schema 2, this Tickercast knows 1: install the newer"):
        migrations.pending(con, (FIRST,))


def test_a_released_file_that_was_edited_is_refused_by_name(con: duckdb.DuckDBPyConnection) -> None:
    migrations.upgrade(con, (FIRST,), now(0))
    with pytest.raises(StoreDamaged, match="schema file 0001_first.sql is not the one"):
        migrations.pending(con, (Migration(1, "first", "CREATE TABLE a (x DOUBLE);"),))


def test_a_database_of_somebody_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "working.duckdb")) as con:
        con.execute("CREATE TABLE theirs AS SELECT 1 AS x")
    with pytest.raises(StoreDamaged, match="is not a database of Tickercast"), database.open_working(tmp_path, now(0)):
        pass
    with duckdb.connect(str(tmp_path / "working.duckdb")) as con:
        assert tables(con) == {"theirs"}


def test_an_older_working_file_is_copied_before_it_is_upgraded(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = (*migrations.released(), Migration(2, "notes", "CREATE TABLE notes (text VARCHAR);"))
    monkeypatch.setattr(migrations, "released", lambda: newer)
    with database.open_working(workspace, now(5)) as con:
        assert "notes" in tables(con)
        assert con.execute("SELECT count(*) FROM prices").fetchall() == [(4,)]
    copy = publication.snapshot_path(workspace, "20240107T220000Z_before-schema-2")
    with duckdb.connect(str(copy), read_only=True) as con:
        assert "notes" not in tables(con)
        assert con.execute("SELECT count(*) FROM prices").fetchall() == [(4,)]


def test_a_publication_after_an_upgrade_has_the_new_schema(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = (*migrations.released(), Migration(2, "view", "CREATE VIEW closes AS SELECT ticker, close FROM current_prices;"))
    monkeypatch.setattr(migrations, "released", lambda: newer)
    store_and_publish(workspace, 2)
    with duckdb.connect(str(workspace / "published.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM closes").fetchall() == [(6,)]
        assert con.execute("SELECT max(version) FROM schema_migrations").fetchall() == [(2,)]
