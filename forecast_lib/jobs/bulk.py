"""A Parquet file of many tickers, all at once: what is plain goes into the store as it stands, the others one by one as always.

The file is read once, and only from where each ticker's overlap begins, or its oldest open gap; the whole of it for a ticker with an
action that is not known yet. The rows of all tickers are then held against the stored ones and against the rules in one go
(`prices.plain`); a ticker of which nothing is stored goes from the file to the table.
"""

import contextlib
import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.config import RunConfig
from forecast_lib.domain import Ticker
from forecast_lib.errors import FileRefused
from forecast_lib.jobs.ingest import Known, Taken, first_asked, nothing_taken, overlaid_actions, with_whole_past
from forecast_lib.prices.actions import LARGEST_PRICE, standing
from forecast_lib.prices.adjust import SPLIT_RANGE, split_factors
from forecast_lib.prices.files import parquet_roles, plain_name
from forecast_lib.prices.plain import Gaps, plain_tickers, rows_beside
from forecast_lib.prices.source import ACTION_COLUMNS
from forecast_lib.prices.traded import actions_as_traded, splits_to_undo
from forecast_lib.sessions import EARLIEST_SESSION
from forecast_lib.store import bulk, database
from forecast_lib.windows.histories import FIGURES, Histories, key_of, splits_of

__all__ = ["FEWEST_TO_STORE_WHOLE", "may_come_whole", "take_whole"]

FEWEST_TO_STORE_WHOLE = 200_000
"""Fewer rows reach the table as quickly from the columns that were read already."""

_SOURCE = "files"
_BEGINNING = np.datetime64(EARLIEST_SESSION, "D")


@dataclass(frozen=True)
class _Asked:
    """Tickers that may be plain.

    Attributes:
        tickers: in the order of their names.
        since: (tickers,) the first session that is asked for of each.
        actions: ticker, session, kind and value: all that the file says of these tickers, up to the run's day.
        splitting: those with a split in the file.
    """

    tickers: tuple[str, ...]
    since: NDArray[np.datetime64]
    actions: pd.DataFrame
    splitting: frozenset[str]


@dataclass(frozen=True)
class _Offered:
    """What the file says of the tickers from `since` on, as traded.

    Attributes:
        actions: ticker, session, kind and value: all that the file lists, for one may have been added or taken back late.
        doubtful: places of the tickers whose prices do not show whether they are split-adjusted.
        undone: places of the tickers whose prices the file has split-adjusted.
    """

    rows: Histories
    actions: pd.DataFrame
    doubtful: list[int]
    undone: list[int]


def may_come_whole(config: RunConfig) -> bool:
    """Whether the run's source is a Parquet file; its columns are yet to be seen."""
    path = config.source.path
    return config.source.name == _SOURCE and path is not None and path.suffix.lower() == ".parquet" and path.is_file()


def take_whole(
    config: RunConfig, known: Known, *, fewest_to_store_whole: int = FEWEST_TO_STORE_WHOLE
) -> tuple[Taken, tuple[Ticker, ...], Known]:
    """The part of the run's file that is plain, the tickers that are left, and what is known of both, with the whole past where it is
    needed.

    Everything is left where the source is no Parquet file with a ticker column and typed columns, or one that cannot be read: the way of
    single tickers says why.
    """
    path = config.source.path
    if path is not None and may_come_whole(config):
        with contextlib.suppress(FileRefused):
            if (opened := _opened(config, path)) is not None:
                return _taken_from(config, known, *opened, fewest_to_store_whole)
    return nothing_taken(), config.tickers, with_whole_past(config.workspace, known, config.tickers, config.as_of)


def _taken_from(
    config: RunConfig, known: Known, file: bulk.WholeFile, names: pd.DataFrame, actions: pd.DataFrame, fewest_to_store_whole: int
) -> tuple[Taken, tuple[Ticker, ...], Known]:
    asked = _asked(config, known, file, names, _kinds(actions, config))
    known = with_whole_past(config.workspace, known, _looking_back(known, asked), config.as_of)
    offered = _offered(config, file, asked)
    taken = _taken(config, known, offered)
    taken = dataclasses.replace(taken, clean=_clean(config, known, file, names, offered, taken, fewest_to_store_whole))
    left = tuple(ticker for ticker in config.tickers if ticker not in taken.rows_new)
    return taken, left, with_whole_past(config.workspace, known, left, config.as_of)


def _opened(config: RunConfig, path: Path) -> tuple[bulk.WholeFile, pd.DataFrame, pd.DataFrame] | None:
    """The file, its names and its actions; None where it is empty, or its columns must be read with more care."""
    with database.open_working(config.workspace, config.as_of.now) as con:
        types = bulk.described(con, path)
        columns = parquet_roles(list(types), path.name)
        if columns is None or "currency" in columns or config.source.currency or not bulk.can_be_taken_whole(types, columns):
            return None
        file = bulk.WholeFile(path, columns)
        names = bulk.names_in(con, file)
        return (file, names, bulk.actions_in(con, file)) if len(names) else None


