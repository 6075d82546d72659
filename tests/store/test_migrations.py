from pathlib import Path

import duckdb
import pandas as pd
import pytest

from forecast_lib.errors import SchemaTooNew, StoreDamaged
from forecast_lib.store import audits, database, migrations, publication
from forecast_lib.store.migrations import Migration
from forecast_lib.tables import TABLES
from tests.store.nights import night, now, store_and_publish

FIRST = Migration(1, "first", "CREATE TABLE a (x BIGINT);")
SECOND = Migration(2, "second", "ALTER TABLE a ADD COLUMN y BIGINT;")
BROKEN = Migration(3, "broken", "CREATE TABLE b (x BIGINT); INSERT INTO nowhere VALUES (1);")


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


def test_where_one_file_fails_none_of_them_was_applied(con: duckdb.DuckDBPyConnection) -> None:
    migrations.upgrade(con, (FIRST,), now(0))
    with pytest.raises(duckdb.CatalogException):
        migrations.upgrade(con, (SECOND, BROKEN), now(1))
    assert tables(con) == {"a", "schema_migrations"}
    assert con.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = 'a'").fetchall() == [("x",)]
    assert migrations.pending(con, (FIRST, SECOND, BROKEN)) == (SECOND, BROKEN)


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
    next_version = len(migrations.released()) + 1
    newer = (*migrations.released(), Migration(next_version, "notes", "CREATE TABLE notes (text VARCHAR);"))
    monkeypatch.setattr(migrations, "released", lambda: newer)
    with database.open_working(workspace, now(5)) as con:
        assert "notes" in tables(con)
        assert con.execute("SELECT count(*) FROM prices").fetchall() == [(4,)]
    copy = publication.snapshot_path(workspace, f"20240107T220000Z_before-schema-{next_version}")
    with duckdb.connect(str(copy), read_only=True) as con:
        assert "notes" not in tables(con)
        assert con.execute("SELECT count(*) FROM prices").fetchall() == [(4,)]


