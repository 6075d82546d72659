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
    """`text`: the file has places among the spool's words of this column, -1 where there is none."""

    name: str
    dtype: "np.dtype[Any]"
    text: bool


@dataclass(frozen=True)
class _Part:
    begin: int
    rows: int
    columns: tuple[_Column, ...]


class Spool:
    """Frames of one table, each with its place in the order in which they are read; columns of numbers, times
    and text. Text is read as categories, the same for all frames: millions of rows have few words. A context:
    the file goes at its end.

    Args:
        folder: the workspace.

    Raises:
        OutOfSpace: the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._parts = folder, dict[int, _Part]()
        self._words = dict[str, dict[str, int]]()
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
                text = frame[name].dtype == "str"
                values = self._places(str(name), frame[name]) if text else frame[name].to_numpy()
                columns.append(_Column(str(name), values.dtype, text))
                self._file.write(np.ascontiguousarray(values).view(np.uint8).data)
        self._parts[place] = _Part(begin, len(frame), tuple(columns))

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """The frames in the order of their places."""
        kinds = {
            name: pd.CategoricalDtype(pd.Index([*words], dtype="str")) for name, words in self._words.items()
        }
        for _, part in sorted(self._parts.items()):
            self._file.seek(part.begin)
            read = {each.name: self._read(each, part.rows) for each in part.columns}
            text = {
                each.name: pd.Categorical.from_codes(read[each.name], dtype=kinds[each.name])
                for each in part.columns
                if each.text
            }
            yield pd.DataFrame(read | text, copy=False)

    def _places(self, name: str, column: pd.Series) -> Any:
        """Of each value among the words of the column, which grow by those that are new."""
        own, found = pd.factorize(column)
        words = self._words.setdefault(name, {})
        return np.array([*(words.setdefault(word, len(words)) for word in found), -1], np.int32)[own]

    def _read(self, column: _Column, rows: int) -> Any:
        values = np.empty(rows, column.dtype)
        with disk_errors(self._folder):
            self._file.readinto(values.view(np.uint8).data)
        return values
