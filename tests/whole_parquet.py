"""A Parquet file as one frame, read as the source of files reads it."""

import re
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from forecast_lib.store.parquet import MAX_PARQUET_ROWS, ParquetFiles

__all__ = ["read_parquet"]


def read_parquet(path: Path, columns: Collection[str], *, max_rows: int = MAX_PARQUET_ROWS) -> pd.DataFrame:
    """All rows of a Parquet file, in its order, under the names that its columns have there.

    Args:
        columns: which columns to read, as lower-case letters and digits (`Adj Close` is `adjclose`); others
            are not even unpacked.

    Raises:
        FileRefused: as of `ParquetFiles`.
    """
    files = ParquetFiles(max_rows)
    wanted = [name for name in files.header(path) if re.sub(r"[\W_]", "", name).lower() in columns]
    return pd.DataFrame(dict(files.rows(path, {name: name for name in wanted}, None)[1]))
