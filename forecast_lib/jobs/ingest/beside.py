"""What is known beside prices: covariates and events, stored and from tonight's files.

Nothing here holds up a night: a file that cannot be read tonight, or a row of it that cannot be used, is
said, and what was stored before serves.
"""

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecast_lib.config import RunConfig
from forecast_lib.covariates.inputs import COVARIATE, EVENT, EX_DIVIDEND, SPLIT
from forecast_lib.covariates.series import Covariate
from forecast_lib.errors import FileRefused
from forecast_lib.prices.source import Listed
from forecast_lib.prices.sources.named_files import MARKET, read_covariates, read_events
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store.parquet import ParquetFiles
from forecast_lib.store.working import reads, revisions
from forecast_lib.store.working.store import Store
from forecast_lib.tables import empty, stacked
from forecast_lib.windows.series import TickerSeries

if TYPE_CHECKING:
    from forecast_lib.jobs.ingest.new_prices import Market

__all__ = ["Beside", "apart", "asked_names", "read_beside"]

_FORGOTTEN = dt.timedelta(days=60)
"""A series without a value for so long is no longer asked for."""

_NO_MORE = dt.timedelta(days=400)
"""Nor is a kind of event without a date for so long: what happens once a year is kept."""

_FILES = "files"
_DATE = ["kind", "ticker", "session"]
"""What names a date of an event."""


@dataclass(frozen=True)
class Beside:
    """Everything known beside prices at the run's evening.

    Attributes:
        covariates: columns of `covariates`, the newest revision of each value up to the evening.
        events: columns of `events`, every revision of every date.
        tickers: those that serve as covariates, with their calendars.
        new_covariates, new_events: tonight's new rows of the two tables, as they will be stored (without
            run_id).
        left_out: what could not be used, in sentences.
    """

    covariates: pd.DataFrame = field(default_factory=lambda: empty("covariates"))
    events: pd.DataFrame = field(default_factory=lambda: empty("events"))
    tickers: Mapping[str, tuple[TickerSeries, TickerCalendar]] = field(default_factory=dict)
    new_covariates: pd.DataFrame = field(default_factory=lambda: empty("covariates").drop(columns="run_id"))
    new_events: pd.DataFrame = field(default_factory=lambda: empty("events").drop(columns="run_id"))
    left_out: tuple[str, ...] = ()

    def series(self) -> list[Covariate]:
        """The named series; of the tickers, their closes, known when their own session was."""
        named = [
            Covariate(
                str(name),
                None if ticker == MARKET else str(ticker),
                rows["session"].to_numpy("datetime64[D]"),
                rows["value"].to_numpy(np.float64),
                rows["announced_at"].to_numpy("datetime64[us]"),
            )
            for (name, ticker), rows in self.covariates.groupby(["name", "ticker"])
        ]
        return named + [
            Covariate(name, None, series.sessions, series.close, calendar.evenings(series.sessions))
            for name, (series, calendar) in self.tickers.items()
        ]

    def splits_to_come(self, day: dt.date) -> dict[str, pd.DataFrame]:
        """By ticker, session and value of the splits that are announced for sessions after `day`; of tickers
        that have any.
        """
        ahead = self.events[(self.events["kind"] == SPLIT) & (self.events["session"] > pd.Timestamp(day))]
        newest = ahead.sort_values("revision").drop_duplicates(["ticker", "session"], keep="last")
        standing = newest[newest["expected"] & newest["value"].notna()].sort_values("session")
        return {str(ticker): rows[["session", "value"]] for ticker, rows in standing.groupby("ticker")}


def apart(market: "Market", config: RunConfig) -> "Market":
    """The market of the tickers asked for, and beside it those that serve as covariates."""
    names = config.beside.tickers
    also = [name for name in names if name not in config.tickers]
    found = {
        str(name): (market.series[name], market.calendars[name]) for name in names if name in market.series
    }
    wrong = [name for name in names if name in market.problems]
    left_out = tuple(f"covariate {name}: {market.problems[name].reason}" for name in wrong)
    parts: dict[str, Any] = {
        part: {name: value for name, value in getattr(market, part).items() if name not in also}
        for part in ("series", *market.BY_TICKER)
    }
    return dataclasses.replace(market, **parts, beside=Beside(tickers=found, left_out=left_out))


def read_beside(
    store: Store, config: RunConfig, known: Beside = Beside(), listed: Sequence[Listed] = ()
) -> Beside:
    """What is stored of covariates and events that are asked for, and what files and the source have anew.

    A past night that is run again asks no file.

    Args:
        known: already, the tickers that serve as covariates.
        listed: the dates that the source lists; none where it was not asked.
    """
    if config.beside.covariates is not None:
        known = _with_covariates(store, config, config.beside.covariates, known)
    if config.beside.events is not None or config.beside.calendars:
        known = _with_events(store, config, listed, known)
    return known


