"""Prices from the user's own files: a CSV, a Parquet file, or a folder of them, one for each ticker.

What comes out is as traded (`file_tables`). A CSV is read once; of a Parquet file with a ticker column those
rows alone that are wanted.
"""

import contextlib
import datetime as dt
import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.config import SourceConfig
from forecast_lib.domain import Ticker, parse_ticker, parse_tickers
from forecast_lib.errors import FileRefused, TickerError, TickerHeld, UnknownTicker, UsageError, some_of
from forecast_lib.prices.source import Asked, Offered, PriceSource, Told, nobody, one_by_one
from forecast_lib.prices.sources.file_cells import (
    EXCEL,
    SAVE_AS_CSV,
    csv_cells,
    is_parquet,
    parquet_cells,
    refuse_unless_plain,
    roles_of,
)
from forecast_lib.prices.sources.file_tables import part_of, understood
from forecast_lib.sessions import EARLIEST_SESSION

__all__ = ["FilesSource", "ParquetFiles", "opened"]

_READ = (".csv", ".parquet")
_OTHERS = "that are neither CSV nor Parquet"
_WHY_NOT = {
    **dict.fromkeys(_READ, "whose names are no tickers; rename each to its ticker, for example BRK-B.csv"),
    **dict.fromkeys(EXCEL, f"made by Excel; {SAVE_AS_CSV}"),
}
"""Why what lies in a folder is not read, by its ending."""


class ParquetFiles(Protocol):
    """How Parquet files are read; handed in, because only `store` knows DuckDB. Columns go from role (ticker,
    date and so on) to name.
    """

    def header(self, path: Path) -> Sequence[str]:
        """The names of the columns."""
        ...

    def names(self, path: Path, columns: Mapping[str, str]) -> pd.DataFrame | None:
        """A row for every name in the ticker column: name, first session, whether it has a split. None where
        names or dates are not of the types that they mean.
        """
        ...

    def rows(
        self, path: Path, columns: Mapping[str, str], since: Mapping[str, dt.date | None] | None
    ) -> tuple[NDArray[np.int64], Mapping[str, NDArray[Any]]]:
        """Places in the file, from 0, and by role the columns: texts as objects, numbers and days as arrays.

        Args:
            since: by name the first day that is wanted, None for all; earlier rows come where they have an
                action or no day. None for the whole file.
        """
        ...


