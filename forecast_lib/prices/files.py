"""Prices from the user's own files: a CSV, a Parquet file, or a folder of them, one for each ticker.

Files of daily prices come in many dialects, and reading one in the wrong way gives plausible nonsense. So everything that has two
readings is decided by the whole file (`dates`, `numbers`, `basis`) or refused with the file, the line and what to do. A row
that cannot be read is refused alone; the others stay.

What comes out is as traded: where a file lists its splits and the prices show that they are already divided by them, that is
undone. A file that lists no splits passes as it stands.
"""

import csv
import datetime as dt
import io
import json
import re
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from forecast_lib.domain import Ticker, parse_ticker, parse_tickers
from forecast_lib.errors import FileRefused, NoPrices, TickerHeld, UnknownTicker, UsageError
from forecast_lib.prices.actions import in_order
from forecast_lib.prices.adjust import SPLIT_RANGE
from forecast_lib.prices.dates import read_dates
from forecast_lib.prices.numbers import Numbers, decimal_mark, read_numbers
from forecast_lib.prices.source import RAW_COLUMNS, FetchedPrices
from forecast_lib.prices.traded import on_traded_basis

__all__ = ["MAX_FILE_BYTES", "FilesSource", "ParquetReader", "parquet_roles", "plain_name"]

MAX_FILE_BYTES = 200_000_000

MAX_PARQUET_BYTES = 1_000_000_000
"""5,000 tickers over ten years take 330 MB; how many rows there may be is for the reader to say."""

ParquetReader = Callable[[Path, Collection[str]], pd.DataFrame]
"""Path and wanted columns (lower-case letters and digits) -> the file's rows, the index counting them from 0. Handed in, because
only `store` knows DuckDB. A reader may leave out rows of tickers that nobody asks for."""

_ROLES = {
    "date": ("date", "timestamp", "datetime"),
    "ticker": ("ticker", "symbol"),
    "currency": ("currency",),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "adj_close": ("adjclose", "adjustedclose"),
    "volume": ("volume",),
    "dividend": ("dividends", "dividend", "dividendamount"),
    "split": ("stocksplits", "stocksplit", "splitcoefficient", "splitratio"),
}
_ROLE_OF_NAME = {name: role for role, names in _ROLES.items() for name in names}
_NUMBERS = ("open", "high", "low", "close", "adj_close", "volume", "dividend", "split")
_WITH_DECIMALS = tuple(role for role in _NUMBERS if role != "volume")

_SEPARATORS = (",", ";", "\t")
_READ = (".csv", ".parquet")
_EXCEL = (".xlsx", ".xls", ".xlsm", ".xlsb")
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # the compound files of Office before 2007
_SAVE_AS_CSV = "open it and save the sheet with the prices as CSV (UTF-8)"

_Answer = FetchedPrices | TickerHeld
"""All rows of one ticker, or why only this ticker cannot be had."""


