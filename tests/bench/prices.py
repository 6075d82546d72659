"""Prices at scale: `python -m tests.bench prices` prints each figure beside its goal.

For 50, 500 and 5,000 tickers with 2,520 sessions each: the first ingest of a Parquet file, and on the next
evening the append of one session a ticker, from the same file grown by that session and from a file of the
last dozen sessions. Both go through the steps of `tickercast ingest`, validation, transaction, report and
publication included, without Prefect's server; the figure beside the goal is the time until the rows are
stored. The growth exponent is that of the seconds over the rows, from the smallest to the largest size: 1
means that the time per row does not grow.

At the largest size it then times the as-of read of one ticker; the same market with actions: four of five
tickers pay a dividend each quarter, one of ten was split, its prices divided by its maker, and one of fifty
pays a dividend on the last evening; and, in a workspace of its own, the publication of 25 million forecast
rows.

One per mille of the tickers has a broken row, so that what a refusal takes is part of the figure. Each
measurement has a process of its own, so that its peak memory is its own. Processor time does not change with
other work on the machine.
"""

import contextlib
import datetime as dt
import importlib
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from flows.settings.layers import utc_now
from forecast_lib.config import RunConfig, SourceConfig
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.jobs.night import run_ingest
from forecast_lib.jobs.stages import InOrder
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store.published import publication
from forecast_lib.store.working import database, reads
from tests.store import nights

SESSIONS, LAST, NEXT = 2520, dt.date(2024, 6, 27), dt.date(2024, 6, 28)
SIZES = (50, 500, 5000)
FORECAST_ROWS = 25_000_000
OVERLAP_BEGINS = "2024-06-10"
SPLIT, QUARTERS = "2020-08-31", ("02-12", "05-13", "08-12", "11-12")


def write_market(folder: Path, tickers: int) -> None:
    """`first`, `grown` and `newest` Parquet files of smooth made-up prices with noise; in every thousandth
    ticker one open below its low.
    """
    sessions = TickerCalendar("XNYS").sessions(dt.date(2010, 1, 1), NEXT)[-SESSIONS - 1 :]
    with duckdb.connect(config={"threads": 2}) as con:
        con.register("days", pd.DataFrame({"date": sessions, "k": np.arange(SESSIONS + 1)}))
        rows = f"""
            SELECT 'T' || lpad(t::VARCHAR, 4, '0') AS ticker, date::DATE AS date,
                CASE WHEN t % 1000 = 7 AND k = 1000 THEN close * 0.5
                    ELSE round(close * (1 + 0.002 * sin(k * 7 + t)), 4) END AS open,
                close * 1.01 AS high, close * 0.99 AS low, close, close AS adj_close,
                (100000 + hash(t * 10000 + k) % 900000)::BIGINT AS volume
            FROM (
                SELECT t, date, k,
                    round(50 + t % 100 + 10 * sin(k / 50.0 + t) + (hash(t * 3000 + k) % 1000) / 1000.0, 4)
                        AS close
                FROM range({tickers}) AS r(t), days
            ) ORDER BY ticker, date
        """
        grown = folder / "grown.parquet"
        con.execute(f"COPY ({rows}) TO '{grown}' (FORMAT parquet, COMPRESSION zstd)")
        actions = f"""
            SELECT *,
                CASE WHEN number % 5 <> 0 AND strftime(date, '%m-%d') IN {QUARTERS} THEN 0.25
                    WHEN number % 50 = 1 AND date = DATE '{NEXT}' THEN 0.5 ELSE 0.0 END::DOUBLE AS dividends,
                CASE WHEN number % 10 = 3 AND date = DATE '{SPLIT}'
                    THEN 4.0 ELSE 0.0 END::DOUBLE AS stock_splits
            FROM (SELECT *, ticker[2:]::INTEGER AS number FROM '{grown}')
        """
        for name, market, chosen in (
            ("first", f"FROM '{grown}'", f"date <= DATE '{LAST}'"),
            ("newest", f"FROM '{grown}'", f"date > DATE '{OVERLAP_BEGINS}'"),
            ("first with actions", actions, f"date <= DATE '{LAST}'"),
            ("grown with actions", actions, "true"),
        ):
            con.execute(
                f"COPY (FROM ({market}) WHERE {chosen}) TO '{folder / name}.parquet' (FORMAT parquet,"
                " COMPRESSION zstd)"
            )


