"""Asks a price source again after an error that may pass; a source itself asks once."""

import datetime as dt
from collections.abc import Callable

from forecast_lib.domain import Ticker
from forecast_lib.errors import SourceGivenUp, TransientError
from forecast_lib.prices.source import FetchedPrices, PriceSource

__all__ = ["BUDGET_S", "FIRST_DELAY_S", "back_off", "fetch_with_retries"]

FIRST_DELAY_S = 2.0
BUDGET_S = 60.0
"""For one ticker on one evening."""


def back_off(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures: 1 to 2 after the first, doubled with each further one.

    Args:
        failures: how many there were, at least 1.
        chance: from [0, 1); spreads tickers that failed together.

    >>> [back_off(failures, 0.5) for failures in (1, 2, 3)]
    [1.5, 3.0, 6.0]
    """
    longest: float = FIRST_DELAY_S * 2 ** (failures - 1)
    return longest * (0.5 + 0.5 * chance)


def fetch_with_retries(
    source: PriceSource,
    ticker: Ticker,
    first: dt.date | None,
    last: dt.date,
    *,
    attempts: int = 4,
    budget_s: float = BUDGET_S,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
    random: Callable[[], float],
) -> FetchedPrices:
    """What `source.fetch` gives, at one of up to `attempts` tries; only a `TransientError` is followed by another.

    Args:
        budget_s: no wait begins that would end later than this after the start. A try that is running is not cut off.
        sleep: waits so many seconds.
        clock: seconds that only grow, from any origin.
        random: a number from [0, 1).

    Raises:
        TransientError: the last try's, of its own class, with the count of tries in its text. `SourceGivenUp` is not tried again.
        TickerError, FatalError: at once.
    """
    began = clock()
    tries = 0
    while True:
        tries += 1
        try:
            return source.fetch(ticker, first, last)
        except SourceGivenUp:
            raise
        except TransientError as problem:
            delay = back_off(tries, random())
            spent = clock() - began
            if tries >= attempts or spent + delay > budget_s:
                raise type(problem)(f"{problem} (tried {tries} times in {spent:.0f} s)") from problem
        sleep(delay)
