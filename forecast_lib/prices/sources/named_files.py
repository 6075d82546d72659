"""Covariates and events from a user's own file: long, one row a value or a date.

A row that cannot be used is left out, and a sentence says how many there are, why, and where the first one
stands; the others stay. A file without the columns that are needed is refused.
"""

import contextlib
import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.covariates.inputs import EX_DIVIDEND, SPLIT
from forecast_lib.domain import AsOf, parse_ticker
from forecast_lib.errors import FileRefused, UsageError
from forecast_lib.prices.actions import LARGEST_PRICE, SPLIT_RANGE
from forecast_lib.prices.sources.file_cells import (
    Cells,
    Roles,
    csv_cells,
    is_parquet,
    parquet_cells,
    refuse_unless_plain,
    roles_of,
)
from forecast_lib.prices.sources.file_tables import sessions_in
from forecast_lib.prices.sources.files import ParquetFiles
from forecast_lib.sessions import EARLIEST_SESSION

__all__ = ["MARKET", "Found", "check_file", "read_covariates", "read_events"]

MARKET = "*"
"""In the place of a ticker: the whole market."""

_COMMON = {
    "date": ("session", "date", "day", "timestamp", "datetime"),
    "ticker": ("ticker", "symbol"),
    "known_at": ("knownat", "announcedat", "publishedat"),
}
_COVARIATES = Roles(
    {"name": ("name", "covariate", "series"), "value": ("value",), **_COMMON},
    ("name", "date", "value"),
    ("value",),
    "name, session and value",
)
_EVENTS = Roles(
    {"name": ("kind", "event", "name"), "value": ("value", "amount", "ratio"), **_COMMON},
    ("date", "name"),
    ("value",),
    "session and kind",
)
_LONGEST_NAME = 60
_FARTHEST = dt.timedelta(days=1100)
"""Events beyond it are slips of a file."""

_WITH_VALUE = {
    EX_DIVIDEND: ((1e-9, LARGEST_PRICE), "cash for a share, above 0"),
    SPLIT: (SPLIT_RANGE, "new shares for an old one, as 4 or 0.1"),
}
"""Kinds of events whose value is read, where a value may lie, and what it is."""


@dataclass(frozen=True)
class Found:
    """What a file holds.

    Attributes:
        rows: name (of events: kind), ticker (`*`: all), session, announced_at and value (of most events
            NaN); each day of a name and ticker once.
        left_out: sentences on rows that could not be used.
    """

    rows: pd.DataFrame
    left_out: tuple[str, ...] = ()


@dataclass
class _Rows:
    """The rows that are still in use, and why others are not."""

    cells: Cells
    usable: NDArray[np.bool_]
    said: list[str] = field(default_factory=list)

    def leave_out(self, wrong: NDArray[np.bool_], why: str) -> None:
        places = np.flatnonzero(wrong & self.usable)
        if len(places):
            self.usable[places] = False
            rows = "row" if len(places) == 1 else "rows"
            first = self.cells.place(int(places[0]))
            self.said.append(f"{self.cells.file}: {len(places)} {rows} left out, first {first}: {why}")


def check_file(path: Path, what: str, parquet: ParquetFiles) -> None:
    """Make sure that the file is there and has the columns that are needed.

    Args:
        what: `covariates` or `events`.

    Raises:
        FileRefused: says what is missing.
    """
    roles = _COVARIATES if what == "covariates" else _EVENTS
    refuse_unless_plain(path)
    if is_parquet(path):
        roles_of(parquet.header(path), path.name, roles)
    else:
        csv_cells(path, roles)