class FilesSource(PriceSource):
    """Prices from one CSV or Parquet file, or from a folder of `TICKER.csv` or `TICKER.parquet`.

    A file with a `ticker` column holds many tickers; otherwise its name is the ticker. If that name is no
    ticker (`Google_Stock_Price_Train.csv`) and the user named exactly one, the file is that one's.

    Nothing is read before the first question. Safe to ask from several threads.

    Args:
        path: the file or folder.
        tickers: what the user named, if anything.
        allow_mixed_dates: read a column with two date styles, such as `01-03-2012` beside `1/13/2012`, if one
            order of day and month fits all of it.
        currency: of tickers whose rows name none.
        parquet: how to read Parquet files; without it they are refused.
    """

    name, near = "files", True

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
        self._named = tickers[0] if len(tickers) == 1 else None
        self._understood = functools.partial(
            understood, allow_mixed_dates=allow_mixed_dates, currency=currency
        )
        self._parquet = parquet
        self._lock = threading.Lock()
        self._listed: dict[Ticker, list[Path]] = {}
        self._tables: dict[Path, Offered] = {}
        self._heads: dict[Path, tuple[dict[str, str], pd.DataFrame | None]] = {}

    def default_tickers(self) -> tuple[Ticker, ...]:
        """All tickers of the file or folder.

        Raises:
            FileRefused: there is no such file, or it cannot be read without guessing.
        """
        if self._path.is_dir():
            return tuple(sorted(self._folder()))
        names = self._listed_in(self._path)[1] if is_parquet(self._path) else None
        if names is None:
            return tuple(sorted(self._table(self._path, self._owner(), {}).told))
        try:
            return tuple(sorted(parse_tickers(names["name"].fillna(""))))
        except UsageError as error:
            raise FileRefused(f"{self._path.name}: {error}") from None

    def first_sessions(self, tickers: Sequence[Ticker]) -> Iterator[dt.date]:
        """The first sessions of these tickers; those of a folder one after another, as their files are read.
        What cannot be read is passed over: `fetch` says why.
        """
        for ticker in tickers if self._path.is_dir() else (None,):
            with contextlib.suppress(FileRefused, TickerError):
                path = self._only_file_of(ticker) if ticker else self._path
                begins = self._begins(path, ticker or self._owner())
                for each in (ticker,) if ticker else tickers:
                    first = begins.get(each)
                    if first is not None and first >= np.datetime64(EARLIEST_SESSION):
                        yield pd.Timestamp(first).date()

    def _begins(self, path: Path, named: Ticker | None) -> dict[str, np.datetime64]:
        """The first session of each ticker of a file."""
        if is_parquet(path) and (names := self._listed_in(path)[1]) is not None:
            return _begins_in(names)
        told = self._table(path, named, {}).told
        return {ticker: said.actions_from for ticker, said in told.items() if said.actions_from is not None}

    def passed_over(self) -> tuple[str, ...]:
        """What lies in the folder and is not read, in sentences; files whose names begin with a point are
        nobody's prices.
        """
        if not self._path.is_dir():
            return ()
        used = {path for paths in self._folder().values() for path in paths}
        rest = [path for path in _entries(self._path) if path not in used and not path.name.startswith(".")]
        sentences = []
        for why in dict.fromkeys([*_WHY_NOT.values(), _OTHERS]):
            if names := [path.name for path in rest if _WHY_NOT.get(path.suffix.lower(), _OTHERS) == why]:
                listed = some_of([repr(name) for name in names])
                sentences.append(f"folder {self._path.name!r}: not read: {listed}, {why}")
        return tuple(sentences)

    def fetch(self, asked: Asked, last: dt.date, done: Callable[[Ticker], None] = nobody) -> Offered:
        """The rows of each ticker from its first session to `last`, both inclusive.

        A ticker's problem is UnknownTicker where neither a file nor a row bears its name, NoPrices where it
        has no row in the range, readable or not, FileRefused where the file cannot be read without guessing,
        TickerHeld where only its rows cannot.
        """
        if self._path.is_dir():
            return one_by_one(asked, lambda ticker, first: self._of_folder(ticker, first, last), done)
        try:
            found = part_of(self._table(self._path, self._owner(), asked), asked, last, self._path.name)
        except FileRefused as problem:
            found = Offered.nothing({ticker: Told(problem) for ticker in asked})
        for ticker in asked:
            done(ticker)
        return found

    def _owner(self) -> Ticker | None:
        """Whose a file without a ticker column is."""
        return _ticker_of(self._path) or self._named

    def _of_folder(self, ticker: Ticker, first: dt.date | None, last: dt.date) -> Offered:
        try:
            path = self._only_file_of(ticker)
            table = self._table(path, ticker, {ticker: first})
            for other in sorted(set(table.told) - {ticker}):
                expected = f"expected only {ticker}, after the file's name; give the file itself"
                raise FileRefused(f"{path.name} has rows of {other}: {expected}")
            return part_of(table, {ticker: first}, last, path.name)
        except FileRefused as error:  # one bad file of many must not stop the others
            raise TickerHeld(ticker, str(error), rule="file_refused") from error

    def _only_file_of(self, ticker: Ticker) -> Path:
        paths = self._folder().get(ticker)
        if paths is None:
            paths = [path for path in _excel_in(self._path) if _ticker_of(path) == ticker][:1]
        if not paths:
            raise UnknownTicker(ticker, f"no file {ticker}.csv in folder {self._path.name}")
        if len(paths) > 1:
            both = " and ".join(path.name for path in paths)
            raise FileRefused(f"{both} both hold {ticker}: expected one file; remove the other")
        _refuse_link_out_of(self._path, paths[0])
        return paths[0]

    def _table(self, path: Path, named: Ticker | None, asked: Asked) -> Offered:
        """What a file says; of a Parquet file with a ticker column of the tickers that are asked for alone.

        Args:
            named: the ticker of a file without a ticker column.
        """
        with self._lock:
            if path not in self._tables:
                if is_parquet(path):
                    return self._parquet_table(path, named, asked)
                refuse_unless_plain(path)
                self._tables[path] = self._understood(csv_cells(path), named)
            return self._tables[path]

    def _listed_in(self, path: Path) -> tuple[dict[str, str], pd.DataFrame | None]:
        """Of a Parquet file its columns by role, and a row for every name of a ticker, with the ticker; None
        where all of the file must be read.
        """
        if path not in self._heads:
            refuse_unless_plain(path)
            if self._parquet is None:
                raise FileRefused(f"{path.name}: Parquet cannot be read here: expected a CSV file")
            columns = roles_of(self._parquet.header(path), path.name)
            names = self._parquet.names(path, columns) if "ticker" in columns else None
            if names is not None and len(names):
                names = names.assign(ticker=[_as_ticker(name) for name in names["name"]])
            self._heads[path] = columns, names if names is not None and len(names) else None
        return self._heads[path]

    def _parquet_table(self, path: Path, named: Ticker | None, asked: Asked) -> Offered:
        columns, names = self._listed_in(path)
        assert self._parquet is not None
        since, begins = None, None
        if names is not None:
            mine = names[names["ticker"].isin(list(asked))]
            # All rows show whether the splits are in the prices.
            whole = set(mine.loc[mine["splits"], "ticker"])
            since = {
                name: None if ticker in whole else asked[ticker]
                for name, ticker in zip(mine["name"], mine["ticker"], strict=True)
            }
            begins = _begins_in(names)
        cells = parquet_cells(path, columns, *self._parquet.rows(path, columns, since))
        return self._understood(cells, named, begins=begins)

    def _folder(self) -> dict[Ticker, list[Path]]:
        """The files of the folder by ticker; files whose name is no ticker are not among them."""
        with self._lock:
            if not self._listed:
                for path in _entries(self._path):
                    if path.suffix.lower() in _READ and (ticker := _ticker_of(path)):
                        self._listed.setdefault(ticker, []).append(path)
            if not self._listed:
                advice = "expected one file for each ticker, such as AAPL.csv"
                for path in _excel_in(self._path)[:1]:
                    advice = f"{path.name} is an Excel file: {SAVE_AS_CSV}"
                raise FileRefused(f"folder {self._path.name} holds no TICKER.csv: {advice}")
            return self._listed


