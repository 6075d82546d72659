import re
import tarfile
from pathlib import Path

import duckdb
import pandas as pd
import pandera.pandas as pa
import pytest

from forecast_lib.errors import SchemaTooNew, StoreDamaged
from forecast_lib.store.published import publication
from forecast_lib.store.working import audits, database, migrations
from forecast_lib.store.working.migrations import Migration
from forecast_lib.tables import TABLES
from tests.store.nights import night, now, store_and_publish

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("databases_made_anew")]

FIRST = Migration(1, "first", "CREATE TABLE a (x BIGINT);")
SECOND = Migration(2, "second", "ALTER TABLE a ADD COLUMN y BIGINT;")
BROKEN = Migration(3, "broken", "CREATE TABLE b (x BIGINT); INSERT INTO nowhere VALUES (1);")
ROWS_OF_A = """
CREATE VIEW rows_of_a AS SELECT * FROM a;
COMMENT ON VIEW rows_of_a IS 'All of it';
CREATE MACRO twice(x) AS 2 * x;
COMMENT ON MACRO twice IS 'Twice x';
"""
SCHEMA_8 = Path(__file__).parent / "answers" / "workspace-schema-8.tar.xz"
"""Nights 0 and 1 of `nights`, with outcomes, written by the last release whose numbered files held the views.
"""


@pytest.fixture
def con(monkeypatch: pytest.MonkeyPatch) -> duckdb.DuckDBPyConnection:
    given_views(monkeypatch, "")
    return duckdb.connect()


def given_views(monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    monkeypatch.setattr(migrations, "views", lambda: Migration(migrations.VIEWS, "views", sql))


def tables(con: duckdb.DuckDBPyConnection) -> set[str]:
    return {name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}


def test_released_files_are_numbered_from_one_without_gaps() -> None:
    files = migrations.released()
    assert [file.version for file in files] == list(range(1, len(files) + 1))


def test_each_file_is_recorded_with_its_time_and_hash(con: duckdb.DuckDBPyConnection) -> None:
    migrations.upgrade(con, (FIRST, SECOND), now(0))
    # sha256sum of the text "CREATE TABLE a (x BIGINT);"
    sha = "6727eeb12bf7723d92d284f013894a1428de1154ef57436c5dbb721eff978925"
    sql = "SELECT version, name, applied_at, sha256 FROM schema_migrations WHERE version > 0 ORDER BY version"
    record = con.execute(sql).fetchall()
    assert [row[:3] for row in record] == [
        (1, "first", now(0).replace(tzinfo=None)),
        (2, "second", now(0).replace(tzinfo=None)),
    ]
    assert record[0][3] == sha


def test_only_files_not_yet_seen_are_pending(con: duckdb.DuckDBPyConnection) -> None:
    migrations.upgrade(con, (FIRST,), now(0))
    assert migrations.pending(con, (FIRST, SECOND)) == (SECOND,)


def test_where_one_file_fails_none_of_them_was_applied(con: duckdb.DuckDBPyConnection) -> None:
    migrations.upgrade(con, (FIRST,), now(0))
    with pytest.raises(duckdb.CatalogException):
        migrations.upgrade(con, (SECOND, BROKEN), now(1))
    assert tables(con) == {"a", "schema_migrations"}
    assert con.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = 'a'").fetchall() == [
        ("x",)
    ]
    assert migrations.pending(con, (FIRST, SECOND, BROKEN)) == (SECOND, BROKEN)


def test_a_database_of_a_newer_version_is_refused_with_both_numbers(con: duckdb.DuckDBPyConnection) -> None:
    migrations.upgrade(con, (FIRST, SECOND), now(0))
    with pytest.raises(SchemaTooNew, match="has schema 2, this Tickercast knows 1: install the newer"):
        migrations.pending(con, (FIRST,))


