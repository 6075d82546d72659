"""Whole nights by the command line: `python -m tests.bench night` (`python -m tests.bench.night 50 500 5000`
for the growth).

A simulated market of so many tickers with five years of sessions is written to a Parquet file; then three
nights run through `tickercast nightly`, with its own Prefect server: everything trained anew with a backtest
of one fold, everything fine-tuned, and forecasts alone. Each prints its wall time, when its first line came
and when its first stage was done, the processor time of the process and its Prefect server, its peak memory,
how busy the machine was, and its goal at 500 tickers. The growth exponent of the seconds over the tickers is
1 where the time per ticker does not grow. At the end the walkthrough's network is trained by stock Keras on
one of the tickers, beside the seconds that a ticker of the smallest first night took, all in.
"""

import datetime as dt
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from forecast_lib.prices.sources.files import FilesSource
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store.parquet import ParquetFiles
from forecast_lib.windows.series import series_of
from tests.bench.engine import stock_keras
from tests.prices.one_ticker import ask

SESSIONS, EVENINGS = 1260, ("2024-06-26", "2024-06-27", "2024-06-28")
NIGHTS = (("retrain", 300.0), ("fine-tune", 90.0), ("forecast", 20.0))
MEMORY_GIB = 3.0


@dataclass(frozen=True)
class Measured:
    """One night: seconds of wall time, of that before the first line and before the first stage was done, and
    of processor time; peak GiB; what the run says of itself.
    """

    wall: float
    first_line: float
    first_stage: float
    cpu: float
    peak_gib: float
    stages: dict[str, float]
    statuses: dict[str, int]


def write_market(path: Path, tickers: int, count: int = SESSIONS) -> None:
    """Stochastic volatility, fat tails, ranges and volumes; each ticker from a seed of its own.

    Args:
        count: of sessions, up to the last of `EVENINGS`.
    """
    sessions = TickerCalendar("XNYS").sessions(dt.date(2018, 1, 1), dt.date.fromisoformat(EVENINGS[-1]))[
        -count:
    ]
    parts = []
    for ticker in range(tickers):
        random = np.random.default_rng(ticker)
        log_sigma = np.zeros(count)
        for at in range(1, count):
            log_sigma[at] = 0.97 * log_sigma[at - 1] + 0.12 * random.standard_normal()
        sigma = 0.015 * np.exp(log_sigma)
        close = 50.0 * np.exp(np.cumsum(sigma * random.standard_t(6, count) * 0.8165))
        opened = np.concatenate([[50.0], close[:-1]]) * np.exp(0.3 * sigma * random.standard_normal(count))
        high = np.maximum(opened, close) * np.exp(0.4 * sigma * np.abs(random.standard_normal(count)))
        low = np.minimum(opened, close) * np.exp(-0.4 * sigma * np.abs(random.standard_normal(count)))
        prices = {"open": opened, "high": high, "low": low, "close": close}
        volume = np.round(np.exp(12 + 0.3 * random.standard_normal(count)))
        parts.append(
            pd.DataFrame(
                {
                    "ticker": f"T{ticker:04d}",
                    "date": sessions,
                    **{k: v.round(6) for k, v in prices.items()},
                    "volume": volume,
                }
            )
        )
    with duckdb.connect() as con:
        con.register("market", pd.concat(parts, ignore_index=True))
        con.execute(f"COPY market TO '{path}' (FORMAT parquet, COMPRESSION zstd)")


def night(workspace: Path, prices: Path, evening: str, strategy: str) -> Measured:
    """Run one night in a process of its own."""
    words = [
        "nightly",
        "--workspace",
        str(workspace),
        "--files",
        str(prices),
        "--as-of",
        evening,
        "--strategy",
        strategy,
        "--json",
    ]
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *words], stdout=said, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        process.stderr.readline()
        first_line = time.perf_counter() - began
        process.stderr.readline()
        first_stage = time.perf_counter() - began
        process.stderr.read()
        _, _, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        said.seek(0)
        ended = json.loads(said.read().decode().splitlines()[-1])
    if "seconds" not in ended:
        raise SystemExit(f"the {strategy} night failed: {ended.get('error', ended)}")
    return Measured(
        wall,
        first_line,
        first_stage,
        used.ru_utime + used.ru_stime,
        used.ru_maxrss / 2**20,
        ended["seconds"],
        ended["tickers"],
    )


def nights(tickers: int) -> list[Measured]:
    """Three nights of so many tickers, one after the other in one workspace."""
    with tempfile.TemporaryDirectory(prefix="tickercast-night-") as folder:
        prices, workspace = Path(folder) / "prices.parquet", Path(folder) / "workspace"
        write_market(prices, tickers)
        measured = []
        for evening, (strategy, goal) in zip(EVENINGS, NIGHTS, strict=True):
            made = night(workspace, prices, evening, strategy)
            measured.append(made)
            goals = f"goal {goal:.0f} s, {MEMORY_GIB:.0f} GiB" if tickers == 500 else ""
            stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in made.stages.items())
            print(
                f"{tickers:5d} tickers  {strategy:9s}  {made.wall:7.1f} s (first line"
                f" {made.first_line:.1f}, stage {made.first_stage:.1f}) "
                f" {made.cpu:7.1f} CPU s  {made.peak_gib:5.2f} GiB  load {os.getloadavg()[0]:.1f}  {goals}",
                flush=True,
            )
            print(f"        {made.statuses}; {stages}", flush=True)
        return measured


def keras_seconds(repeats: int = 3) -> float:
    """What the walkthrough's network by stock Keras takes for one ticker of the market, the median of some
    trainings.
    """
    with tempfile.TemporaryDirectory(prefix="tickercast-night-") as folder:
        prices = Path(folder) / "prices.parquet"
        write_market(prices, 1)
        answer = ask(
            FilesSource(prices, parquet=ParquetFiles()), "T0000", None, dt.date.fromisoformat(EVENINGS[-1])
        )
        with stock_keras(series_of("T0000", answer.prices)) as train:
            return statistics.median(train("walkthrough")[0] for _ in range(repeats))


def main(words: Sequence[str]) -> None:
    sizes = [int(word) for word in words] or [500]
    found = {size: nights(size) for size in sizes}
    if len(sizes) > 1:
        small, large = min(sizes), max(sizes)
        for place, (strategy, _) in enumerate(NIGHTS):
            exponent = math.log(found[large][place].cpu / found[small][place].cpu) / math.log(large / small)
            print(
                f"{strategy}: processor time grows with tickers to the power of {exponent:.2f} from"
                f" {small} to {large} (goal 1.05)"
            )
    theirs, ours = keras_seconds(), found[min(sizes)][0].wall / min(sizes)
    print(
        f"the walkthrough's network by stock Keras: {theirs:.2f} s a ticker; ours, all in, {ours:.2f} s, a"
        f" night of {min(sizes)}: {theirs / ours:.1f} times (goal 20 at 60)"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
