"""Which day does a date in a file mean? One answer for the whole column, or a refusal that names the line.

`1/3/2012` is 3 January in New York and 1 March in London, and a spreadsheet opened in the wrong country
rewrites one part of a column and not the other. So no cell is read alone. A reading counts only if, with it,
every row is a real day *and* the days run strictly forwards or strictly backwards; if both readings do,
nobody can know, and the file is refused. Times and offsets are dropped, not applied: the date that stands
there is the exchange's own.
"""

import datetime as dt
import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.errors import FileRefused, shown

__all__ = ["read_dates"]

_TIME_OF_DAY = (
    r"(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?)?"
)
_PATTERNS = {
    "YYYY-MM-DD": r"(\d{4})-(\d{2})-(\d{2})" + _TIME_OF_DAY,
    "YYYY/MM/DD": r"(\d{4})/(\d{1,2})/(\d{1,2})" + _TIME_OF_DAY,
    "YYYYMMDD": r"(\d{4})(\d{2})(\d{2})",
    "N/N/YYYY": r"(\d{1,2})/(\d{1,2})/(\d{4})" + _TIME_OF_DAY,
    "N-N-YYYY": r"(\d{1,2})-(\d{1,2})-(\d{4})" + _TIME_OF_DAY,
    "N.N.YYYY": r"(\d{1,2})\.(\d{1,2})\.(\d{4})" + _TIME_OF_DAY,
}
_READINGS = {"M/D/Y": (2, 0, 1), "D/M/Y": (2, 1, 0)}
"""Places of year, month and day among the numbers of a date whose year comes last."""

_YEARS = (1602, 2200)
"""A table of prices older than the oldest exchange (Amsterdam) is none; and times end in 2262 for some tools.
"""

_WHAT_TO_DO = "write the dates as YYYY-MM-DD"

Place = Callable[[int], str]
Days = NDArray[np.datetime64]


def read_dates(
    texts: Sequence[str], place: Place, groups: NDArray[np.integer], *, file: str, allow_mixed: bool = False
) -> Days:
    """(n,) datetime64[D], the day of each cell; NaT where the cell is no date at all.

    Args:
        texts: the n cells of the date column, in the file's order.
        place: row number -> how to name it in an error, for example `line 2`.
        groups: (n,) whose row it is; days must run in one direction within a group.
        file: the file's name, for errors.
        allow_mixed: read several styles in one column, all with the same order of day and month.

    Raises:
        FileRefused: no cell is a date, two styles are mixed, or day and month cannot be told apart.

    >>> line, same = lambda row: f"line {row + 2}", np.zeros(2, int)
    >>> read_dates(["1/13/2012", "1/17/2012"], line, same, file="a.csv").astype(str).tolist()
    ['2012-01-13', '2012-01-17']
    >>> read_dates(["1/3/2012", "1/4/2012"], line, same, file="a.csv")
    Traceback (most recent call last):
        ...
    forecast_lib.errors.FileRefused: a.csv line 2: date '1/3/2012' is 2012-01-03 (M/D/Y) or 2012-03-01 \
(D/M/Y), and the whole file fits both; write the dates as YYYY-MM-DD
    """
    # In a file of many tickers each date comes often.
    codes, distinct = pd.factorize(np.array(texts, dtype=object))
    cells = [_understood(text.strip()) for text in distinct]
    styles, parts = np.array([style for style, _ in cells])[codes], np.array([each for _, each in cells])
    dated = np.flatnonzero(styles != "")
    if not len(dated):
        raise FileRefused(
            f"{file} {place(0)}: {shown(texts[0])} is no date: expected YYYY-MM-DD, M/D/YYYY or D/M/YYYY in"
            " the date column"
        )
    other = dated[styles[dated] != styles[dated[0]]][:1]
    if len(other) and not allow_mixed:
        both = (f"{styles[row]} at {place(row)} ({texts[row].strip()!r})" for row in (dated[0], other[0]))
        mixed = f"{file} mixes two date styles: {' and '.join(both)}"
        raise FileRefused(f"{mixed}; {_WHAT_TO_DO}, or give --mixed-dates")
    year_first = np.array([style.startswith("Y") for style, _ in cells])
    if year_first[codes[dated]].all():
        return _days(parts, year_first, "M/D/Y")[codes]
    readings = {reading: _days(parts, year_first, reading)[codes] for reading in _READINGS}
    said = {reading: _objection(days, dated, groups, texts, place) for reading, days in readings.items()}
    fitting = [reading for reading, objection in said.items() if objection is None]
    if not fitting:
        reasons = "; ".join(f"not as {reading}: {objection}" for reading, objection in said.items())
        raise FileRefused(f"{file}: the date column cannot be read as a whole, {reasons}; {_WHAT_TO_DO}")
    if len(fitting) > 1:
        american, european = readings.values()
        row = np.append(dated[american[dated] != european[dated]], dated)[0]
        two = f"{american[row]} (M/D/Y) or {european[row]} (D/M/Y), and the whole file fits both"
        raise FileRefused(f"{file} {place(row)}: date {texts[row].strip()!r} is {two}; {_WHAT_TO_DO}")
    return readings[fitting[0]]


def _understood(text: str) -> tuple[str, tuple[int, int, int]]:
    """Style and numbers of a date cell; an empty style where it is none."""
    for style, pattern in _PATTERNS.items():
        if match := re.fullmatch(pattern, text, re.ASCII):
            return style, (int(match[1]), int(match[2]), int(match[3]))
    return "", (0, 0, 0)


def _days(numbers: NDArray[np.int64], year_first: NDArray[np.bool_], reading: str) -> Days:
    """The days that rows of three numbers mean; NaT where there is no such day."""
    order = np.where(year_first[:, None], (0, 1, 2), _READINGS[reading])
    dates = np.take_along_axis(numbers, order, axis=1).tolist()
    return np.array([_day(*each) for each in dates], dtype="datetime64[D]")


def _day(year: int, month: int, day: int) -> dt.date | None:
    try:
        return dt.date(year, month, day) if _YEARS[0] <= year <= _YEARS[1] else None
    except ValueError:
        return None


def _objection(
    days: Days, dated: NDArray[np.intp], groups: NDArray[np.integer], texts: Sequence[str], place: Place
) -> str | None:
    """What speaks against a reading, in words; None if it fits."""
    impossible = dated[np.isnat(days[dated])]
    if len(impossible):
        return f"{place(impossible[0])} {texts[impossible[0]].strip()!r} is no day"
    steps = pd.Series(days[dated].astype(np.int64)).groupby(groups[dated]).diff()
    first = steps.groupby(groups[dated]).transform("first")
    unordered = dated[steps.notna() & (steps * first <= 0)]
    row = next(iter(unordered), None)
    return None if row is None else f"{place(row)} {texts[row].strip()!r} is out of order"