def _begins_in(names: pd.DataFrame) -> dict[str, np.datetime64]:
    firsts = names.dropna().groupby("ticker")["first"].min()
    return dict(zip(firsts.index, firsts.to_numpy("datetime64[D]"), strict=True))


def _as_ticker(text: object) -> Ticker | None:
    try:
        return parse_ticker(text if isinstance(text, str) else "")
    except UsageError:
        return None


def _ticker_of(path: Path) -> Ticker | None:
    return _as_ticker(path.stem)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise FileRefused(
            f"folder {folder.name}: cannot be read ({type(error).__name__}); check its permissions"
        ) from error


def _excel_in(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.suffix.lower() in EXCEL]


def _refuse_link_out_of(folder: Path, path: Path) -> None:
    try:
        inside = path.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # until Python 3.12 a circle is a RuntimeError
        raise FileRefused(
            f"{path.name} is a link that leads nowhere or in a circle: expected a file; copy the file there"
        ) from None
    if not inside:
        raise FileRefused(f"{path.name} is a link out of the folder: expected a file; copy the file there")


def opened(
    config: SourceConfig, *, tickers: tuple[Ticker, ...], parquet: ParquetFiles | None, **_: Any
) -> FilesSource:
    """Of the file or folder that the settings name."""
    assert config.path is not None  # the settings have seen to it
    return FilesSource(
        config.path,
        tickers,
        allow_mixed_dates=config.mixed_dates,
        currency=config.currency,
        parquet=parquet,
    )
