"""Prices from the user's own files: a CSV, a Parquet file, or a folder of them, one for each ticker.

What comes out is as traded (`file_tables`). A Parquet file with a ticker column and typed columns is read by
columns, those rows alone that are wanted, and whole tickers of it can get into the database by themselves;
any other is read as it stands.
"""

import dataclasses
import datetime as dt
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import Ticker, parse_ticker, parse_tickers
from forecast_lib.errors import FileRefused, TickercastError, TickerHeld, UnknownTicker, UsageError
from forecast_lib.prices.source import Asked, Offered, Told, nobody, refused_frame
from forecast_lib.prices.sources.file_cells import (
    EXCEL,
    ROLE_OF_NAME,
    ROLES,
    SAVE_AS_CSV,
    csv_cells,
    parquet_cells,
    parquet_roles,
    plain_name,
    refuse_unless_plain,
)
from forecast_lib.prices.sources.file_tables import FileTable, actions_in, understood
from forecast_lib.prices.traded import on_traded_basis
from forecast_lib.sessions import EARLIEST_SESSION
from forecast_lib.windows.histories import Histories

__all__ = ["FilesSource", "ParquetColumns", "ParquetFiles"]

_READ = (".csv", ".parquet")
_BEGINNING, _END = "-infinity", "infinity"


class ParquetColumns(Protocol):
    """A Parquet file whose columns are of the types that they mean."""

    @property
    def names(self) -> pd.DataFrame:
        """A row for every name in the ticker column: ticker, dated (whether each of its rows has a date),
        first and last session.
        """
        ...

    def actions(self) -> pd.DataFrame:
        """Ticker, session, dividend and split of the rows that have one of them."""
        ...

    def rows(self, asked: pd.DataFrame) -> Histories:
        """The rows of tickers (ordered by name) between `since` and `until`, with `adj_close`, in the file's
        order.
        """
        ...

    def places(self, wanted: pd.DataFrame) -> pd.DataFrame:
        """Ticker, session and row (from 0) of all rows of the tickers and sessions that are wanted, in the
        file's order.
        """
        ...


class ParquetFiles(Protocol):
    """How Parquet files are read; handed in, because only `store` knows DuckDB."""

    def read(self, path: Path, columns: Collection[str], tickers: Collection[str] | None) -> pd.DataFrame:
        """The wanted columns (lower-case letters and digits), the index counting the rows of the file from 0;
        of other tickers rows may be left out.
        """
        ...

    def header(self, path: Path) -> Sequence[str]:
        """The names of the columns."""
        ...

    def columns(self, path: Path, roles: Mapping[str, str]) -> ParquetColumns | None:
        """The file by columns, from role (ticker, date, open and so on) to name; None where their types say
        too little.
        """
        ...


