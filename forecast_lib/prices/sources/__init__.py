"""The price sources: one file each, and a case here. Nothing is imported before its source is asked for: some
take a second.
"""

from pathlib import Path

from forecast_lib.config import SourceConfig
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import UsageError
from forecast_lib.prices.source import PriceSource
from forecast_lib.prices.sources.files import FilesSource, ParquetFiles

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
    match config.name:
        case "files":
            assert config.path is not None  # the settings have seen to it
            return FilesSource(
                config.path,
                tickers,
                allow_mixed_dates=config.mixed_dates,
                currency=config.currency,
                parquet=parquet,
            )
        case "simulated":
            from forecast_lib.prices.sources.simulated import SimulatedMarket

            return SimulatedMarket(config.market_seed)
        case "yahoo" if cache_dir is None:
            raise UsageError("source 'yahoo' needs a folder for its cache: give one inside the workspace")
        case "yahoo":
            from forecast_lib.prices.sources.retrying import Retrying
            from forecast_lib.prices.sources.yahoo import YahooSource

            return YahooSource(
                cache_dir,
                as_of.now,
                proxy=config.proxy,
                requests_at_once=config.requests_at_once,
                pause_s=config.pause_s,
                retrying=Retrying(attempts=1) if once else Retrying(),
            )
