"""The publication for readers on other machines: a copy in a folder that they have too, for example a mounted
one.

Nobody opens the workspace over a network file system. Each file here takes its name in one step, so whoever
opens it gets all of the old one or all of the new one.
"""

from pathlib import Path

from forecast_lib.store.disk.files import (
    PUBLISHED,
    PUBLISHED_MODE,
    copy_into_place,
    move_into_place,
    remove_leftovers,
    temporary_name,
)
from forecast_lib.store.published.publication import attached

__all__ = ["LATEST", "copy_publication"]

LATEST = "latest_forecasts.parquet"


def copy_publication(workspace: Path, folder: Path) -> None:
    """Put `published.duckdb` and `latest_forecasts.parquet`, every column of that view, into the folder.

    Raises:
        OSError: the folder is missing or cannot be written. It is not made: where a folder is not mounted,
            nobody would read it.
        TickercastError: the publication cannot be read, or the folder is full.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder: mount or make it, the next run copies again")
    remove_leftovers(folder)
    copy_into_place(workspace / PUBLISHED, folder / PUBLISHED, PUBLISHED_MODE)
    built = temporary_name(folder / LATEST)
    try:
        with attached(workspace / PUBLISHED) as con:
            con.sql("FROM latest_forecasts ORDER BY ticker, step").write_parquet(
                str(built), compression="zstd"
            )
        move_into_place(built, folder / LATEST, PUBLISHED_MODE)
    finally:
        built.unlink(missing_ok=True)