class FilesSource:
    """Prices from one CSV or Parquet file, or from a folder of `TICKER.csv` or `TICKER.parquet`.

    A file with a `ticker` column holds many tickers; otherwise its name is the ticker. If that name is no
    ticker (`Google_Stock_Price_Train.csv`) and the user named exactly one, the file is that one's.

    Nothing is read before the first question; each file is read once. Safe to ask from several threads.

    Args:
        path: the file or folder.
        tickers: what the user named, if anything.
        allow_mixed_dates: read a column with two date styles, such as `01-03-2012` beside `1/13/2012`, if one
            order of day and
            month fits all of it.
        currency: of tickers whose rows name none.
        parquet: how to read Parquet files; without it they are refused.
    """

    name = "files"

    def __init__(
        self,
        path: Path,
        tickers: Sequence[Ticker] = (),
        *,
        allow_mixed_dates: bool = False,
        currency: str | None = None,
        parquet: ParquetFiles | None = None,
    ) -> None:
        self._path = path
        self._tickers = tuple(tickers)
        self._allow_mixed_dates = allow_mixed_dates
        self._currency = currency
        self._parquet = parquet
        self._lock = threading.Lock()
        self._listed: dict[Ticker, tuple[Path, ...]] | None = None
        self._read: dict[object, FileTable | TickercastError] = {}
        self._columns: ParquetColumns | None = None
        self._split_column, self._kinds = "", frozenset[str]()

    def default_tickers(self) -> tuple[Ticker, ...]:
        """All tickers of the file or folder.

        Raises:
            FileRefused: there is no such file, or it cannot be read without guessing.
        """
        if self._path.is_dir():
            return tuple(sorted(self._folder()))
        listed = self._tickers_of_parquet()
        return tuple(map(Ticker, self._file(None).tickers)) if listed is None else listed

    def passed_over(self) -> tuple[str, ...]:
        """What lies in the folder and is not read, in sentences; files whose names begin with a point are
        nobody's prices.
        """
        if not self._path.is_dir():
            return ()
        used = {path for paths in self._folder().values() for path in paths}
        rest = [path for path in _entries(self._path) if path not in used and not path.name.startswith(".")]
        reasons = {why: [path for path in rest if _why_not(path) == why] for why in _WHY_NOT}
        return tuple(_sentence(self._path, why, paths) for why, paths in reasons.items() if paths)

    def _tickers_of_parquet(self) -> tuple[Ticker, ...] | None:
        """The names in a Parquet file, from that column alone; None for other files, and where a name needs
        to be told by its row.
        """
        if self._path.suffix.lower() != ".parquet" or self._parquet is None or not self._path.is_file():
            return None
        names = self._parquet.read(self._path, ROLES["ticker"], None)
        if names.shape[1] != 1:
            return None
        try:
            return tuple(sorted(parse_tickers(names.iloc[:, 0].unique())))
        except (UsageError, AttributeError, TypeError):
            return None

    def fetch(self, asked: Asked, last: dt.date, done: Callable[[Ticker], None] = nobody) -> Offered:
        """The rows of each ticker from its first session to `last`, both inclusive.

        A ticker's problem is UnknownTicker where neither a file nor a row bears its name, NoPrices where it
        has no row in the range, readable or not, FileRefused where the file cannot be read without guessing,
        TickerHeld where only its rows cannot.
        """
        if not asked:
            return Offered.nothing({})
        parts = (
            [*self._from_folder(asked, last, done)] if self._path.is_dir() else self._from_file(asked, last)
        )
        if not self._path.is_dir():
            for ticker in asked:
                done(ticker)
        joined = Offered.joined(parts)
        return dataclasses.replace(joined, whole=parts[0].whole) if parts[0].whole is not None else joined

    def _from_file(self, asked: Asked, last: dt.date) -> list[Offered]:
        try:
            by_columns = self._by_columns()
            clear = _clear_names(by_columns.names) if by_columns else frozenset()
            parts = []
            mine = {ticker: first for ticker, first in asked.items() if ticker in clear}
            if by_columns and mine:
                table = self._columnar(by_columns, mine, last)
                parts.append(dataclasses.replace(table.offered(mine, last), whole=by_columns))
            rest = {ticker: first for ticker, first in asked.items() if ticker not in clear}
            if rest and by_columns and not _spelled_somehow(by_columns.names, rest):
                return [*parts, self._unknown(rest, ())]
            if rest:
                table = self._file(tuple(rest))
                known = {ticker: first for ticker, first in rest.items() if ticker in table.tickers}
                parts.append(table.offered(known, last))
                parts.append(
                    self._unknown({ticker: None for ticker in rest if ticker not in known}, table.tickers)
                )
            return [part for part in parts if part.told] or parts[:1]
        except FileRefused as error:
            return [Offered.nothing({ticker: Told(error) for ticker in asked})]

    def _unknown(self, asked: Asked, tickers: Sequence[str]) -> Offered:
        # Of a Parquet file only the rows that were asked for are read, so not all its names are known.
        shown = ", ".join(tickers[:5]) + (", ..." if len(tickers) > 5 else "")
        partly = self._path.suffix.lower() == ".parquet"
        holding, advice = (
            ("has no row of it", "see its ticker column")
            if partly
            else (f"holds {shown}", "name one of these")
        )
        reason = f"{self._path.name} {holding}; {advice}, or rename the file"
        return Offered.nothing(
            {ticker: Told(UnknownTicker(ticker, reason, rule="unknown_ticker")) for ticker in asked}
        )

    def _by_columns(self) -> ParquetColumns | None:
        """The file by columns, where it is a Parquet file that allows it."""
        with self._lock:
            if (
                self._columns is None
                and self._parquet is not None
                and self._path.suffix.lower() == ".parquet"
            ):
                refuse_unless_plain(self._path)
                roles = parquet_roles(list(self._parquet.header(self._path)), self._path.name)
                if roles is not None and "currency" not in roles:
                    self._columns = self._parquet.columns(self._path, roles)
                    self._split_column = plain_name(roles.get("split", ""))
                    self._kinds = frozenset({"dividend", "split"}.intersection(roles))
            return self._columns

    def _columnar(self, file: ParquetColumns, asked: Asked, last: dt.date) -> FileTable:
        """The wanted rows. Of a ticker with splits all rows of the file are read: they show whether the
        splits are in the prices.
        """
        names = sorted(asked)
        actions = actions_in(file.actions())
        actions = actions[actions["ticker"].isin(names)].reset_index(drop=True)
        splitting = set(actions.loc[actions["kind"] == "split", "ticker"])
        whole = [ticker in splitting for ticker in names]
        since = [
            _BEGINNING if all_of_it else str(asked[Ticker(ticker)] or _BEGINNING)
            for ticker, all_of_it in zip(names, whole, strict=True)
        ]
        until = [_END if all_of_it else str(last) for all_of_it in whole]
        rows = file.rows(pd.DataFrame({"ticker": names, "since": since, "until": until}, dtype="str"))
        if self._currency is not None:
            rows = dataclasses.replace(
                rows, currencies=(self._currency,), currency=np.zeros(len(rows), dtype=np.int16)
            )
        traded = on_traded_basis(rows, actions, self._split_column)
        ends = file.names.set_index("ticker").loc[names, ["first", "last"]]
        spans = {
            ticker: (low.date(), high.date())
            for ticker, low, high in ends.itertuples(name=None)
            if low.year >= EARLIEST_SESSION.year
        }

        def origins(at: NDArray[np.intp]) -> list[str]:
            return [f"{self._path.name} row {place + 1}" for place in _places(file, traded.rows, at)]

        return FileTable(traded, refused_frame(()), self._kinds, origins, {}, spans)

    def _from_folder(self, asked: Asked, last: dt.date, done: Callable[[Ticker], None]) -> list[Offered]:
        parts = []
        for ticker, first in asked.items():
            held = self._of_folder(ticker)
            parts.append(
                held.offered({ticker: first}, last)
                if isinstance(held, FileTable)
                else Offered.nothing({ticker: Told(held)})
            )
            done(ticker)
        return parts

    def _of_folder(self, ticker: Ticker) -> FileTable | TickercastError:
        try:
            paths = self._folder().get(ticker)
        except FileRefused as error:
            return error
        if not paths and (excel := self._excel_file(ticker)):
            return TickerHeld(
                ticker,
                f"{excel.name} is an Excel file: expected CSV or Parquet; {SAVE_AS_CSV}",
                rule="file_refused",
            )
        if not paths:
            return UnknownTicker(
                ticker, f"no file {ticker}.csv in folder {self._path.name}", rule="unknown_ticker"
            )
        with self._lock:
            if ticker not in self._read:
                try:
                    self._read[ticker] = self._only_ticker_of(ticker, paths)
                except FileRefused as error:  # one bad file of many must not stop the others
                    self._read[ticker] = TickerHeld(ticker, str(error), rule="file_refused")
            return self._read[ticker]

    def _only_ticker_of(self, ticker: Ticker, paths: tuple[Path, ...]) -> FileTable:
        if len(paths) > 1:
            raise FileRefused(
                f"{' and '.join(path.name for path in paths)} both hold {ticker}: expected one file; remove"
                " the other"
            )
        _refuse_link_out_of(self._path, paths[0])
        table = self._table(paths[0], ticker, None)
        if set(table.tickers) != {ticker}:
            other = next(iter(set(table.tickers) - {ticker}))
            raise FileRefused(
                f"{paths[0].name} has rows of {other}: expected only {ticker}, after the file's name; give"
                " the file itself"
            )
        return table

    def _table(self, path: Path, named: Ticker | None, tickers: tuple[Ticker, ...] | None) -> FileTable:
        """One file as it stands. `named` is the ticker of a file without a ticker column."""
        refuse_unless_plain(path)
        if path.suffix.lower() == ".parquet":
            if self._parquet is None:
                raise FileRefused(f"{path.name}: Parquet cannot be read here: expected a CSV file")
            cells = parquet_cells(path, self._parquet.read(path, ROLE_OF_NAME, tickers))
        else:
            cells = csv_cells(path)
        if "ticker" not in cells.columns and named is None:
            raise FileRefused(
                f"{path.name} has no ticker column, and its name is no ticker: say whose prices it holds with"
                " --tickers and one name, or rename the file to TICKER" + path.suffix
            )
        return understood(cells, named, allow_mixed_dates=self._allow_mixed_dates, currency=self._currency)

    def _folder(self) -> dict[Ticker, tuple[Path, ...]]:
        """The files of the folder by ticker; files whose name is no ticker are not among them."""
        with self._lock:
            if self._listed is None:
                listed: dict[Ticker, tuple[Path, ...]] = {}
                paths = _entries(self._path)
                for path in paths:
                    ticker = _ticker_of(path)
                    if ticker and path.suffix.lower() in _READ:
                        listed[ticker] = (*listed.get(ticker, ()), path)
                if not listed:
                    excel = next((path.name for path in paths if path.suffix.lower() in EXCEL), None)
                    advice = (
                        f"{excel} is an Excel file: {SAVE_AS_CSV}"
                        if excel
                        else "expected one file for each ticker, such as AAPL.csv"
                    )
                    raise FileRefused(f"folder {self._path.name} holds no TICKER.csv: {advice}")
                self._listed = listed
            return self._listed

    def _excel_file(self, ticker: Ticker) -> Path | None:
        found = (
            path
            for path in _entries(self._path)
            if path.suffix.lower() in EXCEL and _ticker_of(path) == ticker
        )
        return next(found, None)

    def _file(self, tickers: tuple[Ticker, ...] | None) -> FileTable:
        """The one file; of a Parquet file maybe only the rows of these tickers."""
        with self._lock:
            for read in self._read.values():
                if isinstance(read, FileTable) and set(tickers or ()) <= set(read.tickers):
                    return read
            named = _ticker_of(self._path) or (self._tickers[0] if len(self._tickers) == 1 else None)
            self._read[tickers] = self._table(self._path, named, tickers)
            found = self._read[tickers]
            assert isinstance(found, FileTable)
            return found


