"""The one place that wires a run's settings to a price source and a workspace's folders."""

import functools
import random
import time
from collections.abc import Sequence
from pathlib import Path

from forecast_lib.config import SourceConfig
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.jobs.ingest import Fetch
from forecast_lib.jobs.retrying import BUDGET_S, fetch_with_retries
from forecast_lib.prices import PriceSource, open_source
from forecast_lib.store.parquet import read_parquet

__all__ = ["fetching", "models_folder", "price_source", "source_tickers"]


def models_folder(workspace: Path) -> Path:
    """Where the weights lie, named by their hash."""
    return workspace / "models"


def price_source(source: SourceConfig, as_of: AsOf, workspace: Path, tickers: Sequence[Ticker] = ()) -> PriceSource:
    """The source of a run; nothing is fetched yet."""
    cache = workspace / "cache" / "yahoo"
    reader = functools.partial(read_parquet, tickers=tuple(tickers) or None)
    return open_source(source, as_of, tickers=tuple(tickers), cache_dir=cache, read_parquet=reader)


def source_tickers(source: SourceConfig, as_of: AsOf) -> tuple[Ticker, ...]:
    """The source's own list of tickers: what is taken when the user names none. Yahoo has no such list."""
    return () if source.name == "yahoo" else open_source(source, as_of, read_parquet=read_parquet).default_tickers()


def fetching() -> Fetch:
    """Asks a source for one ticker with retries, by the real clock: the pauses between tries decide nothing that is stored.

    The ticker's budget of time begins here, and all that is asked for shares it: its last sessions, and its whole history after them.
    """
    end = time.monotonic() + BUDGET_S

    def fetch(source, ticker, first, last):  # type: ignore[no-untyped-def]  # the types are Fetch's
        left = end - time.monotonic()
        return fetch_with_retries(source, ticker, first, last, budget_s=left, sleep=time.sleep, clock=time.monotonic, random=random.random)

    return fetch
