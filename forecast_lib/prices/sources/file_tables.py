"""From cells to columns: what a file says of each of its tickers, as it was traded.

A row that cannot be read is refused alone; the others stay. Where a file lists its splits and the prices show
that they are already divided by them, that is undone. A file that lists no splits passes as it stands.
"""

import dataclasses
import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import Ticker, parse_ticker
from forecast_lib.errors import FileRefused, NoPrices, TickerHeld, UnknownTicker, UsageError, some_of
from forecast_lib.prices.source import (
    REFUSED_COLUMNS,
    VALUES,
    Asked,
    Offered,
    Told,
    actions_frame,
    listed_actions,
    refused_frame,
)
from forecast_lib.prices.sources.dates import read_dates
from forecast_lib.prices.sources.file_cells import NUMBERS, Cells, plain_name
from forecast_lib.prices.traded import on_traded_basis
from forecast_lib.windows.histories import Histories, key_of

__all__ = ["part_of", "sessions_in", "understood"]

_CURRENCY = re.compile(r"(?:[A-Z]{2}[A-Za-z])?", re.ASCII)
"""Three letters; the last one is small in codes of a hundredth, such as GBp. Or nothing."""

_BEFORE_ALL, _AFTER_ALL = np.datetime64("-9999-01-01"), np.datetime64("9999-12-31")


def part_of(whole: Offered, asked: Asked, last: dt.date, file: str) -> Offered:
    """What a file says of some tickers from their first sessions on; of actions all that it lists: some are
    added or taken back late.

    Args:
        whole: what is known of the file (`understood`).
    """
    rows, names = whole.rows, tuple(sorted(asked))
    places = pd.Index(names).get_indexer(rows.tickers).astype(np.int32)
    since = np.full(len(rows.tickers), _AFTER_ALL)
    for place, ticker in enumerate(map(Ticker, rows.tickers)):
        if ticker in asked and not whole.told[ticker].problem:
            since[place] = asked[ticker] or _BEFORE_ALL
    chosen = np.flatnonzero((rows.sessions >= since[rows.of]) & (rows.sessions <= np.datetime64(last, "D")))
    part = rows if len(chosen) == len(rows) else rows.rows(chosen)
    found = Histories(names, places[part.of], part.sessions, part.figures, part.currencies, part.currency)
    actions, refused = (frame[frame["ticker"].isin(names)] for frame in (whole.actions, whole.refused))
    begin = {ticker: pd.Timestamp(asked[ticker] or dt.date.min) for ticker in refused["ticker"].unique()}
    early = refused["session"] < refused["ticker"].map(begin).astype("datetime64[us]")
    refused = refused_frame([refused[~early & ~(refused["session"] > pd.Timestamp(last))]])
    there, told = {*refused["ticker"], *(names[place] for place in np.unique(found.of).tolist())}, {}
    for ticker, first in asked.items():
        said = told[ticker] = whole.told.get(ticker) or Told(_unknown(ticker, whole, file))
        if said.problem is None and ticker not in there:
            begins = said.actions_from
            having = "the file has none" if begins is None else f"its rows begin on {begins}"
            reason = f"no row from {first or 'the beginning'} to {last}: {having}"
            told[ticker] = dataclasses.replace(said, problem=NoPrices(ticker, reason))
    actions = actions_frame([actions[actions["session"] <= pd.Timestamp(last)]])
    return Offered(found, actions, refused, told, lambda at: whole.origins(chosen[at]))


def _unknown(ticker: Ticker, whole: Offered, file: str) -> UnknownTicker:
    holds = f"{file} holds {some_of(sorted(whole.told))}"
    return UnknownTicker(ticker, f"{holds}; name one of these, or rename the file")