def _clear_names(names: pd.DataFrame) -> frozenset[str]:
    """Those that are spelled as tickers are, in one way only, and whose rows all have a date."""
    spelled = names["ticker"].fillna("").str.strip().str.upper()
    clear = names["dated"] & (spelled == names["ticker"]) & ~spelled.duplicated(keep=False)
    return frozenset(names.loc[clear, "ticker"])


def _spelled_somehow(names: pd.DataFrame, asked: Collection[str]) -> bool:
    spelled = set(names["ticker"].fillna("").str.strip().str.upper())
    return bool(names["ticker"].isna().any() or spelled.intersection(asked))


def _places(file: ParquetColumns, rows: Histories, at: NDArray[np.intp]) -> list[int]:
    """Where rows stand in the file: of several of one session the first comes first there too."""
    if not len(at):
        return []
    keys = rows.keys()
    rank = at - np.searchsorted(keys, keys[at])
    wanted = pd.DataFrame(
        {
            "ticker": np.array(rows.tickers, dtype=object)[rows.of[at]],
            "session": rows.sessions[at].astype("datetime64[us]"),
        }
    )
    found = file.places(wanted.drop_duplicates())
    found = found.assign(rank=found.groupby(["ticker", "session"]).cumcount())
    merged = wanted.assign(rank=rank).merge(found, how="left", on=["ticker", "session", "rank"])
    return [int(place) for place in merged["row"]]