class FilesSource:
    """Prices from one CSV or Parquet file, or from a folder of `TICKER.csv` or `TICKER.parquet`.

    A file with a `ticker` column holds many tickers; otherwise its name is the ticker. If that name is no ticker
    (`Google_Stock_Price_Train.csv`) and the user named exactly one, the file is that one's.

    Nothing is read before the first question; each file is read once. Safe to ask from several threads.

    Args:
        path: the file or folder.
        tickers: what the user named, if anything.
        allow_mixed_dates: read a column with two date styles, such as `01-03-2012` beside `1/13/2012`, if one order of day and
            month fits all of it.
        currency: of tickers whose rows name none.
        read_parquet: how to read a Parquet file; without it they are refused.
    """

    name = "files"

    def __init__(
        self,
        path: Path,
        tickers: Sequence[Ticker] = (),
        *,
        allow_mixed_dates: bool = False,
        currency: str | None = None,
        read_parquet: ParquetReader | None = None,
    ) -> None:
        self._path = path
        self._tickers = tuple(tickers)
        self._allow_mixed_dates = allow_mixed_dates
        self._currency = currency
        self._read_parquet = read_parquet
        self._lock = threading.Lock()
        self._listed: dict[Ticker, tuple[Path, ...]] | None = None
        self._read: dict[Ticker, _Answer] = {}

    def default_tickers(self) -> tuple[Ticker, ...]:
        """All tickers of the file or folder.

        Raises:
            FileRefused: there is no such file, or it cannot be read without guessing.
        """
        if self._path.is_dir():
            return tuple(sorted(self._folder()))
        listed = self._tickers_of_parquet()
        return tuple(self._file()) if listed is None else listed

    def passed_over(self) -> tuple[str, ...]:
        """What lies in the folder and is not read, in sentences; files whose names begin with a point are nobody's prices."""
        if not self._path.is_dir():
            return ()
        used = {path for paths in self._folder().values() for path in paths}
        rest = [path for path in _entries(self._path) if path not in used and not path.name.startswith(".")]
        reasons = {why: [path for path in rest if _why_not(path) == why] for why in _WHY_NOT}
        return tuple(_sentence(self._path, why, paths) for why, paths in reasons.items() if paths)

    def _tickers_of_parquet(self) -> tuple[Ticker, ...] | None:
        """The names in a Parquet file, from that column alone; None for other files, and where a name needs to be told by its row."""
        if self._path.suffix.lower() != ".parquet" or self._read_parquet is None or not self._path.is_file():
            return None
        names = self._read_parquet(self._path, _ROLES["ticker"])
        if names.shape[1] != 1:
            return None
        try:
            return tuple(sorted(parse_tickers(names.iloc[:, 0].unique())))
        except (UsageError, AttributeError, TypeError):
            return None

    def fetch(self, ticker: Ticker, first: dt.date | None, last: dt.date) -> FetchedPrices:
        """The rows of `ticker` from `first` to `last`, both inclusive.

        Raises:
            UnknownTicker: neither a file nor a row bears its name.
            NoPrices: no row in the range, readable or not.
            TickerHeld: its file in the folder is refused (`file_refused`), or its splits and prices contradict each other
                (`split_basis`): the other tickers are not concerned.
            FileRefused: the one file cannot be read without guessing.
        """
        held = self._from_folder(ticker) if self._path.is_dir() else self._from_file(ticker)
        if isinstance(held, TickerHeld):
            raise TickerHeld(ticker, held.reason, rule=held.rule)
        return _between(replace(held, currency=held.currency or self._currency), first, last)

    def _from_file(self, ticker: Ticker) -> _Answer:
        held = self._file()
        if ticker not in held:
            # Of a Parquet file only the rows that were asked for are read, so not all its names are known.
            shown = ", ".join(list(held)[:5]) + (", ..." if len(held) > 5 else "")
            partly = self._path.suffix.lower() == ".parquet"
            holding, advice = ("has no row of it", "see its ticker column") if partly else (f"holds {shown}", "name one of these")
            raise UnknownTicker(ticker, f"{self._path.name} {holding}; {advice}, or rename the file", rule="unknown_ticker")
        return held[ticker]

    def _from_folder(self, ticker: Ticker) -> _Answer:
        paths = self._folder().get(ticker)
        if not paths and (excel := self._excel_file(ticker)):
            raise TickerHeld(ticker, f"{excel.name} is an Excel file: expected CSV or Parquet; {_SAVE_AS_CSV}", rule="file_refused")
        if not paths:
            raise UnknownTicker(ticker, f"no file {ticker}.csv in folder {self._path.name}", rule="unknown_ticker")
        with self._lock:
            if ticker not in self._read:
                try:
                    self._read[ticker] = self._only_ticker_of(ticker, paths)
                except FileRefused as error:  # one bad file of many must not stop the others
                    self._read[ticker] = TickerHeld(ticker, str(error), rule="file_refused")
            return self._read[ticker]

    def _only_ticker_of(self, ticker: Ticker, paths: tuple[Path, ...]) -> _Answer:
        if len(paths) > 1:
            raise FileRefused(f"{' and '.join(path.name for path in paths)} both hold {ticker}: expected one file; remove the other")
        _refuse_link_out_of(self._path, paths[0])
        held = _read_file(paths[0], ticker, self._allow_mixed_dates, self._read_parquet)
        if set(held) != {ticker}:
            other = next(iter(set(held) - {ticker}))
            raise FileRefused(f"{paths[0].name} has rows of {other}: expected only {ticker}, after the file's name; give the file itself")
        return held[ticker]

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
                    excel = next((path.name for path in paths if path.suffix.lower() in _EXCEL), None)
                    advice = f"{excel} is an Excel file: {_SAVE_AS_CSV}" if excel else "expected one file for each ticker, such as AAPL.csv"
                    raise FileRefused(f"folder {self._path.name} holds no TICKER.csv: {advice}")
                self._listed = listed
            return self._listed

    def _excel_file(self, ticker: Ticker) -> Path | None:
        found = (path for path in _entries(self._path) if path.suffix.lower() in _EXCEL and _ticker_of(path) == ticker)
        return next(found, None)

    def _file(self) -> dict[Ticker, _Answer]:
        with self._lock:
            if not self._read:
                named = _ticker_of(self._path) or (self._tickers[0] if len(self._tickers) == 1 else None)
                self._read = _read_file(self._path, named, self._allow_mixed_dates, self._read_parquet)
            return self._read


