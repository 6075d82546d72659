"""From a user's file to cells: the columns that matter, each cell as it stands, and the rows that do not fit
the header.

Files of daily prices come in many dialects, and reading one in the wrong way gives plausible nonsense. So
everything that has two readings is decided by the whole file or refused with the file, the line and what to
do.
"""

import csv
import io
import json
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast_lib.errors import FileRefused, shown
from forecast_lib.prices.sources.numbers import decimal_mark, read_numbers

__all__ = [
    "EXCEL",
    "NUMBERS",
    "OF_PRICES",
    "SAVE_AS_CSV",
    "Cells",
    "Roles",
    "csv_cells",
    "is_parquet",
    "parquet_cells",
    "plain_name",
    "refuse_unless_plain",
    "roles_of",
]

_MOST_BYTES = {True: 1_000_000_000, False: 200_000_000}
"""Of a Parquet file (5,000 tickers over ten years take 330 MB; how many rows there may be is for its reader
to say), and of a CSV.
"""

NUMBERS = ("open", "high", "low", "close", "adj_close", "volume", "dividend", "split")


@dataclass(frozen=True)
class Roles:
    """The columns that matter in a file.

    Attributes:
        names: role -> what the column may be called, as lower-case letters and digits.
        needed: roles without which it cannot be read.
        numbers: roles of numbers.
        wanted: the needed ones, in words.
    """

    names: Mapping[str, tuple[str, ...]]
    needed: tuple[str, ...]
    numbers: tuple[str, ...]
    wanted: str

    def of_name(self, name: str) -> str | None:
        """The role of a column."""
        return next((role for role, names in self.names.items() if plain_name(name) in names), None)


