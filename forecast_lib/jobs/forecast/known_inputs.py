"""Every series with what else was known at its sessions: covariates, events, and its exchange's calendar."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from forecast_lib.covariates.calendar import ALWAYS, NEVER, calendar_events
from forecast_lib.covariates.inputs import EVENT, EX_DIVIDEND, Ahead, AtClose, Dividends, Inputs
from forecast_lib.covariates.series import Covariate, as_known, level_of
from forecast_lib.domain import AsOf
from forecast_lib.forecast import LARGEST_DIVIDEND
from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.prices.evidence import split_words
from forecast_lib.prices.sources.named_files import MARKET
from forecast_lib.sessions import TickerCalendar
from forecast_lib.windows.beside import range_of
from forecast_lib.windows.series import TickerSeries

__all__ = ["with_known_inputs"]

_SPACING_OF = 20  # values that say how often a series comes


def with_known_inputs(market: Market, as_of: AsOf, horizon: int) -> Market:
    """The market with each series knowing them, and a flag where a covariate is missing tonight, a split lies
    ahead, or a dividend cannot be.
    """
    beside = market.beside
    named, events = beside.series(), dict(iter(beside.events.groupby("ticker")))
    series, flags, splits = dict(market.series), dict(market.flags), beside.splits_to_come(as_of.day)
    for calendar in dict.fromkeys(market.calendars[ticker] for ticker in market.series):
        members = {name: each for name, each in market.series.items() if market.calendars[name] == calendar}
        shared = _shared(members, named, beside.tickers, events.get(MARKET), calendar, as_of)
        late = _late(named, calendar, as_of)
        for name, each in members.items():
            own = _own(each, named, events.get(name), calendar, shared, splits.get(name))
            known = each.inputs or Inputs()
            inputs = Inputs((*known.at_close, *own.at_close), (*known.ahead, *own.ahead), own.dividends)
            series[name] = dataclasses.replace(each, inputs=inputs)
            said = [text for owner, text in late if owner in (None, name)]
            said += _announced(series[name], splits.get(name), calendar, horizon)
            if said:
                flags[name] = (*flags.get(name, ()), *said)
    return dataclasses.replace(market, series=series, flags=flags)


def _shared(
    members: Mapping[str, TickerSeries],
    named: list[Covariate],
    tickers: Mapping[str, tuple[TickerSeries, TickerCalendar]],
    events: pd.DataFrame | None,
    calendar: TickerCalendar,
    as_of: AsOf,
) -> Inputs:
    """What the tickers of an exchange have the same."""
    sessions = np.unique(np.concatenate([each.sessions for each in members.values()]))
    evenings = calendar.evenings(sessions)
    described = [level_of(each) for each in named if each.ticker is None]
    for ticker, own in tickers.values():
        described.append(range_of(ticker, own.evenings(ticker.sessions)))
    planned = calendar_events(calendar, pd.Timestamp(sessions[0]).date(), as_of.day)
    dates = () if events is None else (_ahead(_told(events, planned.days, calendar), planned.days),)
    return Inputs(tuple(as_known(each, sessions, evenings) for each in described), (planned, *dates))


def _own(
    series: TickerSeries,
    named: list[Covariate],
    events: pd.DataFrame | None,
    calendar: TickerCalendar,
    shared: Inputs,
    splits: pd.DataFrame | None,
) -> Inputs:
    """What is the ticker's alone, before what it shares."""
    mine = [level_of(each) for each in named if each.ticker == series.ticker]
    parts: tuple[AtClose, ...] = ()
    if mine:
        evenings = calendar.evenings(series.sessions)
        parts = tuple(as_known(each, series.sessions, evenings) for each in mine)
    if events is None:
        return Inputs((*parts, *shared.at_close), shared.ahead)
    days = shared.ahead[0].days
    told = _told(events, days, calendar)
    dividends = _dividends(told, days, series, splits)
    return Inputs((*parts, *shared.at_close), (*shared.ahead, _ahead(told, days)), dividends)


