"""The one place that wires a run's settings to a price source and a workspace's folders."""

from collections.abc import Sequence
from pathlib import Path

from forecast_lib.config import SourceConfig
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.prices import PriceSource, open_source
from forecast_lib.store.parquet import ParquetFiles

__all__ = ["models_folder", "price_source"]


def models_folder(workspace: Path) -> Path:
    """Where the weights lie, named by their hash."""
    return workspace / "models"


def price_source(
    source: SourceConfig, as_of: AsOf, workspace: Path, tickers: Sequence[Ticker] = ()
) -> PriceSource:
    """The source of a run; nothing is fetched yet."""
    cache = workspace / "cache" / "yahoo"
    return open_source(source, as_of, tickers=tuple(tickers), cache_dir=cache, parquet=ParquetFiles())
