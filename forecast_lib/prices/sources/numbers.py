"""What a number in a file means: which mark is the decimal one, and which groups thousands.

A comma groups (`"1,008.64"`, and the Indian way `"73,80,500"`) or separates decimals (`"12,5"`). Where commas
separate the columns, the second is never assumed. Where semicolons or tabs do, the whole file decides
(`decimal_mark`). What could be either (`"1,008"` in a file without a single decimal point) is refused,
because the two differ by a factor of a thousand.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from forecast_lib.errors import FileRefused

__all__ = ["decimal_mark", "read_numbers"]

_ONLY_DIGITS = re.compile(r"[0-9.\n]*", re.ASCII)  # nearly every column; NumPy reads it at once
_PLAIN = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?|[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE
)
# Thousands, or lakhs (1,16,88,800); spreadsheets also write the latter without its last comma (116,88,800).
_GROUPED = re.compile(r"[+-]?(?:[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d{0,2}(?:,\d{2})*,\d{3})(?:\.\d*)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d*", re.ASCII)
_NOTHING = frozenset({"", "nan", "null", "none", "na", "n/a", "#n/a", "-"})
_SWAPPED = str.maketrans(",.", ".,")

Place = Callable[[int], str]
"""Row number -> how to name it in an error, for example `line 2`."""


def decimal_mark(columns: Mapping[str, Sequence[str]], place: Place, *, file: str) -> str:
    """`.` or `,`: the decimal mark of a file whose columns are not separated by commas.

    A cell such as `12,5` or `1.008,64` can only have a decimal comma, one such as `12.5` or `1,008.64` only a
    decimal point.

    Args:
        columns: name -> cells, of every column of numbers.

    Raises:
        FileRefused: both kinds of cell are there, or only such as mean two things, for example `1.008`.

    >>> decimal_mark({"Close": ["12,5", "1.008"]}, lambda row: f"line {row + 2}", file="a.csv")
    ','
    """
    first: dict[str, str] = {}
    for column, texts in columns.items():
        for row, text in enumerate(texts):
            if "," in text or "." in text:
                first.setdefault(_marks(text.strip()), f"{place(row)}: {column} {text[:40]!r}")
    point, comma = first.get("."), first.get(",")
    if point and comma:
        raise FileRefused(
            f"{file} has decimal points ({point}) and decimal commas ({comma}): expected one of them"
            " throughout"
        )
    if not point and not comma and "either" in first:
        raise FileRefused(
            f"{file} {first['either']} may have a decimal mark or a thousands separator, and nothing in the"
            " file tells; write one number with its decimals, such as 1.008,64 or 1,008.64"
        )
    return "," if comma else "."


def _marks(text: str) -> str:
    """The decimal mark with which the text is a number; `either`, or `neither`."""
    point, comma = (
        bool(_PLAIN.fullmatch(each) or _GROUPED.fullmatch(each)) for each in (text, text.translate(_SWAPPED))
    )
    return {(True, True): "either", (True, False): ".", (False, True): ","}.get((point, comma), "neither")


def read_numbers(
    texts: Sequence[str], place: Place, *, file: str, column: str, commas_group: bool, decimal: str = "."
) -> tuple[NDArray[np.float64], list[int]]:
    """The value of each cell, NaN where there is none, and the rows where something stands that is no number.

    Args:
        texts: cells of one column.
        file, column: names for errors.
        commas_group: it is known that commas group here: the column holds whole numbers, or the file writes
            decimal points elsewhere.
        decimal: the file's decimal mark; with `,` points group.

    Raises:
        FileRefused: a comma is, or may be, a decimal one where `decimal` is a point.

    >>> cells = ["1,008.64", "73,80,500", "", "1e3", "abc"]
    >>> read_numbers(cells, lambda row: f"line {row + 2}", file="a.csv", column="Close", commas_group=True)
    (array([1.00864e+03, 7.38050e+06,         nan, 1.00000e+03,         nan]), [4])
    """
    if _ONLY_DIGITS.fullmatch("\n".join(texts)) and decimal == ".":
        try:
            return np.array(texts, dtype=float), []
        except ValueError:  # an empty cell, or one such as 1.2.3
            pass
    values, unreadable = np.full(len(texts), np.nan), []
    for row, text in enumerate(
        text.strip() if decimal == "." else text.strip().translate(_SWAPPED) for text in texts
    ):
        if _PLAIN.fullmatch(text):
            values[row] = float(text)
        elif _GROUPED.fullmatch(text) and (
            commas_group or decimal == "," or "." in text or text.count(",") > 1
        ):
            values[row] = float(text.replace(",", ""))
        elif _DECIMAL_COMMA.fullmatch(text) and decimal == ".":
            raise FileRefused(
                f"{file} {place(row)}: {column} {text!r} may have a decimal comma: expected a decimal point,"
                " and commas only between thousands; write the file with decimal points"
            )
        elif text.lower() not in _NOTHING:
            unreadable.append(row)
    return values, unreadable
