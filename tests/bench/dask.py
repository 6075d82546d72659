"""The same nights in threads, processes and on Dask: time, bytes moved, time on the one writer; and what that
makes of 50,000 tickers.

`python -m tests.bench dask` takes about ten minutes: first nights (everything is trained and backtested) of
`SIZES` tickers with each of `WAYS`, and for the writer second nights of `WRITER_SIZES` tickers that train
nothing. Each night is a `tickercast nightly` in a process of its own, with a Prefect server for all of them;
bytes are counted where shards are packed and results unpacked, processor time is the operating system's.

`python -m tests.bench.dask messages [TICKERS]` is a first night of 20,000 tickers with short histories, the
least network and a short backtest on two Dask workers: the largest messages, and what the flow's process,
which alone writes, does beside the workers.

Beyond the sizes measured the figures are straight lines through the two.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows import cli
from flows.running import shards
from flows.service.deployments import local_server
from tests.bench.night import EVENINGS, write_market

SIZES = (8, 32)
WAYS = (("threads", 2), ("processes", 2), ("dask", 1), ("dask", 2))
WRITER_SIZES = (100, 400)
MODELLED = (5_000, 50_000)
WORKERS_MODELLED = (2, 16, 128)
WORKED, WRITER = ("pool", "backtest pool", "models", "backtest"), ("compare", "forecast", "store", "publish")
FIRST, SECOND = "2024-05-02", "2024-05-03"
MANY, SHORT = 20_000, 200
LEAST, BRIEF = "--units 4 --lookback 10 --horizon 2 --epochs 1".split(), {"TICKERCAST_TEST_SHARE": "0.05"}
LARGEST_MB = 50


@dataclass(frozen=True)
class Night:
    """What one night took.

    Attributes:
        seconds: by stage.
        sent, back: bytes by the function that was called elsewhere.
        largest: bytes of the largest message to a worker, and from one, by function.
        own, workers: seconds of processor time, of the flow's process and of its children.
        peak_gib: memory of the flow's process.
    """

    wall: float
    seconds: dict[str, float]
    sent: dict[str, int]
    back: dict[str, int]
    largest: dict[str, tuple[int, int]]
    own: float
    workers: float
    peak_gib: float
    forecasts_hash: str

    def stages(self, names: tuple[str, ...]) -> float:
        """Seconds of these stages together."""
        return sum(self.seconds.get(name, 0.0) for name in names)


def _counted(report: dict[str, Any]) -> None:
    """Count what is packed and unpacked; a shard's call does both in one thread."""
    sent, back, here = Counter[str](), Counter[str](), threading.local()
    largest: dict[str, tuple[int, int]] = {}
    pack, unpack, parcels = shards.pack, shards.unpack, shards.parcels

    def seen(out: int, home: int) -> None:
        before = largest.get(here.name, (0, 0))
        largest[here.name] = max(before[0], out), max(before[1], home)

    def packing(value: Any) -> bytes:
        content = pack(value)
        here.name = value[0].__name__
        sent[here.name] += len(content)
        return content

    def cutting(content: bytes) -> list[shards.Parcel]:
        pieces = parcels(content)
        seen(max(map(len, pieces)), 0)
        return pieces

    def unpacking(content: bytes) -> Any:
        back[here.name] += len(content)
        seen(0, len(content))
        return unpack(content)

    shards.pack, shards.unpack, shards.parcels = packing, unpacking, cutting
    report.update(sent=sent, back=back, largest=largest)


def _night(path: str, words: list[str]) -> int:
    """In a process of its own: the night, and what it took as JSON in a file."""
    report: dict[str, Any] = {}
    _counted(report)
    code = cli.main(words)
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    report.update(own=own.ru_utime + own.ru_stime, workers=workers.ru_utime + workers.ru_stime)
    report.update(peak_gib=own.ru_maxrss / 2**20)
    Path(path).write_text(json.dumps(report))
    return code


def night(folder: Path, name: str, variables: dict[str, str], *words: str) -> Night:
    """One night in the workspace of that name."""
    from tests.conftest import (
        clean_environment,
    )  # which forgets every setting of the process: not the night's

    env = {**clean_environment(folder / "home"), **variables}
    command = [
        sys.executable,
        "-m",
        "tests.bench.dask",
        str(folder / "report"),
        "nightly",
        "--workspace",
        str(folder / name),
        "--json",
        *words,
    ]
    began = time.perf_counter()
    ended = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    if ended.returncode not in (0, 10):
        raise SystemExit(ended.stderr)
    summary = json.loads(ended.stdout.splitlines()[-1])
    return Night(
        wall,
        summary["seconds"],
        forecasts_hash=summary["forecasts_hash"],
        **json.loads((folder / "report").read_text()),
    )


def names(count: int) -> str:
    """So many tickers of the simulated market."""
    return ",".join(f"SIM{number}" for number in range(1, count + 1))


def _megabytes(count: float) -> str:
    return f"{count / 1e6:9.1f} MB"


