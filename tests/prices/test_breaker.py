from collections.abc import Iterable

import pytest

from forecast_lib.domain import Ticker
from forecast_lib.errors import SourceGivenUp
from forecast_lib.prices.sources.breaker import CircuitBreaker


def after(*, failed: Iterable[str] = (), well: Iterable[str] = ()) -> CircuitBreaker:
    breaker = CircuitBreaker("yahoo")
    for ticker in well:
        breaker.record(Ticker(ticker), failed=False)
    for ticker in failed:
        breaker.record(Ticker(ticker), failed=True)
    return breaker


def is_open(breaker: CircuitBreaker, ticker: str = "NEW") -> bool:
    try:
        breaker.admit(Ticker(ticker))
    except SourceGivenUp:
        return True
    return False


def names(count: int, letter: str) -> list[str]:
    return [f"{letter}{place}" for place in range(count)]


def test_lets_everybody_in_at_first() -> None:
    assert not is_open(after())


def test_four_failing_tickers_are_too_few_to_judge_by() -> None:
    assert not is_open(after(failed=names(4, "F")))


def test_one_ticker_failing_often_is_its_own_trouble() -> None:
    assert not is_open(after(failed=["F"] * 20))


@pytest.mark.parametrize(("well", "opens"), [(20, True), (21, False)])  # 5 of 25 is 20 %, 5 of 26 is less
def test_opens_at_a_fifth_of_the_tickers_tried(well: int, opens: bool) -> None:
    assert is_open(after(failed=names(5, "F"), well=names(well, "W"))) is opens


def test_failing_ticker_may_try_again_while_open() -> None:
    breaker = after(failed=names(5, "F"))
    assert is_open(breaker)
    assert not is_open(breaker, "F0")


def test_closes_when_a_failing_ticker_recovers() -> None:
    breaker = after(failed=names(5, "F"))
    breaker.record(Ticker("F0"), failed=False)
    assert not is_open(breaker)


def test_message_names_ticker_source_and_counts() -> None:
    with pytest.raises(
        SourceGivenUp, match="NEW: not asked for: 5 of 7 tickers failed, so the source yahoo is"
    ):
        after(failed=names(5, "F"), well=names(2, "W")).admit(Ticker("NEW"))
