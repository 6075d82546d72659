"""Tables from numbered schema files, each applied once; views and macros from one file, applied anew whenever
anything changed.

All that a database lacks is applied in one transaction and recorded in the database itself. A released
numbered file in `sql/` is never edited: databases remember its SHA-256 and refuse to go on when it changed. A
change of a table is a new file. `sql/views.sql` is edited freely: it holds no rows.
"""

import contextlib
import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

import duckdb

from forecast_lib.errors import SchemaTooNew, StoreDamaged

__all__ = [
    "VIEWS",
    "Migration",
    "copy_record",
    "is_ours",
    "pending",
    "released",
    "transaction",
    "upgrade",
    "views_differ",
]

VIEWS = 0
"""The version under which the record holds `views.sql`."""

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT NOT NULL,
    name VARCHAR NOT NULL,
    applied_at TIMESTAMP NOT NULL,
    sha256 VARCHAR NOT NULL
);
COMMENT ON TABLE schema_migrations IS 'Schema files that were applied to this database, one row each.';
COMMENT ON COLUMN schema_migrations.version IS
    'Number of the schema file; 0 is views.sql, which is applied anew when anything changed';
COMMENT ON COLUMN schema_migrations.name IS 'Name of the schema file';
COMMENT ON COLUMN schema_migrations.applied_at IS 'UTC time at which it was applied';
COMMENT ON COLUMN schema_migrations.sha256 IS 'SHA-256 of the file as applied';
"""


# What the first files were in databases made when they held the views too.
_FORMER = {
    1: "f1f6d48a27208765e671c4043799ca0478131ae989ada6af871a6ccc9c46216b",
    2: "ade00c221ad7fc56218ec4eba6ff452f332a72a2c1909c9d8c75046ef23f1f0d",
    3: "b7121a4db92fe12e0bcc838358197be6f869b2b7bf567d0e21c44697f5942124",
    4: "d7f76468d57f7f6604f5ef79bd350ef9f8f953529a25347cdc83ef0d049ed381",
    6: "461157e808e796ec2e4c31d3ab55b9da702ed07ddaa3ddececd12eaff5446089",
    7: "53bcc30e496793545edc4efc1c8e45c91581a67752628d9f548a19d2c1c75d94",
}

_OBJECTS = """
SELECT 'VIEW', view_name FROM duckdb_views() WHERE NOT internal AND database_name = current_database()
UNION ALL
SELECT DISTINCT CASE function_type WHEN 'table_macro' THEN 'MACRO TABLE' ELSE 'MACRO' END, function_name
FROM duckdb_functions()
WHERE NOT internal AND database_name = current_database()
"""

_UNCOMMENTED = """
WITH objects AS (
    SELECT table_name AS name FROM duckdb_tables() WHERE NOT internal AND database_name = current_database()
    UNION ALL
    SELECT view_name FROM duckdb_views() WHERE NOT internal AND database_name = current_database()
),
columns AS (
    SELECT table_name, column_name, comment FROM duckdb_columns()
    WHERE NOT internal AND database_name = current_database()
)
SELECT v.view_name, c.column_name, s.comment
FROM duckdb_views() AS v
JOIN columns AS c ON c.table_name = v.view_name AND c.comment IS NULL
JOIN objects AS o ON o.name <> v.view_name AND regexp_matches(v.sql, '\\b' || o.name || '\\b')
JOIN columns AS s ON s.table_name = o.name AND s.column_name = c.column_name AND s.comment IS NOT NULL
WHERE NOT v.internal AND v.database_name = current_database()
QUALIFY row_number() OVER (
    PARTITION BY v.view_name, c.column_name
    ORDER BY length(regexp_extract(v.sql, '^(.*?)\\b' || o.name || '\\b', 1, 's'))
) = 1
"""
"""For each column of a view without a comment: that of the same name in the first table or view that the
view's text names.
"""


@dataclass(frozen=True)
class Migration:
    """One schema file: its number, its name and its SQL."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """SHA-256 of the SQL, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def released() -> tuple[Migration, ...]:
    """Every schema file of this Tickercast, in order.

    >>> [(file.version, file.name) for file in released()][:1]
    [(1, 'initial')]
    """
    files = []
    for path in resources.files("forecast_lib.store").joinpath("sql").iterdir():
        match = _NAME.fullmatch(path.name)
        if match:
            files.append(Migration(int(match.group(1)), match.group(2), path.read_text(encoding="utf-8")))
    return tuple(sorted(files, key=lambda file: file.version))


