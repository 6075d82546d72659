"""From cells to columns: what a file says of each of its tickers, as it was traded.

A row that cannot be read is refused alone; the others stay. Where a file lists its splits and the prices show
that they are already divided by them, that is undone. A file that lists no splits passes as it stands.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import Ticker, parse_ticker
from forecast_lib.errors import FileRefused, NoPrices, TickerHeld, UsageError
from forecast_lib.prices.actions import in_order
from forecast_lib.prices.source import Asked, Offered, Told, actions_frame, refused_frame
from forecast_lib.prices.sources.dates import read_dates
from forecast_lib.prices.sources.file_cells import NUMBERS, Bad, Cells, plain_name
from forecast_lib.prices.sources.numbers import Numbers, read_numbers
from forecast_lib.prices.traded import Traded, on_traded_basis
from forecast_lib.windows.histories import Histories, key_of

__all__ = ["FileTable", "actions_in", "understood"]

_WITH_DECIMALS = tuple(role for role in NUMBERS if role != "volume")
_BEFORE_ALL = np.datetime64("0001-01-01")


@dataclass(frozen=True)
class FileTable:
    """What a file says.

    Attributes:
        traded: its rows and actions as they were traded.
        refused: ticker and REFUSED_COLUMNS.
        kinds: the kinds of action that it has a column for.
        origins: where rows stand in the file.
        torn: tickers that cannot be had, and why.
        ends: by ticker the first and the last session of the file, where more rows are there than were read.
    """

    traded: Traded
    refused: pd.DataFrame
    kinds: frozenset[str]
    origins: Callable[[NDArray[np.intp]], Sequence[str]]
    torn: Mapping[str, TickerHeld]
    ends: Mapping[str, tuple[dt.date, dt.date]] | None = None

    @property
    def tickers(self) -> tuple[str, ...]:
        """Those of which the file has a row, readable or not."""
        return self.traded.rows.tickers

    def offered(self, asked: Asked, last: dt.date) -> Offered:
        """The rows of tickers that it has, from the first sessions asked for on; all that it lists of
        actions, for one may have been added or taken back late.
        """
        rows, names = self.traded.rows, tuple(sorted(asked))
        index = pd.Index(rows.tickers).get_indexer(names)
        since, places = (
            np.full(len(rows.tickers), np.datetime64("9999-12-31")),
            np.full(len(rows.tickers), -1, dtype=np.int32),
        )
        for place, ticker in zip(index.tolist(), names, strict=True):
            since[place] = (
                np.datetime64("-9999-01-01") if asked[ticker] is None else np.datetime64(asked[ticker], "D")
            )
            places[place] = names.index(ticker)
        held = [place for place, ticker in enumerate(rows.tickers) if ticker in self.torn]
        wanted = (
            (rows.sessions >= since[rows.of])
            & (rows.sessions <= np.datetime64(last, "D"))
            & ~np.isin(rows.of, held)
        )
        chosen = np.flatnonzero(wanted)
        part = rows if len(chosen) == len(rows) else rows.rows(chosen)
        moved = Histories(names, places[part.of], part.sessions, part.figures, part.currencies, part.currency)
        actions = self.traded.actions
        actions = actions[actions["ticker"].isin(names) & (actions["session"] <= pd.Timestamp(last))]
        refused = self._refused(asked, last)
        told = self._told(asked, last, moved, set(refused["ticker"]))
        return Offered(moved, actions_frame([actions]), refused, told, lambda at: self.origins(chosen[at]))

    def _refused(self, asked: Asked, last: dt.date) -> pd.DataFrame:
        """Those within the sessions asked for, and those without a session."""
        mine = self.refused[self.refused["ticker"].isin(list(asked))]
        first = mine["ticker"].map(
            {ticker: pd.Timestamp(day or _BEFORE_ALL) for ticker, day in asked.items()}
        )
        return refused_frame(
            [mine[mine["session"].isna() | mine["session"].between(first, pd.Timestamp(last))]]
        )

    def _told(self, asked: Asked, last: dt.date, rows: Histories, refused: set[str]) -> dict[Ticker, Told]:
        counts = dict(zip(rows.tickers, np.diff(rows.bounds()).tolist(), strict=True))
        told = {}
        for ticker, first in asked.items():
            problem: TickerHeld | NoPrices | None = self.torn.get(ticker)
            begin, end = self._ends_of(ticker)
            if problem is None and not counts[ticker] and ticker not in refused:
                having = f"the file has {begin} to {end}" if begin else "the file has none"
                problem = NoPrices(
                    ticker, f"no row from {first or 'the beginning'} to {last}: {having}", rule="no_rows"
                )
            found = self.traded.found.get(ticker)
            told[ticker] = Told(
                problem,
                action_kinds=self.kinds,
                actions_from=begin,
                assumption=found.assumption if found else None,
                torn=found.torn if found else None,
                undone=bool(found and (len(found.splits) or found.torn)),
            )
        return told

    def _ends_of(self, ticker: str) -> tuple[dt.date | None, dt.date | None]:
        if self.ends is not None:
            return self.ends.get(ticker, (None, None))
        place = self.tickers.index(ticker)
        low, high = self.traded.rows.bounds()[place : place + 2].tolist()
        days = self.traded.rows.sessions[low:high]
        return (days[0].item(), days[-1].item()) if len(days) else (None, None)


def understood(
    cells: Cells, named: Ticker | None, *, allow_mixed_dates: bool, currency: str | None
) -> FileTable:
    """Every row of a file as columns.

    Args:
        named: the ticker of a file without a ticker column.
        currency: of rows that name none.

    Raises:
        FileRefused: it cannot be read without guessing.
    """
    if not cells.positions:
        raise FileRefused(f"{cells.file} has no complete row under its header: expected prices")
    tickers = _tickers(cells, named)
    bad = list(cells.ragged)
    frame = pd.DataFrame({"ticker": tickers, "session": _sessions(cells, tickers, allow_mixed_dates)})
    no_numbers: dict[str, list[int]] = {}
    for role in NUMBERS:
        frame[role], no_numbers[role] = _numbers(cells, role)
    frame["currency"] = cells.columns.get("currency", "")
    unreadable = _unreadable(cells, frame, no_numbers)
    bad += unreadable.values()
    positions = np.array(cells.positions)
    if unreadable:
        stays = np.setdiff1d(np.arange(len(frame)), list(unreadable))
        frame, positions = frame.iloc[stays], positions[stays]
    frame, torn = _one_currency(frame, currency, cells.file)
    names = tuple(sorted(set(tickers)))
    of = pd.Index(names).get_indexer(frame["ticker"]).astype(np.int32)
    order = np.argsort(key_of(of, frame["session"].to_numpy("datetime64[D]")), kind="stable")
    actions = actions_in(frame)
    rows = Histories.from_frame(frame.iloc[order], names)
    split_column = plain_name(cells.names.get("split", ""))
    traded = on_traded_basis(rows, actions, split_column)
    places = (
        positions[order] if len(traded.rows) == len(rows) else positions[order][rows.is_among(traded.rows)]
    )
    return FileTable(
        traded,
        _refused_frame(cells, bad, named),
        frozenset({"dividend", "split"}.intersection(cells.columns)),
        lambda at: [cells.origin(int(position)) for position in places[at]],
        torn,
    )


def _one_currency(
    frame: pd.DataFrame, otherwise: str | None, file: str
) -> tuple[pd.DataFrame, dict[str, TickerHeld]]:
    """With each ticker's currency, and the tickers whose rows name several."""
    said = frame["currency"].astype(str).str.strip()
    several = said[said != ""].groupby(frame["ticker"]).unique()
    torn = {
        str(ticker): TickerHeld(
            str(ticker),
            f"{file}: its rows name {' and '.join(sorted(codes))}: expected one currency; correct the"
            " currency column",
            rule="two_currencies",
        )
        for ticker, codes in several.items()
        if len(codes) > 1
    }
    own = frame["ticker"].map({ticker: codes[0] for ticker, codes in several.items()})
    return frame.assign(currency=own.where(own.notna(), otherwise)), torn


