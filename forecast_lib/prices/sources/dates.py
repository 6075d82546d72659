"""Which day does a date in a file mean? One answer for the whole column, or a refusal that names the line.

`1/3/2012` is 3 January in New York and 1 March in London, and a spreadsheet opened in the wrong country
rewrites one part of a column and not the other. So no cell is read alone. A reading counts only if, with it,
every row is a real day *and* the days run strictly forwards or strictly backwards; if both readings do,
nobody can know, and the file is refused. Times and offsets
are dropped, not applied: the date that stands there is the exchange's own.
"""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from forecast_lib.errors import FileRefused

__all__ = ["read_dates"]

_TIME_OF_DAY = (
    r"(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?)?"
)
_YEAR_FIRST = {
    "YYYY-MM-DD": re.compile(r"(\d{4})-(\d{2})-(\d{2})" + _TIME_OF_DAY, re.ASCII),
    "YYYY/MM/DD": re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})" + _TIME_OF_DAY, re.ASCII),
    "YYYYMMDD": re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII),
}
_YEAR_LAST = {
    "N/N/YYYY": re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})" + _TIME_OF_DAY, re.ASCII),
    "N-N-YYYY": re.compile(r"(\d{1,2})-(\d{1,2})-(\d{4})" + _TIME_OF_DAY, re.ASCII),
    "N.N.YYYY": re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})" + _TIME_OF_DAY, re.ASCII),
}
_READINGS = ("M/D/Y", "D/M/Y")
_WHAT_TO_DO = "write the dates as YYYY-MM-DD"

Place = Callable[[int], str]


class _Cell(NamedTuple):
    """One date cell: where it stands, whose row it is, its style, and its three numbers in the order of the
    text.
    """

    row: int
    text: str
    group: str
    style: str
    numbers: tuple[int, int, int]


def read_dates(
    texts: Sequence[str],
    place: Place,
    groups: Sequence[str],
    *,
    file: str,
    allow_mixed: bool = False,
) -> list[dt.date | None]:
    """The day of each cell; None where the cell is no date at all.

    Args:
        texts: the cells of the date column, in the file's order.
        place: row number -> how to name it in an error, for example `line 2`.
        groups: whose row it is; days must run in one direction within a group.
        file: the file's name, for errors.
        allow_mixed: read several styles in one column, all with the same order of day and month.

    Raises:
        FileRefused: no cell is a date, two styles are mixed, or day and month cannot be told apart.

    >>> line = lambda row: f"line {row + 2}"
    >>> read_dates(["1/13/2012", "1/17/2012"], line, ["A", "A"], file="a.csv")
    [datetime.date(2012, 1, 13), datetime.date(2012, 1, 17)]
    >>> read_dates(["1/3/2012", "1/4/2012"], line, ["A", "A"], file="a.csv")
    Traceback (most recent call last):
        ...
    forecast_lib.errors.FileRefused: a.csv line 2: date '1/3/2012' is 2012-01-03 (M/D/Y) or 2012-03-01 (D/M/Y), and the whole \
file fits both; write the dates as YYYY-MM-DD
    """
    understood = {
        text: _understood(text.strip()) for text in set(texts)
    }  # in a file of many tickers each date comes often
    styles = {found[0] for found in understood.values() if found is not None}
    if len(styles) == 1 and styles <= _YEAR_FIRST.keys():
        days_of = {text: _day(*found, _READINGS[0]) if found else None for text, found in understood.items()}
        return [days_of[text] for text in texts]
    cells = [
        _Cell(row, text.strip(), group, *found)
        for row, (text, group) in enumerate(zip(texts, groups, strict=True))
        if (found := understood[text]) is not None
    ]
    if not cells:
        raise FileRefused(
            f"{file} {place(0)}: {_shown(texts[0])} is no date: expected YYYY-MM-DD, M/D/YYYY or D/M/YYYY in"
            " the date column"
        )
    if not allow_mixed:
        _refuse_mixed(cells, place, file)
    year_last = any(cell.style in _YEAR_LAST for cell in cells)
    days = _days(cells, _only_reading(cells, place, file) if year_last else _READINGS[0])
    dates: list[dt.date | None] = [None] * len(texts)
    for cell, day in zip(cells, days, strict=True):
        dates[cell.row] = day
    return dates


def _understood(text: str) -> tuple[str, tuple[int, int, int]] | None:
    """Style and numbers of a date cell."""
    for styles in (_YEAR_FIRST, _YEAR_LAST):
        for style, pattern in styles.items():
            if match := pattern.fullmatch(text):
                return style, (int(match[1]), int(match[2]), int(match[3]))
    return None


def _refuse_mixed(cells: list[_Cell], place: Place, file: str) -> None:
    first = cells[0]
    other = next((cell for cell in cells if cell.style != first.style), None)
    if other is not None:
        raise FileRefused(
            f"{file} mixes two date styles: {first.style} at {place(first.row)} ({first.text!r}) and "
            f"{other.style} at {place(other.row)} ({other.text!r}); {_WHAT_TO_DO}, or give --mixed-dates"
        )


def _only_reading(cells: list[_Cell], place: Place, file: str) -> str:
    """The one order of day and month with which the whole column makes sense."""
    objections = {reading: _objection(cells, reading, place) for reading in _READINGS}
    fitting = [reading for reading, objection in objections.items() if objection is None]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        unclear = _first_unclear(cells)
        american, european = (_day(unclear.style, unclear.numbers, reading) for reading in _READINGS)
        raise FileRefused(
            f"{file} {place(unclear.row)}: date {unclear.text!r} is {american} (M/D/Y) or {european} (D/M/Y),"
            f" and the whole file fits both; {_WHAT_TO_DO}"
        )
    reasons = "; ".join(f"not as {reading}: {objection}" for reading, objection in objections.items())
    raise FileRefused(f"{file}: the date column cannot be read as a whole, {reasons}; {_WHAT_TO_DO}")


def _first_unclear(cells: list[_Cell]) -> _Cell:
    """The first cell that means two different days; where every cell has day = month, the first one."""
    return next(
        (cell for cell in cells if cell.style in _YEAR_LAST and cell.numbers[0] != cell.numbers[1]), cells[0]
    )


def _objection(cells: list[_Cell], reading: str, place: Place) -> str | None:
    """What speaks against a reading, in words; None if it fits."""
    days = _days(cells, reading)
    by_group: dict[str, list[tuple[dt.date, _Cell]]] = defaultdict(list)
    for cell, day in zip(cells, days, strict=True):
        if day is None:
            return f"{place(cell.row)} {cell.text!r} is no day"
        by_group[cell.group].append((day, cell))
    for rows in by_group.values():
        forwards = len(rows) > 1 and rows[1][0] > rows[0][0]
        for (day, _), (following, cell) in pairwise(rows):
            if day == following or (following > day) != forwards:
                return f"{place(cell.row)} {cell.text!r} is out of order"
    return None


def _days(cells: list[_Cell], reading: str) -> list[dt.date | None]:
    return [_day(cell.style, cell.numbers, reading) for cell in cells]


def _day(style: str, numbers: tuple[int, int, int], reading: str) -> dt.date | None:
    if style in _YEAR_FIRST:
        year, month, day = numbers
    elif reading == "M/D/Y":
        month, day, year = numbers
    else:
        day, month, year = numbers
    # A table of prices older than the oldest exchange (Amsterdam, 1602) is no table of prices; and times end
    # in 2262 for some tools.
    if not 1602 <= year <= 2200:
        return None
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:37] + "...")