def views() -> Migration:
    """The file of all views and macros."""
    path = resources.files("forecast_lib.store").joinpath("sql", "views.sql")
    return Migration(VIEWS, "views", path.read_text(encoding="utf-8"))


def is_ours(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the open database was made by Tickercast, whatever its version."""
    sql = (
        "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'schema_migrations' AND database_name ="
        " current_database()"
    )
    return con.execute(sql).fetchall() == [(1,)]


def pending(con: duckdb.DuckDBPyConnection, known: tuple[Migration, ...]) -> tuple[Migration, ...]:
    """The files of `known` that the open database has not seen yet, in order.

    Raises:
        SchemaTooNew: the database has seen files that are not in `known`.
        StoreDamaged: it is no database of ours, or a file was edited after it was applied.
    """
    if not is_ours(con):
        raise StoreDamaged(f"{_file_of(con)} is not a database of Tickercast: run `tickercast restore`")
    record = con.execute(
        "SELECT version, name, sha256 FROM schema_migrations WHERE version <> $views", {"views": VIEWS}
    ).fetchall()
    applied = {version: (name, sha) for version, name, sha in record}
    versions = {file.version: file for file in known}
    for version, (name, sha) in sorted(applied.items()):
        if version not in versions:
            raise SchemaTooNew(
                f"{_file_of(con)} has schema {max(applied)}, this Tickercast knows"
                f" {max(versions, default=0)}: install the newer Tickercast"
            )
        if sha not in (versions[version].sha256, _FORMER.get(version)):
            raise StoreDamaged(
                f"schema file {version:04d}_{name}.sql is not the one that {_file_of(con)} was made with:"
                " reinstall Tickercast"
            )
    return tuple(file for file in known if file.version not in applied)


def views_differ(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the open database has other views and macros than this Tickercast's."""
    record = con.execute(
        "SELECT sha256 FROM schema_migrations WHERE version = $views", {"views": VIEWS}
    ).fetchall()
    return record != [(views().sha256,)]


def upgrade(con: duckdb.DuckDBPyConnection, files: tuple[Migration, ...], now: dt.datetime) -> None:
    """Apply the files in order and then all views and macros, with their records in one transaction.

    A failure leaves the database as it was.

    Args:
        con: a new, empty database or one whose `pending` these are.
        now: UTC time to record.
    """
    with transaction(con):
        con.execute(_RECORD)
        for file in files:
            con.execute(file.sql)
            _record(con, file, now)
        _apply_views(con, views())
        con.execute("DELETE FROM schema_migrations WHERE version = $views", {"views": VIEWS})
        _record(con, views(), now)


@contextlib.contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of the block is stored, or nothing of it."""
    con.begin()
    with ending(con):
        yield


@contextlib.contextmanager
def ending(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Ends the transaction that has begun: all of it is stored, with what the block adds, or nothing."""
    try:
        yield
        con.commit()
    except BaseException:
        # After a full disk the connection is gone, and the transaction with it.
        with contextlib.suppress(duckdb.Error):
            con.rollback()
        raise


def copy_record(con: duckdb.DuckDBPyConnection, source: str) -> None:
    """Lay out a new database as the attached one named `source` is, and take over its record of
    schema files.
    """
    con.execute(_RECORD)
    for file in released():
        con.execute(file.sql)
    _apply_views(con, views())
    con.execute(f"INSERT INTO schema_migrations SELECT * FROM {source}.schema_migrations")


def _record(con: duckdb.DuckDBPyConnection, file: Migration, now: dt.datetime) -> None:
    row = [file.version, file.name, now.replace(tzinfo=None), file.sha256]
    con.execute("INSERT INTO schema_migrations VALUES (?, ?, ?, ?)", row)


def _apply_views(con: duckdb.DuckDBPyConnection, file: Migration) -> None:
    """Drop every view and macro of the database, make those of the file, and comment on columns that take
    over a comment.

    A view over another takes over its comments, which it may have taken over itself: hence the loop.
    """
    for kind, name in con.execute(_OBJECTS).fetchall():
        con.execute(f'DROP {kind} IF EXISTS "{name}"')
    con.execute(file.sql)
    while taken := con.execute(_UNCOMMENTED).fetchall():
        for view, column, comment in taken:
            quoted = comment.replace("'", "''")
            con.execute(f"""COMMENT ON COLUMN "{view}"."{column}" IS '{quoted}'""")


def _file_of(con: duckdb.DuckDBPyConnection) -> str:
    sql = (
        "SELECT coalesce(path, 'the database') FROM duckdb_databases() WHERE database_name ="
        " current_database()"
    )
    return str(con.execute(sql).fetchall()[0][0])