def _kinds(actions: pd.DataFrame, config: RunConfig) -> pd.DataFrame:
    """Ticker, session, kind and value, of splits also after the run's day, and whether the ticker has a value that can be no action."""
    parts = [
        actions.loc[actions[kind] != unchanged, ["ticker", "session"]].assign(kind=kind, value=actions[kind])
        for kind, unchanged in (("dividend", 0.0), ("split", 1.0))
    ]
    found = pd.concat(parts, ignore_index=True)
    found = found[found["value"] != 0]
    fits = np.where(found["kind"] == "split", found["value"].between(*SPLIT_RANGE), found["value"].between(0, LARGEST_PRICE))
    impossible = found["ticker"].isin(found.loc[~fits, "ticker"])
    found = found.assign(impossible=impossible)[(found["session"] <= pd.Timestamp(config.as_of.day)) | (found["kind"] == "split")]
    return found.sort_values(["ticker", "session", "kind"], ignore_index=True)


def _asked(config: RunConfig, known: Known, file: bulk.WholeFile, names: pd.DataFrame, actions: pd.DataFrame) -> _Asked:
    """Not those with a row that a person released, with an impossible action, or whose name the file spells in two ways; nor those with
    splits whose file goes on after the run's day: what its later rows show of them is not read here; nor those with an action that the
    file has taken back.
    """
    spelled = names["ticker"].fillna("").str.strip().str.upper()
    dated = names["dated"] & (names["first"] >= pd.Timestamp(EARLIEST_SESSION))
    clear = dated & (spelled == names["ticker"]) & ~spelled.duplicated(keep=False)
    splitting = frozenset(actions.loc[actions["kind"] == "split", "ticker"])
    goes_on = set(names.loc[names["last"] > pd.Timestamp(config.as_of.day), "ticker"])
    doubtful = {*known.released["ticker"], *actions.loc[actions["impossible"], "ticker"], *(splitting & goes_on)}
    wanted = {str(ticker) for ticker in config.tickers if not known.calendar_of(ticker).recorded_fallback} - doubtful
    fits = sorted(wanted.intersection(names.loc[clear, "ticker"]))
    mine = actions.loc[actions["ticker"].isin(fits), ["ticker", *ACTION_COLUMNS]]
    since = {ticker: _since(known, ticker) for ticker in fits}
    since |= dict.fromkeys(_with_new_actions(known, mine), _BEGINNING)
    fits = sorted(set(fits) - _with_lost_actions(known, mine, names, file))
    mine, splitting = mine[mine["ticker"].isin(fits)], splitting.intersection(fits)
    return _Asked(tuple(fits), np.array([since[ticker] for ticker in fits], dtype="datetime64[D]"), mine, splitting)


def _since(known: Known, ticker: str) -> np.datetime64:
    first = first_asked(known.sessions_of(ticker), known.missing.get(ticker))
    return _BEGINNING if first is None else np.datetime64(first, "D")


def _with_new_actions(known: Known, actions: pd.DataFrame) -> set[str]:
    """Tickers with an action of a kind and session of which none was known: their whole history is read again."""
    new = ~np.isin(_keys(actions, known), _keys(standing(known.actions), known))
    return set(actions.loc[new, "ticker"])


def _with_lost_actions(known: Known, actions: pd.DataFrame, names: pd.DataFrame, file: bulk.WholeFile) -> set[str]:
    """Tickers with a known action between their first and last row of the file that the file would have and has not."""
    before = standing(known.actions)
    before = before[before["kind"].isin(file.columns.keys())]
    lost = before[~np.isin(_keys(before, known), _keys(actions, known))]
    ends = names.set_index("ticker")
    inside = lost["session"].between(lost["ticker"].map(ends["first"]), lost["ticker"].map(ends["last"]))
    return set(lost.loc[inside, "ticker"])


def _keys(actions: pd.DataFrame, known: Known) -> NDArray[np.int64]:
    """One number for ticker, session and kind."""
    of = pd.Index(known.histories.tickers).get_indexer(actions["ticker"]).astype(np.int32)
    return 2 * key_of(of, actions["session"].to_numpy("datetime64[D]")) + (actions["kind"] == "split").to_numpy(np.int64)


def _looking_back(known: Known, asked: _Asked) -> list[Ticker]:
    """The tickers that are asked for more than the end of their stored history."""
    begins = {ticker: known.sessions_of(ticker)[:1] for ticker in asked.tickers}
    return [Ticker(each) for each, since in zip(asked.tickers, asked.since, strict=True) if len(begins[each]) and since < begins[each][0]]


def _offered(config: RunConfig, file: bulk.WholeFile, asked: _Asked) -> _Offered:
    """The rows from `since` on. Of a ticker with splits the whole file is read first: it shows whether they are already in the prices."""
    splits = np.array([ticker in asked.splitting for ticker in asked.tickers], dtype=bool)
    since = np.where(splits, _BEGINNING, asked.since)
    with database.open_working(config.workspace, config.as_of.now) as con:
        rows = bulk.offered_rows(con, file, pd.DataFrame({"ticker": list(asked.tickers), "since": since}), config.as_of)
    column = plain_name(file.columns.get("split", ""))
    offered = _as_traded(_Offered(rows, asked.actions, [], []), np.flatnonzero(splits).tolist(), column)
    wanted = offered.rows.sessions >= asked.since[offered.rows.of]
    return offered if wanted.all() else dataclasses.replace(offered, rows=offered.rows.rows(wanted))