def _tickers(cells: Cells, named: Ticker | None) -> list[str]:
    column = cells.columns.get("ticker")
    if column is None:
        return [str(named)] * len(cells.positions)
    texts = [str(text) for text in column]
    first_rows = {text: row for row, text in reversed(list(enumerate(texts)))}
    known = {text: _ticker_in(text, cells, row) for text, row in first_rows.items()}
    return [known[text] for text in texts]


def _ticker_in(text: str, cells: Cells, index: int) -> Ticker:
    try:
        return parse_ticker(text)
    except UsageError as error:
        raise FileRefused(f"{cells.file} {cells.place(index)}: {error}") from None


def _sessions(cells: Cells, tickers: list[str], allow_mixed_dates: bool) -> pd.Series:
    column = cells.columns["date"]
    if isinstance(column, pd.Series):
        if isinstance(column.dtype, pd.DatetimeTZDtype) or not pd.api.types.is_datetime64_any_dtype(column):
            raise FileRefused(
                f"{cells.file}: column {cells.names['date']!r} is {column.dtype}: expected dates or times"
                " without a zone, as the exchange writes them"
            )
        return column.astype("datetime64[us]").dt.normalize().reset_index(drop=True)
    dates = read_dates(column, cells.place, tickers, file=cells.file, allow_mixed=allow_mixed_dates)
    return pd.Series(np.array(dates, dtype="datetime64[us]"))


