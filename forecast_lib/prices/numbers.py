"""What a number in a file means: points are decimal, commas group thousands, and everything else is refused.

A comma groups (`"1,008.64"`, and the Indian way `"73,80,500"`) or separates decimals (`"12,5"`). The second is never assumed. Where a
comma could be either (`"1,008"` in a file without a single decimal point) the file is refused, because the two differ by a factor of
a thousand.
"""

import math
import re
from collections.abc import Sequence

from forecast_lib.errors import FileRefused

__all__ = ["read_numbers"]

_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
# Thousands, or lakhs (1,16,88,800); spreadsheets also write the latter without its last comma (116,88,800).
_GROUPED = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?:,\d{2})*,\d{3})(?:\.\d*)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d*", re.ASCII)
_NOTHING = frozenset({"", "nan", "null", "none", "na", "n/a", "#n/a", "-"})
_INFINITE = {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf, "infinity": math.inf, "-infinity": -math.inf}


def read_numbers(
    texts: Sequence[str], places: Sequence[str], *, file: str, column: str, commas_group: bool
) -> list[float | None]:
    """The value of each cell: NaN where nothing stands there, None where something stands there that is no number.

    Args:
        texts: cells of one column.
        places: how to name each cell in an error, for example `line 2`.
        file, column: names for errors.
        commas_group: it is known that commas group here: the column holds whole numbers, or the file writes decimal points elsewhere.

    Raises:
        FileRefused: a comma is, or may be, a decimal one.

    >>> read_numbers(["1,008.64", "73,80,500", "", "1e3", "abc"], ["line 2"] * 5, file="a.csv", column="Close", commas_group=True)
    [1008.64, 7380500.0, nan, 1000.0, None]
    """
    return [
        float(text) if _PLAIN.fullmatch(text) else _unusual(text.strip(), place, file, column, commas_group)
        for text, place in zip(texts, places, strict=True)
    ]


def _unusual(text: str, place: str, file: str, column: str, commas_group: bool) -> float | None:
    lowered = text.lower()
    if lowered in _NOTHING:
        return math.nan
    if lowered in _INFINITE:
        return _INFINITE[lowered]
    if _PLAIN.fullmatch(text):
        return float(text)
    if _GROUPED.fullmatch(text) and (commas_group or "." in text or text.count(",") > 1):
        return float(text.replace(",", ""))
    if _DECIMAL_COMMA.fullmatch(text):
        raise FileRefused(
            f"{file} {place}: {column} {text!r} may have a decimal comma: expected a decimal point, and commas only between thousands; "
            "write the file with decimal points"
        )
    return None