def _with_covariates(store: Store, config: RunConfig, path: Path, known: Beside) -> Beside:
    stored, new = reads.read_covariates(store.con, config.as_of), known.new_covariates
    said = list(known.left_out)
    if not config.as_of.is_past:
        try:
            found = read_covariates(path, config.as_of, config.tickers, config.beside.tickers, ParquetFiles())
            said += found.left_out
            new = revisions.diff_covariates(store.con, found.rows.assign(source=_FILES), config.as_of)
        except FileRefused as error:
            said.append(f"covariates: {error}; what was stored before is used")
    key = ["name", "ticker", "session"]
    both = pd.concat([stored, new], ignore_index=True).drop_duplicates(key, keep="last")
    both = both.sort_values(key, ignore_index=True)
    return dataclasses.replace(known, covariates=both, new_covariates=new, left_out=tuple(said))


def _with_events(store: Store, config: RunConfig, listed: Sequence[Listed], known: Beside) -> Beside:
    asked, as_of, said = config.beside, config.as_of, list(known.left_out)
    sources = {_FILES} if asked.events is not None else set[str]()
    sources |= {config.source.name} if asked.calendars else set()
    stored = reads.read_events(store.con, as_of)
    standing = _of_sources(stored, sources).sort_values("revision").drop_duplicates(_DATE, keep="last")
    standing = standing[standing["expected"] & (standing["session"] > pd.Timestamp(as_of.day))]
    told = []
    if asked.events is not None and not as_of.is_past:
        try:
            found = read_events(asked.events, as_of, config.tickers, ParquetFiles())
            said += found.left_out
            own = (standing["source"] == _FILES) & standing["ticker"].isin([MARKET, *config.tickers])
            told.append(_with_given_up(found.rows, standing[own], _FILES))
        except FileRefused as error:
            said.append(f"events: {error}; what was stored before is used")
    for each in listed:
        said += each.left_out
        rows = each.rows.assign(announced_at=np.datetime64("NaT", "us"))
        own = (standing["source"] == config.source.name) & standing["ticker"].isin(each.tickers)
        own &= standing["kind"].isin(each.kinds) & (standing["session"] <= pd.Timestamp(each.until))
        told.append(_with_given_up(rows, standing[own], config.source.name))
    new = known.new_events
    if told:
        both = pd.concat(told, ignore_index=True).sort_values("expected", ascending=False, kind="stable")
        new = revisions.diff_events(store.con, both.drop_duplicates(_DATE), as_of, sources)
    events = _of_sources(pd.concat([stored, new], ignore_index=True), sources)
    return dataclasses.replace(known, events=events, new_events=new, left_out=tuple(said))


def _of_sources(events: pd.DataFrame, sources: Collection[str]) -> pd.DataFrame:
    """All that was said of the dates of which one of the sources had the last word."""
    newest = events.sort_values("revision").drop_duplicates(_DATE, keep="last")
    theirs = pd.MultiIndex.from_frame(newest.loc[newest["source"].isin(sources), _DATE])
    return events[pd.MultiIndex.from_frame(events[_DATE]).isin(theirs)]


def _with_given_up(listed: pd.DataFrame, standing: pd.DataFrame, source: str) -> pd.DataFrame:
    """The dates that are listed, and those that stand and no longer are."""
    gone = standing[~pd.MultiIndex.from_frame(standing[_DATE]).isin(pd.MultiIndex.from_frame(listed[_DATE]))]
    both = [listed.assign(expected=True), gone[listed.columns].assign(expected=False)]
    return stacked(both).assign(source=source)


def asked_names(beside: Beside, config: RunConfig) -> tuple[str, ...]:
    """The covariates and events that the run is asked to try, sorted: a model that knew others is of another
    kind. What an exchange's calendar knows is always tried, and not among them; nor are dividends and splits,
    of which one that is announced for one ticker shall not have all models fitted anew.
    """
    day = pd.Timestamp(config.as_of.day)
    newest = beside.covariates.groupby("name")["session"].max()
    asked = beside.events["expected"] & ~beside.events["kind"].isin([EX_DIVIDEND, SPLIT])
    dates = beside.events[asked].groupby("kind")["session"].max()
    covariates = {*newest.index[newest >= day - _FORGOTTEN], *config.beside.tickers}
    kinds = dates.index[dates >= day - _NO_MORE]
    return tuple(
        sorted({*(COVARIATE + str(name) for name in covariates), *(EVENT + str(kind) for kind in kinds)})
    )
