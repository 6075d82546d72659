"""Reads a user's Parquet file as it stands; counts first, for a few hundred kilobytes can hold sixty million rows."""

import re
from collections.abc import Collection
from pathlib import Path

import duckdb
import pandas as pd

from forecast_lib.errors import FileRefused

__all__ = ["MAX_PARQUET_ROWS", "read_parquet", "refuse_pattern"]

MAX_PARQUET_ROWS = 20_000_000
"""500 tickers over a century are 13 million rows."""

_TICKER_NAMES = ("ticker", "symbol")
_WILDCARDS = re.compile(r"[*?\[\]{}]")
# A time with a zone is stored as an instant: the exchange's own date, which was meant, cannot be told from it any more.
_SIMPLE_TYPES = re.compile(r"VARCHAR|DATE|TIMESTAMP(?:_\w+)?|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?")
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "2GB",
    "threads": "2",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
}


def read_parquet(
    path: Path, columns: Collection[str], *, max_rows: int = MAX_PARQUET_ROWS, tickers: Collection[str] | None = None
) -> pd.DataFrame:
    """The rows of a Parquet file, in its order.

    Args:
        path: an existing file. Names with `* ? [ ] { }` are refused: DuckDB would read them as a pattern for several files.
        columns: which columns to read, as lower-case letters and digits (`Adj Close` is `adjclose`); others are not even
            unpacked.
        max_rows: refuse before reading if the file says that it has more.
        tickers: only rows whose `ticker` or `symbol` is one of these; all where None, or where there is no such column.

    Returns:
        The columns found, with their names as in the file; the index is the place of the row in the file, from 0.

    Raises:
        FileRefused: no Parquet file, damaged, too many rows, or a column of lists, structures or times with a zone.
    """
    refuse_pattern(path)
    try:
        with duckdb.connect(":memory:", config=_SETTINGS) as connection:
            return _read(connection, path, columns, max_rows, tickers)
    except duckdb.Error as error:
        first_line = str(error).partition("\n")[0]
        raise FileRefused(f"{path.name}: not a readable Parquet file ({first_line}); write it anew") from error


def refuse_pattern(path: Path) -> None:
    """Make sure that DuckDB reads the path as one file.

    Raises:
        FileRefused: it would read it as a pattern for several.
    """
    if _WILDCARDS.search(str(path)):
        raise FileRefused(f"{path.name}: the path has one of * ? [ ] {{ }}: expected a plain name; rename it")


def _read(
    connection: duckdb.DuckDBPyConnection, path: Path, columns: Collection[str], max_rows: int, tickers: Collection[str] | None
) -> pd.DataFrame:
    (rows,) = connection.execute("SELECT sum(num_rows) FROM parquet_file_metadata(?)", [str(path)]).fetchall()[0]
    if rows > max_rows:
        raise FileRefused(f"{path.name}: {rows:,} rows: expected at most {max_rows:,}; split the file")
    described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    wanted = [(name, kind) for name, kind, *_ in described if re.sub(r"[\W_]", "", name).lower() in columns]
    for name, kind in wanted:
        if not _SIMPLE_TYPES.fullmatch(kind):
            raise FileRefused(f"{path.name}: column {name!r} is {kind}: expected text, numbers, dates or times without a zone")
    if not wanted:
        return pd.DataFrame(index=pd.RangeIndex(rows))
    listed = ", ".join(_quoted(name) for name, _ in wanted)
    named = [name for name, kind in wanted if re.sub(r"[\W_]", "", name).lower() in _TICKER_NAMES and kind == "VARCHAR"]
    every = f"SELECT {listed} FROM read_parquet(?)"
    if tickers is None or len(named) != 1:
        return connection.execute(every, [str(path)]).df()
    name = _quoted(named[0])
    # Two steps: unlike an expression of it, the bare name lets DuckDB pass over what it need not unpack.
    spelled = f"SELECT DISTINCT {name} AS {name} FROM read_parquet($path) WHERE upper(trim({name})) IN (SELECT unnest($tickers::VARCHAR[]))"
    chosen = f"""
        SELECT {listed}, file_row_number AS "row's place" FROM read_parquet($path, file_row_number = true)
        SEMI JOIN ({spelled}) AS spelled USING ({name})
    """
    found = connection.execute(chosen, {"path": str(path), "tickers": list(tickers)}).df()
    if found.empty:  # then it must be seen which tickers there are
        return connection.execute(every, [str(path)]).df()
    placed = found.set_index("row's place").rename_axis(None)
    return placed if placed.index.is_monotonic_increasing else placed.sort_index()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
