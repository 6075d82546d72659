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
from forecast_lib.prices.sources.retrying import Retrying, back_off

ACME = Ticker("ACME")
GOOD = "an answer"


class Scripted:
    """Fails in turn with the errors given, each after `seconds`, then answers."""

    def __init__(self, *errors: TickercastError, seconds: float = 0.0) -> None:
        self.errors = list(errors)
        self.seconds = seconds
        self.asked = 0
        self.waits: list[float] = []
        self.time = 1000.0

    def __call__(self) -> str:
        self.asked += 1
        self.time += self.seconds
        if self.errors:
            raise self.errors.pop(0)
        return GOOD

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds


def fetched(source: Scripted, *, chance: float = 0.0, attempts: int = 4, budget_s: float = 60.0) -> str:
    retrying = Retrying(
        attempts, budget_s, sleep=source.sleep, clock=lambda: source.time, random=lambda: chance
    )
    return retrying(source)


def outages(count: int) -> list[TransientError]:
    return [SourceOutage("ACME: HTTP 503") for _ in range(count)]


def test_good_answer_is_taken_at_once() -> None:
    source = Scripted()
    assert fetched(source) is GOOD
    assert source.asked == 1
    assert source.waits == []


@pytest.mark.parametrize("error", [RateLimited("x"), SourceOutage("x"), BadReply("x")])
def test_each_passing_error_is_tried_again(error: TransientError) -> None:
    source = Scripted(error)
    assert fetched(source) is GOOD
    assert source.asked == 2


def test_waits_double() -> None:
    source = Scripted(*outages(3))
    fetched(source)
    assert source.waits == [1.0, 2.0, 4.0]


def test_chance_spreads_a_wait_up_to_twofold() -> None:
    assert [back_off(3, chance) for chance in (0.0, 0.25, 1.0)] == [4.0, 5.0, 8.0]


def test_last_error_is_raised_with_the_count_of_tries() -> None:
    source = Scripted(*outages(3), RateLimited("ACME: HTTP 429"), seconds=2.0)
    # 4 tries of 2 s, waits of 1, 2 and 4 s.
    with pytest.raises(RateLimited, match=r"ACME: HTTP 429 \(tried 4 times in 15 s\)"):
        fetched(source)
    assert source.asked == 4


def test_no_wait_that_would_outlast_the_budget() -> None:
    source = Scripted(*outages(9), seconds=10.0)
    with pytest.raises(SourceOutage):
        fetched(source, attempts=10, budget_s=25.0)
    assert source.waits == [1.0, 2.0]  # 33 s are spent after the third try
    assert source.time == 1000.0 + 33.0


@pytest.mark.parametrize(
    "error",
    [
        UnknownTicker(ACME, "none"),
        NoPrices(ACME, "none"),
        FileRefused("bad file"),
        SourceGivenUp("ACME: not asked for"),
    ],
)
def test_error_that_stays_is_raised_at_once_and_unchanged(error: TickercastError) -> None:
    source = Scripted(error)
    with pytest.raises(type(error)) as caught:
        fetched(source)
    assert caught.value is error
    assert source.waits == []
