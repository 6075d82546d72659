"""Which side of a bar that contradicts itself is wrong: made-up bars, and the real ones that do it."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib.prices.contradiction import doubts_close
from tests.prices.bars import BEFORE, bars_of, quiet_bars, real_bars

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def contradicted(bars):
    return (
        (bars.close > bars.high) | (bars.close < bars.low) | (bars.open > bars.high) | (bars.open < bars.low)
    )


def with_close(bars, rows, factor):
    close = bars.close.copy()
    close[rows] *= factor
    return dataclasses.replace(bars, close=close)


def test_a_close_far_from_its_neighbours_is_doubted():
    bars = with_close(quiet_bars(), slice(BEFORE, BEFORE + 1), 1.3)
    assert np.flatnonzero(doubts_close(bars, contradicted(bars))).tolist() == [BEFORE]


def test_a_flat_bar_of_a_day_that_moved_is_what_is_doubted():
    """By hand: the close falls by a fifth and stays there; open, high and low still say the close before."""
    bars = quiet_bars()
    for name in ("open", "high", "low", "close"):
        getattr(bars, name)[BEFORE:] *= 0.8
    for name in ("open", "high", "low"):
        getattr(bars, name)[BEFORE] = bars.close[BEFORE - 1]
    assert contradicted(bars)[BEFORE]
    assert not doubts_close(bars, contradicted(bars)).any()


def test_another_feed_s_high_and_low_cost_no_close():
    bars = quiet_bars()
    rng = np.random.default_rng(0)
    bars.low[:] *= np.exp(rng.normal(0, 0.004, len(bars)))
    assert contradicted(bars).sum() > 5
    assert not doubts_close(bars, contradicted(bars)).any()


@pytest.mark.parametrize("rows", [slice(0, 80), slice(40, 120), slice(100, None)])
def test_a_block_of_unsplit_closes_among_split_bars_is_doubted_whole(rows):
    bars = with_close(quiet_bars(), rows, 2.0)
    assert np.array_equal(doubts_close(bars, contradicted(bars)), contradicted(bars))


def test_the_adjusted_close_speaks_against_a_close_that_left_it():
    """By hand: 6 % in a share that moves by 1.2 % a day, on the newest row, so that no later session
    tells.
    """
    bars = with_close(quiet_bars(after=0), slice(BEFORE, None), 1.06)
    assert doubts_close(bars, contradicted(bars))[BEFORE]


def test_nothing_contradicted_nothing_doubted():
    assert not doubts_close(quiet_bars(), np.zeros(len(quiet_bars()), dtype=bool)).any()


def test_the_google_training_files_closes_are_doubted():
    path = DATA / "classics" / "Google_Stock_Price_Train.csv"
    if not path.exists():
        pytest.skip("real prices are not here")
    rows = (
        pd.read_csv(path, thousands=",", parse_dates=["Date"])
        .rename(columns=str.lower)
        .rename(columns={"date": "session"})
    )
    bars = bars_of(rows.assign(adj_close=np.nan))
    # All up to 2014-03-26, as the data's README counts them.
    assert doubts_close(bars, contradicted(bars)).sum() == 560


def test_the_closes_of_yahoos_currency_pairs_are_kept():
    bars = real_bars("wild", "JPY=X")
    assert contradicted(bars).sum() > 200
    assert not doubts_close(bars, contradicted(bars)).any()