def read_covariates(
    path: Path, as_of: AsOf, tickers: Collection[str], also: Collection[str], parquet: ParquetFiles
) -> Found:
    """The values of the file that may be known on the evening.

    Args:
        tickers: of the run; a value of another is left out.
        also: tickers that serve as covariates; no series may bear their names, or those of `tickers`.

    Raises:
        FileRefused: the file cannot be read without guessing.
    """
    cells = _cells(path, _COVARIATES, parquet)
    rows, frame = _read(cells, tickers)
    values, unreadable = cells.numbers("value", commas_group=False)
    rows.leave_out(np.isin(np.arange(len(values)), unreadable), "the value is no number")
    rows.leave_out(~np.isfinite(values), "the value is missing or infinite")
    taken = frame["name"].isin([*tickers, *also]).to_numpy()
    rows.leave_out(taken, "the name is that of a ticker; rename it, or see --covariate-tickers")
    later = frame["session"].to_numpy("datetime64[D]") > np.datetime64(as_of.day, "D")
    rows.leave_out(later, f"the session is after {as_of.day}; what is known ahead goes into --events")
    early = frame["announced_at"].to_numpy("datetime64[us]") < frame["session"].to_numpy("datetime64[us]")
    rows.leave_out(early, "known_at lies before the session")
    frame = _once(rows, frame.assign(value=values), ["value"])
    still = frame.groupby(["name", "ticker"])["value"].transform(lambda each: each.nunique() == 1)
    many = frame.groupby(["name", "ticker"])["value"].transform("size") > 1
    for name in frame.loc[still & many, "name"].unique():
        rows.said.append(f"{cells.file}: {name!a} never changes: left out")
    return Found(frame[~(still & many)].reset_index(drop=True), tuple(rows.said))


def read_events(path: Path, as_of: AsOf, tickers: Collection[str], parquet: ParquetFiles) -> Found:
    """The dates of the file.

    Args:
        tickers: of the run; an event of another is left out.

    Raises:
        FileRefused: the file cannot be read without guessing.
    """
    cells = _cells(path, _EVENTS, parquet)
    rows, frame = _read(cells, tickers)
    far = frame["session"].to_numpy("datetime64[D]") > np.datetime64(as_of.day + _FARTHEST, "D")
    rows.leave_out(far, "the session is more than three years away")
    frame = _once(rows, frame.assign(value=_event_values(cells, rows, frame)), ["value"])
    return Found(frame.rename(columns={"name": "kind"}), tuple(rows.said))


def _event_values(cells: Cells, rows: _Rows, frame: pd.DataFrame) -> NDArray[np.float64]:
    """What the events come with, NaN where nothing is said; rows that say what cannot be are left out."""
    found = np.full(len(frame), np.nan)
    if "value" not in cells.columns:
        return found
    values, unreadable = cells.numbers("value", commas_group=False)
    odd = np.isin(np.arange(len(values)), unreadable) | np.isinf(values)
    for kind, ((low, high), meaning) in _WITH_VALUE.items():
        own = (frame["name"] == kind).to_numpy()
        rows.leave_out(
            own & (frame["ticker"] == MARKET).to_numpy() & ~np.isnan(values),
            f"{kind} with a value is of one ticker: name it",
        )
        wrong = odd | (values < low) | (values > high) | ((kind == SPLIT) & (values == 1))
        rows.leave_out(own & wrong, f"the value of {kind} cannot be: expected {meaning}")
        found[own] = values[own]
    return found


def _cells(path: Path, roles: Roles, parquet: ParquetFiles) -> Cells:
    refuse_unless_plain(path)
    if not is_parquet(path):
        return csv_cells(path, roles)
    columns = roles_of(parquet.header(path), path.name, roles)
    return parquet_cells(path, columns, *parquet.rows(path, columns, None))


