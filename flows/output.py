"""Rows for people and for programs: an aligned table, CSV, JSON or Parquet, on standard output or in
a file.
"""

import contextlib
import csv
import datetime as dt
import decimal
import difflib
import io
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast_lib.errors import UsageError
from forecast_lib.rows import Rows

if TYPE_CHECKING:  # pandas is slow to import: it is needed for Parquet alone
    import pandas as pd

__all__ = [
    "as_csv",
    "as_json",
    "as_table",
    "expected",
    "format_of",
    "is_stream",
    "one_line",
    "pour",
    "show_file",
    "write_rows",
]

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
"""A spreadsheet takes a text cell that starts so for a formula (OWASP ASVS 1.2.10)."""


def one_line(text: str) -> str:
    """Text that may stand in a terminal: whatever is not printable is shown as its code.

    >>> one_line("a\\nb")
    'a\\\\nb'
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def expected(name: str, known: Iterable[str]) -> str:
    """What to propose for a name that is not known: the three most like it of many, all of a few.

    >>> expected("horizn", ["horizon", "tickers", "model", "units", "seed", "epochs"])
    'expected for example horizon, units, model'
    >>> expected("b", ["x", "y"])
    'expected one of x, y'
    """
    names = list(known)
    if len(names) <= _FEW:
        return f"expected one of {', '.join(names) or 'none'}"
    return f"expected for example {', '.join(difflib.get_close_matches(name, names, n=3, cutoff=0.0))}"


def _plain(value: Any) -> Any:
    """A cell as JSON has it: missing and non-finite numbers are null, times ISO text, a session just its
    date.

    >>> _plain([1.5, float("nan"), dt.datetime(2024, 1, 2), dt.datetime(2024, 1, 2, 22)])
    [1.5, None, '2024-01-02', '2024-01-02T22:00:00']
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float() | decimal.Decimal():
            return float(value) if math.isfinite(value) else None
        case dt.datetime():
            midnight = value.tzinfo is None and value.time() == dt.time.min
            return value.date().isoformat() if midnight else value.isoformat()
        case dt.date():
            return value.isoformat()
        case list() | tuple():
            return [_plain(part) for part in value]
        case dict():
            return {str(key): _plain(part) for key, part in value.items()}
    return str(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else one_line(str(value))


def as_table(rows: Rows) -> str:
    """Aligned columns, numbers to six digits on the right, text on the left; empty where a value is
    missing.
    """
    if not rows.columns:
        return "(no columns)\n"
    values = [[_plain(value) for value in row] for row in rows.values]
    cells = [[one_line(name) for name in rows.columns], *([_cell(value) for value in row] for row in values)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [
        all(isinstance(value, int | float) or value is None for value in column)
        for column in zip(*values, strict=True)
    ] or [False] * len(widths)
    cells.insert(1, ["-" * width for width in widths])
    lines = (
        "  ".join(
            cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)
        )
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _guarded(text: str) -> str:
    return "'" + text if text.startswith(_DANGEROUS) else text


def _csv_cell(value: Any) -> Any:
    """A cell as CSV has it.

    >>> cells = (-1.5, "=1+1", dt.timedelta(days=-1), dt.datetime(2024, 1, 2, 22), [1])
    >>> [_csv_cell(cell) for cell in cells]
    [-1.5, "'=1+1", "'-1 day, 0:00:00", '2024-01-02 22:00:00', '[1]']
    """
    plain = _plain(value)
    if isinstance(plain, list | dict):
        return json.dumps(plain)
    if isinstance(value, dt.datetime):
        return plain.replace("T", " ")
    return _guarded(plain) if isinstance(plain, str) else plain


def as_csv(rows: Rows) -> str:
    """CSV with a header. Text that a spreadsheet would take for a formula gets a leading '; numbers stay
    numbers.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_guarded(name) for name in rows.columns])
    writer.writerows([_csv_cell(value) for value in row] for row in rows.values)
    return text.getvalue()


def as_json(rows: Rows) -> str:
    """A JSON array with one object a line; a missing value is null."""
    plain = ([_plain(value) for value in row] for row in rows.values)
    objects = (json.dumps(dict(zip(rows.columns, row, strict=True)), allow_nan=False) for row in plain)
    return "[\n" + ",\n".join(objects) + "\n]\n"


_TEXT = {"table": as_table, "csv": as_csv, "json": as_json}


def is_stream(path: Path) -> bool:
    """Whether it is a pipe or a device: rows are written into it, and it stays what it is."""
    return path.exists() and not path.is_file() and not path.is_dir()


def pour(rows: Path, stream: Path) -> None:
    """The bytes of a file into a pipe or a device.

    Raises:
        UsageError: it cannot be written.
    """
    with _written(stream), rows.open("rb") as source, stream.open("wb") as sink:
        shutil.copyfileobj(source, sink)


def show_file(path: Path) -> None:
    """The bytes of a file on standard output; a stream that takes text only gets the text."""
    with path.open("rb") as rows:
        if hasattr(sys.stdout, "buffer"):
            sys.stdout.flush()
            shutil.copyfileobj(rows, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            sys.stdout.write(rows.read().decode())


def _build(answer: "Rows | pd.DataFrame", format: str, path: Path) -> None:
    if format == "parquet":
        from forecast_lib.store.published.reader import write_parquet

        write_parquet(answer, path)
    else:
        path.write_text(_TEXT[format](Rows.of(answer)), encoding="utf-8")


@contextlib.contextmanager
def _built(answer: "Rows | pd.DataFrame", format: str) -> Iterator[Path]:
    """A file of the rows for the length of the block."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows"
        _build(answer, format, rows)
        yield rows


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}; give another --output FILE"
        ) from None


def _write_file(answer: "Rows | pd.DataFrame", format: str, path: Path) -> None:
    """The whole file or none: written beside, then moved into place; of a link, into the place of what it
    names.
    """
    place = path.resolve()
    built = place.with_name(f"{place.name}.next-{os.getpid()}")
    try:
        with _written(path):
            _build(answer, format, built)
            built.replace(place)
    finally:
        built.unlink(missing_ok=True)


_FEW = 5

_ENDINGS = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".pq": "parquet", ".txt": "table"}


def format_of(output: Path | None, otherwise: str) -> str:
    """The format that a file's name asks for.

    >>> format_of(Path("rows.parquet"), "table"), format_of(Path("rows"), "table"), format_of(None, "csv")
    ('parquet', 'table', 'csv')
    """
    return _ENDINGS.get(output.suffix.lower(), otherwise) if output else otherwise


def write_rows(answer: "Rows | pd.DataFrame", format: str, output: Path | None) -> None:
    """The rows in the format asked for, to the file or to standard output; a frame keeps its types in
    Parquet.
    """
    if output and not is_stream(output):
        _write_file(answer, format, output)
    elif output or format == "parquet":
        with _built(answer, format) as rows:
            pour(rows, output) if output else show_file(rows)
    else:
        sys.stdout.write(_TEXT[format](Rows.of(answer)))