class _TimedStages(InOrder):
    """Keeps the seconds of each stage, and when each one ended."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config, utc_now)
        self.ended: dict[str, float] = {}

    @contextlib.contextmanager
    def single(self, name: str) -> Iterator[None]:  # type: ignore[override]  # a context manager too
        began = time.perf_counter()
        yield
        self.ended[name] = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + self.ended[name] - began


def _as_of(day: dt.date) -> AsOf:
    now = dt.datetime.combine(day, dt.time(22, 30), dt.UTC)
    return AsOf(day, now, now)


def take_in(path: Path, workspace: Path, tickers: int, day: dt.date) -> dict[str, Any]:
    """One ingest: seconds in all, seconds until the rows are stored, processor seconds, peak memory, seconds
    of the stages.
    """
    names = tuple(Ticker(f"T{number:04d}") for number in range(tickers))
    config = RunConfig(
        f"{day:%Y%m%d}-00000001", workspace, names, _as_of(day), source=SourceConfig("files", path)
    )
    stages = _TimedStages(config)
    began, cpu = time.perf_counter(), time.process_time()
    summary = run_ingest(config, stages)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    stage_seconds = {name: round(value, 2) for name, value in stages.seconds.items()}
    stored = stages.ended["store"] - began
    return {
        "seconds": seconds,
        "stored": stored,
        "cpu": cpu,
        "peak_mib": _peak_mib(),
        "status": summary.status,
        "stages": stage_seconds,
    }


def as_of_read_ms(workspace: Path, tickers: int) -> float:
    """The median of twenty reads of one ticker each, as known when it was taken in."""
    seconds = []
    with database.open_working(workspace, _as_of(NEXT).now) as con:
        for number in np.linspace(0, tickers - 1, 20).astype(int):
            began = time.perf_counter()
            found = reads.read_prices(con, [f"T{number:04d}"], _as_of(LAST))
            seconds.append(time.perf_counter() - began)
            assert len(found) >= SESSIONS - 1
    return 1000 * statistics.median(seconds)


def publish_forecasts(workspace: Path, rows: int) -> float:
    """Seconds to publish a working database with so many forecast rows."""
    nights.store_night(workspace, 0)
    with duckdb.connect(
        str(workspace / "working.duckdb"), config={"threads": 2, "memory_limit": "2GB"}
    ) as con:
        con.execute(
            f"""
            INSERT INTO forecasts BY NAME
            SELECT 'run-' || (n // 25000) AS run_id, 'T' || lpad((n // 5 % 5000)::VARCHAR, 4, '0') AS ticker,
                'naive' AS made_by,
                DATE '2024-01-02' + (n // 25000)::INTEGER AS cutoff, n % 5 + 1 AS step,
                DATE '2024-01-02' + (n // 25000 + n % 5 + 1)::INTEGER AS target_session, p AS last_close,
                    p AS point,
                0.01 + (hash(n) % 1000) / 1e5 AS sigma, p * 0.96 AS q025, p * 0.97 AS q05, p * 0.98 AS q10,
                    p * 0.99 AS q25, p AS q50,
                p * 1.01 AS q75, p * 1.02 AS q90, p * 1.03 AS q95, p * 1.04 AS q975, 'USD' AS currency,
                    'files' AS source
            FROM (SELECT n, 50 + hash(n // 5) % 10000 / 100.0 AS p FROM range(25000, {rows + 25000}) AS r(n))
            """
        )
    began = time.perf_counter()
    publication.publish(workspace, "run-0", 1)
    return time.perf_counter() - began


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _in_a_process_of_its_own(what: str, *given: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.prices", what, *map(str, given)]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return figures


def _one(argv: list[str]) -> object:
    """A single measurement, in this process, as if only what `make run` installs were there (pandera loads
    Hypothesis where it finds it), and with the command line's collector of circles, which comes seldom.
    """
    sys.modules["hypothesis"] = None  # type: ignore[assignment]  # what cannot be imported
    importlib.import_module("flows.cli")
    match argv:
        case ["write", folder, tickers]:
            write_market(Path(folder), int(tickers))
            return {}
        case ["ingest", path, workspace, tickers, day]:
            return take_in(Path(path), Path(workspace), int(tickers), dt.date.fromisoformat(day))
        case ["read", workspace, tickers]:
            return {"ms": as_of_read_ms(Path(workspace), int(tickers))}
        case ["publish", folder]:
            return {
                "seconds": publish_forecasts(Path(folder) / "workspace", FORECAST_ROWS),
                "peak_mib": _peak_mib(),
            }
    raise SystemExit(f"{argv} is no measurement: expected write, ingest, read or publish")


def _line(what: str, value: str, goal: str = "") -> None:
    print(f"{what:<58} {value:>22}   {goal}", flush=True)


def _measure_size(folder: Path, tickers: int) -> dict[str, float]:
    """Prints the figures of one size; seconds by kind of ingest."""
    rows, seconds = tickers * SESSIONS, {}
    _in_a_process_of_its_own("write", folder, tickers)
    kinds = [
        ("first", "first", LAST),
        ("append", "grown", NEXT),
        ("append, newest rows only", "newest", NEXT),
    ]
    if tickers == SIZES[-1]:
        kinds += [
            ("first with actions", "first with actions", LAST),
            ("append with actions", "grown with actions", NEXT),
        ]
    for kind, name, day in kinds:
        workspace = (
            folder
            / f"workspace {'first' + kind.removeprefix('append') if kind.startswith('append') else kind}"
        )
        if kind == "append, newest rows only":
            _in_a_process_of_its_own("ingest", folder / "first.parquet", workspace, tickers, LAST)
        found = _in_a_process_of_its_own("ingest", folder / f"{name}.parquet", workspace, tickers, day)
        seconds[kind] = found["stored"]
        new = rows if kind.startswith("first") else tickers
        goal = "goal: 1 M rows/s, under 4,096 MiB" if kind.startswith("first") else "goal: under 2 s"
        _line(
            f"{kind}: {tickers:,} tickers, {new:,} new rows",
            f"{found['stored']:.2f} s",
            goal if tickers == SIZES[-1] else "",
        )
        _line("  with the publication", f"{found['seconds']:.2f} s")
        _line("  processor seconds, peak memory", f"{found['cpu']:.1f} s {found['peak_mib']:,} MiB")
        _line(f"  stages {found['stages']}", "")
        if kind.startswith("first"):
            _line("  rows a second", f"{rows / found['stored'] / 1e6:.3f} M")
            _line("  microseconds a row", f"{1e6 * found['stored'] / rows:.2f}")
    if tickers == SIZES[-1]:
        read = _in_a_process_of_its_own("read", folder / "workspace first", tickers)
        _line("as-of read of one ticker", f"{read['ms']:.1f} ms", "goal: under 20 ms")
    return seconds


def main(argv: list[str]) -> int:
    """Every measurement, or up to a size (`up-to 500`), or a single one in this process."""
    if argv and argv[0] != "up-to":
        print(json.dumps(_one(argv)))
        return 0
    sizes = [size for size in SIZES if not argv or size <= int(argv[1])]
    seconds: dict[int, dict[str, float]] = {}
    for tickers in sizes:
        with tempfile.TemporaryDirectory() as folder:
            seconds[tickers] = _measure_size(Path(folder), tickers)
    for kind in seconds[sizes[0]] if len(sizes) > 1 else ():
        growth = math.log(seconds[sizes[-1]][kind] / seconds[sizes[0]][kind]) / math.log(sizes[-1] / sizes[0])
        _line(
            f"growth exponent of {kind}, {sizes[0]:,} to {sizes[-1]:,} tickers",
            f"{growth:.2f}",
            "goal: at most 1",
        )
    if not argv:
        with tempfile.TemporaryDirectory() as folder:
            published = _in_a_process_of_its_own("publish", folder)
        _line(
            f"publication of {FORECAST_ROWS:,} forecast rows",
            f"{published['seconds']:.2f} s",
            "goal: under 10 s",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
