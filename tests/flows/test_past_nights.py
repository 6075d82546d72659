"""A past night again, after the source has rewritten its past and its future: the flow's own steps, the real
Yahoo client, a Yahoo on the loopback. Prefect is left out; it decides nothing.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.jobs import night as jobs
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.prices.sources.retrying import Retrying
from forecast_lib.prices.sources.yahoo import YahooSource
from forecast_lib.sessions import TickerCalendar
from tests import plain_runs
from tests.prices.fake_yahoo import Bar, FakeYahoo, Listing
from tests.reading import published

pytestmark = pytest.mark.slow

DAY = dt.date
SMALL = {
    "units": "4",
    "lookback": "10",
    "horizon": "1",
    "epochs": "1",
    "test_share": "0.01",
    "source": "yahoo",
}
LATER = DAY(2024, 6, 25)
Night = Callable[..., RunSummary]


def listing(ticker: str, seed: int, last: dt.date) -> Listing:
    """Daily returns that repeat half of the day before's: a model that learns will beat the naive
    forecast.
    """
    sessions = TickerCalendar("XNYS").sessions(DAY(2021, 6, 1), last)
    random = np.random.default_rng(seed)
    returns = np.zeros(len(sessions))
    for at in range(1, len(sessions)):
        returns[at] = 0.7 * returns[at - 1] + 0.01 * random.standard_normal()
    close = (400.0 * np.exp(np.cumsum(returns) - returns[:700].mean() * np.arange(len(returns)))).round(2)
    bars = [
        Bar(session.date(), price, round(price * 1.01, 2), round(price * 0.99, 2), price, float(1000 + place))
        for place, (session, price) in enumerate(zip(sessions, close, strict=True))
    ]
    return Listing(ticker, bars)


def rewrite(yahoo: FakeYahoo) -> None:
    """A 4:1 split on 20 June that re-bases the whole past, a dividend, three revised closes, and four more
    sessions.
    """
    for seed, ticker in enumerate(("ACME", "BOLT")):
        told = listing(ticker, seed, LATER)
        told.splits = {DAY(2024, 6, 20): (4.0, 1.0)}
        told.dividends = {DAY(2024, 6, 18): 1.0}
        since = {bar.session: place for place, bar in enumerate(told.bars)}
        for day, factor in ((DAY(2024, 6, 12), 1.05), (DAY(2024, 5, 1), 0.97), (DAY(2023, 3, 1), 1.1)):
            old = told.bars[since[day]]
            told.bars[since[day]] = Bar(
                day,
                *(round(price * factor, 2) for price in (old.open, old.high, old.low, old.close)),
                old.volume,
            )
        told.bars = [
            (
                Bar(
                    bar.session,
                    *(price / 4 for price in (bar.open, bar.high, bar.low, bar.close)),
                    bar.volume * 4,
                )
                if bar.session >= DAY(2024, 6, 20)
                else bar
            )
            for bar in told.bars
        ]
        yahoo.listings[ticker] = told


@pytest.fixture
def yahoo():
    with FakeYahoo([listing("ACME", 0, DAY(2024, 6, 17)), listing("BOLT", 1, DAY(2024, 6, 17))]) as yahoo:
        yield yahoo


@pytest.fixture
def night(yahoo: FakeYahoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    def source(config: Any, as_of: Any, workspace: Path, tickers: Any = ()) -> YahooSource:
        return YahooSource(
            tmp_path / "cache",
            as_of.now,
            session=yahoo.session(timeout_s=5.0),
            retrying=Retrying(sleep=lambda _: None),
        )

    monkeypatch.setattr(jobs, "price_source", source)

    def run(now: str, kind: str = "nightly", **options: str) -> RunSummary:
        given = {
            **SMALL,
            "epochs": "20",
            "tickers": "ACME,BOLT",
            "workspace": str(tmp_path / "workspace"),
            **options,
        }
        config = resolve(gather(given, environ={}), now=dt.datetime.fromisoformat(now + "+00:00"))
        return plain_runs.night(config) if kind == "nightly" else plain_runs.ingest(config)

    return run


DRIVERS = "SELECT * EXCLUDE (run_id) FROM forecast_drivers WHERE run_id = '{}' ORDER BY ticker, step, driver"
FORECASTS = "SELECT * EXCLUDE (run_id) FROM forecasts WHERE run_id = '{}' ORDER BY ticker, step"


def test_a_past_night_is_bit_identical_after_a_split_rewrote_history(
    night: Night, yahoo: FakeYahoo, tmp_path: Path
) -> None:
    """On the night in question ACME's model of the evening before was tuned, and BOLT's prices did
    not come.
    """
    workspace = tmp_path / "workspace"
    night("2024-06-14T22:30:00", as_of="2024-06-14", strategy="retrain")
    yahoo.script("BOLT", "404")
    first = night("2024-06-17T22:30:00", as_of="2024-06-17", strategy="fine-tune")
    assert published(
        workspace,
        f"SELECT decision, trigger FROM run_tickers WHERE run_id = '{first.run_id}' ORDER BY ticker",
    ) == [("fine_tune", "asked_for"), ("skip", "no_new_prices")]
    assert [row["reason"].partition(":")[0] for row in first.degraded] == ["no_data_yet"]
    before = [published(workspace, sql.format(first.run_id)) for sql in (FORECASTS, DRIVERS)]
    assert all(row[-3] is not None for row in before[1]), (
        "each width was held against that of the evening before"
    )

    yahoo.script("BOLT", "ok")
    rewrite(yahoo)
    night("2024-06-25T22:30:00", kind="ingest", as_of="2024-06-25")
    # Newer models, of an evening before the night's.
    night("2024-06-25T23:00:00", as_of="2024-06-16", strategy="retrain")
    assert published(workspace, "SELECT max(revision) FROM prices WHERE session = DATE '2024-06-12'") == [
        (1,)
    ]
    assert published(
        workspace, "SELECT count(*) FROM corporate_actions WHERE kind = 'split' AND value = 4.0"
    ) == [(2,)]

    again = night(
        "2024-06-26T10:00:00", as_of="2024-06-17", known_at="2024-06-17T22:30:00", strategy="fine-tune"
    )
    assert again.forecasts_hash == first.forecasts_hash
    assert [published(workspace, sql.format(again.run_id)) for sql in (FORECASTS, DRIVERS)] == before
    assert again.degraded == first.degraded
    assert prices_hash(workspace, again) == prices_hash(workspace, first)
    knowing = night("2024-06-26T11:00:00", kind="ingest", as_of="2024-06-17")
    assert prices_hash(workspace, knowing) != prices_hash(workspace, first), (
        "what is known today about the same evening differs"
    )


def test_a_problem_of_a_ticker_without_a_model_is_recalled(
    night: Night, yahoo: FakeYahoo, tmp_path: Path
) -> None:
    """BOLT's prices were stored before, and did not come on the first night: then it was not in the pool."""
    night("2024-06-14T22:30:00", kind="ingest", as_of="2024-06-14")
    yahoo.script("BOLT", "404")
    first = night("2024-06-17T22:30:00", as_of="2024-06-17")
    yahoo.script("BOLT", "ok")
    again = night("2024-06-18T10:00:00", as_of="2024-06-17", known_at="2024-06-17T22:30:00")
    assert again.forecasts_hash == first.forecasts_hash
    statuses = (
        "SELECT * EXCLUDE (run_id, rows_new, train_seconds, cost_seconds) FROM run_tickers WHERE run_id ="
        " '{}' ORDER BY ticker"
    )
    told = [published(tmp_path / "workspace", statuses.format(run.run_id)) for run in (first, again)]
    assert told[0] == told[1]
    assert any(str(value).startswith("no_data_yet: ") for row in told[0] for value in row)


def prices_hash(workspace: Path, run: RunSummary) -> list[tuple]:
    return published(workspace, f"SELECT prices_hash FROM runs WHERE run_id = '{run.run_id}'")


def test_a_symbol_is_unknown_only_after_three_sessions_in_a_row(night: Night, yahoo: FakeYahoo) -> None:
    yahoo.listings["NOSUCH"] = listing("NOSUCH", 5, DAY(2021, 9, 1))
    yahoo.script("NOSUCH", "404")
    said = [
        night(f"{day}T22:30:00", kind="ingest", tickers="NOSUCH", as_of=day)
        .degraded[0]["reason"]
        .partition(":")[0]
        for day in ("2024-06-13", "2024-06-14", "2024-06-17")
    ]
    assert said == ["no_data_yet", "no_data_yet", "unknown_ticker"]
