import hashlib

import numpy as np
import pandas as pd
import pytest

from forecast_lib.store.hashing import content_hash, forecasts_hash, histories_hash, prices_hash
from forecast_lib.windows.histories import Histories
from tests.store.nights import forecasts, now, prices, stamp

SEEN = prices(0, ("AAA", "BBB"))


def test_the_hash_is_the_same_whatever_the_order_and_the_bookkeeping() -> None:
    other = SEEN.iloc[::-1].assign(run_id="x", revision=3, known_at=stamp(now(9)), adj_close=1.0, source="files")
    assert prices_hash(other) == prices_hash(SEEN)


@pytest.mark.parametrize("currency", ["USD", None])
def test_columns_have_the_hash_of_the_frame(currency: str | None) -> None:
    """Two currencies, missing figures, a zero of either sign, a ticker without rows, rows in any order."""
    frame = pd.concat([SEEN, SEEN.assign(ticker="CCC", currency="EUR", volume=-0.0, open=np.nan)], ignore_index=True)
    frame.loc[frame["ticker"] == "BBB", "currency"] = currency
    histories = Histories.from_frame(frame.iloc[::-1], ["AAA", "ABSENT", "BBB", "CCC"])
    assert histories_hash(histories) == prices_hash(frame)
    assert histories_hash(Histories.none()) == prices_hash(frame.head(0))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("close", np.nextafter(100.0, 101.0)),
        ("ticker", "AAB"),
        ("currency", None),
        ("currency", ""),
        ("volume", np.nan),
        ("open", 0.0),
    ],
)
def test_the_smallest_change_of_content_changes_the_hash(column: str, value: object) -> None:
    changed = SEEN.copy()
    changed.loc[0, column] = value
    assert prices_hash(changed) != prices_hash(SEEN)


def test_a_missing_row_changes_the_hash() -> None:
    assert prices_hash(SEEN.head(1)) != prices_hash(SEEN)
    assert prices_hash(SEEN.head(0)) != prices_hash(SEEN)


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
    """Stored hashes are compared over the years. Bytes by hand: rows by t, missing text -1, 1.5 is 3ff8..., NaN 7ff8..., days in us."""
    frame = pd.DataFrame({"t": ["B", "A", None], "x": [1.5, np.nan, 0.0], "d": pd.to_datetime(["1970-01-01", "1970-01-02", "1970-01-01"])})
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
