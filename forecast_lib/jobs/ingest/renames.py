"""Which names of renamed tickers a run asks for, and what it found out under the names that it was
asked for.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from forecast_lib.config import Rename, RunConfig
from forecast_lib.domain import Ticker
from forecast_lib.jobs.ingest.new_prices import Market

__all__ = ["to_ask", "under_new_names", "with_old_names"]

_STILL_ASKED = dt.timedelta(days=30)
"""So long after its last day an old name is asked for what may have been missed."""


def with_old_names(config: RunConfig) -> RunConfig:
    """The config with the old names among its tickers."""
    return dataclasses.replace(
        config, tickers=tuple(dict.fromkeys([*config.tickers, *(each.was for each in config.renames)]))
    )


def to_ask(
    config: RunConfig, names: Sequence[Ticker], first_stored: Callable[[str], dt.date | None]
) -> tuple[Ticker, ...]:
    """Those of the names that the source is asked for: in use on the evening, or old ones of which something
    may be missing.

    Args:
        first_stored: the first session that is stored of a name.
    """
    if not config.renames:
        return tuple(names)

    def lacks_past(each: Rename) -> bool:
        firsts = (first_stored(name) for name in (each.was, each.now))
        return not any(first is not None and first < each.on for first in firsts)

    day = config.as_of.day
    began = [each for each in config.renames if each.on <= day]
    missed = {each.was for each in began if day < each.on + _STILL_ASKED or lacks_past(each)}
    asked = missed | {_in_use(ticker, config.renames, day) for ticker in config.tickers}
    return tuple(name for name in names if name in asked)


def _in_use(ticker: Ticker, renames: Sequence[Rename], day: dt.date) -> Ticker:
    """The name that the ticker has on a day."""
    before = next((each.was for each in renames if each.now == ticker and day < each.on), None)
    return ticker if before is None else _in_use(before, renames, day)


def under_new_names(market: Market, config: RunConfig) -> Market:
    """What was found out about the names in use on the evening, under the names that were asked for; the
    other old names are left out.
    """
    if not config.renames:
        return market
    names = {_in_use(ticker, config.renames, config.as_of.day): ticker for ticker in config.tickers}
    named: dict[str, Any] = {field: _renamed(getattr(market, field), names) for field in market.BY_TICKER}
    series = {ticker: each for ticker, each in market.series.items() if ticker in config.tickers}
    return dataclasses.replace(market, **named, series=series)


def _renamed(found: Mapping[str, Any], names: Mapping[Ticker, Ticker]) -> dict[str, Any]:
    return {names[Ticker(name)]: value for name, value in found.items() if name in names}