def _numbers(cells: Cells, role: str) -> Numbers:
    column = cells.columns.get(role)
    if column is None:
        return Numbers(np.full(len(cells.positions), np.nan), [])
    if isinstance(column, pd.Series):
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            raise FileRefused(
                f"{cells.file}: column {cells.names[role]!r} is {column.dtype}: expected numbers"
            )
        return Numbers(column.to_numpy(dtype=float, na_value=np.nan), [])
    commas_group = role == "volume" or _writes_decimal_points(cells)
    named = {"file": cells.file, "column": cells.names[role]}
    return read_numbers(column, cells.place, **named, commas_group=commas_group, decimal=cells.decimal)


def _writes_decimal_points(cells: Cells) -> bool:
    texts = (cells.columns.get(role) for role in _WITH_DECIMALS)
    return any(
        isinstance(column, pd.Series) or any("." in text for text in column)
        for column in texts
        if column is not None
    )


def _unreadable(cells: Cells, frame: pd.DataFrame, no_numbers: dict[str, list[int]]) -> dict[int, Bad]:
    """Index -> why a row is refused, for rows with something unreadable."""
    bad: dict[int, Bad] = {}

    def refuse(index: int, rule: str, reason: str) -> None:
        session = frame.at[index, "session"]
        day = None if pd.isna(session) else session.date()
        row = cells.row_text(index)
        bad.setdefault(
            index, Bad(cells.positions[index], row, rule, reason, str(frame.at[index, "ticker"]), day)
        )

    for index in np.flatnonzero(frame["session"].isna()).tolist():
        refuse(
            index,
            "unreadable_date",
            f"{_cell_text(cells, 'date', index)} is no day: expected one like the other rows'",
        )
    for role, indices in no_numbers.items():
        for index in indices:
            refuse(
                index,
                "unreadable_number",
                f"{cells.names[role]} {_cell_text(cells, role, index)} is no number",
            )
    unknown = {text for text in frame["currency"].unique() if not _CURRENCY.fullmatch(str(text).strip())}
    for index in np.flatnonzero(frame["currency"].isin(unknown)).tolist():
        refuse(
            index,
            "unreadable_currency",
            f"{_cell_text(cells, 'currency', index)} is no currency: expected a code such as USD",
        )
    return bad


def _cell_text(cells: Cells, role: str, index: int) -> str:
    column = cells.columns[role]
    text = str(column.iloc[index] if isinstance(column, pd.Series) else column[index])
    return ascii(text if len(text) <= 40 else text[:37] + "...")


def _refused_frame(cells: Cells, bad: list[Bad], named: Ticker | None) -> pd.DataFrame:
    whose = [_owner(cells, row, named) for row in bad]
    columns = {
        "ticker": whose,
        "session": np.array([row.session for row in bad], dtype="datetime64[us]"),
        "row": [row.row for row in bad],
        "origin": [cells.origin(row.position) for row in bad],
        "rule": [row.rule for row in bad],
        "reason": [row.reason for row in bad],
    }
    return refused_frame([pd.DataFrame(columns)])


def _owner(cells: Cells, row: Bad, named: Ticker | None) -> str:
    if "ticker" not in cells.columns:
        return str(named)
    try:
        return parse_ticker(row.ticker or "")
    except UsageError:
        raise FileRefused(
            f"{cells.origin(row.position)}: {row.reason}, and it cannot be told whose row it is; correct"
            " the row"
        ) from None


_CURRENCY = re.compile(r"(?:[A-Z]{2}[A-Za-z])?", re.ASCII)
"""Three letters; the last one is small in codes of a hundredth, such as GBp. Or nothing."""


def actions_in(rows: pd.DataFrame) -> pd.DataFrame:
    """Ticker, session, kind and value: writers put 0 where there is no dividend, 0 or 1 where there is no
    split.
    """
    paid = rows["dividend"].notna() & (rows["dividend"] != 0)
    split = rows["split"].notna() & ~rows["split"].isin([0, 1])
    parts = [
        rows.loc[chosen, ["ticker", "session"]].assign(kind=kind, value=rows.loc[chosen, kind].astype(float))
        for kind, chosen in (("dividend", paid), ("split", split))
    ]
    return in_order(actions_frame(parts))