def _told(events: pd.DataFrame, days: np.ndarray, calendar: TickerCalendar) -> pd.DataFrame:
    """kind, session, value, since and until of the events of one owner that were expected, from their
    revisions: as of `Ahead`.

    A date that was past when it was first stored counts as known ever since, unless it says from when on; one
    to come from the evening on that it was stored.
    """
    evenings = calendar.evenings(days).view(np.int64)
    rows = events.sort_values(["kind", "session", "revision"])
    key = ["kind", "session"]
    stored = rows["known_at"].to_numpy("datetime64[us]")
    sessions = rows["session"].to_numpy("datetime64[D]")
    # The night that stored it: its cutoff is the newest session known by then.
    nights = _day_at(days, np.searchsorted(evenings, stored.view(np.int64), side="right") - 1)
    since = np.where(sessions <= stored.astype("datetime64[D]"), ALWAYS, nights)
    announced = rows["announced_at"].to_numpy("datetime64[us]")
    first_evening = _day_at(days, np.searchsorted(evenings, announced.view(np.int64)))
    since = np.where(np.isnat(announced), since, first_evening)
    # What was said anew counts from then on: until then what was said before does.
    since = np.where(rows["revision"] > 0, np.maximum(since, nights), since)
    until = pd.Series(nights, index=rows.index).groupby([rows[name] for name in key]).shift(-1)
    ends = until.to_numpy("datetime64[D]")
    told = rows[["kind", "session", "value"]].assign(since=since, until=np.where(np.isnat(ends), NEVER, ends))
    return told[rows["expected"].to_numpy(bool)]


def _ahead(told: pd.DataFrame, days: np.ndarray) -> Ahead:
    kinds = sorted(told["kind"].unique())
    return Ahead(
        tuple(EVENT + kind for kind in kinds),
        days,
        np.searchsorted(kinds, told["kind"].to_numpy(object)),
        told["session"].to_numpy("datetime64[D]"),
        told["since"].to_numpy("datetime64[D]"),
        told["until"].to_numpy("datetime64[D]"),
    )


def _dividends(
    told: pd.DataFrame, days: np.ndarray, series: TickerSeries, splits: pd.DataFrame | None
) -> Dividends | None:
    """What is told of dividends, their cash on the share basis of the series.

    Args:
        splits: session and value of those that are to come.
    """
    paid = told[(told["kind"] == EX_DIVIDEND) & told["value"].notna()]
    if paid.empty:
        return None
    on = paid["session"].to_numpy("datetime64[D]")
    # What brings the cash of the ex-dividend day to the share and the unit of the series.
    place = np.searchsorted(series.sessions, on)
    since = np.ones(len(series)) if series.divided_by is None else series.divided_by
    shares = np.append(since, 1.0)[place]
    for split in () if splits is None else splits.itertuples():
        shares = np.where(on >= np.datetime64(split.session, "D"), shares / split.value, shares)
    return Dividends(
        days,
        on,
        paid["since"].to_numpy("datetime64[D]"),
        paid["until"].to_numpy("datetime64[D]"),
        paid["value"].to_numpy(np.float64) / shares,
    )


def _day_at(days: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The days at these places; the first of all before them, never after them."""
    inside = days[np.clip(places, 0, len(days) - 1)]
    return np.where(places < 0, ALWAYS, np.where(places >= len(days), NEVER, inside))


def _announced(
    series: TickerSeries, splits: pd.DataFrame | None, calendar: TickerCalendar, horizon: int
) -> list[str]:
    """What is odd about a share's announcements for the sessions ahead, in short texts."""
    dividends = series.inputs.dividends if series.inputs is not None else None
    if splits is None and dividends is None:
        return []
    ahead = calendar.following(series.sessions[-1], horizon)
    said = [
        f"a split of {split_words(split.value)} is announced for {split.session:%Y-%m-%d}:"
        " the forecast stays for one share of before"
        for split in (() if splits is None else splits.itertuples())
        if split.session <= ahead[-1]
    ]
    if dividends is not None:
        paid = dividends.at(series.sessions[-1:], len(ahead))[0, -1]
        if paid >= LARGEST_DIVIDEND * series.close[-1]:
            said.append(
                f"dividends of {paid:g} are announced up to {ahead[-1]:%Y-%m-%d}, half the close or more:"
                " taken for a slip, the forecast does not count them; mend the list of events"
            )
    return said


def _late(named: list[Covariate], calendar: TickerCalendar, as_of: AsOf) -> list[tuple[str | None, str]]:
    """Whose covariate is missing tonight, and a text that says so: its newest value is older than it usually
    is.
    """
    last, found = calendar.last_known(as_of), []
    for each in named:
        if not len(each.days):
            continue
        newest = pd.Timestamp(each.days[-1])
        behind = calendar.count_between(newest, last)
        recent = each.days[-_SPACING_OF:]
        usual = calendar.count_between(pd.Timestamp(recent[0]), newest) / max(len(recent) - 1, 1)
        if behind >= max(usual, 1.0):
            text = (
                f"covariate {each.name}: the newest value is of {newest:%Y-%m-%d}, {behind} sessions before"
            )
            found.append((each.ticker, text))
    return found
