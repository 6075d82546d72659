"""Numbered schema files, each applied once, all that a database lacks in one transaction, and recorded in the database itself.

A released file in `sql/` is never edited: databases remember its SHA-256 and refuse to go on when it changed. A change is a new file.
"""

import contextlib
import datetime as dt
import hashlib
import re
from dataclasses import dataclass
from importlib import resources

import duckdb

from forecast_lib.errors import SchemaTooNew, StoreDamaged

__all__ = ["Migration", "copy_record", "is_ours", "pending", "released", "upgrade"]

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT NOT NULL,
    name VARCHAR NOT NULL,
    applied_at TIMESTAMP NOT NULL,
    sha256 VARCHAR NOT NULL
);
COMMENT ON TABLE schema_migrations IS 'Schema files that were applied to this database, one row each.';
COMMENT ON COLUMN schema_migrations.version IS 'Number of the schema file';
COMMENT ON COLUMN schema_migrations.name IS 'Name of the schema file';
COMMENT ON COLUMN schema_migrations.applied_at IS 'UTC time at which it was applied';
COMMENT ON COLUMN schema_migrations.sha256 IS 'SHA-256 of the file as applied';
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


def is_ours(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the open database was made by Tickercast, whatever its version."""
    sql = "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'schema_migrations' AND database_name = current_database()"
    return con.execute(sql).fetchall() == [(1,)]


def pending(con: duckdb.DuckDBPyConnection, known: tuple[Migration, ...]) -> tuple[Migration, ...]:
    """The files of `known` that the open database has not seen yet, in order.

    Raises:
        SchemaTooNew: the database has seen files that are not in `known`.
        StoreDamaged: it is no database of ours, or a file was edited after it was applied.
    """
    if not is_ours(con):
        raise StoreDamaged(f"{_file_of(con)} is not a database of Tickercast: run `tickercast restore`")
    record = con.execute("SELECT version, name, sha256 FROM schema_migrations").fetchall()
    applied = {version: (name, sha) for version, name, sha in record}
    versions = {file.version: file for file in known}
    for version, (name, sha) in sorted(applied.items()):
        if version not in versions:
            raise SchemaTooNew(
                f"{_file_of(con)} has schema {max(applied)}, this Tickercast knows {max(versions, default=0)}: install the newer Tickercast"
            )
        if versions[version].sha256 != sha:
            raise StoreDamaged(
                f"schema file {version:04d}_{name}.sql is not the one that {_file_of(con)} was made with: reinstall Tickercast"
            )
    return tuple(file for file in known if file.version not in applied)


def upgrade(con: duckdb.DuckDBPyConnection, files: tuple[Migration, ...], now: dt.datetime) -> None:
    """Apply the files in order, all of them with their records in one transaction; a failure leaves the database as it was.

    Args:
        con: a new, empty database or one whose `pending` these are.
        now: UTC time to record.
    """
    con.begin()
    try:
        con.execute(_RECORD)
        for file in files:
            con.execute(file.sql)
            row = [file.version, file.name, now.replace(tzinfo=None), file.sha256]
            con.execute("INSERT INTO schema_migrations VALUES (?, ?, ?, ?)", row)
        con.commit()
    except BaseException:
        with contextlib.suppress(duckdb.Error):  # after a full disk the connection is gone, and the transaction with it
            con.rollback()
        raise


def copy_record(con: duckdb.DuckDBPyConnection, source: str) -> None:
    """Lay out a new database as the attached one named `source` is, and take over its record of schema files."""
    con.execute(_RECORD)
    for file in released():
        con.execute(file.sql)
    con.execute(f"INSERT INTO schema_migrations SELECT * FROM {source}.schema_migrations")


def _file_of(con: duckdb.DuckDBPyConnection) -> str:
    sql = "SELECT coalesce(path, 'the database') FROM duckdb_databases() WHERE database_name = current_database()"
    return str(con.execute(sql).fetchall()[0][0])