def compare(folder: Path, at: dict[str, str]) -> dict[tuple[str, int, int], Night]:
    """First nights, by runner, workers and tickers; printed as they come."""
    made: dict[tuple[str, int, int], Night] = {}
    print(
        "tickers  runner       wall s   trained and tested in s   CPU s here  elsewhere       sent        "
        " back  writer s"
    )
    for count in SIZES:
        for runner, workers in WAYS:
            words = (
                "--tickers",
                names(count),
                "--as-of",
                FIRST,
                "--runner",
                runner,
                "--workers",
                str(workers),
            )
            each = made[runner, workers, count] = night(folder, f"{runner}{workers}-{count}", at, *words)
            sent, back = (_megabytes(sum(counts.values())) for counts in (each.sent, each.back))
            figures = f"{each.wall:8.1f} {each.stages(WORKED):25.1f} {each.own:12.1f} {each.workers:10.1f}"
            print(
                f"{count:7d}  {runner:9s} {workers:d} {figures} {sent} {back} {each.stages(WRITER):9.1f}",
                flush=True,
            )
        hashes = {each.forecasts_hash for (_, _, size), each in made.items() if size == count}
        print(f"{count:7d}  forecasts {'bit-identical' if len(hashes) == 1 else 'DIFFER'} in all of them")
    return made


def writer(folder: Path, at: dict[str, str]) -> dict[int, Night]:
    """Second nights that train nothing, by tickers: what the flow's own process does for each ticker every
    night.
    """
    made: dict[int, Night] = {}
    for count in WRITER_SIZES:
        words = ("--tickers", names(count), "--strategy", "forecast")
        for day in (FIRST, SECOND):
            made[count] = night(folder, f"writer-{count}", at, *words, "--as-of", day)
        stages = ", ".join(f"{name} {made[count].seconds.get(name, 0.0):.1f}" for name in ("ingest", *WRITER))
        print(
            f"{count} tickers, second night, seconds in the flow's process: {stages}; {made[count].own:.1f} s"
            " of CPU",
            flush=True,
        )
    return made


def messages(folder: Path, tickers: int = MANY) -> None:
    """A first night of so many tickers on two Dask workers of its own, without Prefect: the largest messages,
    and who works how long.
    """
    market = folder / "prices.parquet"
    write_market(market, tickers, SHORT)
    words = ("--files", str(market), "--as-of", EVENINGS[-1], "--runner", "dask", "--workers", "2", "--plain")
    made = night(folder, "many", BRIEF, *words, *LEAST)
    print(
        f"{tickers} tickers of {SHORT} sessions, {made.wall:.0f} s; processor seconds here {made.own:.0f}, of"
    )
    print(f"both workers {made.workers:.0f}; stages: {made.seconds}")
    for name, (out, home) in made.largest.items():
        print(
            f"{name:20s} sent {_megabytes(made.sent[name])}, back {_megabytes(made.back[name])}; largest"
            f" message {_megabytes(out)}, {_megabytes(home)}"
        )
    worst = max(max(pair) for pair in made.largest.values()) / 1e6
    print(f"largest message {worst:.1f} MB (goal {LARGEST_MB}), peak memory here {made.peak_gib:.2f} GiB")


Line = Callable[[int], float]


def _line(sizes: tuple[int, ...], values: list[float]) -> Line:
    slope = (values[-1] - values[0]) / (sizes[-1] - sizes[0])
    return lambda count: values[-1] + slope * (count - sizes[-1])


def model(nights: dict[tuple[str, int, int], Night], writers: dict[int, Night]) -> None:
    """Straight lines through the sizes measured, drawn on."""
    one_worker = [nights["dask", 1, count] for count in SIZES]
    work = _line(SIZES, [each.workers for each in one_worker])
    write = _line(WRITER_SIZES, [each.stages(WRITER) for each in writers.values()])
    print("modelled    " + "".join(f"{count:>16,d} tickers" for count in MODELLED))
    for name in sorted({name for each in one_worker for name in each.sent}):
        sent = _line(SIZES, [each.sent.get(name, 0) for each in one_worker])
        back = _line(SIZES, [each.back.get(name, 0) for each in one_worker])
        print(
            f"{name:20s}"
            + "".join(
                f"  sent {_megabytes(sent(count))}, back {_megabytes(back(count))}" for count in MODELLED
            )
        )
    print("worker CPU          " + "".join(f"{work(count) / 3600:16.1f} hours" for count in MODELLED))
    for workers in WORKERS_MODELLED:
        print(
            f"with {workers:4d} workers   "
            + "".join(f"{work(count) / 3600 / workers:16.2f} hours" for count in MODELLED)
        )
    print("the writer          " + "".join(f"{write(count) / 60:16.1f} minutes" for count in MODELLED))


def main(arguments: list[str]) -> int:
    """Print the tables; with arguments, those of `messages`, or one night as a child process."""
    if arguments[:1] == ["messages"]:
        with tempfile.TemporaryDirectory() as folder:
            messages(Path(folder), *map(int, arguments[1:]))
        return 0
    if arguments:
        return _night(arguments[0], arguments[1:])
    from tests.conftest import clean_environment, free_port

    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(clean_environment(Path(folder) / "home"))
        with local_server(free_port()) as address:
            at = {"PREFECT_API_URL": address}
            model(compare(Path(folder), at), writer(Path(folder), at))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
