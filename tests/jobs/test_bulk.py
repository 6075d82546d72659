"""A file taken in whole stores exactly what the way of single tickers stores, whatever is wrong with some of its tickers."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from flows import nightly
from flows.settings import resolve
from forecast_lib.errors import AuditFailed
from forecast_lib.jobs import bulk
from forecast_lib.jobs.summary import RunSummary
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store import audits, database
from tests.flows.test_past_nights import PlainStages
from tests.store import nights

SESSIONS = TickerCalendar("XNYS").sessions(dt.date(2022, 9, 1), dt.date(2024, 6, 18))[-420:]
Change = Callable[[pd.DataFrame], pd.DataFrame]


def good(ticker: str, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    close = (100 * np.exp(np.cumsum(0.01 * random.standard_normal(len(SESSIONS))))).round(2)
    figures = {"open": close, "high": (close * 1.01).round(2), "low": (close * 0.99).round(2), "close": close}
    volume = random.integers(1000, 9000, len(SESSIONS))
    return pd.DataFrame({"ticker": ticker, "date": SESSIONS, **figures, "volume": volume})


def with_value(column: str, value: float, at: int = 200) -> Change:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.astype({column: float})
        rows.loc[at, column] = value
        return rows

    return change


def times(factor: float, rows_from: int, rows_to: int) -> Change:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[rows_from:rows_to, ["open", "high", "low", "close"]] *= factor
        return rows

    return change


def moved(day: str) -> Change:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[200, "date"] = pd.Timestamp(day)
        return rows

    return change


CHANGES: dict[str, Change] = {
    "OPEN": with_value("open", 1.0), "NAN": with_value("close", np.nan), "INF": with_value("high", np.inf), "ZERO": with_value("low", 0.0),
    "HUGE": with_value("close", 1e300), "NEGATIVE": with_value("volume", -1.0), "QUIET": with_value("volume", 0.0),
    "SPLIT": times(0.25, 300, 400), "SPIKE": times(2.0, 300, 300), "PENCE": times(100.0, 300, 302),
    "FROZEN": lambda rows: rows.assign(**dict.fromkeys(("open", "high", "low", "close"), rows["close"][300])).where(
        rows.index.to_series().between(300, 310), rows),
    "STALE": lambda rows: pd.concat([rows[:300], rows[299:300].assign(date=rows["date"][300]), rows[301:]]),
    "GAP": lambda rows: rows.drop(index=250), "WEEKEND": moved("2023-10-21"), "HOLIDAY": moved("2023-11-23"),
    "TWICE": lambda rows: pd.concat([rows, rows[100:101]]),
    "RIVALS": lambda rows: pd.concat([rows[:101], rows[100:101].assign(close=1.0), rows[101:]]),
    "BACKWARDS": lambda rows: rows[::-1],
}  # fmt: skip


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good tickers, and one for each change; at the end a piece of EARLY, which begins the file."""
    tickers = [good(f"G{number}", number) for number in range(3)]
    tickers += [change(good(name, seed)) for seed, (name, change) in enumerate(CHANGES.items(), 20)]
    early = good("EARLY", 50)
    rows = pd.concat([early[:100], *tickers, early[100:]], ignore_index=True)
    path = tmp_path_factory.mktemp("market") / "market.parquet"
    duckdb.from_df(rows.assign(date=rows["date"].dt.date)).write_parquet(str(path))
    return path


@pytest.fixture
def ingest(market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], RunSummary]:
    def run(name: str, fewest_rows: int, now: str = "2024-06-18T22:30:00") -> RunSummary:
        monkeypatch.setattr(nightly, "Stages", PlainStages)
        monkeypatch.setattr(nightly, "leave_artifacts", lambda summary: None)
        monkeypatch.setattr(nightly.publish, "report_page", lambda *_: "")  # has tests of its own, and takes most of the time
        take = bulk.take_whole
        monkeypatch.setattr(nightly.bulk, "take_whole", lambda config: take(config, fewest_rows=fewest_rows))
        given = {"files": str(market), "workspace": str(tmp_path / name), "as_of": now[:10]}
        summary = nightly._ingest(resolve(given, environ={}, now=dt.datetime.fromisoformat(now + "+00:00")))
        monkeypatch.setattr(nightly.bulk, "take_whole", take)
        return summary

    return run


def rows(workspace: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(workspace / "published.duckdb"), read_only=True) as con:
        return con.execute(sql).fetchall()


EVERY, ALL_SINGLE = 1, 10**9
TABLES = {
    "prices": "SELECT * EXCLUDE (run_id, adj_close) FROM prices ORDER BY ALL",
    "quarantined_prices": "SELECT * EXCLUDE run_id FROM quarantined_prices ORDER BY ALL",
    "quality_counts": "SELECT * EXCLUDE run_id FROM quality_counts ORDER BY ALL",
    "price_gaps": "SELECT * EXCLUDE run_id FROM price_gaps ORDER BY ALL",
    "run_tickers": "SELECT * EXCLUDE run_id FROM run_tickers ORDER BY ALL",
}


def test_both_ways_store_the_same_rows(ingest: Callable[..., RunSummary], tmp_path: Path) -> None:
    whole, single = ingest("whole", EVERY), ingest("single", ALL_SINGLE)
    for table, sql in TABLES.items():
        assert rows(tmp_path / "whole", sql) == rows(tmp_path / "single", sql), table
    assert (whole.status, whole.tickers, whole.degraded) == (single.status, single.tickers, single.degraded)
    before = rows(tmp_path / "whole", TABLES["prices"])
    ingest("whole", EVERY, now="2024-06-18T23:30:00")
    assert rows(tmp_path / "whole", TABLES["prices"]) == before, "a second ingest of the same file adds nothing"
    assert rows(tmp_path / "whole", "SELECT count(DISTINCT ticker) FROM prices WHERE ticker LIKE 'G_'") == [(3,)]


def test_prices_in_rising_blocks_need_no_grouping_and_anything_else_does(tmp_path: Path) -> None:
    """A night is stored: AAA and BBB with a session each."""
    workspace = tmp_path / "workspace"
    nights.store_night(workspace, 0)
    with database.open_working(workspace, nights.now(3)) as con:
        for insert, proven in (
            ("('CCC', '2024-02-01'), ('CCC', '2024-02-02'), ('DDD', '2024-02-01')", True),
            ("('CCC', '2024-02-01'), ('DDD', '2024-02-01'), ('CCC', '2024-02-02')", True),
            ("('CCC', '2024-02-01'), ('CCC', '2024-02-01')", False),
            ("('CCC', '2024-02-02'), ('CCC', '2024-02-01')", False),
            ("('CCC', '2024-02-01'), ('DDD', '2024-02-01'), ('CCC', '2024-02-01')", False),
            ("('AAA', '2024-02-01')", False),
        ):
            con.begin()
            con.execute(
                "INSERT INTO prices SELECT ticker, day::DATE, NULL, NULL, NULL, 1, NULL, NULL, NULL, 'files', 0,"
                f" TIMESTAMP '2024-02-03', 'x' FROM (VALUES {insert}) AS v(ticker, day)"
            )
            assert audits._prices_are_new_and_in_order(con, "x") == proven, insert
            con.rollback()


def test_a_price_stored_twice_is_still_found(tmp_path: Path) -> None:
    frames = nights.night(0)
    frames["prices"] = pd.concat([frames["prices"], frames["prices"].head(1).assign(revision=2)], ignore_index=True)
    with pytest.raises(AuditFailed, match="revisions of a price are 0, 1, 2 and so on"):
        nights.store_night(tmp_path / "workspace", 0, frames)