def test_a_publication_after_an_upgrade_has_the_new_schema(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    next_version = len(migrations.released()) + 1
    newer = (*migrations.released(), Migration(next_version, "view", "CREATE VIEW closes AS SELECT ticker, close FROM current_prices;"))
    monkeypatch.setattr(migrations, "released", lambda: newer)
    store_and_publish(workspace, 2)
    with duckdb.connect(str(workspace / "published.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM closes").fetchall() == [(6,)]
        assert con.execute("SELECT max(version) FROM schema_migrations").fetchall() == [(next_version,)]


NEWER = {
    "quarantined_prices": ["field"],
    "run_tickers": ["cost_seconds", "expected_gain", "problem"],
    "forecast_outcomes": ["baseline_pinball"],
    "backtest_forecasts": ["sigma", "trailing_sigma", "realised_variance"],
    "backtest_scores": [
        "qlike", "cov95_low_vol", "cov95_mid_vol", "cov95_high_vol", "pit_pvalue", "pinball_per_garch", "winkler95_per_garch",
        "dm_qvalue", "dm_garch_stat", "dm_garch_pvalue", "dm_garch_qvalue", "mcs_pvalue",
        "arm", "cpu_seconds", "gain_over_none", "gain_per_cpu_second", "dm_none_stat", "dm_none_pvalue", "dm_none_qvalue",
    ],
}  # fmt: skip
"""Columns that tables of the first release have been given since."""


def _without_newer_columns(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {table: frame.drop(columns=NEWER.get(table, []), errors="ignore") for table, frame in frames.items()}


def test_a_workspace_of_the_first_schema_is_upgraded_after_a_snapshot_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nights stored and published by the first release; then today's program opens the workspace and runs a third."""
    now_released = migrations.released()
    frames = [_without_newer_columns(night(number)) for number in range(2)]
    first_tables = {name: schema for name, schema in TABLES.items() if name not in ("price_gaps", "quality_counts", "price_verdicts")}
    with monkeypatch.context() as then:
        then.setattr(migrations, "released", lambda: now_released[:1])
        then.setattr(publication, "TABLES", first_tables)
        then.setattr(audits, "AUDITS", ())  # today's name tables of today
        for table, columns in NEWER.items():
            then.setitem(TABLES, table, TABLES[table].remove_columns(columns))
        store_and_publish(tmp_path, 0, frames[0])
        store_and_publish(tmp_path, 1, frames[1])
    old_rows = rows_of(tmp_path / "working.duckdb", "SELECT * FROM prices ORDER BY ALL")
    store_and_publish(tmp_path, 2)
    assert [row for row in rows_of(tmp_path / "working.duckdb", "SELECT * FROM prices ORDER BY ALL") if row in old_rows] == old_rows
    assert rows_of(tmp_path / "published.duckdb", "SELECT version FROM schema_migrations ORDER BY 1") == [
        (file.version,) for file in now_released
    ]
    assert rows_of(tmp_path / "published.duckdb", "SELECT count(*) FROM adjusted_prices") == [(6,)]
    snapshot = publication.snapshot_path(tmp_path, "20240104T220000Z_before-schema-2")
    assert rows_of(snapshot, "SELECT * FROM prices ORDER BY ALL") == old_rows
    assert rows_of(snapshot, "SELECT max(version) FROM schema_migrations") == [(1,)]


def test_the_upgraded_workspace_is_refused_by_the_first_release(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = migrations.released()[:1]
    newest = len(migrations.released())
    monkeypatch.setattr(migrations, "released", lambda: first)
    message = f"has schema {newest}, this Tickercast knows 1: install the newer Tickercast"
    with pytest.raises(SchemaTooNew, match=message), database.open_working(workspace, now(5)):
        pass


def store_by_schema_3(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nights stored and published by the release that knew the first three schema files."""
    third = migrations.released()[:3]
    with monkeypatch.context() as then:
        then.setattr(migrations, "released", lambda: third)
        then.setattr(audits, "AUDITS", ())  # today's name tables of today
        for table, columns in NEWER.items():
            then.setitem(TABLES, table, TABLES[table].remove_columns(columns))
        for number in range(2):
            store_and_publish(workspace, number, _without_newer_columns(night(number)))


VERSIONS = "SELECT version FROM schema_migrations ORDER BY 1"
ROWS = "SELECT p.*, r.message FROM prices AS p JOIN runs AS r USING (run_id) ORDER BY ALL"


def test_a_workspace_of_schema_3_is_upgraded_at_once_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_by_schema_3(tmp_path, monkeypatch)
    working, old_rows = tmp_path / "working.duckdb", rows_of(tmp_path / "working.duckdb", ROWS)
    assert len(old_rows) == 4, "two tickers on two nights"
    with database.open_working(tmp_path, now(5)):
        pass
    assert rows_of(working, VERSIONS) == [(file.version,) for file in migrations.released()]
    assert rows_of(working, ROWS) == old_rows
    assert rows_of(publication.snapshot_path(tmp_path, "20240107T220000Z_before-schema-4"), VERSIONS) == [(1,), (2,), (3,)]


def test_an_upgrade_that_fails_in_the_middle_leaves_the_file_as_it_was_and_one_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files 4 and 5 can be applied; file 6 makes the view anew that is taken away here."""
    store_by_schema_3(tmp_path, monkeypatch)
    working = tmp_path / "working.duckdb"
    with duckdb.connect(str(working)) as con:
        con.execute("DROP VIEW latest_backtest_scores")
    before, old_rows = working.read_bytes(), rows_of(working, ROWS)
    for attempt in (5, 6):
        with pytest.raises(StoreDamaged, match="latest_backtest_scores does not exist"), database.open_working(tmp_path, now(attempt)):
            pass
        assert rows_of(working, VERSIONS) == [(1,), (2,), (3,)]
        assert rows_of(working, ROWS) == old_rows
        assert working.read_bytes() == before
        assert [path.name for path in (tmp_path / "snapshots").glob("*before-schema*")] == ["20240107T220000Z_before-schema-4.duckdb"]


def rows_of(path: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(sql).fetchall()
