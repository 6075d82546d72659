"""The retries of a run around the real client, by a clock that only the waits move: what Yahoo is asked,
counted where it is heard.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from flows.shown.inside import PrefectPage
from flows.shown.stages import PrefectStages
from forecast_lib.domain import Ticker
from forecast_lib.prices.source import Offered
from forecast_lib.prices.sources.retrying import Retrying
from forecast_lib.prices.sources.yahoo import YahooSource
from tests import made_up
from tests.prices.fake_yahoo import Bar, FakeYahoo, Listing

pytestmark = pytest.mark.slow

DAYS = [day.date() for day in pd.bdate_range("2024-06-03", "2024-06-28")]
NOW = dt.datetime(2024, 7, 1, 22, 0, tzinfo=dt.UTC)
TICKERS = [Ticker(f"W{place}") for place in range(20)]
REFUSALS_A_TRY = 2
"""To a refusal the client asks once more, with another cookie, within the same try."""


class Clock:
    """Stands in for `time` and `random` of the run: nobody waits, and chance makes every wait the shortest,
    of 1, 2 and 4 s.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds

    def random(self) -> float:
        return 0.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def yahoo() -> Iterator[FakeYahoo]:
    with FakeYahoo(
        Listing(ticker, [Bar(day, 100.0, 102.0, 99.0, 101.0, 1000.0) for day in DAYS]) for ticker in TICKERS
    ) as running:
        yield running


@pytest.fixture
def source(yahoo: FakeYahoo, clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> YahooSource:
    """That has learned every ticker's time zone."""
    cache = tmp_path_factory.getbasetemp() / "yahoo"
    YahooSource(cache, NOW, session=yahoo.session(), pause_s=0.0).fetch(dict.fromkeys(TICKERS), DAYS[-1])
    yahoo.reset()
    retrying = Retrying(sleep=clock.sleep, clock=clock.monotonic, random=clock.random)
    return YahooSource(cache, NOW, session=yahoo.session(), pause_s=0.0, retrying=retrying)


def outcomes(offered: Offered) -> Counter[str]:
    return Counter(
        "ok" if told.problem is None else type(told.problem).__name__ for told in offered.told.values()
    )


def charts_asked(yahoo: FakeYahoo) -> list[int]:
    return [yahoo.charts_asked(ticker) for ticker in TICKERS]


def test_wave_of_refusals_passes_without_a_ticker_lost(
    yahoo: FakeYahoo, source: YahooSource, clock: Clock
) -> None:
    """Every ticker is refused at two tries; never are more than two asked for at once. A breaker is not what
    this is about.
    """
    for ticker in TICKERS:
        yahoo.script(ticker, *["429"] * 2 * REFUSALS_A_TRY, "ok")
    yahoo.work_s = 0.005
    offered = source.fetch(dict.fromkeys(TICKERS[:4]), DAYS[-1])
    assert outcomes(offered) == {"ok": 4}
    assert len(offered.rows) == 4 * len(DAYS)
    assert charts_asked(yahoo)[:4] == [2 * REFUSALS_A_TRY + 1] * 4
    assert sorted(wait for wait in clock.waits if wait) == [1.0] * 4 + [2.0] * 4
    assert yahoo.tally.most_at_once == 2


def test_outage_of_the_whole_night_costs_few_tickers_their_tries(
    yahoo: FakeYahoo, source: YahooSource, clock: Clock
) -> None:
    """Four tries each; once five have failed the breaker is open, and those that are not on their way are not
    asked for.
    """
    for ticker in TICKERS:
        yahoo.script(ticker, "429")
    found = outcomes(source.fetch(dict.fromkeys(TICKERS), DAYS[-1]))
    assert found["RateLimited"] in (5, 6)
    assert found["SourceGivenUp"] == len(TICKERS) - found["RateLimited"]
    assert sorted(filter(None, charts_asked(yahoo))) == [4 * REFUSALS_A_TRY] * found["RateLimited"]
    assert sorted(wait for wait in clock.waits if wait) == sorted([1.0, 2.0, 4.0] * found["RateLimited"])
    assert yahoo.tally.most_at_once == 2


def test_each_ticker_is_told_when_it_is_answered(yahoo: FakeYahoo, source: YahooSource) -> None:
    yahoo.script(TICKERS[3], "404")
    heard: list[str] = []
    source.fetch(dict.fromkeys(TICKERS[:6]), DAYS[-1], heard.append)
    assert sorted(heard) == sorted(TICKERS[:6])


@pytest.mark.filterwarnings("ignore:Artifact creation outside of a flow")
def test_run_whose_workers_are_processes_asks_from_its_own_process(
    yahoo: FakeYahoo, source: YahooSource, prefect_server: str, tmp_path: Path
) -> None:
    """So two requests at once and one breaker are the whole run's."""
    config = made_up.run_config(workspace=tmp_path, runner="processes", workers=4)
    with (
        temporary_settings({PREFECT_API_URL: prefect_server, PREFECT_LOGGING_TO_API_ENABLED: False}),
        PrefectStages(config, PrefectPage()) as stages,
    ):
        offered = stages.fetch(source, dict.fromkeys(TICKERS), DAYS[-1])
    assert outcomes(offered) == {"ok": len(TICKERS)}
    assert yahoo.tally.most_at_once == 2
