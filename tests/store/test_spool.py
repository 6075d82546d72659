"""Rows that wait on the disk come back as they were, and leave nothing behind."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib.errors import OutOfSpace
from forecast_lib.store.disk.spool import Spool


def rows(ticker: str, count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "ticker": pd.Series([ticker] * count, dtype="str"),
            "model": pd.Series(["garch", "naïve", None] * count, dtype="str")[:count],
            "cutoff": np.arange(count).astype("datetime64[D]").astype("datetime64[us]"),
            "step": np.arange(count),
            "point": np.arange(count) / 3,
        }
    )


def back(frame: pd.DataFrame) -> pd.DataFrame:
    """What was read, text as text."""
    text = frame.select_dtypes("category").columns
    assert set(text) == {"ticker", "model"}
    return frame.astype(dict.fromkeys(text, "str"))


def test_frames_come_back_in_the_order_of_their_places_as_often_as_asked(tmp_path: Path) -> None:
    frames = {2: rows("C", 7), 0: rows("A", 5), 1: rows("B", 1)}
    with Spool(tmp_path) as spool:
        for place, frame in frames.items():
            spool.add(place, frame)
        assert len(spool) == 13
        for _ in range(2):
            for read, place in zip(spool, (0, 1, 2), strict=True):
                pd.testing.assert_frame_equal(back(read), frames[place])


def test_a_frame_that_is_read_while_another_is_added_is_whole(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.add(0, rows("A", 5))
        spool.add(1, rows("B", 5))
        reader = iter(spool)
        pd.testing.assert_frame_equal(back(next(reader)), rows("A", 5))
        spool.add(2, rows("C", 5))
        pd.testing.assert_frame_equal(back(next(reader)), rows("B", 5))


def test_text_is_read_as_the_same_categories_from_every_frame(tmp_path: Path) -> None:
    """So that frames can be put together as they are."""
    with Spool(tmp_path) as spool:
        for place, ticker in enumerate("ABA"):
            spool.add(place, rows(ticker, 4))
        together = pd.concat(list(spool), ignore_index=True)
    assert together["ticker"].cat.categories.tolist() == ["A", "B"]
    pd.testing.assert_frame_equal(
        back(together), pd.concat([rows(ticker, 4) for ticker in "ABA"], ignore_index=True)
    )


def test_nobody_sees_the_file_and_nothing_is_held(tmp_path: Path) -> None:
    frame = rows("A", 5)
    seen = weakref.ref(frame)
    with Spool(tmp_path) as spool:
        spool.add(0, frame)
        del frame
        gc.collect()
        assert seen() is None
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_without_rows_there_is_nothing_to_read(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        assert (len(spool), list(spool)) == (0, [])


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with Spool(tmp_path) as spool:
        spool._file = full.open("r+b", buffering=0)
        with pytest.raises(OutOfSpace, match="no room to write"):
            spool.add(0, rows("A", 5))
