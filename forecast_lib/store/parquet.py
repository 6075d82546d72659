"""A user's Parquet file by columns: those that are wanted, and of its rows those that are wanted.

It is counted first, for a few hundred kilobytes can hold sixty million rows.
"""

import datetime as dt
import functools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.errors import FileRefused
from forecast_lib.store.disk.border import file_errors

__all__ = ["MAX_PARQUET_ROWS", "ParquetFiles"]

MAX_PARQUET_ROWS = 20_000_000
"""500 tickers over a century are 13 million rows."""

_WILDCARDS = re.compile(r"[*?\[\]{}]")
_NUMBERS = re.compile(r"FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?")
# A time with a zone is stored as an instant: the exchange's own date, which was meant, cannot be told from it
# any more.
_DAYS = re.compile(r"DATE|TIMESTAMP(?:_\w+)?")
_INSTANTS = ("known_at",)
"""Roles of which the time of the day counts too, UTC, a zone or none."""

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "2GB",
    "threads": "2",
    "enable_external_file_cache": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
}


class ParquetFiles:
    """How the source of files reads Parquet. Columns go from role (ticker, date, open and so on) to the
    column's own name.

    Every method raises FileRefused: no Parquet file, damaged, more than `max_rows` rows, or a wanted column
    of lists, structures or (unless it is `known_at`) times with a zone; or a name with `* ? [ ] { }`, which
    DuckDB would read as a pattern for several files.
    """

    def __init__(self, max_rows: int = MAX_PARQUET_ROWS) -> None:
        self._max_rows = max_rows

    def header(self, path: Path) -> list[str]:
        """The names of the columns."""
        with self._opened(path) as con:
            ((rows,),) = con.execute(
                "SELECT sum(num_rows) FROM parquet_file_metadata($path)", {"path": str(path)}
            ).fetchall()
            if rows > self._max_rows:
                raise FileRefused(
                    f"{path.name}: {rows:,} rows: expected at most {self._max_rows:,}; split the file"
                )
            return list(_types(con, path))

    def names(self, path: Path, columns: Mapping[str, str]) -> pd.DataFrame | None:
        """A row for every name in the ticker column: name, first session, whether it has a split; None where
        names are no texts or dates no days.
        """
        with self._opened(path) as con:
            types = _types(con, path)
            if types[columns["ticker"]] != "VARCHAR" or not _DAYS.fullmatch(types[columns["date"]]):
                return None
            given = _selected(columns, types, path)
            sql = f"""
                SELECT {_quoted(columns["ticker"])} AS name, min({given["date"]}) AS first,
                    bool_or({_has_action(given, "split")}) AS splits
                FROM read_parquet($path) GROUP BY name
            """
            return con.execute(sql, {"path": str(path)}).df()

    def rows(
        self, path: Path, columns: Mapping[str, str], since: Mapping[str, dt.date | None] | None
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        """Places in the file, from 0, and by role the columns: texts as objects (tickers maybe as
        categories), numbers, days and instants (UTC) as arrays.

        Args:
            since: by name in the ticker column the first day that is wanted, None for all; earlier rows come
                where they have an action or no day. None for the whole file.
        """
        with self._opened(path) as con:
            types = _types(con, path)
            given = _selected(columns, types, path)
            wanted, values = "true", dict[str, Any](path=str(path))
            if since is not None:
                # Names as an enumeration: unlike a join, looking them up keeps the file's order, which is
                # mostly that of the rows wanted.
                con.register("asked", pd.DataFrame({"name": list(since)}, dtype="str"))
                con.execute("CREATE TEMP TYPE asked_name AS ENUM (SELECT name FROM asked)")
                given["ticker"] = f"enum_code(TRY_CAST({given['ticker']} AS asked_name))::INTEGER"
                early = f"{given['date']} < list_extract($since::DATE[], {given['ticker']} + 1)"
                actions = " OR ".join(_has_action(given, kind) for kind in ("dividend", "split"))
                wanted = f"{given['ticker']} IS NOT NULL AND (NOT coalesce({early}, false) OR {actions})"
                values["since"] = [str(day or "-infinity") for day in since.values()]
            listed = ", ".join(f"{sql} AS {_quoted(role)}" for role, sql in given.items())
            sql = (
                f"SELECT file_row_number AS place, {listed} FROM read_parquet($path, file_row_number = true)"
                f" WHERE {wanted}"
            )
            found = {role: _plain(column) for role, column in con.execute(sql, values).fetchnumpy().items()}
            for role in given:
                if _is_day(role, types[columns[role]]):
                    found[role] = found[role].astype("datetime64[D]")
        if since is not None:
            found["ticker"] = pd.Categorical.from_codes(found["ticker"], categories=list(since))
        return found.pop("place"), found

    @functools.cached_property
    def _engine(self) -> duckdb.DuckDBPyConnection:
        """Started once, and anew after a file that it failed on: to start it takes longer than to read most
        files.
        """
        return duckdb.connect(":memory:", config=_SETTINGS)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        if _WILDCARDS.search(str(path)):
            raise FileRefused(
                f"{path.name}: the path has one of * ? [ ] {{ }}: expected a plain name; rename it"
            )
        with file_errors(path), self._engine.cursor() as con:
            try:
                yield con
            except duckdb.Error:
                self.__dict__.pop("_engine", None)  # of several threads each may have met it
                raise


def _types(con: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    found = con.execute("DESCRIBE SELECT * FROM read_parquet($path)", {"path": str(path)}).fetchall()
    return {name: kind for name, kind, *_ in found}


def _selected(columns: Mapping[str, str], types: Mapping[str, str], path: Path) -> dict[str, str]:
    """By role the SQL of its column: days as dates, numbers as DOUBLE, texts as they are."""
    given = {}
    for role, name in columns.items():
        kind, column = types[name], _quoted(name)
        if _is_day(role, kind):
            given[role] = f"CASE WHEN isfinite({column}) THEN {column}::DATE END"
        elif role in _INSTANTS and kind.startswith("TIMESTAMP"):
            given[role] = f"CASE WHEN isfinite({column}) THEN make_timestamp(epoch_us({column})) END"
        elif kind == "VARCHAR" or _NUMBERS.fullmatch(kind):
            given[role] = column if kind == "VARCHAR" else f"{column}::DOUBLE"
        else:
            raise FileRefused(
                f"{path.name}: column {name!r} is {kind}: expected text, numbers, dates or times without a"
                " zone"
            )
    return given


def _is_day(role: str, kind: str) -> bool:
    return bool(_DAYS.fullmatch(kind)) and (role not in _INSTANTS or kind == "DATE")


def _has_action(given: Mapping[str, str], kind: str) -> str:
    """SQL for whether a row has an action of a kind."""
    value = f"nullif(TRY_CAST({given[kind]} AS DOUBLE), 'nan'::DOUBLE)" if kind in given else "0"
    return f"coalesce({value}, 0) NOT IN ({'0, 1' if kind == 'split' else '0'})"


def _plain(values: Any) -> Any:
    """With NaN, NaT or None where something is missing."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    if values.dtype.kind == "M":
        return values.filled(np.datetime64("NaT"))
    if values.dtype == object:
        values.data[np.ma.getmaskarray(values)] = None
        return values.data
    return np.ma.filled(values.astype(float), np.nan)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