_OF_PRICES = {
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
OF_PRICES = Roles(_OF_PRICES, ("date", "close"), NUMBERS, "a date and a close")

EXCEL = (".xlsx", ".xls", ".xlsm", ".xlsb")
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # the compound files of Office before 2007
SAVE_AS_CSV = "open it and save the sheet with the prices as CSV (UTF-8)"


@dataclass(frozen=True)
class Cells:
    """A file's rows, column by column, not yet understood.

    Attributes:
        unit: what its rows are called, `line` (CSV) or `row` (Parquet).
        positions: (rows,) where each row stands in the file.
        columns: role -> cells: a list of texts, or an array where the file has types.
        names: role -> the column's name as the file spells it.
        row_text: index -> the whole row as JSON.
        ragged: position and cells of rows that do not fit the header, and why.
        header: of a CSV.
        decimal: the mark before the decimals, in cells of text.
    """

    file: str
    unit: str
    positions: NDArray[np.int64]
    columns: Mapping[str, Any]
    names: Mapping[str, str]
    row_text: Callable[[int], str]
    ragged: Sequence[tuple[int, list[str], str]] = ()
    header: Sequence[str] = ()
    decimal: str = "."

    def place(self, index: int) -> str:
        return f"{self.unit} {self.positions[index]}"

    def numbers(self, role: str, *, commas_group: bool) -> tuple[NDArray[np.float64], list[int]]:
        """As `read_numbers`, of a column of texts or of numbers."""
        column, name = self.columns[role], self.names[role]
        if isinstance(column, list):
            return read_numbers(
                column,
                self.place,
                file=self.file,
                column=name,
                commas_group=commas_group,
                decimal=self.decimal,
            )
        if column.dtype.kind not in "iuf":
            raise FileRefused(f"{self.file}: column {name!r} is {column.dtype}: expected numbers")
        return column.astype(float, copy=False), []

    def shown(self, role: str, index: int) -> str:
        """One cell, in a message."""
        return shown(str(self.columns[role][index]))


def parquet_cells(
    path: Path, columns: Mapping[str, str], places: NDArray[np.int64], found: Mapping[str, NDArray[Any]]
) -> Cells:
    """The cells that a reader of Parquet found, by role; tickers may be missing, other texts are empty then.

    Args:
        places: of the rows in the file, from 0.
    """
    cells = {
        role: ["" if text is None else str(text) for text in column]
        if column.dtype == object and role != "ticker"
        else column
        for role, column in found.items()
    }

    def row_text(index: int) -> str:
        return json.dumps({name: cells[role][index] for role, name in columns.items()}, default=str)

    return Cells(path.name, "row", places + 1, cells, columns, row_text)


def is_parquet(path: Path) -> bool:
    """By its ending."""
    return path.suffix.lower() == ".parquet"


def refuse_unless_plain(path: Path) -> None:
    """Raises:
    FileRefused: there is no such file, it is a device or a folder, one of Excel's, or too large.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        why = f"{path.name}: cannot be opened ({getattr(error, 'strerror', None) or type(error).__name__})"
        raise FileRefused(f"{why}: expected a CSV or Parquet file, or a folder") from error
    if not stat.S_ISREG(found.st_mode):
        raise FileRefused(f"{path.name} is no plain file: expected a CSV or Parquet file")
    if path.suffix.lower() in EXCEL:
        raise FileRefused(f"{path.name} is an Excel file: expected CSV or Parquet; {SAVE_AS_CSV}")
    if found.st_size > (limit := _MOST_BYTES[is_parquet(path)]):
        size = f"{found.st_size:,} bytes: expected at most {limit:,}"
        raise FileRefused(f"{path.name}: {size}; split the file by ticker")


def _text_of(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        why = type(error).__name__
        raise FileRefused(f"{path.name}: cannot be read ({why}); check its permissions") from error
    if content.startswith(_OLD_EXCEL) or (content.startswith(b"PK\3\4") and b"xl/" in content):
        raise FileRefused(f"{path.name} is an Excel file in spite of its name: expected text; {SAVE_AS_CSV}")
    try:
        wrong, text = content.find(b"\0"), content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = error.start
    if wrong < 0:
        return text
    byte = content[wrong]
    what = f"byte 0x{byte:02x} is not UTF-8" if byte else "a NUL byte: expected text in UTF-8"
    line = content.count(b"\n", 0, wrong) + 1
    raise FileRefused(f"{path.name} line {line}: {what}; save the file as CSV (UTF-8)")


def _csv_rows(text: str, separator: str) -> Iterator[tuple[int, list[str], str]]:
    """Line, cells, and what is wrong with the quotes, of each row that is not blank. No row of prices goes on
    in the next line: a stray quote costs its own.
    """
    for line, row in enumerate(io.StringIO(text, newline=""), 1):
        try:
            cells = next(csv.reader([row], strict=True, delimiter=separator), [])
        except csv.Error as error:
            wrong = f"{error}: expected cells with {separator!r} between them; check the quotes"
            yield line, [row.rstrip("\r\n")], wrong
            continue
        if any(cell.strip() for cell in cells):
            yield line, cells, ""


def csv_cells(path: Path, roles: Roles = OF_PRICES) -> Cells:
    """The cells of a text file.

    Raises:
        FileRefused: it is no table with the columns that are needed.
    """
    text = _text_of(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    # the mark that makes the most columns we know of the header; the comma where none makes more
    separator = max(",;\t", key=lambda mark: sum(map(bool, map(roles.of_name, first.split(mark)))))
    rows = _csv_rows(text, separator)
    at, header, wrong = next(rows, (0, [], ""))
    if not header:
        raise FileRefused(f"{path.name} is empty: expected a header and rows")
    if wrong:
        raise FileRefused(f"{path.name} line {at}: {wrong}")
    names = roles_of(header, path.name, roles)
    kept: list[tuple[int, list[str]]] = []
    ragged: list[tuple[int, list[str], str]] = []
    for line, cells, wrong in rows:
        # A spreadsheet's trailing commas add empty cells; a longer row with something in them is another
        # matter.
        fitting = cells[: len(header)] if not any(cells[len(header) :]) else cells
        if wrong or len(fitting) != len(header):
            wrong = wrong or f"{len(cells)} cells: expected {len(header)}, as in the header"
            ragged.append((line, fitting, wrong))
        else:
            kept.append((line, fitting))
    columns = {role: [cells[header.index(name)] for _, cells in kept] for role, name in names.items()}
    positions = np.array([line for line, _ in kept], dtype=np.int64)

    def row_text(index: int) -> str:
        return json.dumps(dict(zip(header, kept[index][1], strict=True)))

    found = Cells(path.name, "line", positions, columns, names, row_text, ragged, header)
    if separator == ",":
        return found
    numbers = {names[role]: columns[role] for role in roles.numbers if role in names}
    return replace(found, decimal=decimal_mark(numbers, found.place, file=path.name))


def roles_of(header: Iterable[str], file: str, roles: Roles = OF_PRICES) -> dict[str, str]:
    """Role (ticker, date, open and so on) -> the column's own name.

    Raises:
        FileRefused: a column is missing that is needed, or two are there for one role.
    """
    names: dict[str, str] = {}
    for name in header:
        role = roles.of_name(name)
        if role in names:
            both = f"columns {names[role]!r} and {name!r} are both the {role}"
            raise FileRefused(f"{file}: {both}: expected one; remove the other")
        if role:
            names[role] = name
    for needed in roles.needed:
        if needed not in names:
            found = ", ".join(repr(name[:20]) for name in list(header)[:10])
            expected = f"expected a header with {roles.wanted}; found {found}"
            raise FileRefused(f"{file}: no column {needed!r}: {expected}")
    return names


def plain_name(name: str) -> str:
    """Lower-case letters and digits alone."""
    return re.sub(r"[\W_]", "", name).lower()