def _read(cells: Cells, tickers: Collection[str]) -> tuple[_Rows, pd.DataFrame]:
    """Name, ticker, session and announced_at of every row, and which of them can be used."""
    count = len(cells.positions)
    rows = _Rows(cells, np.ones(count, dtype=bool))
    for position, _, reason in cells.ragged[:1]:
        more = f"{len(cells.ragged)} rows left out, first {cells.unit} {position}"
        rows.said.append(f"{cells.file}: {more}: {reason}")
    if not count:
        raise FileRefused(f"{cells.file} has no complete row under its header: expected at least one")
    names = pd.Series([str(name).strip() for name in cells.columns["name"]], dtype="str")
    good = names.map(lambda name: 0 < len(name) <= _LONGEST_NAME and name.isprintable() and "/" not in name)
    rows.leave_out(~good.to_numpy(bool), f"the name is empty, longer than {_LONGEST_NAME} or has a /")
    owners = _owners(cells, count)
    rows.leave_out((owners == "").to_numpy(), "the ticker is no ticker name")
    unknown = ~owners.isin([MARKET, *tickers]) & (owners != "")
    for example in owners[unknown].iloc[:1]:
        rows.leave_out(unknown.to_numpy(), f"the ticker is not one of the run, for example {example}")
    of = pd.factorize(names + "\n" + owners)[0]
    days = sessions_in(cells, of)
    rows.leave_out(np.isnat(days), "the session is no day")
    rows.leave_out(days < np.datetime64(EARLIEST_SESSION), "the session is before all exchanges")
    announced, wrong = _instants(cells, count)
    rows.leave_out(wrong, "known_at is no time: expected for example 2024-05-30T22:00:00+00:00")
    session = days.astype("datetime64[us]")
    return rows, pd.DataFrame(
        {"name": names, "ticker": owners, "session": session, "announced_at": announced}
    )


def _owners(cells: Cells, count: int) -> pd.Series:
    """The ticker of each row, `*` where it names none, empty where it is no ticker name."""
    if "ticker" not in cells.columns:
        return pd.Series([MARKET] * count, dtype="str")
    said = {text: _owner(text) for text in set(cells.columns["ticker"])}
    return pd.Series([said[text] for text in cells.columns["ticker"]], dtype="str")


def _owner(text: object) -> str:
    if text is None or str(text).strip() in ("", MARKET):
        return MARKET
    try:
        return parse_ticker(str(text))
    except UsageError:
        return ""


def _instants(cells: Cells, count: int) -> tuple[NDArray[np.datetime64], NDArray[np.bool_]]:
    """When each row became known, UTC, NaT where it does not say; and where it says what is no time. A date
    alone is its last moment; a column of nothing but midnights is one of dates, as pandas keeps them.
    """
    found, wrong = np.full(count, "NaT", "datetime64[us]"), np.zeros(count, dtype=bool)
    if "known_at" not in cells.columns:
        return found, wrong
    column = cells.columns["known_at"]
    if not isinstance(column, list):
        if column.dtype.kind != "M":
            raise FileRefused(
                f"{cells.file}: column {cells.names['known_at']!r} is {column.dtype}: expected times"
            )
        times = column.astype("datetime64[us]")
        days = times.astype("datetime64[D]").astype("datetime64[us]")
        are_dates = np.array_equal(times, days, equal_nan=True)
        return times + (_TO_ITS_END if are_dates else np.timedelta64(0, "us")), wrong
    for place, text in enumerate(column):
        try:
            found[place] = _instant(text.strip())
        except (ValueError, OverflowError):
            wrong[place] = True
    return found, wrong


_TO_ITS_END = np.timedelta64(1, "D") - np.timedelta64(1, "us")


def _instant(text: str) -> np.datetime64:
    if not text:
        return np.datetime64("NaT", "us")
    with contextlib.suppress(ValueError):
        return np.datetime64(dt.date.fromisoformat(text), "us") + _TO_ITS_END
    value = dt.datetime.fromisoformat(text)
    plain = value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)
    return np.datetime64(plain, "us")


def _once(rows: _Rows, frame: pd.DataFrame, values: list[str]) -> pd.DataFrame:
    """Each day of a name and ticker once, of several the one known first; days with two values at one time
    not at all.
    """
    key, places = ["name", "ticker", "session"], np.arange(len(frame))
    frame = frame[rows.usable].drop_duplicates([*key, "announced_at", *values])
    two = frame.duplicated([*key, "announced_at"], keep=False)
    rows.leave_out(np.isin(places, frame.index[two]), "two values for one day")
    frame = frame[~two].sort_values([*key, "announced_at"], na_position="first", kind="stable")
    again = frame.duplicated(key)
    rows.leave_out(np.isin(places, frame.index[again]), "the day has a value that was known earlier")
    return frame[~again].reset_index(drop=True)
