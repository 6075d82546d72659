"""A Parquet file comes from anywhere: it is counted before it is read, and only the wanted columns are
unpacked.
"""

import time
import warnings
from pathlib import Path

import duckdb
import pytest

from forecast_lib.errors import FileRefused
from forecast_lib.store.parquet import read_parquet

WANTED = {"date", "close", "adjclose"}


def written(folder: Path, query: str, name: str = "prices.parquet") -> Path:
    duckdb.sql(f"COPY ({query}) TO '{folder / name}' (FORMAT parquet)")
    return folder / name


def test_only_wanted_columns_come_with_their_own_names(tmp_path: Path) -> None:
    path = written(
        tmp_path, "SELECT DATE '2024-01-02' AS Date, 1.5 AS \"Adj Close\", 'x' AS note, {'a': 1} AS more"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = read_parquet(path, WANTED)
    assert frame.columns.tolist() == ["Date", "Adj Close"]
    assert frame["Adj Close"].tolist() == [1.5]


def test_the_order_of_the_file_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, "SELECT (i * 7919) % 100003 AS close, 1 AS date FROM range(300000) t(i)")
    closes = read_parquet(path, WANTED)["close"]
    assert closes.iloc[[1, 2, 250_000]].tolist() == [7919, 15838, 250_000 * 7919 % 100_003]


def test_a_small_file_with_very_many_rows_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "SELECT DATE '2024-01-02' AS date, 1.0::DOUBLE AS close FROM range(20_000_001)")
    assert path.stat().st_size < 2_000_000
    started = time.perf_counter()
    with pytest.raises(FileRefused, match=r"prices.parquet: 20,000,001 rows: expected at most 20,000,000"):
        read_parquet(path, WANTED)
    assert time.perf_counter() - started < 1


def test_a_name_that_is_a_pattern_is_refused(tmp_path: Path) -> None:
    written(tmp_path, "SELECT 1 AS date, 2 AS close", "one.parquet")
    with pytest.raises(FileRefused, match="expected a plain name"):
        read_parquet(tmp_path / "*.parquet", WANTED)


def test_a_column_name_cannot_smuggle_sql(tmp_path: Path) -> None:
    path = written(tmp_path, 'SELECT 5 AS "date""; DROP TABLE x; --", 6 AS """close"""')
    assert read_parquet(path, {"close"})['"close"'].tolist() == [6]


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"date,close\n2024-01-02,1\n"]
)
def test_what_is_no_parquet_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "prices.parquet"
    path.write_bytes(content)
    with pytest.raises(FileRefused, match="not a readable Parquet file") as caught:
        read_parquet(path, WANTED)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_refused_or_read(tmp_path: Path) -> None:
    whole = written(tmp_path, "SELECT i AS date, i * 1.5 AS close FROM range(2000) t(i)").read_bytes()
    path = tmp_path / "damaged.parquet"
    refused = 0
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            read_parquet(path, WANTED)
        except FileRefused:
            refused += 1
    assert refused > 5
