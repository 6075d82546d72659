"""Asks a price source again after an error that may pass."""

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from forecast_lib.errors import SourceGivenUp, TransientError

__all__ = ["FIRST_DELAY_S", "Retrying", "back_off"]

Answer = TypeVar("Answer")

FIRST_DELAY_S = 2.0


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


@dataclass(frozen=True)
class Retrying:
    """How often and how long to ask for one ticker.

    Attributes:
        attempts: tries in all.
        budget_s: no wait begins that would end later than this after the start. A try that is running is not
            cut off.
        sleep: waits so many seconds.
        clock: seconds that only grow, from any origin.
        random: a number from [0, 1).
    """

    attempts: int = 4
    budget_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random

    def __call__(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` gives, at one of the tries; only a `TransientError` is followed by another.

        Raises:
            TransientError: the last try's, of its own class, with the count of tries in its text where there
                were several.
                `SourceGivenUp` is not tried again.
            TickerError, FatalError: at once.
        """
        began = self.clock()
        for tries in itertools.count(1):
            try:
                return ask()
            except SourceGivenUp:
                raise
            except TransientError as problem:
                if self.attempts == 1:
                    raise
                delay, spent = back_off(tries, self.random()), self.clock() - began
                if tries >= self.attempts or spent + delay > self.budget_s:
                    raise type(problem)(f"{problem} (tried {tries} times in {spent:.0f} s)") from problem
            self.sleep(delay)
        raise AssertionError("the tries are endless")
