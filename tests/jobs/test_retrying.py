import datetime as dt

import pandas as pd
import pytest

from forecast_lib.domain import Ticker
from forecast_lib.errors import (
    BadReply,
    FileRefused,
    NoPrices,
    RateLimited,
    SourceGivenUp,
    SourceOutage,
    TickercastError,
    TransientError,
    UnknownTicker,
)
from forecast_lib.jobs.retrying import back_off, fetch_with_retries
from forecast_lib.prices.source import ACTION_COLUMNS, RAW_COLUMNS, FetchedPrices

ACME = Ticker("ACME")
GOOD = FetchedPrices(ACME, pd.DataFrame(columns=list(RAW_COLUMNS)), pd.DataFrame(columns=list(ACTION_COLUMNS)))


class ScriptedSource:
    """Fails in turn with the errors given, each after `seconds`, then answers."""

    name = "scripted"

    def __init__(self, *errors: TickercastError, seconds: float = 0.0) -> None:
        self.errors = list(errors)
        self.seconds = seconds
        self.asked: list[tuple[str, dt.date | None, dt.date]] = []
        self.waits: list[float] = []
        self.time = 1000.0

    def default_tickers(self) -> tuple[Ticker, ...]:
        return ()

    def passed_over(self) -> tuple[str, ...]:
        return ()

    def fetch(self, ticker: Ticker, first: dt.date | None, last: dt.date) -> FetchedPrices:
        self.asked.append((ticker, first, last))
        self.time += self.seconds
        if self.errors:
            raise self.errors.pop(0)
        return GOOD

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds


def fetched(source: ScriptedSource, *, chance: float = 0.0, attempts: int = 4, budget_s: float = 60.0) -> FetchedPrices:
    return fetch_with_retries(
        source,
        ACME,
        None,
        dt.date(2024, 6, 28),
        attempts=attempts,
        budget_s=budget_s,
        sleep=source.sleep,
        clock=lambda: source.time,
        random=lambda: chance,
    )


def outages(count: int) -> list[TransientError]:
    return [SourceOutage("ACME: HTTP 503") for _ in range(count)]


def test_good_answer_is_taken_at_once() -> None:
    source = ScriptedSource()
    assert fetched(source) is GOOD
    assert source.asked == [("ACME", None, dt.date(2024, 6, 28))]
    assert source.waits == []


@pytest.mark.parametrize("error", [RateLimited("x"), SourceOutage("x"), BadReply("x")])
def test_each_passing_error_is_tried_again(error: TransientError) -> None:
    source = ScriptedSource(error)
    assert fetched(source) is GOOD
    assert len(source.asked) == 2


def test_waits_double() -> None:
    source = ScriptedSource(*outages(3))
    fetched(source)
    assert source.waits == [1.0, 2.0, 4.0]


def test_chance_spreads_a_wait_up_to_twofold() -> None:
    assert [back_off(3, chance) for chance in (0.0, 0.25, 1.0)] == [4.0, 5.0, 8.0]


def test_last_error_is_raised_with_the_count_of_tries() -> None:
    source = ScriptedSource(*outages(3), RateLimited("ACME: HTTP 429"), seconds=2.0)
    with pytest.raises(RateLimited, match=r"ACME: HTTP 429 \(tried 4 times in 15 s\)"):  # 4 tries of 2 s, waits of 1, 2 and 4 s
        fetched(source)
    assert len(source.asked) == 4


def test_no_wait_that_would_outlast_the_budget() -> None:
    source = ScriptedSource(*outages(9), seconds=10.0)
    with pytest.raises(SourceOutage):
        fetched(source, attempts=10, budget_s=25.0)
    assert source.waits == [1.0, 2.0]  # 33 s are spent after the third try
    assert source.time == 1000.0 + 33.0


@pytest.mark.parametrize(
    "error",
    [UnknownTicker(ACME, "none"), NoPrices(ACME, "none"), FileRefused("bad file"), SourceGivenUp("ACME: not asked for")],
)
def test_error_that_stays_is_raised_at_once_and_unchanged(error: TickercastError) -> None:
    source = ScriptedSource(error)
    with pytest.raises(type(error)) as caught:
        fetched(source)
    assert caught.value is error
    assert source.waits == []
