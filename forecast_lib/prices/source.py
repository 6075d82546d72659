"""What a price source is: it answers one question, and does not store, retry or repair.

*Given a ticker and a first and last session, which rows do you have?* Rows come as the source has them, only renamed to our columns;
`prices.checks` decides which are good. A source never returns an empty frame in place of an error;
where no row can be read it hands out the refused ones.
"""

import datetime as dt
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd

from forecast_lib.domain import Ticker

__all__ = ["ACTION_COLUMNS", "RAW_COLUMNS", "FetchedPrices", "PriceSource"]

RAW_COLUMNS = ("session", "open", "high", "low", "close", "adj_close", "volume", "origin")
"""Columns of `FetchedPrices.prices`: `session` datetime64[us] at midnight, numbers float64 (NaN where the source has none),
`origin` says where the row stands in the source, for example `TSLA.csv line 17`."""

ACTION_COLUMNS = ("session", "kind", "value")
"""Columns of `FetchedPrices.actions`: kind is `dividend` (cash per share, on the share's basis of that day) or `split` (new shares
per old)."""


@dataclass(frozen=True)
class FetchedPrices:
    """What a source answered for one ticker.

    Attributes:
        prices: RAW_COLUMNS, in the source's order, not yet checked. Open, high, low, close and volume are *as traded* on that
            session as far as the source's corporate actions allow: a source that re-bases its history after a split undoes that here,
            with the splits it reports. `adj_close` is the source's own adjusted close, untouched.
        actions: ACTION_COLUMNS, maybe also of sessions before the first that was asked for.
        currency: as the source says, or None.
        refused: rows that could not be turned into RAW_COLUMNS at all: columns `session` (NaT if unreadable), `row` (the row's text),
            `origin`, `rule`, `reason`.
        exchange_timezone: IANA name as the source says, or None.
        action_kinds: the kinds of action that it would have listed if there were any.
        actions_from: the first session whose actions it would have listed; that of the first row where not given.
        assumption: what the source took for granted about splits for lack of evidence, in words.
    """

    ticker: Ticker
    prices: pd.DataFrame
    actions: pd.DataFrame
    currency: str | None = None
    exchange_timezone: str | None = None
    refused: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["session", "row", "origin", "rule", "reason"]))
    action_kinds: frozenset[str] = frozenset({"dividend", "split"})
    actions_from: pd.Timestamp | None = None
    assumption: str | None = None


class PriceSource(Protocol):
    """A place where prices come from. New ones pass `tests/contracts/price_source.py`."""

    name: str
    """Stored in the column `source`; the simulated market's is `simulated`, so that nobody takes its rows for real."""

    def default_tickers(self) -> tuple[Ticker, ...]:
        """The tickers to take when the user names none; empty where the source has no list of its own."""
        ...

    def passed_over(self) -> tuple[str, ...]:
        """What the source holds and cannot hand out, such as files whose names are no tickers: in sentences for people."""
        ...

    def fetch(self, ticker: Ticker, first: dt.date | None, last: dt.date) -> FetchedPrices:
        """Every row of `ticker` from `first` (None: from the beginning) to `last`, both inclusive.

        Raises:
            UnknownTicker, NoPrices: there is nothing for this ticker.
            TransientError: try again later.
            FileRefused: the file cannot be read without guessing.
        """
        ...