def _ticker_of(path: Path) -> Ticker | None:
    try:
        return parse_ticker(path.stem)
    except UsageError:
        return None


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise FileRefused(
            f"folder {folder.name}: cannot be read ({type(error).__name__}); check its permissions"
        ) from error


_WHY_NOT = {
    "name": "whose names are no tickers; rename each to its ticker, for example BRK-B.csv",
    "excel": f"made by Excel; {SAVE_AS_CSV}",
    "kind": "that are neither CSV nor Parquet",
}


def _why_not(path: Path) -> str:
    """Why an entry of a folder is not read: a key of `_WHY_NOT`."""
    if path.suffix.lower() in EXCEL:
        return "excel"
    return "name" if path.suffix.lower() in _READ else "kind"


def _sentence(folder: Path, why: str, paths: list[Path]) -> str:
    names = ", ".join(repr(path.name) for path in paths[:5]) + (
        f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    )
    return f"folder {folder.name!r}: not read: {names}, {_WHY_NOT[why]}"


def _refuse_link_out_of(folder: Path, path: Path) -> None:
    try:
        inside = path.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # until Python 3.12 a circle is a RuntimeError
        raise FileRefused(
            f"{path.name} is a link that leads nowhere or in a circle: expected a file; copy the file there"
        ) from None
    if not inside:
        raise FileRefused(f"{path.name} is a link out of the folder: expected a file; copy the file there")
