"""A user's Parquet file: as it stands, or by columns where their types say what they mean.

It is counted first, for a few hundred kilobytes can hold sixty million rows.
"""

import functools
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from forecast_lib.errors import FileRefused
from forecast_lib.store.disk.border import file_errors
from forecast_lib.store.working.columns import histories_of
from forecast_lib.windows.histories import Histories

__all__ = [
    "FIGURES_OF_FILE",
    "MAX_PARQUET_ROWS",
    "ParquetColumns",
    "ParquetFiles",
    "read_parquet",
    "refuse_pattern",
]

FIGURES_OF_FILE = ("open", "high", "low", "close", "adj_close", "volume")
_ACTIONS = ("dividend", "split")
_NUMBERS = ("DOUBLE", "FLOAT", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "DECIMAL")
_DAYS = ("DATE", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S")

MAX_PARQUET_ROWS = 20_000_000
"""500 tickers over a century are 13 million rows."""

_TICKER_NAMES = ("ticker", "symbol")
_WILDCARDS = re.compile(r"[*?\[\]{}]")
# A time with a zone is stored as an instant: the exchange's own date, which was meant, cannot be told from it
# any more.
_SIMPLE_TYPES = re.compile(
    r"VARCHAR|DATE|TIMESTAMP(?:_\w+)?|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?"
)
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "2GB",
    "threads": "2",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
}


def read_parquet(
    path: Path,
    columns: Collection[str],
    *,
    max_rows: int = MAX_PARQUET_ROWS,
    tickers: Collection[str] | None = None,
) -> pd.DataFrame:
    """The rows of a Parquet file, in its order.

    Args:
        path: an existing file. Names with `* ? [ ] { }` are refused: DuckDB would read them as a pattern for
            several files.
        columns: which columns to read, as lower-case letters and digits (`Adj Close` is `adjclose`); others
            are not even
            unpacked.
        max_rows: refuse before reading if the file says that it has more.
        tickers: only rows whose `ticker` or `symbol` is one of these; all where None, or where there is no
            such column.

    Returns:
        The columns found, with their names as in the file; the index is the place of the row in the file,
        from 0.

    Raises:
        FileRefused: no Parquet file, damaged, too many rows, or a column of lists, structures or times with a
            zone.
    """
    refuse_pattern(path)
    try:
        with duckdb.connect(":memory:", config=_SETTINGS) as connection:
            return _read(connection, path, columns, max_rows, tickers)
    except duckdb.Error as error:
        first_line = str(error).partition("\n")[0]
        raise FileRefused(
            f"{path.name}: not a readable Parquet file ({first_line}); write it anew"
        ) from error


def refuse_pattern(path: Path) -> None:
    """Make sure that DuckDB reads the path as one file.

    Raises:
        FileRefused: it would read it as a pattern for several.
    """
    if _WILDCARDS.search(str(path)):
        raise FileRefused(f"{path.name}: the path has one of * ? [ ] {{ }}: expected a plain name; rename it")


def _read(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    columns: Collection[str],
    max_rows: int,
    tickers: Collection[str] | None,
) -> pd.DataFrame:
    (rows,) = connection.execute(
        "SELECT sum(num_rows) FROM parquet_file_metadata(?)", [str(path)]
    ).fetchall()[0]
    if rows > max_rows:
        raise FileRefused(f"{path.name}: {rows:,} rows: expected at most {max_rows:,}; split the file")
    described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    wanted = [(name, kind) for name, kind, *_ in described if re.sub(r"[\W_]", "", name).lower() in columns]
    for name, kind in wanted:
        if not _SIMPLE_TYPES.fullmatch(kind):
            raise FileRefused(
                f"{path.name}: column {name!r} is {kind}: expected text, numbers, dates or times without a"
                " zone"
            )
    if not wanted:
        return pd.DataFrame(index=pd.RangeIndex(rows))
    listed = ", ".join(_quoted(name) for name, _ in wanted)
    named = [
        name
        for name, kind in wanted
        if re.sub(r"[\W_]", "", name).lower() in _TICKER_NAMES and kind == "VARCHAR"
    ]
    every = f"SELECT {listed} FROM read_parquet(?)"
    if tickers is None or len(named) != 1:
        return connection.execute(every, [str(path)]).df()
    name = _quoted(named[0])
    # Two steps: unlike an expression of it, the bare name lets DuckDB pass over what it need not unpack.
    spelled = (
        f"SELECT DISTINCT {name} AS {name} FROM read_parquet($path) WHERE upper(trim({name})) IN (SELECT"
        " unnest($tickers::VARCHAR[]))"
    )
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


