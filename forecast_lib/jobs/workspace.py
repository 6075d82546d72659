"""The one place that wires a run's settings to a price source and a workspace's folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forecast_lib.config import SourceConfig
from forecast_lib.domain import AsOf, Ticker

if TYPE_CHECKING:  # whoever only asks how a workspace stands needs no source
    from forecast_lib.prices import PriceSource

__all__ = ["models_folder", "price_source", "remembered_folder"]


def models_folder(workspace: Path) -> Path:
    """Where the weights lie, named by their hash."""
    return workspace / "models"


def remembered_folder(workspace: Path) -> Path:
    """Where lies what models have said of the past; nothing is lost with it."""
    return workspace / "cache" / "remembered"


def price_source(
    source: SourceConfig, as_of: AsOf, workspace: Path, tickers: Sequence[Ticker] = ()
) -> "PriceSource":
    """The source of a run; nothing is fetched yet."""
    from forecast_lib.prices import open_source
    from forecast_lib.store.parquet import ParquetFiles

    cache = workspace / "cache" / "yahoo"
    return open_source(source, as_of, tickers=tuple(tickers), cache_dir=cache, parquet=ParquetFiles())