def understood(
    cells: Cells,
    named: Ticker | None,
    *,
    allow_mixed_dates: bool,
    currency: str | None,
    begins: Mapping[str, np.datetime64] | None = None,
) -> Offered:
    """Everything that a file says, as it was traded; of each ticker that it has, a readable row or not, a
    word.

    Args:
        named: the ticker of a file without a ticker column.
        currency: of rows that name none.
        begins: the first session of each ticker in the file; None where all of its rows are here.

    Raises:
        FileRefused: it cannot be read without guessing.
    """
    if not len(cells.positions) and begins is None:
        raise FileRefused(f"{cells.file} has no complete row under its header: expected prices")
    names, of = _tickers(cells, named)
    days = sessions_in(cells, of, allow_mixed_dates=allow_mixed_dates)
    no_day = "is no day: expected one like the other rows'"
    wrong = {at: ("unreadable_date", f"{cells.shown('date', at)} {no_day}") for at in _where(np.isnat(days))}
    figures = _figures(cells, wrong)
    said, held = _currencies(cells, names, of, wrong)
    order = np.delete(np.arange(len(of)), list(wrong)) if wrong else slice(None)
    keys = key_of(of[order], days[order])
    if (keys[1:] < keys[:-1]).any():
        order = np.arange(len(of))[order][np.argsort(keys, kind="stable")]
    picked = {role: values[order] for role, values in figures.items()}
    own = [said.get(name, currency) for name in names]
    currencies = tuple(dict.fromkeys(code for code in own if code is not None))
    code = np.array([-1 if each is None else currencies.index(each) for each in own], dtype=np.int16)
    rows = Histories(
        names, of[order], days[order], {name: picked[name] for name in VALUES}, currencies, code[of[order]]
    )
    owners = pd.Categorical.from_codes(rows.of, categories=list(names))
    actions = listed_actions(
        owners, rows.sessions, picked.get("dividend"), picked.get("split")
    ).drop_duplicates(ignore_index=True)
    traded = on_traded_basis(rows, actions, plain_name(cells.names.get("split", "")))
    if begins is None:
        begins = {ticker: rows.sessions[low] for ticker, low, high in rows.spans() if high > low}
    kinds, assumed, torn = (
        frozenset({"dividend", "split"}.intersection(cells.columns)),
        traded.assumed,
        traded.torn,
    )
    told = {
        Ticker(each): Told(held.get(each), None, kinds, begins.get(each), assumed.get(each), torn.get(each))
        for each in {*names, *begins}
    }
    refused = _refused(cells, names, of, days, wrong, named)

    def origins(at: NDArray[np.intp]) -> list[str]:
        return [f"{cells.file} {cells.place(row)}" for row in np.arange(len(of))[order][traded.stays][at]]

    return Offered(traded.rows, traded.actions, refused, told, origins)


def _where(flags: NDArray[np.bool_]) -> list[int]:
    places: list[int] = np.flatnonzero(flags).tolist()
    return places


def _tickers(cells: Cells, named: Ticker | None) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """The tickers of a file, and the place of each row's among them."""
    if "ticker" not in cells.columns:
        if named is None:
            raise FileRefused(
                f"{cells.file} has no ticker column, and its name is no ticker: say whose prices it holds"
                f" with --tickers and one name, or rename the file to TICKER.{cells.file.rpartition('.')[2]}"
            )
        return (str(named),), np.zeros(len(cells.positions), dtype=np.int32)
    codes, texts = pd.factorize(pd.Series(cells.columns["ticker"]), use_na_sentinel=False)
    found = []
    for code, text in enumerate(texts):
        try:
            found.append(parse_ticker(text if isinstance(text, str) else ""))
        except UsageError as error:
            raise FileRefused(f"{cells.file} {cells.place(int((codes == code).argmax()))}: {error}") from None
    names = tuple(sorted(set(found)))
    return names, pd.Index(names).get_indexer(found).astype(np.int32)[codes]


