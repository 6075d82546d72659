"""Prices at scale: `python -m tests.bench.prices` takes Parquet files of 50, 500 and 5,000 tickers with 2,520 sessions each, from
the file through validation into the store, and prints rows a second and the peak memory of the process that did it, and the seconds of
processor time, which other work on the machine does not change.

At the largest size it then times a night's append of one row a ticker and the as-of read of one ticker; and, in a workspace of
its own, the publication of 25 million forecast rows. One per mille of the tickers has a broken row, so that the way of single tickers
is part of the figure. Compared with: what the same store needs when every ticker goes that way (at 50 tickers).
"""

import datetime as dt
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from forecast_lib.config import RunConfig, SourceConfig
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.jobs import bulk, ingest, night, publish
from forecast_lib.jobs.workspace import fetching, price_source
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store import database, ledger, publication, reads
from forecast_lib.store.lock import hold_workspace
from tests.store import nights

SESSIONS, LAST = 2520, dt.date(2024, 6, 27)
NOW = dt.datetime(2024, 6, 27, 22, 30, tzinfo=dt.UTC)
SIZES = (50, 500, 5000)
FORECAST_ROWS = 25_000_000


def write_market(path: Path, tickers: int) -> None:
    """Smooth made-up prices with noise; in every thousandth ticker one open below its low."""
    sessions = TickerCalendar("XNYS").sessions(dt.date(2010, 1, 1), LAST)[-SESSIONS:]
    with duckdb.connect(config={"threads": 2}) as con:
        con.register("days", pd.DataFrame({"date": sessions, "k": np.arange(SESSIONS)}))
        con.execute(
            f"""
            COPY (
                SELECT 'T' || lpad(t::VARCHAR, 4, '0') AS ticker, date::DATE AS date,
                    CASE WHEN t % 1000 = 7 AND k = 1000 THEN close * 0.5 ELSE round(close * (1 + 0.002 * sin(k * 7 + t)), 4) END AS open,
                    close * 1.01 AS high, close * 0.99 AS low, close, close AS adj_close,
                    (100000 + hash(t * 10000 + k) % 900000)::BIGINT AS volume
                FROM (
                    SELECT t, date, k, round(50 + t % 100 + 10 * sin(k / 50.0 + t) + (hash(t * 3000 + k) % 1000) / 1000.0, 4) AS close
                    FROM range({tickers}) AS r(t), days
                ) ORDER BY ticker, date
            ) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
            """
        )


def config_of(path: Path, workspace: Path, tickers: int) -> RunConfig:
    names = tuple(Ticker(f"T{number:04d}") for number in range(tickers))
    return RunConfig("20240627-00000001", workspace, names, AsOf(LAST, NOW, NOW), source=SourceConfig("files", path))


def take_in(config: RunConfig, *, whole: bool = True) -> tuple[float, int]:
    """Seconds from the file to the ledger, and how many tickers went one by one."""
    began = time.perf_counter()
    with hold_workspace(config.workspace, config.run_id):
        taken = bulk.take_whole(config, fewest_rows=1) if whole else None
        others = taken.others if taken else config.tickers
        known = ingest.read_known(config.workspace, others, config.as_of)
        source = price_source(config.source, config.as_of, config.workspace, others)
        fetched = [ingest.fetch_ticker(source, ticker, known.of(ticker), config.as_of, fetching()) for ticker in others]
        market = ingest.join_market(config.workspace, fetched, known, config.as_of)
        market = bulk.with_taken(market, taken) if taken else market
        frames = night.frames(config, "ingest", night.Night(market), NOW, {})
        publish.record(config, frames, taken.rows if taken else None)
    return time.perf_counter() - began, len(others)


