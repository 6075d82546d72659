"""Rows that are too many to be held in memory until they are stored: they wait in a file without a name.

The file lies in the workspace, where the room is that the rows need later anyway, and is gone when its
process is, however that ends. Nothing is read from it but what this process wrote.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from forecast_lib.store.disk.border import disk_errors

__all__ = ["Spool"]


@dataclass(frozen=True)
class _Column:
    """`words`: of a column of text, in which the file has places; the last one is none."""

    name: str
    dtype: "np.dtype[Any]"
    words: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class _Part:
    begin: int
    rows: int
    columns: tuple[_Column, ...]


class Spool:
    """Frames of one table, each with its place in the order in which they are read; columns of numbers, times
    and text. A context: the file goes at its end.

    Args:
        folder: the workspace.

    Raises:
        OutOfSpace: the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._parts = folder, dict[int, _Part]()
        with disk_errors(folder):
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        """Rows."""
        return sum(part.rows for part in self._parts.values())

    def add(self, place: int, frame: pd.DataFrame) -> None:
        """Put down a frame; a place is given once."""
        columns = []
        with disk_errors(self._folder):
            begin = self._file.seek(0, 2)
            for name in frame:
                values, words = frame[name].to_numpy(), tuple[str | None, ...]()
                if frame[name].dtype == "str":
                    values, found = pd.factorize(frame[name])
                    words = (*found, None)
                columns.append(_Column(str(name), values.dtype, words))
                self._file.write(np.ascontiguousarray(values).view(np.uint8).data)
        self._parts[place] = _Part(begin, len(frame), tuple(columns))

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """The frames in the order of their places."""
        for _, part in sorted(self._parts.items()):
            self._file.seek(part.begin)
            yield pd.DataFrame({each.name: self._read(each, part.rows) for each in part.columns}, copy=False)

    def _read(self, column: _Column, rows: int) -> Any:
        values = np.empty(rows, column.dtype)
        with disk_errors(self._folder):
            self._file.readinto(values.view(np.uint8).data)
        if not column.words:
            return values
        return pd.Series(np.array(column.words, dtype=object)[values], dtype="str")