def sessions_in(
    cells: Cells, of: NDArray[np.integer], *, allow_mixed_dates: bool = False
) -> NDArray[np.datetime64]:
    """(rows,) the day of each row, NaT where its cell is none.

    Args:
        of: (rows,) whose row it is.

    Raises:
        FileRefused: the column is of another kind, or cannot be read without guessing.
    """
    column = cells.columns["date"]
    if isinstance(column, list):
        return read_dates(column, cells.place, of, file=cells.file, allow_mixed=allow_mixed_dates)
    if column.dtype.kind != "M":
        raise FileRefused(
            f"{cells.file}: column {cells.names['date']!r} is {column.dtype}: expected dates or times without"
            " a zone, as the exchange writes them"
        )
    return np.asarray(column.astype("datetime64[D]"))


def _figures(cells: Cells, wrong: dict[int, tuple[str, str]]) -> dict[str, NDArray[np.float64]]:
    """VALUES, and the actions where the file has them, by role; rows with a cell that is no number go among
    the `wrong`.
    """
    figures = {role: np.full(len(cells.positions), np.nan) for role in VALUES if role not in cells.columns}
    texts = [cells.columns[role] for role in NUMBERS if role in cells.columns and role != "volume"]
    decimals = any(not isinstance(column, list) or any("." in text for text in column) for column in texts)
    for role in (role for role in NUMBERS if role in cells.columns):
        figures[role], unreadable = cells.numbers(role, commas_group=role == "volume" or decimals)
        for at in unreadable:
            why = f"{cells.names[role]} {cells.shown(role, at)} is no number"
            wrong.setdefault(at, ("unreadable_number", why))
    return figures


def _currencies(
    cells: Cells, names: Sequence[str], of: NDArray[np.int32], wrong: dict[int, tuple[str, str]]
) -> tuple[dict[str, str], dict[str, TickerHeld]]:
    """By ticker the currency that its rows name, and why it cannot be had where they name several."""
    if "currency" not in cells.columns:
        return {}, {}
    said = pd.Series(cells.columns["currency"], dtype="str").fillna("").str.strip()
    for at in _where(~said.isin([text for text in said.unique() if _CURRENCY.fullmatch(text)]).to_numpy()):
        why = f"{cells.shown('currency', at)} is no currency: expected a code such as USD"
        wrong.setdefault(at, ("unreadable_currency", why))
    said = said.drop(index=list(wrong)).loc[lambda each: each != ""]
    codes = {names[place]: sorted(found) for place, found in said.groupby(of[said.index]).unique().items()}
    held = {}
    for ticker, found in codes.items():
        if len(found) > 1:
            several = (
                f"its rows name {' and '.join(found)}: expected one currency; correct the currency column"
            )
            held[ticker] = TickerHeld(ticker, f"{cells.file}: {several}", rule="two_currencies")
    return {ticker: found[0] for ticker, found in codes.items()}, held


def _refused(
    cells: Cells,
    names: Sequence[str],
    of: NDArray[np.int32],
    days: NDArray[np.datetime64],
    wrong: Mapping[int, tuple[str, str]],
    named: Ticker | None,
) -> pd.DataFrame:
    """Ticker and REFUSED_COLUMNS of the rows that cannot be read or do not fit the header."""
    lines = [
        (names[of[at]], days[at], cells.row_text(at), cells.positions[at], *why)
        for at, why in sorted(wrong.items())
    ]
    for position, row, reason in cells.ragged:
        owner = named
        if "ticker" in cells.names:
            column = list(cells.header).index(cells.names["ticker"])
            try:
                owner = parse_ticker(row[column] if column < len(row) else "")
            except UsageError:
                whose = "it cannot be told whose row it is; correct the row"
                raise FileRefused(f"{cells.file} {cells.unit} {position}: {reason}, and {whose}") from None
        lines.append((str(owner), np.datetime64("NaT", "D"), json.dumps(row), position, "ragged_row", reason))
    frame = pd.DataFrame(lines, columns=["ticker", *REFUSED_COLUMNS])
    origins = [f"{cells.file} {cells.unit} {position}" for position in frame["origin"]]
    return refused_frame([frame.assign(origin=origins)])
