"""Stops asking a source that is down for everybody, so that a night with an outage ends in minutes, not
hours.
"""

import threading

from forecast_lib.domain import Ticker
from forecast_lib.errors import SourceGivenUp

__all__ = ["CircuitBreaker"]

FEWEST_FAILING = 5
FAILING_SHARE = 0.2


class CircuitBreaker:
    """Open while at least 5 tickers, and at least 20 % of those tried, failed at their latest attempt.

    While it is open no new ticker is let in. Those already failing may try again, as often as their caller
    allows: they are the probes, and their success closes the breaker. It needs no clock.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._tried: set[Ticker] = set()
        self._failing: set[Ticker] = set()
        self._lock = threading.Lock()

    def admit(self, ticker: Ticker) -> None:
        """Nothing, or `SourceGivenUp` for a ticker that must not be asked for now."""
        with self._lock:
            failing, tried = len(self._failing), len(self._tried)
            if failing >= FEWEST_FAILING and failing >= FAILING_SHARE * tried and ticker not in self._failing:
                raise SourceGivenUp(
                    f"{ticker}: not asked for: {failing} of {tried} tickers failed, so the source"
                    f" {self._source} is taken to be down; run again later"
                )

    def record(self, ticker: Ticker, *, failed: bool) -> None:
        """How the latest attempt for this ticker ended; an answer about the ticker itself is no failure of
        the source.
        """
        with self._lock:
            self._tried.add(ticker)
            (self._failing.add if failed else self._failing.discard)(ticker)
