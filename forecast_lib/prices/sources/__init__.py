"""The price sources: one file each, whose name is in `config.SourceName` and whose `opened` makes the source
of the settings. Nothing is imported before its source is asked for: some take a second.
"""

import importlib
from pathlib import Path

from forecast_lib.config import SourceConfig
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.prices.source import PriceSource
from forecast_lib.prices.sources.files import ParquetFiles

__all__ = ["open_source"]


def open_source(
    config: SourceConfig,
    as_of: AsOf,
    *,
    tickers: tuple[Ticker, ...] = (),
    cache_dir: Path | None = None,
    parquet: ParquetFiles | None = None,
    once: bool = False,
) -> PriceSource:
    """The source that the settings name; nothing is fetched yet.

    Args:
        config: which source, and its own settings.
        as_of: its `now` tells the Yahoo source how long an answer stays fresh.
        tickers: what the user named; decides whose prices a single file without a telling name holds.
        cache_dir: where the Yahoo client keeps its cookies and time zones; needed for `yahoo` only.
        parquet: how to read Parquet files; needed for `files` only (only `store` knows DuckDB).
        once: ask once for each ticker, and not again where that may pass.

    Raises:
        UsageError: a setting that the source needs is missing.
    """
    source: PriceSource = importlib.import_module(f"{__name__}.{config.name}").opened(
        config, as_of=as_of, tickers=tickers, cache_dir=cache_dir, parquet=parquet, once=once
    )
    return source
