"""From a user's file to cells: the columns that matter, each cell as it stands, and the rows that do not fit
the header.

Files of daily prices come in many dialects, and reading one in the wrong way gives plausible nonsense. So
everything that has two readings is decided by the whole file or refused with the file, the line and what to
do.
"""

import csv
import datetime as dt
import io
import json
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from forecast_lib.errors import FileRefused
from forecast_lib.prices.sources.numbers import decimal_mark

__all__ = [
    "EXCEL",
    "NUMBERS",
    "ROLES",
    "ROLE_OF_NAME",
    "SAVE_AS_CSV",
    "Bad",
    "Cells",
    "csv_cells",
    "parquet_cells",
    "parquet_roles",
    "plain_name",
    "refuse_unless_plain",
]

MAX_FILE_BYTES = 200_000_000

MAX_PARQUET_BYTES = 1_000_000_000
"""5,000 tickers over ten years take 330 MB; how many rows there may be is for the reader to say."""

ROLES = {
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
ROLE_OF_NAME = {name: role for role, names in ROLES.items() for name in names}
NUMBERS = ("open", "high", "low", "close", "adj_close", "volume", "dividend", "split")

_SEPARATORS = (",", ";", "\t")
EXCEL = (".xlsx", ".xls", ".xlsm", ".xlsb")
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # the compound files of Office before 2007
SAVE_AS_CSV = "open it and save the sheet with the prices as CSV (UTF-8)"


@dataclass(frozen=True)
class Bad:
    """A row that cannot be read: its position in the file, its text as JSON, and why."""

    position: int
    row: str
    rule: str
    reason: str
    ticker: str | None = None
    session: dt.date | None = None


@dataclass(frozen=True)
class Cells:
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
    ragged: list[Bad]
    row_text: Callable[[int], str]
    decimal: str = "."

    def place(self, index: int) -> str:
        return f"{self.unit} {self.positions[index]}"

    def origin(self, position: int) -> str:
        return f"{self.file} {self.unit} {position}"


def refuse_unless_plain(path: Path) -> None:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise FileRefused(
            f"{path.name}: cannot be opened ({why}): expected a CSV or Parquet file, or a folder"
        ) from error
    if not stat.S_ISREG(found.st_mode):
        raise FileRefused(f"{path.name} is no plain file: expected a CSV or Parquet file")
    if path.suffix.lower() in EXCEL:
        raise FileRefused(f"{path.name} is an Excel file: expected CSV or Parquet; {SAVE_AS_CSV}")
    limit = MAX_PARQUET_BYTES if path.suffix.lower() == ".parquet" else MAX_FILE_BYTES
    if found.st_size > limit:
        raise FileRefused(
            f"{path.name}: {found.st_size:,} bytes: expected at most {limit:,}; split the file by ticker"
        )


def _text_of(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileRefused(
            f"{path.name}: cannot be read ({type(error).__name__}); check its permissions"
        ) from error
    if content.startswith(_OLD_EXCEL) or (content.startswith(b"PK\3\4") and b"xl/" in content):
        raise FileRefused(f"{path.name} is an Excel file in spite of its name: expected text; {SAVE_AS_CSV}")
    if b"\0" in content:
        raise FileRefused(
            f"{path.name} line {_line_at(content, content.index(0))}: a NUL byte: expected text in UTF-8;"
            " save it as CSV (UTF-8)"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line_at(content, error.start)
        raise FileRefused(
            f"{path.name} line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as CSV"
            " (UTF-8)"
        ) from None


def _line_at(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def _separator(text: str) -> str:
    """The mark that makes the most columns we know of the header; the comma where none makes more."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(
        _SEPARATORS, key=lambda mark: sum(plain_name(name) in ROLE_OF_NAME for name in header.split(mark))
    )


def _csv_rows(text: str, separator: str) -> Iterator[tuple[int, list[str], str]]:
    """Line, cells, and what is wrong with the quotes, of each row that is not blank. No row of prices goes on
    in the next line: a stray quote costs its own.
    """
    for line, row in enumerate(io.StringIO(text, newline=""), 1):
        try:
            cells = next(csv.reader([row], strict=True, delimiter=separator), [])
        except csv.Error as error:
            yield (
                line,
                [row.rstrip("\r\n")],
                f"{error}: expected cells with {separator!r} between them; check the quotes",
            )
            continue
        if any(cell.strip() for cell in cells):
            yield line, cells, ""


def csv_cells(path: Path) -> Cells:
    text = _text_of(path)
    separator = _separator(text)
    rows = _csv_rows(text, separator)
    first, header, wrong = next(rows, (0, [], ""))
    if not header:
        raise FileRefused(f"{path.name} is empty: expected a header and rows")
    if wrong:
        raise FileRefused(f"{path.name} line {first}: {wrong}")
    roles, names = _roles_of(header, path.name)
    positions, kept, ragged = [], [], []
    for line, cells, wrong in rows:
        # A spreadsheet's trailing commas add empty cells; a longer row with something in them is another
        # matter.
        fitting = cells[: len(header)] if not any(cells[len(header) :]) else cells
        if len(fitting) == len(header) and not wrong:
            positions.append(line)
            kept.append(fitting)
        else:
            ragged.append(
                _ragged(
                    line,
                    cells,
                    wrong or f"{len(cells)} cells: expected {len(header)}, as in the header",
                    roles,
                )
            )
    columns: dict[str, list[str] | pd.Series] = {
        role: [cells[at] for cells in kept] for role, at in roles.items()
    }
    found = Cells(
        path.name,
        "line",
        positions,
        columns,
        names,
        ragged,
        lambda index: _as_json(zip(header, kept[index], strict=True)),
    )
    if separator == ",":
        return found
    numbers = {names[role]: [cells[at] for cells in kept] for role, at in roles.items() if role in NUMBERS}
    return replace(found, decimal=decimal_mark(numbers, found.place, file=path.name))


def _ragged(line: int, cells: list[str], reason: str, roles: dict[str, int]) -> Bad:
    ticker = cells[roles["ticker"]] if "ticker" in roles and roles["ticker"] < len(cells) else None
    return Bad(line, json.dumps(cells), "ragged_row", reason, ticker)


def parquet_cells(path: Path, frame: pd.DataFrame) -> Cells:
    header = [str(name) for name in frame.columns]
    roles, names = _roles_of(header, path.name)
    columns: dict[str, list[str] | pd.Series] = {}
    for role, at in roles.items():
        column = frame.iloc[:, at]
        is_text = pd.api.types.is_string_dtype(column.dtype) or column.dtype == object
        columns[role] = (
            column.astype(object).where(column.notna(), "").astype(str).tolist() if is_text else column
        )
    return Cells(
        path.name,
        "row",
        [int(place) + 1 for place in frame.index],
        columns,
        names,
        [],
        lambda index: _as_json(frame.iloc[index].items()),
    )


def _as_json(pairs: Iterable[tuple[object, object]]) -> str:
    return json.dumps({str(name): cell for name, cell in pairs}, default=str)


def _roles_of(header: list[str], file: str) -> tuple[dict[str, int], dict[str, str]]:
    """Role -> column number, and role -> the column's own name."""
    roles: dict[str, int] = {}
    for at, name in enumerate(header):
        role = ROLE_OF_NAME.get(plain_name(name))
        if role in roles:
            raise FileRefused(
                f"{file}: columns {header[roles[role]]!r} and {name!r} are both the {role}: expected one;"
                " remove the other"
            )
        if role:
            roles[role] = at
    for needed in ("date", "close"):
        if needed not in roles:
            shown = ", ".join(repr(name[:20]) for name in header[:10])
            raise FileRefused(
                f"{file}: no column {needed!r}: expected a header with a date and a close; found {shown}"
            )
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
