"""The publication for readers on other machines: a copy in a folder that they have too, or in an object
store.

Nobody opens the workspace over a network file system. In a folder each file takes its name in one step; in a
store both files appear when both are there in full, as far as the store can do that: whoever opens one gets
all of the old one or all of the new one.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from forecast_lib.errors import UsageError
from forecast_lib.store.disk.copying import copy_into_place
from forecast_lib.store.disk.files import (
    PUBLISHED,
    PUBLISHED_MODE,
    remove_leftovers,
    temporary_name,
)
from forecast_lib.store.published.publication import attached

__all__ = ["LATEST", "copy_publication"]

LATEST = "latest_forecasts.parquet"
_AT_ONCE = 8 << 20
"""Bytes."""


def copy_publication(workspace: Path, place: str) -> None:
    """Put `published.duckdb` and `latest_forecasts.parquet`, every column of that view, there.

    Args:
        place: a folder, or an address that fsspec understands, for example `s3://bucket/new-york`.

    Raises:
        OSError: the folder is missing or cannot be written. It is not made: where a folder is not mounted,
            nobody would read it.
        UsageError: the client for this kind of store is not installed.
        TickercastError: the publication cannot be read, or the folder is full.
        Exception: whatever else the store's client raises.
    """
    try:
        store, root = fsspec.core.url_to_fs(place)
    except ImportError as error:
        kind = place.partition("://")[0]
        raise UsageError(f"{kind}:// needs a client that is not installed: {error}") from None
    built = temporary_name(workspace / LATEST)
    try:
        with attached(workspace / PUBLISHED) as con:
            con.sql("FROM latest_forecasts ORDER BY ticker, step").write_parquet(
                str(built), compression="zstd"
            )
        files = {PUBLISHED: workspace / PUBLISHED, LATEST: built}
        if isinstance(store, LocalFileSystem):
            _to_folder(files, Path(root))
        else:
            _to_store(files, store, root)
    finally:
        built.unlink(missing_ok=True)


def _to_folder(files: Mapping[str, Path], folder: Path) -> None:
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder: mount or make it, the next run copies again")
    remove_leftovers(folder)
    for name, path in files.items():
        copy_into_place(path, folder / name, PUBLISHED_MODE)


def _to_store(files: Mapping[str, Path], store: fsspec.AbstractFileSystem, root: str) -> None:
    with store.transaction:  # what was written appears at its end, or not at all
        for name, path in files.items():
            with path.open("rb") as source, store.open(f"{root.rstrip('/')}/{name}", "wb") as target:
                shutil.copyfileobj(source, target, _AT_ONCE)
