"""Runs by the library alone, at the instant that their config names: without Prefect, and without pages,
which have tests of their own and take most of a small run's time.
"""

from contextlib import AbstractContextManager
from unittest import mock

from forecast_lib.config import RunConfig
from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.jobs.night import read_market, run_ingest, run_night
from forecast_lib.jobs.record import publish
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.jobs.stages import InOrder
from forecast_lib.store.working.store import Store

__all__ = ["ingest", "market", "night", "without_pages"]

_OF_PAGES = ("PagesBeside", "read_report", "show_latest")


def ingest(config: RunConfig) -> RunSummary:
    """Prices in, stored and published."""
    with without_pages():
        return run_ingest(config, InOrder(config, lambda: config.as_of.now))


def without_pages() -> AbstractContextManager[object]:
    """Runs inside the block make none."""
    return mock.patch.multiple(publish, **dict.fromkeys(_OF_PAGES, mock.DEFAULT))


def night(config: RunConfig) -> RunSummary:
    """A whole night."""
    return run_night(config, InOrder(config, lambda: config.as_of.now))


def market(config: RunConfig) -> Market:
    """What a run would see of prices; nothing is stored."""
    with Store(config.workspace, config.as_of.now) as store:
        return read_market(store, config, InOrder(config, lambda: config.as_of.now))