def _as_traded(offered: _Offered, places: Collection[int], split_column: str) -> _Offered:
    """With what the file has split-adjusted undone, in the arrays as they came: nobody else has them yet, and copies would be large.

    Args:
        places: of the tickers with splits.
    """
    if not places:
        return offered
    rows, bounds = offered.rows, offered.rows.bounds()
    by_ticker = offered.actions.groupby("ticker").indices
    parts = [offered.actions[~offered.actions["ticker"].isin([rows.tickers[place] for place in places])]]
    doubtful, undone = [], []
    for place in places:
        mine, own = slice(*bounds[place : place + 2]), offered.actions.iloc[by_ticker[rows.tickers[place]]]
        closes = pd.DataFrame({"session": rows.sessions[mine].astype("datetime64[us]"), "close": rows.figures["close"][mine]})
        found = splits_to_undo(closes, own, split_column)
        if found is None or found.assumption is not None:
            doubtful.append(place)
            continue
        parts.append(actions_as_traded(own, found.splits))
        if len(found.splits):
            undone.append(place)
            factors = split_factors(closes["session"], found.splits)
            for name in FIGURES:  # as `prices.adjust.as_traded` has it
                rows.figures[name][mine] = rows.figures[name][mine] / factors if name == "volume" else rows.figures[name][mine] * factors
    actions = pd.concat(parts, ignore_index=True)
    return _Offered(rows, actions, doubtful, undone)


def _taken(config: RunConfig, known: Known, offered: _Offered) -> Taken:
    """What is new of the plain tickers; `clean` is left empty."""
    rows = offered.rows
    stored = rows_beside(rows, known.histories)
    plain = _plain(config, known, offered, stored)
    new = rows.rows(plain[rows.of] & ~rows.is_among(stored))
    counts = np.bincount(new.of, minlength=len(plain)).tolist()
    mine = {ticker: count for ticker, count, is_plain in zip(rows.tickers, counts, plain, strict=True) if is_plain}
    calendars = {ticker: known.calendar_of(ticker) for ticker in mine}
    actions = offered.actions[offered.actions["ticker"].isin(mine.keys())]
    return dataclasses.replace(
        nothing_taken(), new=new.placed(known.histories.tickers), calendars=calendars, rows_new=mine, actions=actions
    )


def _plain(config: RunConfig, known: Known, offered: _Offered, stored: Histories) -> NDArray[np.bool_]:
    rows = offered.rows
    calendars = [known.calendar_of(ticker) for ticker in rows.tickers]
    places = {calendar: place for place, calendar in enumerate(dict.fromkeys(calendars))}
    first = min((part.sessions.min() for part in (rows, stored) if len(part)), default=np.datetime64(config.as_of.day))
    sessions = [each.sessions(pd.Timestamp(first), each.last_known(config.as_of)).to_numpy("datetime64[D]") for each in places]
    of_ticker = np.array([places[each] for each in calendars], dtype=np.intp)
    before, now = (actions[actions["kind"] == "split"] for actions in (known.actions, offered.actions))
    splits = splits_of(overlaid_actions(before, now)) if len(now) else known.splits
    plain = plain_tickers(rows, stored, splits, sessions, of_ticker, _gaps(known, rows.tickers))
    plain[offered.doubtful] = False
    too_large = offered.actions.loc[~offered.actions["value"].between(0, LARGEST_PRICE), "ticker"]
    plain[pd.Index(rows.tickers).get_indexer(too_large)] = False
    return plain


def _gaps(known: Known, tickers: tuple[str, ...]) -> Gaps:
    """Sessions of these tickers that are known to be missing, or were declared closed."""
    waiting = known.waiting[known.waiting["ticker"].isin(tickers)]
    return pd.Index(tickers).get_indexer(waiting["ticker"]).astype(np.int32), waiting["session"].to_numpy("datetime64[D]")


def _clean(
    config: RunConfig, known: Known, file: bulk.WholeFile, names: pd.DataFrame, offered: _Offered, taken: Taken, fewest_to_store_whole: int
) -> bulk.CleanRows | None:
    """How the new rows reach the table: from the file those of tickers of which nothing is stored, the others from columns."""
    rows, whole = taken.new, None
    undone = {offered.rows.tickers[place] for place in offered.undone}
    first_time = tuple(ticker for ticker in taken.rows_new if not len(known.sessions_of(ticker)) and ticker not in undone)
    if sum(taken.rows_new[ticker] for ticker in first_time) >= fewest_to_store_whole:
        left_out = tuple(names.loc[~names["ticker"].isin(first_time), "ticker"].dropna())
        whole = bulk.WholeTickers(file, first_time, left_out, config.as_of.day)
        rows = rows.rows(np.isin(np.array(rows.tickers), first_time, invert=True)[rows.of])
    return bulk.CleanRows(rows, whole, _SOURCE, config.as_of.now) if len(rows) or whole is not None else None
