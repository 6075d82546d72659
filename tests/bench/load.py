"""What a night stands: `python -m tests.bench load`.

Twenty runs at once for one workspace (two of them with a real Prefect server), two hundred readers while
nights are published, a Prefect server that answers after 30 s, a source that sends a byte a second. Times are
printed; an exit code, a sentence or a row that is not as promised ends it with an error.
"""

import collections
import contextlib
import datetime as dt
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.jobs import night
from forecast_lib.prices.sources.yahoo import YahooSource
from forecast_lib.sessions import TickerCalendar
from tests import plain_runs
from tests.campaign import actors
from tests.campaign.trials import House
from tests.campaign.whole import TONIGHT, Home, Running
from tests.prices.fake_yahoo import Bar, FakeYahoo, Listing

RUNS, WITH_PREFECT = 20, 2
READERS, PAUSE_S, NIGHTS = 200, 4.0, 5
ANSWERS_AFTER_S = 30.0
BYTE_S = 1.0
LAST = dt.date(2024, 7, 12)


def runs_at_once(folder: Path) -> None:
    """One works, the others say who does; whoever comes after its end works too."""
    home = Home(random.Random(0), folder)
    started = [home.start(TONIGHT, real=number < WITH_PREFECT) for number in range(RUNS)]
    ended = [home.told(each.end()) for each in started]
    codes = collections.Counter(each.code for each in ended)
    odd = [
        (each.code, each.summary.get("degraded"), each.err[-600:])
        for each in ended
        if each.code not in (0, 75)
    ]
    assert codes[0] and not odd, odd
    refused = [each for each in ended if each.code == 75]
    assert all("two runs never write together" in each.err for each in refused), refused
    home.look(at_rest=True)
    home.well("2024-05-06")
    assert not home.violations, home.violations
    print(
        f"{RUNS} runs at once: {codes[0]} done in {max(e.after for e in ended if e.code == 0):.1f} s,"
        f" {codes[75]} refused after {statistics.median(e.after for e in refused):.1f} s, at most"
        f" {max(e.after for e in refused):.1f} s; exit codes and rows as promised"
    )


def readers(folder: Path) -> None:
    """None sees anything but one whole run, never an older one than before; nights are not held up."""
    house, over = House.lived_in(random.Random(0), folder), folder / "over"
    alone = [house.well() for _ in range(NIGHTS)]
    started = [actors.start("read", house.workspace, over, PAUSE_S) for _ in range(READERS)]
    time.sleep(2 * PAUSE_S)
    beside = [house.well() for _ in range(NIGHTS)]
    over.touch()
    told = [each.end() for each in started]
    wrong = [line for each in told for line in each.lines if line.startswith("wrong")]
    reads = [int(line.split()[1]) for each in told for line in each.lines if line.startswith("reads")]
    assert len(reads) == READERS and min(reads) > 0, [each for each in told if each.code]
    assert not wrong and not house.violations, (wrong[:5], house.violations)
    print(
        f"{READERS} readers, {sum(reads)} reads: none wrong; a night stored and published in"
        f" {statistics.median(alone):.2f} s alone, {statistics.median(beside):.2f} s beside them"
    )


@contextlib.contextmanager
def _late_server() -> Iterator[str]:
    """The address of a server that thinks for a long time, and then says that it is well."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(ANSWERS_AFTER_S)
            with contextlib.suppress(OSError):
                self.send_response(200)
                self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(b"true")

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listener.server_address[1]}/api"
    listener.shutdown()


def late_server(folder: Path) -> None:
    """A night goes on without it and says so; `deploy` gives up in a sentence."""
    home = Home(random.Random(0), folder)
    with _late_server() as address:
        words = ("nightly", "--json", "--tickers", "SIM1,SIM2,SIM3", "--workspace", str(home.workspace))
        ended = home.told(
            Running((*words, "--as-of", TONIGHT), folder, real=True, PREFECT_API_URL=address).end()
        )
        assert ended.code == 0, ended
        assert f"no Prefect server answers at {address}: the run goes on" in ended.err, ended.err
        deployed = Running(("deploy",), folder, real=True, PREFECT_API_URL=address).end()
        assert deployed.code == 1 and "Traceback" not in deployed.err, deployed
    home.look(at_rest=True)
    assert not home.violations, home.violations
    said = deployed.err.strip().splitlines()[-1].replace(address, "ADDRESS")
    print(
        f"a Prefect server that answers after {ANSWERS_AFTER_S:.0f} s: the night done in {ended.after:.0f} s"
    )
    print(f"  deploy: exit code {deployed.code} after {deployed.after:.0f} s: {said}")


def _listing(ticker: str) -> Listing:
    chance, close, bars = random.Random(ticker), 50.0, []
    for day in TickerCalendar("XNYS").sessions(dt.date(2024, 4, 1), LAST):
        opened, close = close, round(close * (1 + 0.01 * chance.gauss(0, 1)), 2)
        high, low = round(max(opened, close) * 1.004, 2), round(min(opened, close) * 0.996, 2)
        bars.append(Bar(day.date(), opened, high, low, close, 1000 + chance.randrange(500)))
    return Listing(ticker, bars)


def slow_source(folder: Path) -> None:
    """What drips is given up as too slow, by ticker; whoever answers is fresh."""
    tickers = ("ACME", "BOLT", "CORP")
    with FakeYahoo([_listing(ticker) for ticker in tickers]) as yahoo:
        yahoo.drip_s = BYTE_S

        def source(config: Any, as_of: Any, workspace: Path, asked: Sequence[str] = ()) -> YahooSource:
            return YahooSource(folder / "cache", as_of.now, session=yahoo.session(timeout_s=10.0))

        for slow in (tickers[:1], tickers):
            yahoo.reset()
            for ticker in slow:
                yahoo.script(ticker, "drip")
            workspace = folder / f"slow-{len(slow)}"
            given = {"workspace": str(workspace), "tickers": ",".join(tickers), "source": "yahoo"}
            config = resolve(gather(given, environ={}), now=dt.datetime.combine(LAST, dt.time(22), dt.UTC))
            began = time.monotonic()
            with mock.patch.object(night, "price_source", source):
                run = plain_runs.ingest(config)
            took = time.monotonic() - began
            print(
                f"a byte a second for {len(slow)} of {len(tickers)}: {took:.0f} s, exit code {run.exit_code};"
                f" {run.message}"
            )
            for row in run.degraded:
                print(f"  {row['ticker']}: {row['status']}, {row['reason']}")
            assert {row["ticker"] for row in run.degraded} == set(slow), run
            assert run.exit_code == (10 if len(slow) < len(tickers) else 1), run


def main(argv: list[str]) -> int:
    """Returns 0; an assertion that fails ends it."""
    actors.has_disk()
    parts = {
        each.__name__.replace("_", "-"): each for each in (runs_at_once, readers, late_server, slow_source)
    }
    for name in argv or parts:
        with tempfile.TemporaryDirectory(prefix="tickercast-load-") as folder:
            parts[name](Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