class ParquetColumns:
    """A Parquet file by columns, for as long as it does not change.

    Args:
        columns: role (ticker, date, open and so on) to the column's own name.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self.path = path
        self._columns = dict(columns)
        self._con = duckdb.connect(":memory:", config=_SETTINGS)

    def row(self) -> str:
        """The file as SQL: ticker, session, figures and actions, numbers as DOUBLE, what is not in the file
        or no number as NULL.
        """
        figures = [
            (
                f"nullif({_quoted(self._columns[name])}::DOUBLE, 'nan'::DOUBLE) AS {name}"
                if name in self._columns
                else f"NULL::DOUBLE AS {name}"
            )
            for name in (*FIGURES_OF_FILE, *_ACTIONS)
        ]
        ticker, session = (_quoted(self._columns[role]) for role in ("ticker", "date"))
        return f"SELECT {ticker} AS ticker, {session}::DATE AS session, {', '.join(figures)}"

    def source(self) -> str:
        """The same with the file itself, `$path`."""
        return f"{self.row()} FROM read_parquet($path)"

    @functools.cached_property
    def names(self) -> pd.DataFrame:
        """Every name in the ticker column, whether each of its rows has a date, the first and the last; a
        missing name is a row too.
        """
        dated = "bool_and(session IS NOT NULL AND isfinite(session)) AS dated"
        ends = ", ".join(
            f"{end}(session) FILTER (WHERE isfinite(session)) AS {name}"
            for end, name in (("min", "first"), ("max", "last"))
        )
        return self._query(f"SELECT ticker, {dated}, {ends} FROM ({self.source()}) GROUP BY ticker").df()

    def actions(self) -> pd.DataFrame:
        """The rows with a dividend or a split: ticker, session, dividend, split, 0 where there is none, in
        the file's order.
        """
        if not set(_ACTIONS) & self._columns.keys():
            return pd.DataFrame(
                {
                    "ticker": pd.Series(dtype=str),
                    "session": pd.Series(dtype="datetime64[us]"),
                    "dividend": [],
                    "split": [],
                }
            )
        numbers = ", ".join(f"coalesce({name}, 0.0) AS {name}" for name in _ACTIONS)
        rows = f"SELECT ticker, session, {numbers} FROM ({self.source()})"
        return self._query(f"FROM ({rows}) WHERE dividend <> 0 OR split NOT IN (0, 1)").df()

    def rows(self, asked: pd.DataFrame) -> Histories:
        """The rows of some tickers, with `adj_close`.

        Args:
            asked: ticker, and the first and last session that are asked for: since and until.
        """
        if asked.empty:
            return Histories.none((), "adj_close")
        # Names as an enumeration: unlike a join, looking them up keeps the file's order, which is mostly that
        # of the rows wanted.
        place = "enum_code(TRY_CAST(ticker AS asked_ticker))"
        bounds = " AND ".join(
            f"session {sign} list_extract(${name}::DATE[], {place}::INTEGER + 1)"
            for name, sign in (("since", ">="), ("until", "<="))
        )
        sql = (
            f"SELECT {place}::INTEGER AS place, session, {', '.join(FIGURES_OF_FILE)} FROM ({self.source()})"
            f" WHERE {bounds}"
        )
        self._con.register(
            "asked", pd.DataFrame({"ticker": asked["ticker"].astype(str), "place": range(len(asked))})
        )
        with file_errors(self.path):
            self._con.execute(
                "CREATE OR REPLACE TEMP TYPE asked_ticker AS ENUM (SELECT ticker FROM asked ORDER BY place)"
            )
            found = self._query(
                sql, since=asked["since"].tolist(), until=asked["until"].tolist()
            ).fetchnumpy()
        return histories_of(found, tuple(asked["ticker"]))

    def places(self, wanted: pd.DataFrame) -> pd.DataFrame:
        """Ticker, session and row (from 0) of the rows of these tickers and sessions, in the file's order."""
        self._con.register("wanted", wanted)
        whole = f"{self.row()}, file_row_number AS row FROM read_parquet($path, file_row_number = true)"
        sql = (
            f"SELECT f.ticker, f.session, f.row FROM ({whole}) AS f JOIN wanted AS w ON f.ticker = w.ticker"
            " AND f.session = w.session::DATE"
        )
        return self._query(f"{sql} ORDER BY f.row").df().astype({"session": "datetime64[us]"})

    def _query(self, sql: str, **values: Any) -> duckdb.DuckDBPyConnection:
        with file_errors(self.path):
            return self._con.execute(sql, {"path": str(self.path), **values})


class ParquetFiles:
    """How the source of files reads Parquet."""

    def read(self, path: Path, columns: Collection[str], tickers: Collection[str] | None) -> pd.DataFrame:
        """As `read_parquet`."""
        return read_parquet(path, columns, tickers=tickers)

    def header(self, path: Path) -> list[str]:
        """The names of the columns.

        Raises:
            FileRefused: it cannot be read; or its path is a pattern to DuckDB.
        """
        return list(self._types(path))

    def columns(self, path: Path, roles: Mapping[str, str]) -> ParquetColumns | None:
        """The file by columns, where they say what they mean: names as text, dates as dates without a zone,
        numbers as numbers.
        """
        types = self._types(path)
        figures = [
            types[roles[name]].partition("(")[0] in _NUMBERS
            for name in (*FIGURES_OF_FILE, *_ACTIONS)
            if name in roles
        ]
        if types[roles["ticker"]] != "VARCHAR" or types[roles["date"]] not in _DAYS or not all(figures):
            return None
        found = ParquetColumns(path, roles)
        return found if len(found.names) else None

    def _types(self, path: Path) -> dict[str, str]:
        refuse_pattern(path)
        with file_errors(path), duckdb.connect(":memory:", config=_SETTINGS) as con:
            found = con.execute("DESCRIBE SELECT * FROM read_parquet($path)", {"path": str(path)}).fetchall()
        return {name: kind for name, kind, *_ in found}
