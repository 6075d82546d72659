"""The retries of a run around the real client, by a clock that only the waits move: what Yahoo is asked, counted where it is heard."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from flows.stages import Stages
from flows.tasks import fetch_shard
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import RateLimited, SourceGivenUp, SourceOutage, TransientError
from forecast_lib.jobs import workspace
from forecast_lib.jobs.ingest import read_known
from forecast_lib.jobs.workspace import fetching
from forecast_lib.prices.yahoo import YahooSource
from tests import made_up
from tests.prices.fake_yahoo import Bar, FakeYahoo, Listing

DAYS = [day.date() for day in pd.bdate_range("2024-06-03", "2024-06-28")]
NOW = dt.datetime(2024, 7, 1, 22, 0, tzinfo=dt.UTC)
TICKERS = [Ticker(f"W{place}") for place in range(20)]
REFUSALS_A_TRY = 2
"""To a refusal the client asks once more, with another cookie, within the same try."""


class Clock:
    """Stands in for `time` and `random` of the run: nobody waits, and chance makes every wait the shortest, of 1, 2 and 4 s."""

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
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(workspace, "time", clock)
    monkeypatch.setattr(workspace, "random", clock)
    return clock


@pytest.fixture
def yahoo() -> Iterator[FakeYahoo]:
    with FakeYahoo(Listing(ticker, [Bar(day, 100.0, 102.0, 99.0, 101.0, 1000.0) for day in DAYS]) for ticker in TICKERS) as running:
        yield running


@pytest.fixture
def source(yahoo: FakeYahoo, tmp_path_factory: pytest.TempPathFactory) -> YahooSource:
    """That has learned every ticker's time zone."""
    cache = tmp_path_factory.getbasetemp() / "yahoo"
    for ticker in TICKERS:
        rows(YahooSource(cache, NOW, session=yahoo.session(), pause_s=0.0), ticker)
    yahoo.reset()
    return YahooSource(cache, NOW, session=yahoo.session(), pause_s=0.0)


def rows(source: YahooSource, ticker: Ticker) -> int:
    return len(fetching()(source, ticker, None, DAYS[-1]).prices)


def charts_asked(yahoo: FakeYahoo) -> list[int]:
    return [yahoo.charts_asked(ticker) for ticker in TICKERS]


def test_wave_of_refusals_passes_without_a_ticker_lost(yahoo: FakeYahoo, source: YahooSource, clock: Clock) -> None:
    """Every ticker is refused at two tries; four threads ask, as a run's shards do, and never more than two at once."""
    for ticker in TICKERS:
        yahoo.script(ticker, *["429"] * 2 * REFUSALS_A_TRY, "ok")
    yahoo.work_s = 0.005
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda ticker: rows(source, ticker), TICKERS)) == [len(DAYS)] * len(TICKERS)
    assert charts_asked(yahoo) == [2 * REFUSALS_A_TRY + 1] * len(TICKERS)
    assert sorted(clock.waits) == [1.0] * len(TICKERS) + [2.0] * len(TICKERS)
    assert yahoo.tally.most_at_once == 2


def test_outage_of_the_whole_night_costs_five_tickers_their_tries(yahoo: FakeYahoo, source: YahooSource, clock: Clock) -> None:
    """Four tries each; then the breaker is open, and the other fifteen are not asked for."""
    for ticker in TICKERS:
        yahoo.script(ticker, "429")
    outcomes: list[type] = []
    for ticker in TICKERS:
        with pytest.raises(TransientError) as caught:
            rows(source, ticker)
        outcomes.append(type(caught.value))
    assert outcomes == [RateLimited] * 5 + [SourceGivenUp] * 15
    assert charts_asked(yahoo) == [4 * REFUSALS_A_TRY] * 5 + [0] * 15
    assert clock.waits == [1.0, 2.0, 4.0] * 5


def test_all_that_is_asked_for_a_ticker_shares_its_budget(yahoo: FakeYahoo, source: YahooSource, clock: Clock) -> None:
    """Of 60 s 2 are left for the second question: one wait of 1 s fits in, another of 2 s does not."""
    yahoo.script(TICKERS[0], "ok", "503")
    fetch = fetching()
    assert len(fetch(source, TICKERS[0], DAYS[3], DAYS[-1]).prices) == len(DAYS) - 3
    clock.seconds = 58.0
    with pytest.raises(SourceOutage, match="tried 2 times"):
        fetch(source, TICKERS[0], None, DAYS[-1])
    assert clock.waits == [1.0]


@pytest.mark.filterwarnings("ignore:Artifact creation outside of a flow")
def test_run_whose_workers_are_processes_asks_from_its_own_process_alone(
    yahoo: FakeYahoo, source: YahooSource, clock: Clock, prefect_server: str, tmp_path: Path
) -> None:
    """So two requests at once and one breaker are the whole run's: a sixth ticker may be on its way when the fifth fails."""
    for ticker in TICKERS:
        yahoo.script(ticker, "429")
    as_of = AsOf(NOW.date(), NOW, NOW)
    shards = [TICKERS[place : place + 2] for place in range(0, len(TICKERS), 2)]
    told = {"source": source, "known": read_known(tmp_path, TICKERS, as_of), "as_of": as_of, "rules": ()}
    config = made_up.run_config(workspace=tmp_path, runner="processes", workers=4)

    with temporary_settings({PREFECT_API_URL: prefect_server, PREFECT_LOGGING_TO_API_ENABLED: False}), Stages(config) as stages:
        fetched = stages.fetch(fetch_shard, shards, [str(shard[0]) for shard in shards], **told)
    outcomes = Counter(each.problem.rule for each in fetched)
    assert outcomes["RateLimited"] in (5, 6)
    assert outcomes["SourceGivenUp"] == len(TICKERS) - outcomes["RateLimited"]
    assert sorted(filter(None, charts_asked(yahoo))) == [4 * REFUSALS_A_TRY] * outcomes["RateLimited"]
    assert yahoo.tally.most_at_once == 2