def append_a_night(workspace: Path, tickers: int) -> float:
    """Seconds to store one new row a ticker, from opening the database to the ledger."""
    later = NOW + dt.timedelta(days=1)
    names = [f"T{number:04d}" for number in range(tickers)]
    stamp = pd.Timestamp(later).tz_localize(None)
    figures = {"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.0, "adj_close": 100.0, "volume": 1e5}
    prices = pd.DataFrame({"ticker": names, "session": pd.Timestamp("2024-06-28"), **figures, "currency": None, "source": "files"})
    run = nights.run_row(0, tickers) | {"run_id": "night", "kind": "ingest", "as_of": pd.Timestamp("2024-06-28"), "source": "files"}
    statuses = pd.DataFrame([nights.ticker_row("night", name, 0) | {"model_id": None, "made_by": None} for name in names])
    frames = {"runs": pd.DataFrame([run]), "run_tickers": statuses}
    began = time.perf_counter()
    with database.open_working(workspace, later) as con:
        rows = prices.assign(revision=0, known_at=stamp, run_id="night")
        entry = database.record_run(con, {**frames, "prices": rows})
    ledger.append(workspace, entry)
    return time.perf_counter() - began


def as_of_reads(workspace: Path, tickers: int) -> list[float]:
    """Seconds of twenty reads of one ticker each, as known when it was taken in."""
    seconds = []
    with database.open_working(workspace, NOW) as con:
        for number in np.linspace(0, tickers - 1, 20).astype(int):
            began = time.perf_counter()
            found = reads.read_prices(con, [f"T{number:04d}"], AsOf(LAST, NOW, NOW))
            seconds.append(time.perf_counter() - began)
            assert len(found) >= SESSIONS - 1
    return seconds


def publish_forecasts(workspace: Path, rows: int) -> float:
    """Seconds to publish a working database with so many forecast rows."""
    nights.store_night(workspace, 0)
    with duckdb.connect(str(workspace / "working.duckdb"), config={"threads": 2, "memory_limit": "2GB"}) as con:
        con.execute(
            f"""
            INSERT INTO forecasts BY NAME
            SELECT 'run-' || (n // 25000) AS run_id, 'T' || lpad((n // 5 % 5000)::VARCHAR, 4, '0') AS ticker, 'naive' AS made_by,
                DATE '2024-01-02' + (n // 25000)::INTEGER AS cutoff, n % 5 + 1 AS step,
                DATE '2024-01-02' + (n // 25000 + n % 5 + 1)::INTEGER AS target_session, p AS last_close, p AS point,
                0.01 + (hash(n) % 1000) / 1e5 AS sigma, p * 0.96 AS q025, p * 0.97 AS q05, p * 0.98 AS q10, p * 0.99 AS q25, p AS q50,
                p * 1.01 AS q75, p * 1.02 AS q90, p * 1.03 AS q95, p * 1.04 AS q975, 'USD' AS currency, 'files' AS source
            FROM (SELECT n, 50 + hash(n // 5) % 10000 / 100.0 AS p FROM range(25000, {rows + 25000}) AS r(n))
            """
        )
    began = time.perf_counter()
    publication.publish(workspace, "run-0", 1)
    return time.perf_counter() - began


def measured(what: str, tickers: int) -> dict[str, Any]:
    """One measurement, made in this process."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "workspace"
        if what == "publish":
            figures: dict[str, Any] = {"seconds": publish_forecasts(workspace, FORECAST_ROWS)}
        else:
            path = Path(folder) / "market.parquet"
            subprocess.run([sys.executable, "-m", "tests.bench.prices", "write", str(tickers), str(path)], check=True)
            before = time.process_time()
            seconds, one_by_one = take_in(config_of(path, workspace, tickers), whole=what == "whole")
            cpu = time.process_time() - before
            figures = {"seconds": seconds, "cpu_seconds": cpu, "one_by_one": one_by_one, "peak_mb": _peak_mb()}
            if what == "whole" and tickers == SIZES[-1]:
                figures["append_s"] = append_a_night(workspace, tickers)
                figures["as_of_read_ms"] = 1000 * statistics.median(as_of_reads(workspace, tickers))
    return {**figures, "peak_mb_in_all": _peak_mb()}


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _in_a_process_of_its_own(what: str, tickers: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.prices", what, str(tickers)]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return figures


def main(argv: list[str]) -> int:
    """Every measurement, or one of them: `whole N`, `single N`, `publish 0`, `write N PATH`."""
    if argv and argv[0] == "write":
        write_market(Path(argv[2]), int(argv[1]))
        return 0
    if argv:
        print(json.dumps(measured(argv[0], int(argv[1]))))
        return 0
    for tickers in SIZES:
        figures = _in_a_process_of_its_own("whole", tickers)
        rows = tickers * SESSIONS
        print(
            f"whole   {rows:>12,} rows  {figures['seconds']:8.2f} s  {rows / figures['seconds'] / 1e6:6.3f} M rows/s  {figures}", flush=True
        )
    single = _in_a_process_of_its_own("single", SIZES[0])
    rows = SIZES[0] * SESSIONS
    print(f"single  {rows:>12,} rows  {single['seconds']:8.2f} s  {rows / single['seconds'] / 1e6:6.3f} M rows/s  {single}", flush=True)
    published = _in_a_process_of_its_own("publish", 0)
    print(f"publish {FORECAST_ROWS:>12,} rows  {published['seconds']:8.2f} s  {published}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
