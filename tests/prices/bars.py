"""Bars whose story is known: quiet days drawn from a seed, shocks put into them, and real ones."""

import functools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib.prices.evidence import Case, Verdict, judge_moves
from forecast_lib.prices.seen import Bars
from tests.whole_parquet import read_parquet

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

BEFORE = 150
"""Rows before the one to which something happens."""


def bars_of(rows: pd.DataFrame) -> Bars:
    """From a frame with `session` and the figures, oldest first."""
    figures = (
        rows[name].to_numpy(float, na_value=np.nan)
        for name in ("open", "high", "low", "close", "adj_close", "volume")
    )
    return Bars(rows["session"].to_numpy(), *figures)


def verdicts_on(bars: Bars, *, can_split: bool = True, **known) -> tuple[Verdict, ...]:
    """On the odd moves of one ticker that is judged alone."""
    (found,) = judge_moves([Case(bars, can_split, **known)])
    return found


def quiet_bars(*, day: float = 0.012, after: int = 15, seed: int = 0) -> Bars:
    """A share whose close moves by `day` a day (standard deviation), half of it before the open, with a range
    to match.
    """
    rng = np.random.default_rng(seed)
    rows = BEFORE + 1 + after
    night, daytime = rng.normal(0, day / np.sqrt(2), (2, rows))
    close = 100 * np.exp(np.cumsum(night + daytime))
    opened = close / np.exp(daytime)
    top = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, day / 2, rows)))
    bottom = np.minimum(opened, close) / np.exp(np.abs(rng.normal(0, day / 2, rows)))
    volume = np.rint(1e6 * np.exp(rng.normal(0, 0.3, rows)))
    sessions = pd.bdate_range("2015-01-05", periods=rows).to_numpy()
    return Bars(sessions, opened, top, bottom, close, close.copy(), volume)


def shock(bars: Bars, move: float, at: int = BEFORE) -> Bars:
    """A real move of that log size: half of it before the open, the rest in a wide day, with eight times the
    volume; wide days after.
    """
    size = np.exp(move)
    out = {
        name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "adj_close", "volume")
    }
    for name in ("open", "high", "low", "close", "adj_close"):
        out[name][at:] *= size
    out["open"][at] /= np.exp(move / 2)
    out["high"][at], out["low"][at] = (
        max(out["high"][at], out["open"][at]),
        min(out["low"][at], out["open"][at]),
    )
    out["volume"][at] *= 8
    later = slice(at + 1, at + 4)
    out["high"][later], out["low"][later], out["volume"][later] = (
        out["high"][later] * 1.02,
        out["low"][later] * 0.98,
        out["volume"][later] * 2.5,
    )
    return Bars(bars.sessions, **out)


@functools.cache
def real_rows(name: str) -> pd.DataFrame:
    path = DATA / f"{name}_prices.parquet"
    if not path.exists():
        pytest.skip("real prices are not here")
    return read_parquet(path, ("ticker", "date", "open", "high", "low", "close", "adjclose", "volume"))


def real_bars(name: str, ticker: str) -> Bars:
    """All rows of a ticker in a file of real prices that have a close; skips where the file is missing."""
    rows = real_rows(name)
    mine = rows[(rows["ticker"] == ticker) & rows["close"].notna()].sort_values("date", ignore_index=True)
    return bars_of(mine.rename(columns={"date": "session"}))
