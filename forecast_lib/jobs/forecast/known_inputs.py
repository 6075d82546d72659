"""Every series with what else was known at its sessions: covariates, events, and its exchange's calendar."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from forecast_lib.covariates.calendar import ALWAYS, NEVER, calendar_events
from forecast_lib.covariates.inputs import EVENT, Ahead, AtClose, Inputs
from forecast_lib.covariates.series import Covariate, as_known, level_of
from forecast_lib.domain import AsOf
from forecast_lib.jobs.ingest.beside import Beside
from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.prices.sources.named_files import MARKET
from forecast_lib.sessions import TickerCalendar
from forecast_lib.windows.beside import range_of
from forecast_lib.windows.series import TickerSeries

__all__ = ["with_known_inputs"]

_SPACING_OF = 20  # values that say how often a series comes


def with_known_inputs(market: Market, as_of: AsOf) -> Market:
    """The market with each series knowing them, and a flag where a covariate is missing tonight."""
    beside = market.beside
    named = beside.series()
    series, flags = dict(market.series), dict(market.flags)
    for calendar in dict.fromkeys(market.calendars[ticker] for ticker in market.series):
        members = {name: each for name, each in market.series.items() if market.calendars[name] == calendar}
        shared = _shared(members, named, beside, calendar, as_of)
        late = _late(named, calendar, as_of)
        for name, each in members.items():
            own = _own(each, named, beside, calendar, shared)
            known = each.inputs or Inputs()
            inputs = Inputs((*known.at_close, *own.at_close), (*known.ahead, *own.ahead))
            series[name] = dataclasses.replace(each, inputs=inputs)
            if said := [text for owner, text in late if owner in (None, name)]:
                flags[name] = (*flags.get(name, ()), *said)
    return dataclasses.replace(market, series=series, flags=flags)


def _shared(
    members: Mapping[str, TickerSeries],
    named: list[Covariate],
    beside: Beside,
    calendar: TickerCalendar,
    as_of: AsOf,
) -> Inputs:
    """What the tickers of an exchange have the same."""
    sessions = np.unique(np.concatenate([each.sessions for each in members.values()]))
    evenings = calendar.evenings(sessions)
    described = [level_of(each) for each in named if each.ticker is None]
    for ticker, own in beside.tickers.values():
        described.append(range_of(ticker, own.evenings(ticker.sessions)))
    planned = calendar_events(calendar, pd.Timestamp(sessions[0]).date(), as_of.day)
    events = beside.events[beside.events["ticker"] == MARKET]
    dates = (_ahead(events, planned, calendar),) if len(events) else ()
    return Inputs(tuple(as_known(each, sessions, evenings) for each in described), (planned, *dates))


def _own(
    series: TickerSeries, named: list[Covariate], beside: Beside, calendar: TickerCalendar, shared: Inputs
) -> Inputs:
    """What is the ticker's alone, before what it shares."""
    mine = [level_of(each) for each in named if each.ticker == series.ticker]
    parts: tuple[AtClose, ...] = ()
    if mine:
        evenings = calendar.evenings(series.sessions)
        parts = tuple(as_known(each, series.sessions, evenings) for each in mine)
    events = beside.events[beside.events["ticker"] == series.ticker]
    dates = (_ahead(events, shared.ahead[0], calendar),) if len(events) else ()
    return Inputs((*parts, *shared.at_close), (*shared.ahead, *dates))


def _ahead(events: pd.DataFrame, planned: Ahead, calendar: TickerCalendar) -> Ahead:
    """Events of one owner, from their revisions.

    A date that was past when it was first stored counts as known ever since, unless it says from when on; one
    to come from the evening on that it was stored.
    """
    days = planned.days
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
    until = pd.Series(nights, index=rows.index).groupby([rows[name] for name in key]).shift(-1)
    expected = rows["expected"].to_numpy(bool)
    kinds = sorted(rows["kind"].unique())
    ends = until.to_numpy("datetime64[D]")
    return Ahead(
        tuple(EVENT + kind for kind in kinds),
        days,
        np.searchsorted(kinds, rows["kind"].to_numpy(object))[expected],
        sessions[expected],
        since[expected],
        np.where(np.isnat(ends), NEVER, ends)[expected],
    )


def _day_at(days: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The days at these places; the first of all before them, never after them."""
    inside = days[np.clip(places, 0, len(days) - 1)]
    return np.where(places < 0, ALWAYS, np.where(places >= len(days), NEVER, inside))


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
