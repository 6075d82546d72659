"""Rows for people and for programs: an aligned table, CSV, JSON or Parquet, on standard output or in
a file.
"""

import difflib
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast_lib.errors import UsageError

if TYPE_CHECKING:  # pandas is slow to import: the command line must answer before it is needed
    import pandas as pd

__all__ = ["as_csv", "as_json", "as_table", "expected", "format_of", "one_line", "show_file", "write_rows"]

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
    """
    import pandas as pd

    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if hasattr(value, "tolist"):  # a NumPy scalar or array
        return _plain(value.tolist())
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, pd.Timestamp):
        return (
            value.date().isoformat() if value.tz is None and value == value.normalize() else value.isoformat()
        )
    return value if isinstance(value, bool | int | str) else str(value)


def _rows(frame: "pd.DataFrame") -> list[list[Any]]:
    columns = [
        [_plain(value) for value in frame.iloc[:, position].astype(object)]
        for position in range(frame.shape[1])
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else one_line(str(value))


def as_table(frame: "pd.DataFrame") -> str:
    """Aligned columns, numbers to six digits on the right, text on the left; empty where a value is
    missing.
    """
    if not frame.shape[1]:
        return "(no columns)\n"
    rows = _rows(frame)
    cells = [
        [one_line(str(name)) for name in frame.columns],
        *([_cell(value) for value in row] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [
        all(isinstance(value, int | float) or value is None for value in column)
        for column in zip(*rows, strict=True)
    ]
    right = right or [False] * len(widths)
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


def as_csv(frame: "pd.DataFrame") -> str:
    """CSV with a header. Text that a spreadsheet would take for a formula gets a leading '; numbers stay
    numbers.
    """
    safe = frame.copy(deep=False)
    safe.columns = [_guarded(str(name)) for name in frame.columns]
    for position in range(frame.shape[1]):
        column = frame.iloc[:, position]
        if column.dtype == object or str(column.dtype) in ("str", "string", "category"):
            guarded = [
                _guarded(value) if isinstance(value, str) else value for value in column.astype(object)
            ]
            safe.isetitem(position, guarded)
    return str(safe.to_csv(index=False, lineterminator="\n"))


def as_json(frame: "pd.DataFrame") -> str:
    """A JSON array with one object a line; a missing value is null."""
    names = [str(name) for name in frame.columns]
    objects = (json.dumps(dict(zip(names, row, strict=True)), allow_nan=False) for row in _rows(frame))
    return "[\n" + ",\n".join(objects) + "\n]\n"


_TEXT = {"table": as_table, "csv": as_csv, "json": as_json}


def show_file(path: Path) -> None:
    """The bytes of a file on standard output; a stream that takes text only gets the text."""
    with path.open("rb") as rows:
        if hasattr(sys.stdout, "buffer"):
            sys.stdout.flush()
            shutil.copyfileobj(rows, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            sys.stdout.write(rows.read().decode())


def _parquet_to_stdout(frame: "pd.DataFrame") -> None:
    from forecast_lib.store.published.reader import write_parquet

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write_parquet(frame, path)
        show_file(path)


def _write_file(frame: "pd.DataFrame", format: str, path: Path) -> None:
    """The whole file or none: written beside, then moved into place."""
    built = path.with_name(f"{path.name}.next-{os.getpid()}")
    try:
        if format == "parquet":
            from forecast_lib.store.published.reader import write_parquet

            write_parquet(frame, built)
        else:
            built.write_text(_TEXT[format](frame), encoding="utf-8")
        built.replace(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}; give another --output FILE"
        ) from None
    finally:
        built.unlink(missing_ok=True)


_FEW = 5

_ENDINGS = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".pq": "parquet", ".txt": "table"}


def format_of(output: str | None, otherwise: str) -> str:
    """The format that a file's name asks for.

    >>> format_of("rows.parquet", "table"), format_of("rows", "table"), format_of(None, "csv")
    ('parquet', 'table', 'csv')
    """
    return _ENDINGS.get(Path(output).suffix.lower(), otherwise) if output else otherwise


def write_rows(frame: "pd.DataFrame", format: str, output: str | None) -> None:
    """The rows in the format asked for, to the file or to standard output."""
    if output is not None:
        _write_file(frame, format, Path(output).expanduser())
    elif format == "parquet":
        _parquet_to_stdout(frame)
    else:
        sys.stdout.write(_TEXT[format](frame))