def test_a_released_file_that_was_edited_is_refused_by_name(con: duckdb.DuckDBPyConnection) -> None:
    migrations.upgrade(con, (FIRST,), now(0))
    with pytest.raises(StoreDamaged, match="schema file 0001_first.sql is not the one"):
        migrations.pending(con, (Migration(1, "first", "CREATE TABLE a (x DOUBLE);"),))


def names_in(con: duckdb.DuckDBPyConnection, view: str) -> list[str]:
    return [column[0] for column in con.execute(f"SELECT * FROM {view}").description]


def test_a_view_of_whole_rows_follows_a_table_that_is_given_a_column(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_views(monkeypatch, ROWS_OF_A)
    migrations.upgrade(con, (FIRST,), now(0))
    assert names_in(con, "rows_of_a") == ["x"]
    migrations.upgrade(con, (SECOND,), now(1))
    assert names_in(con, "rows_of_a") == ["x", "y"]


def test_views_are_applied_anew_when_their_file_changed_and_what_it_no_longer_has_is_gone(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_views(monkeypatch, ROWS_OF_A)
    migrations.upgrade(con, (FIRST,), now(0))
    assert not migrations.views_differ(con)
    given_views(monkeypatch, "CREATE MACRO twice(x) AS x + x;")
    assert migrations.views_differ(con)
    migrations.upgrade(con, (), now(1))
    assert not migrations.views_differ(con)
    assert con.execute("SELECT twice(4), count(*) FROM duckdb_views() WHERE NOT internal").fetchall() == [
        (8, 0)
    ]
    record = con.execute("SELECT name, applied_at FROM schema_migrations ORDER BY version").fetchall()
    assert record == [("views", now(1).replace(tzinfo=None)), ("first", now(0).replace(tzinfo=None))]


def test_a_column_of_a_view_takes_over_the_comment_of_the_column_it_shows(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also through a view over a view, with a quote in it; one of its own is kept."""
    tables = Migration(
        1,
        "t",
        "CREATE TABLE a (x INT, y INT); COMMENT ON COLUMN a.x IS 'x''s'; COMMENT ON COLUMN a.y IS 'y';",
    )
    views = (
        "CREATE VIEW b AS SELECT y, x FROM a; CREATE VIEW c AS SELECT * FROM b; COMMENT ON COLUMN c.y IS"
        " 'own';"
    )
    given_views(monkeypatch, views)
    migrations.upgrade(con, (tables,), now(0))
    sql = (
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE table_name IN ('b', 'c') ORDER"
        " BY ALL"
    )
    assert con.execute(sql).fetchall() == [
        ("b", "x", "x's"),
        ("b", "y", "y"),
        ("c", "x", "x's"),
        ("c", "y", "own"),
    ]


def test_a_database_of_somebody_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "working.duckdb")) as con:
        con.execute("CREATE TABLE theirs AS SELECT 1 AS x")
    with (
        pytest.raises(StoreDamaged, match="is not a database of Tickercast"),
        database.open_working(tmp_path, now(0)),
    ):
        pass
    with duckdb.connect(str(tmp_path / "working.duckdb")) as con:
        assert tables(con) == {"theirs"}


def test_an_older_working_file_is_copied_before_it_is_upgraded(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_publication_after_an_upgrade_has_the_new_schema_and_views(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next_version = len(migrations.released()) + 1
    newer = (
        *migrations.released(),
        Migration(next_version, "note", "ALTER TABLE prices ADD COLUMN note VARCHAR;"),
    )
    monkeypatch.setattr(migrations, "released", lambda: newer)
    monkeypatch.setitem(
        TABLES,
        "prices",
        TABLES["prices"].add_columns({"note": pa.Column(None, nullable=True, metadata={"dtype": "str"})}),
    )
    frames = night(2)
    store_and_publish(workspace, 2, frames | {"prices": frames["prices"].assign(note=None)})
    with duckdb.connect(str(workspace / "published.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*), count(note) FROM current_prices").fetchall() == [(6, 0)]
        assert con.execute("SELECT max(version) FROM schema_migrations").fetchall() == [(next_version,)]


def test_a_workspace_whose_only_change_is_in_the_views_gets_them_without_a_snapshot(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = migrations.views().sql + "CREATE VIEW closes AS SELECT ticker, close FROM current_prices;"
    given_views(monkeypatch, sql)
    with database.open_working(workspace, now(5)) as con:
        assert con.execute("SELECT count(*) FROM closes").fetchall() == [(4,)]
    assert list((workspace / "snapshots").glob("*before-schema*")) == []


def test_a_workspace_of_the_release_before_is_upgraded_and_runs_another_night(tmp_path: Path) -> None:
    with tarfile.open(SCHEMA_8) as packed:
        packed.extractall(tmp_path, filter="data")
    working, published = tmp_path / "working.duckdb", tmp_path / "published.duckdb"
    old_rows, old_views = rows_of(working, ROWS), rows_of(working, VIEW_NAMES)
    old_skill = rows_of(working, "SELECT * FROM forecast_skill ORDER BY ALL")
    assert (len(old_rows), len(old_views), len(old_skill)) == (4, 12, 2)
    store_and_publish(tmp_path, 2)
    assert [row for row in rows_of(working, ROWS) if row in old_rows] == old_rows
    assert rows_of(published, VERSIONS) == [(0,), *((file.version,) for file in migrations.released())]
    assert rows_of(published, "SELECT * FROM forecast_skill ORDER BY ALL") == old_skill
    assert set(rows_of(published, VIEW_NAMES)) >= set(old_views)


FIRST_RELEASED, *LATER_RELEASED = migrations.released()
NEWER: dict[str, list[str]] = {}
for _file in LATER_RELEASED:
    for _table, _column in re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", _file.sql):
        NEWER.setdefault(_table, []).append(_column)
"""Columns that tables of the first release have been given since."""


def _older(table: str, newer: list[str]) -> pa.DataFrameSchema:
    """The schema without its newer columns, and without checks that look at them."""
    schema = TABLES[table].remove_columns(newer)
    schema.checks = []
    return schema


FIRST_VIEWS = (
    "CREATE VIEW latest_forecasts AS SELECT * FROM forecasts WHERE run_id = (SELECT max(run_id) FROM runs);"
)
"""What the first releases needed of the views to publish."""


def _without_newer_columns(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {
        table: frame.drop(columns=NEWER.get(table, []), errors="ignore") for table, frame in frames.items()
    }


def test_a_workspace_of_the_first_schema_is_upgraded_after_a_snapshot_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nights stored and published by the first release; then today's program opens the workspace and runs
    a third.
    """
    now_released = migrations.released()
    frames = [_without_newer_columns(night(number)) for number in range(2)]
    with monkeypatch.context() as then:
        then.setattr(migrations, "released", lambda: now_released[:1])
        given_views(then, FIRST_VIEWS)
        then.setattr(audits, "AUDITS", ())  # today's name tables of today
        for table, columns in NEWER.items():
            then.setitem(TABLES, table, _older(table, columns))
        store_and_publish(tmp_path, 0, frames[0])
        store_and_publish(tmp_path, 1, frames[1])
    old_rows = rows_of(tmp_path / "working.duckdb", "SELECT * FROM prices ORDER BY ALL")
    store_and_publish(tmp_path, 2)
    assert [
        row
        for row in rows_of(tmp_path / "working.duckdb", "SELECT * FROM prices ORDER BY ALL")
        if row in old_rows
    ] == old_rows
    assert rows_of(tmp_path / "published.duckdb", VERSIONS) == [
        (0,),
        *((file.version,) for file in now_released),
    ]
    assert rows_of(tmp_path / "published.duckdb", "SELECT count(*) FROM adjusted_prices") == [(6,)]
    snapshot = publication.snapshot_path(tmp_path, "20240104T220000Z_before-schema-2")
    assert rows_of(snapshot, "SELECT * FROM prices ORDER BY ALL") == old_rows
    assert rows_of(snapshot, "SELECT max(version) FROM schema_migrations") == [(1,)]


def test_the_upgraded_workspace_is_refused_by_the_first_release(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        given_views(then, FIRST_VIEWS)
        then.setattr(audits, "AUDITS", ())  # today's name tables of today
        for table, columns in NEWER.items():
            then.setitem(TABLES, table, _older(table, columns))
        for number in range(2):
            store_and_publish(workspace, number, _without_newer_columns(night(number)))


VERSIONS = "SELECT version FROM schema_migrations ORDER BY 1"
VIEW_NAMES = "SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1"
ROWS = "SELECT p.*, r.message FROM prices AS p JOIN runs AS r USING (run_id) ORDER BY ALL"


def test_a_workspace_of_schema_3_is_upgraded_at_once_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_by_schema_3(tmp_path, monkeypatch)
    working, old_rows = tmp_path / "working.duckdb", rows_of(tmp_path / "working.duckdb", ROWS)
    assert len(old_rows) == 4, "two tickers on two nights"
    with database.open_working(tmp_path, now(5)):
        pass
    assert rows_of(working, VERSIONS) == [(0,), *((file.version,) for file in migrations.released())]
    assert rows_of(working, ROWS) == old_rows
    snapshot = publication.snapshot_path(tmp_path, "20240107T220000Z_before-schema-4")
    assert rows_of(snapshot, VERSIONS) == [(0,), (1,), (2,), (3,)]


def test_what_was_stored_as_a_split_and_is_a_change_of_unit_is_called_one() -> None:
    """Taken back ones too; a split stays one, though the first look had taken it for a unit."""
    con, released = duckdb.connect(), migrations.released()
    migrations.upgrade(con, released[:18], now(0))
    stored = [
        ("UNIT", 0.01, "inferred"),
        ("UNIT", 1.0, "inferred"),
        ("BACK", 0.1, "inferred"),
        ("OWN", 4.0, "files"),
    ]
    for ticker, value, source in stored:
        row = "INSERT INTO corporate_actions VALUES ($1, '2024-01-03', 'split', $2, '2024-01-09', 'r', $3)"
        con.execute(row, [ticker, value, source])
    for ticker, verdict, ratio in (("UNIT", "unit", 0.01), ("BACK", "unit", 1.0), ("BACK", "split", 0.1)):
        row = "INSERT INTO price_verdicts VALUES ($1, '2024-01-03', $2, $3, '2024-01-09', 'r', 'files')"
        con.execute(row, [ticker, verdict, f'{{"ratio": {ratio}}}'])
    migrations.upgrade(con, released[18:19], now(1))
    found = con.execute("SELECT ticker, value, kind FROM corporate_actions ORDER BY rowid").fetchall()
    kinds = ["unit", "unit", "split", "split"]
    assert found == [(*row[:2], kind) for row, kind in zip(stored, kinds, strict=True)]


def test_an_upgrade_that_fails_in_the_middle_leaves_the_file_as_it_was_and_one_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files 4 and 5 can be applied; file 6 gives a table that is taken away here its new columns."""
    store_by_schema_3(tmp_path, monkeypatch)
    working = tmp_path / "working.duckdb"
    with duckdb.connect(str(working)) as con:
        con.execute("DROP TABLE backtest_scores")
    before, old_rows = working.read_bytes(), rows_of(working, ROWS)
    for attempt in (5, 6):
        with (
            pytest.raises(StoreDamaged, match="backtest_scores does not exist"),
            database.open_working(tmp_path, now(attempt)),
        ):
            pass
        assert rows_of(working, VERSIONS) == [(0,), (1,), (2,), (3,)]
        assert rows_of(working, ROWS) == old_rows
        assert working.read_bytes() == before
        kept = [path.name for path in (tmp_path / "snapshots").glob("*before-schema*")]
        assert kept == ["20240107T220000Z_before-schema-4.duckdb"]


def rows_of(path: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(sql).fetchall()