def _ticker_of(path: Path) -> Ticker | None:
    try:
        return parse_ticker(path.stem)
    except UsageError:
        return None


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise FileRefused(f"folder {folder.name}: cannot be read ({type(error).__name__}); check its permissions") from error


_WHY_NOT = {
    "name": "whose names are no tickers; rename each to its ticker, for example BRK-B.csv",
    "excel": f"made by Excel; {_SAVE_AS_CSV}",
    "kind": "that are neither CSV nor Parquet",
}


def _why_not(path: Path) -> str:
    """Why an entry of a folder is not read: a key of `_WHY_NOT`."""
    if path.suffix.lower() in _EXCEL:
        return "excel"
    return "name" if path.suffix.lower() in _READ else "kind"


def _sentence(folder: Path, why: str, paths: list[Path]) -> str:
    names = ", ".join(repr(path.name) for path in paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
    return f"folder {folder.name!r}: not read: {names}, {_WHY_NOT[why]}"


def _refuse_link_out_of(folder: Path, path: Path) -> None:
    try:
        inside = path.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # until Python 3.12 a circle is a RuntimeError
        raise FileRefused(f"{path.name} is a link that leads nowhere or in a circle: expected a file; copy the file there") from None
    if not inside:
        raise FileRefused(f"{path.name} is a link out of the folder: expected a file; copy the file there")


def _between(fetched: FetchedPrices, first: dt.date | None, last: dt.date) -> FetchedPrices:
    low, high = pd.Timestamp(first or dt.date(1, 1, 1)), pd.Timestamp(last)
    prices, refused = (_within(frame, low, high) for frame in (fetched.prices, fetched.refused))
    actions = _within(fetched.actions, pd.Timestamp.min, high)  # all that the file lists: one may have been added or taken back late
    if prices.empty and refused.empty:
        known = fetched.prices["session"]
        having = f"the file has {known.min().date()} to {known.max().date()}" if len(known) else "the file has none"
        raise NoPrices(fetched.ticker, f"no row from {first or 'the beginning'} to {last}: {having}", rule="no_rows")
    undated = fetched.refused["session"].isna().to_numpy()
    if undated.any():
        refused = pd.concat([refused, fetched.refused[undated]], ignore_index=True)
    return replace(fetched, prices=prices, actions=actions, refused=refused, actions_from=fetched.prices["session"].min())


def _within(frame: pd.DataFrame, low: pd.Timestamp, high: pd.Timestamp) -> pd.DataFrame:
    """The rows whose session lies between these days, both inclusive."""
    days = frame["session"].to_numpy()
    inside = (days >= low.to_datetime64()) & (days <= high.to_datetime64())
    return (frame if inside.all() else frame[inside]).reset_index(drop=True)


# -- from the file to cells ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bad:
    """A row that cannot be read: its position in the file, its text as JSON, and why."""

    position: int
    row: str
    rule: str
    reason: str
    ticker: str | None = None
    session: dt.date | None = None


@dataclass(frozen=True)
class _Cells:
    """A file's rows, column by column, not yet understood.

    Attributes:
        positions: line (CSV) or row (Parquet) of each row in the file.
        columns: role -> text cells, or a Series where the file has types.
        names: role -> the column's name as the file spells it.
        ragged: rows that do not fit the header.
        row_text: index -> the whole row as JSON.
        decimal: the mark before the decimals, in cells of text.
    """

    file: str
    unit: str
    positions: list[int]
    columns: dict[str, list[str] | pd.Series]
    names: dict[str, str]
    ragged: list[_Bad]
    row_text: Callable[[int], str]
    decimal: str = "."

    def place(self, index: int) -> str:
        return f"{self.unit} {self.positions[index]}"

    def origin(self, position: int) -> str:
        return f"{self.file} {self.unit} {position}"


def _read_file(path: Path, named: Ticker | None, allow_mixed_dates: bool, read_parquet: ParquetReader | None) -> dict[Ticker, _Answer]:
    """Every ticker of one file. `named` is the ticker of a file without a ticker column."""
    _refuse_unless_plain(path)
    if path.suffix.lower() == ".parquet":
        if read_parquet is None:
            raise FileRefused(f"{path.name}: Parquet cannot be read here: expected a CSV file")
        cells = _parquet_cells(path, read_parquet(path, _ROLE_OF_NAME))
    else:
        cells = _csv_cells(path)
    if "ticker" not in cells.columns and named is None:
        raise FileRefused(
            f"{path.name} has no ticker column, and its name is no ticker: say whose prices it holds with --tickers and one "
            "name, or rename the file to TICKER" + path.suffix
        )
    return _understood(cells, named, allow_mixed_dates)


def _refuse_unless_plain(path: Path) -> None:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise FileRefused(f"{path.name}: cannot be opened ({why}): expected a CSV or Parquet file, or a folder") from error
    if not stat.S_ISREG(found.st_mode):
        raise FileRefused(f"{path.name} is no plain file: expected a CSV or Parquet file")
    if path.suffix.lower() in _EXCEL:
        raise FileRefused(f"{path.name} is an Excel file: expected CSV or Parquet; {_SAVE_AS_CSV}")
    limit = MAX_PARQUET_BYTES if path.suffix.lower() == ".parquet" else MAX_FILE_BYTES
    if found.st_size > limit:
        raise FileRefused(f"{path.name}: {found.st_size:,} bytes: expected at most {limit:,}; split the file by ticker")


def _text_of(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileRefused(f"{path.name}: cannot be read ({type(error).__name__}); check its permissions") from error
    if content.startswith(_OLD_EXCEL) or (content.startswith(b"PK\3\4") and b"xl/" in content):
        raise FileRefused(f"{path.name} is an Excel file in spite of its name: expected text; {_SAVE_AS_CSV}")
    if b"\0" in content:
        raise FileRefused(
            f"{path.name} line {_line_at(content, content.index(0))}: a NUL byte: expected text in UTF-8; save it as CSV (UTF-8)"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line_at(content, error.start)
        raise FileRefused(
            f"{path.name} line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as CSV (UTF-8)"
        ) from None


def _line_at(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def _separator(text: str) -> str:
    """The mark that makes the most columns we know of the header; the comma where none makes more."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(_SEPARATORS, key=lambda mark: sum(plain_name(name) in _ROLE_OF_NAME for name in header.split(mark)))


def _csv_rows(text: str, file: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of each row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileRefused(f"{file} line {line}: {error}: expected cells with {separator!r} between them; check the quotes") from None
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = reader.line_num + 1


def _csv_cells(path: Path) -> _Cells:
    text = _text_of(path)
    separator = _separator(text)
    rows = _csv_rows(text, path.name, separator)
    _, header = next(rows, (0, []))
    if not header:
        raise FileRefused(f"{path.name} is empty: expected a header and rows")
    roles, names = _roles_of(header, path.name)
    positions, kept, ragged = [], [], []
    for line, cells in rows:
        # A spreadsheet's trailing commas add empty cells; a longer row with something in them is another matter.
        fitting = cells[: len(header)] if not any(cells[len(header) :]) else cells
        if len(fitting) == len(header):
            positions.append(line)
            kept.append(fitting)
        else:
            ragged.append(_ragged(line, cells, len(header), roles))
    columns: dict[str, list[str] | pd.Series] = {role: [cells[at] for cells in kept] for role, at in roles.items()}
    found = _Cells(path.name, "line", positions, columns, names, ragged, lambda index: _as_json(zip(header, kept[index], strict=True)))
    if separator == ",":
        return found
    numbers = {names[role]: [cells[at] for cells in kept] for role, at in roles.items() if role in _NUMBERS}
    return replace(found, decimal=decimal_mark(numbers, found.place, file=path.name))


def _ragged(line: int, cells: list[str], expected: int, roles: dict[str, int]) -> _Bad:
    ticker = cells[roles["ticker"]] if "ticker" in roles and roles["ticker"] < len(cells) else None
    reason = f"{len(cells)} cells: expected {expected}, as in the header"
    return _Bad(line, json.dumps(cells), "ragged_row", reason, ticker)


def _parquet_cells(path: Path, frame: pd.DataFrame) -> _Cells:
    header = [str(name) for name in frame.columns]
    roles, names = _roles_of(header, path.name)
    columns: dict[str, list[str] | pd.Series] = {}
    for role, at in roles.items():
        column = frame.iloc[:, at]
        is_text = pd.api.types.is_string_dtype(column.dtype) or column.dtype == object
        columns[role] = column.astype(object).where(column.notna(), "").astype(str).tolist() if is_text else column
    return _Cells(
        path.name, "row", [int(place) + 1 for place in frame.index], columns, names, [], lambda index: _as_json(frame.iloc[index].items())
    )


def _as_json(pairs: Iterable[tuple[object, object]]) -> str:
    return json.dumps({str(name): cell for name, cell in pairs}, default=str)


def _roles_of(header: list[str], file: str) -> tuple[dict[str, int], dict[str, str]]:
    """Role -> column number, and role -> the column's own name."""
    roles: dict[str, int] = {}
    for at, name in enumerate(header):
        role = _ROLE_OF_NAME.get(plain_name(name))
        if role in roles:
            raise FileRefused(f"{file}: columns {header[roles[role]]!r} and {name!r} are both the {role}: expected one; remove the other")
        if role:
            roles[role] = at
    for needed in ("date", "close"):
        if needed not in roles:
            shown = ", ".join(repr(name[:20]) for name in header[:10])
            raise FileRefused(f"{file}: no column {needed!r}: expected a header with a date and a close; found {shown}")
    return roles, {role: header[at] for role, at in roles.items()}


def parquet_roles(header: list[str], file: str) -> dict[str, str] | None:
    """Role (ticker, date, open and so on) -> the column's own name; None where there is no ticker column.

    Raises:
        FileRefused: no date or no close, or two columns for one role.
    """
    _, names = _roles_of(header, file)
    return names if "ticker" in names else None


def plain_name(name: str) -> str:
    """Lower-case letters and digits alone."""
    return re.sub(r"[\W_]", "", name).lower()


# -- from cells to prices -----------------------------------------------------------------------------------------------------


def _understood(cells: _Cells, named: Ticker | None, allow_mixed_dates: bool) -> dict[Ticker, _Answer]:
    if not cells.positions:
        raise FileRefused(f"{cells.file} has no complete row under its header: expected prices")
    tickers = _tickers(cells, named)
    bad = list(cells.ragged)
    frame = pd.DataFrame({"ticker": tickers, "session": _sessions(cells, tickers, allow_mixed_dates)})
    no_numbers: dict[str, list[int]] = {}
    for role in _NUMBERS:
        frame[role], no_numbers[role] = _numbers(cells, role)
    frame["currency"] = cells.columns.get("currency", "")
    frame["origin"] = [cells.origin(position) for position in cells.positions]
    unreadable = _unreadable(cells, frame, no_numbers)
    bad += unreadable.values()
    readable = frame.drop(index=list(unreadable)) if unreadable else frame
    refused = _refused_frame(cells, bad, named)
    rows_of, refused_of = _by_ticker(readable.fillna({"dividend": 0.0, "split": 0.0})), _by_ticker(refused)
    no_rows, none_refused = readable.iloc[:0], refused.iloc[:0].drop(columns="ticker")
    return {
        Ticker(ticker): _fetched(Ticker(ticker), rows_of.get(ticker, no_rows), refused_of.get(ticker, none_refused), cells)
        for ticker in sorted(set(tickers))
    }


def _by_ticker(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Each ticker's rows, in their order, counted from 0 and without its name."""
    of, names = pd.factorize(rows["ticker"])
    rows = rows.drop(columns="ticker")
    if (of[1:] < of[:-1]).any():
        order = np.argsort(of, kind="stable")
        rows, of = rows.iloc[order], of[order]
    bounds = np.searchsorted(of, np.arange(len(names) + 1))
    return {str(name): rows.iloc[low:high].reset_index(drop=True) for name, low, high in zip(names, bounds[:-1], bounds[1:], strict=True)}


def _tickers(cells: _Cells, named: Ticker | None) -> list[str]:
    column = cells.columns.get("ticker")
    if column is None:
        return [str(named)] * len(cells.positions)
    texts = [str(text) for text in column]
    first_rows = {text: row for row, text in reversed(list(enumerate(texts)))}
    known = {text: _ticker_in(text, cells, row) for text, row in first_rows.items()}
    return [known[text] for text in texts]


def _ticker_in(text: str, cells: _Cells, index: int) -> Ticker:
    try:
        return parse_ticker(text)
    except UsageError as error:
        raise FileRefused(f"{cells.file} {cells.place(index)}: {error}") from None


def _sessions(cells: _Cells, tickers: list[str], allow_mixed_dates: bool) -> pd.Series:
    column = cells.columns["date"]
    if isinstance(column, pd.Series):
        if isinstance(column.dtype, pd.DatetimeTZDtype) or not pd.api.types.is_datetime64_any_dtype(column):
            raise FileRefused(
                f"{cells.file}: column {cells.names['date']!r} is {column.dtype}: expected dates or times without a zone, "
                "as the exchange writes them"
            )
        return column.astype("datetime64[us]").dt.normalize().reset_index(drop=True)
    dates = read_dates(column, cells.place, tickers, file=cells.file, allow_mixed=allow_mixed_dates)
    return pd.Series(np.array(dates, dtype="datetime64[us]"))


def _numbers(cells: _Cells, role: str) -> Numbers:
    column = cells.columns.get(role)
    if column is None:
        return Numbers(np.full(len(cells.positions), np.nan), [])
    if isinstance(column, pd.Series):
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            raise FileRefused(f"{cells.file}: column {cells.names[role]!r} is {column.dtype}: expected numbers")
        return Numbers(column.to_numpy(dtype=float, na_value=np.nan), [])
    commas_group = role == "volume" or _writes_decimal_points(cells)
    named = {"file": cells.file, "column": cells.names[role]}
    return read_numbers(column, cells.place, **named, commas_group=commas_group, decimal=cells.decimal)


def _writes_decimal_points(cells: _Cells) -> bool:
    texts = (cells.columns.get(role) for role in _WITH_DECIMALS)
    return any(isinstance(column, pd.Series) or any("." in text for text in column) for column in texts if column is not None)


def _unreadable(cells: _Cells, frame: pd.DataFrame, no_numbers: dict[str, list[int]]) -> dict[int, _Bad]:
    """Index -> why a row is refused, for rows with something unreadable."""
    bad: dict[int, _Bad] = {}

    def refuse(index: int, rule: str, reason: str) -> None:
        session = frame.at[index, "session"]
        day = None if pd.isna(session) else session.date()
        row = cells.row_text(index)
        bad.setdefault(index, _Bad(cells.positions[index], row, rule, reason, str(frame.at[index, "ticker"]), day))

    for index in np.flatnonzero(frame["session"].isna()).tolist():
        refuse(index, "unreadable_date", f"{_cell_text(cells, 'date', index)} is no day: expected one like the other rows'")
    for role, indices in no_numbers.items():
        for index in indices:
            refuse(index, "unreadable_number", f"{cells.names[role]} {_cell_text(cells, role, index)} is no number")
    unknown = {text for text in frame["currency"].unique() if not _CURRENCY.fullmatch(str(text).strip())}
    for index in np.flatnonzero(frame["currency"].isin(unknown)).tolist():
        refuse(index, "unreadable_currency", f"{_cell_text(cells, 'currency', index)} is no currency: expected a code such as USD")
    for role, (lowest, highest) in (("dividend", (0.0, 1e9)), ("split", SPLIT_RANGE)):
        values = frame[role].fillna(0.0).to_numpy()
        for index in np.flatnonzero((values != 0) & ~((values >= lowest) & (values <= highest))).tolist():
            refuse(index, "unreadable_action", f"{cells.names[role]} {values[index]:g} is no {role}")
    return bad


def _cell_text(cells: _Cells, role: str, index: int) -> str:
    column = cells.columns[role]
    text = str(column.iloc[index] if isinstance(column, pd.Series) else column[index])
    return ascii(text if len(text) <= 40 else text[:37] + "...")


def _refused_frame(cells: _Cells, bad: list[_Bad], named: Ticker | None) -> pd.DataFrame:
    whose = [_owner(cells, row, named) for row in bad]
    frame = pd.DataFrame(
        {
            "ticker": whose,
            "session": np.array([row.session for row in bad], dtype="datetime64[us]"),
            "row": [row.row for row in bad],
            "origin": [cells.origin(row.position) for row in bad],
            "rule": [row.rule for row in bad],
            "reason": [row.reason for row in bad],
        }
    )
    return frame.astype(dict.fromkeys(["ticker", "row", "origin", "rule", "reason"], str))


def _owner(cells: _Cells, row: _Bad, named: Ticker | None) -> str:
    if "ticker" not in cells.columns:
        return str(named)
    try:
        return parse_ticker(row.ticker or "")
    except UsageError:
        raise FileRefused(f"{cells.origin(row.position)}: {row.reason}, and it cannot be told whose row it is; correct the row") from None


_CURRENCY = re.compile(r"(?:[A-Z]{2}[A-Za-z])?", re.ASCII)
"""Three letters; the last one is small in codes of a hundredth, such as GBp. Or nothing."""


def _fetched(ticker: Ticker, rows: pd.DataFrame, refused: pd.DataFrame, cells: _Cells) -> _Answer:
    currencies = sorted({str(text).strip() for text in rows["currency"].unique()} - {""})
    if len(currencies) > 1:
        reason = f"{cells.file}: its rows name {' and '.join(currencies)}: expected one currency; correct the currency column"
        return TickerHeld(ticker, reason, rule="two_currencies")
    traded = on_traded_basis(rows[list(RAW_COLUMNS)], _actions(rows), plain_name(cells.names.get("split", "")))
    if traded is None:
        reason = (
            f"{cells.file}: the closes around its splits fit neither traded nor split-adjusted prices: expected one or the other "
            "throughout; correct the split column"
        )
        return TickerHeld(ticker, reason, rule="split_basis")
    kinds = frozenset({"dividend", "split"}.intersection(cells.columns))
    currency = currencies[0] if currencies else None
    return FetchedPrices(ticker, traded.prices, traded.actions, currency, refused=refused, action_kinds=kinds, assumption=traded.assumption)


def _actions(rows: pd.DataFrame) -> pd.DataFrame:
    days, dividends, splits = (rows[name].to_numpy() for name in ("session", "dividend", "split"))
    paid = dividends > 0
    split = (splits > 0) & (splits != 1)  # writers put 0 or 1 where there is no split
    if not (paid.any() or split.any()):
        return _NO_ACTIONS.copy()
    sessions, values = np.concatenate([days[paid], days[split]]), np.concatenate([dividends[paid], splits[split]])
    kinds = pd.array(["dividend"] * paid.sum() + ["split"] * split.sum(), dtype="str")
    return in_order(pd.DataFrame({"session": sessions, "kind": kinds, "value": values}))


_NO_ACTIONS = pd.DataFrame({"session": pd.Series(dtype="datetime64[us]"), "kind": pd.Series(dtype=str), "value": pd.Series(dtype=float)})
