"""The words of the trade, as values: ticker, session, as-of, run.

A *session* is a trading day of the ticker's own exchange, written as its local date. A *cutoff* is the last
session that a forecast may know, a *step* counts sessions after the cutoff, a *target session* is where the
step lands.
"""

import datetime as dt
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NewType

from forecast_lib.errors import UsageError, shown

__all__ = [
    "MAX_BACKFILL",
    "MAX_HORIZON",
    "NOT_COMPARED",
    "QUANTILES",
    "STATUSES",
    "AsOf",
    "RunId",
    "Ticker",
    "parse_ticker",
    "parse_tickers",
    "quantile_column",
]

Ticker = NewType("Ticker", str)
RunId = NewType("RunId", str)

MAX_HORIZON = 20
MAX_BACKFILL = 250
QUANTILES = (0.005, 0.01, 0.025, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.975, 0.99, 0.995)
"""Levels of the published quantiles, in the order of their columns."""

STATUSES = ("fresh", "last_good", "naive", "ended", "none")
"""How a ticker can stand after a run, the best first."""

NOT_COMPARED = ("first", "version", "settings", "weights", "session", "width")
"""Why the width of a forecast cannot be held against that of the run before (`forecast_drivers`)."""

_TICKER_PATTERN = re.compile(r"[A-Z0-9^][A-Z0-9.\-=^]{0,14}", re.ASCII)


@functools.cache
def quantile_column(level: float) -> str:
    """Name of the column that holds the quantile of this level.

    >>> [quantile_column(level) for level in (0.005, 0.01, 0.05, 0.5, 0.975)]
    ['q005', 'q01', 'q05', 'q50', 'q975']
    """
    return "q" + f"{level:.3f}"[2:].removesuffix("0")


def parse_ticker(text: str) -> Ticker:
    """The ticker that a user means by `text`: stripped, in capitals, checked by one strict pattern.

    Only what passes here may ever touch a path, a URL or SQL.

    >>> parse_ticker(" brk-b ")
    'BRK-B'
    >>> parse_ticker("../../etc")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    forecast_lib.errors.UsageError: ticker '../../etc' is not a ticker name: ... for example AAPL or BTC-USD
    """
    candidate = text.strip(" ").upper() if text.isascii() else text
    if not _TICKER_PATTERN.fullmatch(candidate):
        raise UsageError(
            f"ticker {shown(text)} is not a ticker name: expected 1 to 15 of A-Z 0-9 . - = ^, for example"
            " AAPL or BTC-USD"
        )
    return Ticker(candidate)


def parse_tickers(texts: Iterable[str]) -> tuple[Ticker, ...]:
    """All tickers of a list, doubles merged, in the order given.

    >>> parse_tickers(["msft", "AAPL", "MSFT"])
    ('MSFT', 'AAPL')
    """
    return tuple(dict.fromkeys(parse_ticker(text) for text in texts))


@dataclass(frozen=True)
class AsOf:
    """The evening from which a run looks at the world.

    Attributes:
        day: sessions dated up to and including this date may be known, if they had closed.
        now: the UTC instant at which the run was started; the only "now" below the settings.
        known_at: revisions stored up to this UTC instant count; later ones do not exist for this run.
    """

    day: dt.date
    now: dt.datetime
    known_at: dt.datetime

    @property
    def is_past(self) -> bool:
        """A past night is run again: only what was known then counts, and nobody is asked."""
        return self.known_at < self.now

    def __post_init__(self) -> None:
        for name in ("now", "known_at"):
            value: dt.datetime = getattr(self, name)
            if value.utcoffset() != dt.timedelta(0):
                raise UsageError(
                    f"as-of {name} {value.isoformat()} is not in UTC: expected a time with offset +00:00"
                )
        # A market east of Greenwich closes its session of date D before D begins in UTC: allow one day.
        if self.day > self.now.date() + dt.timedelta(days=1):
            raise UsageError(
                f"as-of {self.day} lies in the future: today is {self.now.date()} (UTC); give a date up to"
                " today"
            )
