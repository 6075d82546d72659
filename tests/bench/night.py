"""Whole nights by the command line: `python -m tests.bench night` (`python -m tests.bench.night 60 500 5000`
for the growth, `--before FOLDER` for a version before: a checkout with a `.venv` of its own).

A simulated market of so many tickers with five years of sessions is written to a Parquet file; then three
nights run through `tickercast nightly`, with its own Prefect server: everything trained anew with a backtest
of one fold, everything fine-tuned, and forecasts alone. Each prints its wall time, when its first line came
and when its first stage was done, the processor time of the whole machine meanwhile (Prefect's server is not
waited for, and so in nobody's account), its peak memory, and how busy the machine was before. With a version
before, both do their nights in turn, `--rounds` times, and the ratios of the medians are printed beside the
goals. The growth exponent of the processor seconds over the tickers is 1 where the time per ticker does not
grow. At the end the walkthrough's network is trained by stock Keras on one of the tickers, beside the seconds
that a ticker of the smallest first night took, all in.
"""

import argparse
import datetime as dt
import functools
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
from typing import IO

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
NIGHTS = {"retrain": 3.0, "fine-tune": 2.0, "forecast": 2.0}
"""Strategy of each night, and how many times faster than the version before it is to be at 500 tickers."""
HERE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Measured:
    """One night: seconds of wall time, of that before the first line and before the first stage was done, and
    of the machine's processor time; peak GiB; what the run says of itself.
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


def _busy() -> float:
    """Processor seconds of everything on the machine since it started."""
    user, nice, system = Path("/proc/stat").read_text().split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


@functools.cache
def _home(version: Path) -> tempfile.TemporaryDirectory[str]:
    """Where a version's Prefect is at home, for it cannot go back to what another release of it has written.
    One small night has been done there, so that all is compiled and the server's database is made.
    """
    home = tempfile.TemporaryDirectory(prefix="tickercast-prefect-")
    words = ["--tickers", "SIM1", "--as-of", EVENINGS[0], "--workspace", f"{home.name}/workspace"]
    with _started(version, home.name, words, subprocess.DEVNULL) as process:
        process.communicate()
    return home


def _started(
    version: Path, home: str, options: Sequence[str], said: IO[bytes] | int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [version / ".venv" / "bin" / "python", "-m", "flows.cli", "nightly", *options],
        cwd=version,
        env={**os.environ, "PREFECT_HOME": home},
        stdout=said,
        stderr=subprocess.PIPE,
    )


def night(version: Path, workspace: Path, prices: Path, evening: str, strategy: str) -> Measured:
    """Run one night of a version, in a process of its own."""
    given = {"workspace": workspace, "files": prices, "as-of": evening, "strategy": strategy}
    options = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    home = _home(version).name
    began, busy = time.perf_counter(), _busy()
    with tempfile.TemporaryFile() as said:
        process = _started(version, home, [*options, "--json"], said)
        assert process.stderr is not None
        process.stderr.readline()
        first_line = time.perf_counter() - began
        process.stderr.readline()
        first_stage = time.perf_counter() - began
        process.stderr.read()
        _, _, used = os.wait4(process.pid, 0)
        wall, busy = time.perf_counter() - began, _busy() - busy
        said.seek(0)
        ended = json.loads(said.read().decode().splitlines()[-1])
    if "seconds" not in ended:
        raise SystemExit(f"the {strategy} night failed: {ended.get('error', ended)}")
    return Measured(
        wall, first_line, first_stage, busy, used.ru_maxrss / 2**20, ended["seconds"], ended["tickers"]
    )


def nights(tickers: int, version: Path = HERE) -> list[Measured]:
    """Three nights of so many tickers, one after the other in one workspace."""
    with tempfile.TemporaryDirectory(prefix="tickercast-night-") as folder:
        prices, workspace = Path(folder) / "prices.parquet", Path(folder) / "workspace"
        write_market(prices, tickers)
        measured = []
        for evening, strategy in zip(EVENINGS, NIGHTS, strict=True):
            load = os.getloadavg()[0]
            made = night(version, workspace, prices, evening, strategy)
            measured.append(made)
            stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in made.stages.items())
            print(
                f"{tickers:5d} tickers  {strategy:9s}  {made.wall:7.1f} s (first line"
                f" {made.first_line:.1f}, stage {made.first_stage:.1f}) "
                f" {made.cpu:7.1f} CPU s  {made.peak_gib:5.2f} GiB  load {load:.1f}"
                f"{'' if version == HERE else f'  {version}'}",
                flush=True,
            )
            print(f"        {made.statuses}; {stages}", flush=True)
        return measured


def _compare(tickers: int, ours: list[list[Measured]], theirs: list[list[Measured]]) -> None:
    """Ratios of the medians, night by night."""
    for at, (strategy, goal) in enumerate(NIGHTS.items()):
        before, now = (
            {
                name: statistics.median(getattr(each[at], name) for each in made)
                for name in ("wall", "cpu", "peak_gib", "first_line")
            }
            for made in (theirs, ours)
        )
        ratios = {name: before[name] / now[name] for name in now}
        print(
            f"{tickers:5d} tickers  {strategy:9s}  {before['wall']:.1f} -> {now['wall']:.1f} s:"
            f" {ratios['wall']:.2f} times faster (goal {goal:.0f} at 500), processor time"
            f" {ratios['cpu']:.2f}, memory {ratios['peak_gib']:.2f}, first line {ratios['first_line']:.1f}",
            flush=True,
        )


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
    parser = argparse.ArgumentParser(prog="python -m tests.bench.night")
    parser.add_argument("sizes", nargs="*", type=int, default=[500])
    parser.add_argument("--before", type=Path, help="a checkout of another version with a .venv of its own")
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args(words)
    found = dict[int, list[list[Measured]]]()
    for size in asked.sizes:
        theirs = list[list[Measured]]()
        for _ in range(asked.rounds):
            found.setdefault(size, []).append(nights(size))
            theirs += [nights(size, asked.before.resolve())] if asked.before else []
        if theirs:
            _compare(size, found[size], theirs)
    small, large = min(asked.sizes), max(asked.sizes)
    for at, strategy in enumerate(NIGHTS if small < large else ()):
        exponent = math.log(found[large][0][at].cpu / found[small][0][at].cpu) / math.log(large / small)
        print(
            f"{strategy}: processor time grows with tickers to the power of {exponent:.2f} from"
            f" {small} to {large} (goal 1.05)"
        )
    theirs_s, ours_s = keras_seconds(), found[small][0][0].wall / small
    print(
        f"the walkthrough's network by stock Keras: {theirs_s:.2f} s a ticker; ours, all in, {ours_s:.2f} s,"
        f" a night of {small}: {theirs_s / ours_s:.1f} times (goal 20 at 60)"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
