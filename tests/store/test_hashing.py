import hashlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from forecast_lib.domain import AsOf
from forecast_lib.store.working import database
from forecast_lib.store.working.columns import read_histories
from forecast_lib.store.working.hashing import content_hash, forecasts_hash, prices_hash, stored_digests
from forecast_lib.windows.histories import Histories
from tests.store.nights import forecasts, now, prices, stamp

pytestmark = pytest.mark.slow

SEEN = prices(0, ("AAA", "BBB"))
NAMES = ("AAA", "ABSENT", "BBB", "CCC")


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with database.open_working(tmp_path, now(0)) as con:
        yield con


def store(con: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> None:
    usual = {"run_id": "x", "revision": 0, "known_at": stamp(now(0)), "source": "files"}
    con.register(
        "arriving", frame.assign(**{name: value for name, value in usual.items() if name not in frame})
    )
    con.execute("INSERT INTO prices BY NAME SELECT * FROM arriving")
    con.unregister("arriving")


def hash_of(con: duckdb.DuckDBPyConnection, new: pd.DataFrame | None = None) -> str | None:
    rows = Histories.none(NAMES) if new is None else Histories.from_frame(new, NAMES)
    return prices_hash(
        con, stored_digests(con, NAMES, at(9)), rows, read_histories(con, NAMES, at(9)).among(rows)
    )


def stored_hash(con: duckdb.DuckDBPyConnection, as_of: AsOf) -> str | None:
    return prices_hash(con, stored_digests(con, NAMES, as_of), Histories.none(), Histories.none())


def at(number: int) -> AsOf:
    return AsOf(now(number).date(), now(number), now(number))


def test_the_hash_is_the_same_whatever_the_order_the_bookkeeping_and_what_is_stored_already(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """Two currencies, missing figures, a zero of either sign, a ticker without rows, rows in any order."""
    frame = pd.concat(
        [SEEN, SEEN.assign(ticker="CCC", currency="EUR", volume=0.0, open=np.nan)], ignore_index=True
    )
    frame.loc[frame["ticker"] == "BBB", "currency"] = None
    whole = hash_of(con, frame)
    store(
        con,
        frame[1:].sample(frac=1, random_state=1).assign(run_id="y", known_at=stamp(now(1)), adj_close=1.0),
    )
    assert hash_of(con, frame[:1]) == whole
    assert hash_of(con, frame.assign(volume=frame["volume"].replace(0.0, -0.0))) == whole, (
        "new rows take the place of stored ones"
    )
    store(con, frame[:1])
    assert hash_of(con) == whole


def test_a_past_night_has_the_hash_it_had(con: duckdb.DuckDBPyConnection) -> None:
    """A later revision and a later session do not reach it."""
    store(con, SEEN)
    before = stored_hash(con, at(0))
    store(con, SEEN.assign(close=7.0, revision=1, known_at=stamp(now(3))))
    assert stored_hash(con, at(0)) == before
    assert hash_of(con) == hash_of(con, SEEN.assign(close=7.0)) != before
    store(con, prices(2, ("AAA",)))
    assert stored_hash(con, at(0)) == before


def test_few_tickers_of_many_have_the_digests_that_they_have_among_all(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """More than a hundred are counted in another way than one."""
    many = [f"T{number:03d}" for number in range(150)]
    store(
        con,
        pd.concat(
            [SEEN[:1].assign(ticker=name, close=float(place)) for place, name in enumerate(many)],
            ignore_index=True,
        ),
    )
    every = stored_digests(con, many[:120], at(9))
    assert sorted(every) == many[:120]
    assert stored_digests(con, ["T007", "ABSENT"], at(9)) == {"T007": every["T007"]}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("close", np.nextafter(100.0, 101.0)),
        ("ticker", "ABSENT"),
        ("currency", None),
        ("currency", ""),
        ("volume", np.nan),
        ("open", 0.0),
    ],
)
def test_the_smallest_change_of_content_changes_the_hash(
    con: duckdb.DuckDBPyConnection, column: str, value: object
) -> None:
    changed = SEEN.copy()
    changed.loc[0, column] = value
    assert hash_of(con, changed) != hash_of(con, SEEN)


def test_figures_do_not_change_places(con: duckdb.DuckDBPyConnection) -> None:
    swapped = SEEN.assign(open=SEEN["close"] + 1, close=SEEN["close"])
    assert hash_of(con, swapped) != hash_of(con, swapped.assign(open=swapped["close"], close=swapped["open"]))
    assert hash_of(con, SEEN.assign(ticker=["BBB", "AAA"], close=[1.0, 2.0])) != hash_of(
        con, SEEN.assign(close=[1.0, 2.0])
    )


def test_a_missing_row_changes_the_hash_and_no_row_has_none(con: duckdb.DuckDBPyConnection) -> None:
    assert hash_of(con, SEEN.head(1)) != hash_of(con, SEEN)
    assert hash_of(con) is None


def test_the_hash_of_prices_is_the_one_written_down_here(con: duckdb.DuckDBPyConnection) -> None:
    """Made with DuckDB 2.0.0. Where another version makes another, say in the README that hashes before it do
    not compare.
    """
    row = {"open": 1.5, "high": 2.0, "low": 1.0, "close": 1.75, "volume": 100.0, "currency": "USD"}
    frame = pd.DataFrame(
        {
            "ticker": ["AAA"],
            "session": pd.to_datetime(["2024-01-02"]),
            **{name: [value] for name, value in row.items()},
        }
    )
    assert hash_of(con, frame) == "c71c4d34b2c6a3e5b281340787607dc85d8342e78a004a4463ff5c3e194309d8"


def test_texts_do_not_run_together() -> None:
    one = pd.DataFrame({"a": ["xy", "z"], "b": ["p", "q"]})
    two = pd.DataFrame({"a": ["x", "yz"], "b": ["p", "q"]})
    assert content_hash(one, ["b"]) != content_hash(two, ["b"])


def test_not_a_number_and_zero_have_one_form_each() -> None:
    one = pd.DataFrame({"a": [np.nan, 0.0]})
    two = pd.DataFrame({"a": [-np.nan, -0.0]})
    assert content_hash(one.assign(k=[1, 2]), ["k"]) == content_hash(two.assign(k=[1, 2]), ["k"])


def test_counts_hash_alike_as_int64_and_as_nullable_integers() -> None:
    plain = pd.DataFrame({"k": [1, 2]})
    assert content_hash(plain, ["k"]) == content_hash(plain.astype("Int64"), ["k"])


def test_two_runs_with_the_same_forecasts_have_one_hash() -> None:
    first, second = (forecasts(run, 0, ("AAA", "BBB"), 2, None) for run in ("run-a", "run-b"))
    assert forecasts_hash(first) == forecasts_hash(second.iloc[::-1])
    assert forecasts_hash(first.assign(point=1.0)) != forecasts_hash(first)


def test_the_hash_is_over_bytes_that_are_written_down_here() -> None:
    """Stored hashes are compared over the years. Bytes by hand: rows by t, missing text -1, 1.5 is 3ff8...,
    NaN 7ff8..., days in us.
    """
    frame = pd.DataFrame(
        {
            "t": ["B", "A", None],
            "x": [1.5, np.nan, 0.0],
            "d": pd.to_datetime(["1970-01-01", "1970-01-02", "1970-01-01"]),
        }
    )
    by_hand = (
        b'["t", 3]["A", "B"]'
        + bytes.fromhex("0000000000000000 0100000000000000 ffffffffffffffff")
        + b'["x", 3]'
        + bytes.fromhex("000000000000f87f 000000000000f83f 0000000000000000")
        + b'["d", 3]'
        + (86_400_000_000).to_bytes(8, "little")
        + bytes(16)
    )
    assert content_hash(frame, ["t"]) == hashlib.sha256(by_hand).hexdigest()
