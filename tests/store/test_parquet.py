"""A Parquet file comes from anywhere: it is counted before it is read, and only the wanted columns are
unpacked.
"""

import datetime as dt
import time
import warnings
from pathlib import Path

import duckdb
import pytest

from forecast_lib.errors import FileRefused
from forecast_lib.store.parquet import ParquetFiles
from tests.whole_parquet import read_parquet

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


@pytest.mark.slow
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


MARKET = """SELECT * FROM (VALUES
    ('AAA', DATE '2024-01-02', 1.0, 0.0), ('AAA', DATE '2024-01-03', 2.0, 0.5),
        ('AAA', DATE '2024-01-04', 3.0, 0.0),
    ('AAA', NULL, 4.0, 0.0),
    ('bbb', DATE '2024-01-02', 5.0, 0.0), ('CCC', DATE '2024-01-02', 6.0, 0.0),
        (NULL, DATE '2024-01-02', 7.0, 0.0)
) AS t(ticker, day, price, cash)"""
COLUMNS = {"ticker": "ticker", "date": "day", "close": "price", "dividend": "cash"}


def test_of_a_file_of_many_only_the_wanted_rows_are_read_and_all_actions(tmp_path: Path) -> None:
    """Of AAA from 4 January on, and the dividend of the 3rd, and the row that has no day; of the others
    nothing, or all.
    """
    path = written(tmp_path, MARKET)
    places, found = ParquetFiles().rows(path, COLUMNS, {"AAA": dt.date(2024, 1, 4), "bbb": None})
    assert (places.tolist(), found["close"].tolist()) == ([1, 2, 3, 4], [2.0, 3.0, 4.0, 5.0])
    assert (list(found["ticker"]), found["dividend"].tolist()) == (
        ["AAA", "AAA", "AAA", "bbb"],
        [0.5, 0.0, 0.0, 0.0],
    )
    assert len(ParquetFiles().rows(path, COLUMNS, None)[0]) == 7
    assert len(ParquetFiles().rows(path, COLUMNS, {})[0]) == 0


def test_the_names_in_a_file_come_with_their_first_days_and_whether_they_were_split(tmp_path: Path) -> None:
    names = ParquetFiles().names(written(tmp_path, MARKET), COLUMNS)
    assert names is not None
    days = names.dropna(subset="name").sort_values("name").set_index("name").astype(str)
    assert days.loc["AAA"].tolist() == ["2024-01-02", "False"]
    split = written(
        tmp_path, f"SELECT *, CASE WHEN price = 2.0 THEN 4.0 END AS ratio FROM ({MARKET})", "split.parquet"
    )
    names = ParquetFiles().names(split, {**COLUMNS, "split": "ratio"})
    assert names is not None
    assert names.loc[names["splits"], "name"].tolist() == ["AAA"]
    texts = written(tmp_path, f"SELECT * REPLACE (day::VARCHAR AS day) FROM ({MARKET})", "texts.parquet")
    assert ParquetFiles().names(texts, COLUMNS) is None, "dates as texts: all of it is read"
