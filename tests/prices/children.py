"""What the tests of the price sources run in another process: one that holds a folder, one that forks, one
that asks Yahoo.
"""

import datetime as dt
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from forecast_lib.domain import Ticker
from forecast_lib.prices.sources.own_folder import own_folder
from tests.forked import Forked
from tests.prices.one_ticker import part_of

_NOW = dt.datetime(2024, 7, 1, 22, 0, tzinfo=dt.UTC)


def child(task: str, *arguments: object, **environ: str) -> Forked:
    """One of the functions below, by name, in a process of its own; it ends when its block does."""
    return Forked(globals()[task], *map(str, arguments), env=environ)


def said(process: Forked) -> str:
    """The next line of a child."""
    return str(process.stdout.readline()).strip()


def _say(text: object) -> None:
    print(text, flush=True)


def hold(parent: str) -> None:
    """Take a folder, name it, and keep it until standard input ends."""
    _say(own_folder(Path(parent)).name)
    sys.stdin.read()


def leave_a_child(parent: str) -> None:
    """Take a folder and fork: the child takes one too and lives on, the process ends after that."""
    _say(own_folder(Path(parent)).name)
    ours, childs = os.pipe()
    if os.fork() == 0:
        _say(own_folder(Path(parent)).name)
        os.write(childs, b".")
        sys.stdin.read()
        os._exit(0)
    os.read(ours, 1)


def ask(cache_dir: str, address: str, *tickers: str) -> None:
    """Fetch the tickers, each in a thread; say how many rows came, and stay until standard input ends."""
    _say(sum(_rows(cache_dir, address, tickers)))
    sys.stdin.read()


def ask_for_two_workspaces(one: str, other: str, address: str) -> None:
    """Fetch for one cache folder, then for another."""
    _say([*_rows(one, address, ["ACME"]), *_rows(other, address, ["BOLT"])])


def ask_and_fork(cache_dir: str, address: str) -> None:
    """Fetch; fork, and fetch in the child; fetch again. The child names its error."""
    _say(*_rows(cache_dir, address, ["ACME"]))
    number = os.fork()
    if number == 0:
        try:
            _say(_rows(cache_dir, address, ["ACME"]))
        except Exception as error:
            _say(f"{type(error).__name__}: {error}")
        os._exit(0)
    os.waitpid(number, 0)
    _say(*_rows(cache_dir, address, ["ACME"]))


def ask_nobody(workspace: str) -> None:
    """Fetch as a run does, for a workspace, through a proxy that is not there; say the error's name."""
    from forecast_lib.config import SourceConfig
    from forecast_lib.domain import AsOf
    from forecast_lib.jobs.workspace import price_source
    from forecast_lib.prices.sources import retrying

    retrying.FIRST_DELAY_S = 0.0
    source = price_source(
        SourceConfig("yahoo", proxy="http://127.0.0.1:9"), AsOf(_NOW.date(), _NOW, _NOW), Path(workspace)
    )
    try:
        part_of(source.fetch({Ticker("ACME"): None}, _NOW.date()), "ACME")
    except Exception as error:
        _say(f"{type(error).__name__}: {error}")


def _rows(cache_dir: str, address: str, tickers: Sequence[str]) -> list[int]:
    from forecast_lib.prices.sources.yahoo import YahooSource
    from tests.prices.fake_yahoo import LoopbackSession

    source = YahooSource(Path(cache_dir), _NOW, session=LoopbackSession(address, timeout_s=5.0), pause_s=0.0)
    offered = source.fetch({Ticker(ticker): None for ticker in tickers}, _NOW.date())
    return [len(part_of(offered, ticker).prices) for ticker in tickers]
