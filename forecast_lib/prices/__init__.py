"""Prices come in here: the sources, and the checks that decide which rows are good."""

from pathlib import Path

from forecast_lib.config import SourceConfig
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import UsageError
from forecast_lib.prices.files import FilesSource, ParquetReader
from forecast_lib.prices.source import FetchedPrices, PriceSource

__all__ = ["FetchedPrices", "PriceSource", "open_source"]


def open_source(
    config: SourceConfig,
    as_of: AsOf,
    *,
    tickers: tuple[Ticker, ...] = (),
    cache_dir: Path | None = None,
    read_parquet: ParquetReader | None = None,
) -> PriceSource:
    """The source that the settings name; nothing is fetched yet.

    Args:
        config: which source, and its own settings.
        as_of: its `now` tells the Yahoo source how long an answer stays fresh.
        tickers: what the user named; decides whose prices a single file without a telling name holds.
        cache_dir: where the Yahoo client keeps its cookies and time zones; needed for `yahoo` only.
        read_parquet: how to read a Parquet file; needed for `files` only (only `store` knows DuckDB).

    Raises:
        UsageError: a setting that the source needs is missing.
    """
    if config.name == "yahoo":
        if cache_dir is None:
            raise UsageError("source 'yahoo' needs a folder for its cache: give one inside the workspace")
        from forecast_lib.prices.yahoo import YahooSource  # yfinance takes a second to import

        return YahooSource(cache_dir, as_of.now, proxy=config.proxy, requests_at_once=config.requests_at_once, pause_s=config.pause_s)
    if config.name == "files":
        if config.path is None:
            raise UsageError("source 'files' needs a path: give --files PATH, a CSV or Parquet file or a folder of TICKER.csv")
        return FilesSource(config.path, tickers, allow_mixed_dates=config.mixed_dates, currency=config.currency, read_parquet=read_parquet)
    from forecast_lib.prices.simulated import SimulatedMarket  # so does the calendar library

    return SimulatedMarket(config.market_seed)
