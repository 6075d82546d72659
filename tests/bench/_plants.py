"""Faults planted into real prices, each at a random place: what sources have delivered, and real shocks that
look like them.

Every planter takes the rows of one ticker up to some sessions after the place, and returns them as a source
would deliver them then.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

PRICES = ["open", "high", "low", "close"]
RATIOS = (1.25, 4 / 3, 1.5, 2, 3, 4, 5, 7, 10, 20, 1 / 2, 1 / 5, 1 / 10, 1 / 20)
"""New shares for old: the usual ones, both ways."""

BEFORE, AFTER = 320, 12
"""Sessions of a planted history before the place, and after it."""

FIGURES = [*PRICES, "adj_close"]


@dataclass(frozen=True)
class Shapes:
    """Real large moves: what shocks are built from. One a row: the bar in logs of the close before, by the
    move; volume by the usual one; and the three sessions that followed as they were.
    """

    bars: np.ndarray  # (shapes, 4) open, high, low, close
    volume: np.ndarray  # (shapes, 4) of that session and the next three
    # (shapes, 3, 4) open, high, low, close of the next sessions in logs of the close before each.
    after: np.ndarray

    def __len__(self) -> int:
        return len(self.bars)


def shapes_of(histories: dict[str, pd.DataFrame], smallest: float, first: str, last: str) -> Shapes:
    """The moves of that size or larger between two days, coins and the like left out by the caller."""
    bars, volumes, after = [], [], []
    for rows in histories.values():
        close = rows["close"].to_numpy()
        logs = np.log(rows[PRICES].to_numpy())
        move = np.diff(np.log(close), prepend=np.nan)
        inside = rows["session"].between(first, last).to_numpy()
        for at in np.flatnonzero((np.abs(move) > smallest) & inside):
            if not 20 <= at < len(rows) - 3 or (rows["high"].iloc[at] <= rows["low"].iloc[at]):
                continue
            usual = np.median(rows["volume"].to_numpy()[at - 20 : at])
            volume = rows["volume"].to_numpy()[at : at + 4] / max(usual, 1.0)
            bars.append((logs[at] - logs[at - 1, 3]) / move[at])
            volumes.append(np.maximum(volume, 0.01))
            after.append(logs[at + 1 : at + 4] - logs[at : at + 3, 3:])
    return Shapes(np.array(bars), np.array(volumes), np.array(after))


def shocked(
    rows: pd.DataFrame, at: int, move: float, shapes: Shapes, rng: np.random.Generator
) -> pd.DataFrame:
    """A real move of that log size: a real large day's bar, stretched to it, with its volume and the three
    days that followed it there.
    """
    which = int(rng.integers(len(shapes)))
    out = rows.copy()
    logs = np.log(rows[PRICES].to_numpy())
    relative = logs - np.append(np.nan, logs[:-1, 3])[:, None]  # each bar by the close before
    bar = shapes.bars[which] * move
    if move < 0 or (bar[1] < bar[2]):
        bar[1], bar[2] = max(bar[1], bar[2]), min(bar[1], bar[2])
    relative[at] = bar
    count = min(3, len(rows) - at - 1)
    relative[at + 1 : at + 1 + count] = shapes.after[which][:count]
    close = logs[at - 1, 3] + relative[at:, 3].cumsum()
    before = np.append(logs[at - 1, 3], close[:-1])
    new = np.exp(before[:, None] + relative[at:])
    factor = new[:, 3] / rows["close"].to_numpy()[at:]
    out.loc[out.index[at:], PRICES] = new
    out.loc[out.index[at:], "adj_close"] = rows["adj_close"].to_numpy()[at:] * factor
    usual = np.median(rows["volume"].to_numpy()[at - 20 : at])
    out.loc[out.index[at : at + 1 + count], "volume"] = np.rint(usual * shapes.volume[which][: 1 + count])
    return out


def unsplit(rows: pd.DataFrame, at: int, ratio: float, aware: bool) -> pd.DataFrame:
    """A split on that row that the source neither lists nor adjusts for: before it, the prices and the
    volumes as they were traded.

    Args:
        aware: whether the source's adjusted close knows of it nevertheless.
    """
    out = rows.copy()
    named = PRICES if aware else FIGURES
    out.loc[out.index[:at], named] = rows[named].to_numpy()[:at] * ratio
    out.loc[out.index[:at], "volume"] = np.rint(rows["volume"].to_numpy()[:at] / ratio)
    return out


def scaled(rows: pd.DataFrame, at: int, count: int, factor: float, columns: list[str]) -> pd.DataFrame:
    """Some figures of some rows times a factor."""
    out = rows.copy()
    out.loc[out.index[at : at + count], columns] = rows[columns].to_numpy()[at : at + count] * factor
    return out


def with_bad_close(rows: pd.DataFrame, at: int, factor: float) -> pd.DataFrame:
    """A close that is off, and the high or low that it makes."""
    out = scaled(rows, at, 1, factor, ["close", "adj_close"])
    place = out.index[at]
    out.loc[place, "high"] = out.loc[place, PRICES].max()
    out.loc[place, "low"] = out.loc[place, PRICES].min()
    return out


def repeated(rows: pd.DataFrame, at: int, count: int) -> pd.DataFrame:
    """Bars that repeat the one before, volume included."""
    out = rows.copy()
    columns = [*FIGURES, "volume"]
    out.loc[out.index[at : at + count], columns] = rows[columns].to_numpy()[at - 1]
    return out


def without(rows: pd.DataFrame, at: int, count: int) -> pd.DataFrame:
    """A hole that ends with the place."""
    return pd.concat([rows.iloc[: at - count], rows.iloc[at:]], ignore_index=True)


def late(rows: pd.DataFrame, at: int, count: int) -> pd.DataFrame:
    """Rows that stand a session late: each has the figures of the one before."""
    out = rows.copy()
    columns = [*FIGURES, "volume"]
    out.loc[out.index[at : at + count], columns] = rows[columns].to_numpy()[at - 1 : at - 1 + count]
    return out


def contradictory(rows: pd.DataFrame, at: int, which: str, by: float) -> pd.DataFrame:
    """One of a bar's prices outside what the others say."""
    factor = {"open": 1 + by, "high": 1 - by, "low": 1 + by, "close": 1 + by}[which]
    edge = {"open": "high", "high": "low", "low": "high", "close": "high"}[which]
    out = rows.copy()
    out.loc[out.index[at], which] = rows[edge].to_numpy()[at] * factor
    return out


def twice(rows: pd.DataFrame, at: int, factor: float) -> pd.DataFrame:
    """A session that is delivered twice, the second time with prices times the factor."""
    again = rows.iloc[[at]].copy()
    again[FIGURES] *= factor
    return pd.concat([rows.iloc[: at + 1], again, rows.iloc[at + 1 :]], ignore_index=True)


Planted = tuple[str, pd.DataFrame]
"""What exactly was planted, and the rows."""


def _split(rows: pd.DataFrame, at: int, rng: np.random.Generator, _: Shapes) -> Planted:
    ratio = float(rng.choice(RATIOS))
    way = rng.choice(["unaware", "none", "aware"], p=[0.6, 0.25, 0.15])
    out = unsplit(rows, at, ratio, way == "aware")
    return f"{ratio:.4g}", out.assign(adj_close=np.nan) if way == "none" else out


def _shock(rows: pd.DataFrame, at: int, rng: np.random.Generator, shapes: Shapes) -> Planted:
    ratio = float(rng.choice(RATIOS))
    return f"{ratio:.4g}", shocked(rows, at, -np.log(ratio) + rng.normal(0, 0.02), shapes, rng)


def _unit(rows: pd.DataFrame, at: int, rng: np.random.Generator, _: Shapes) -> Planted:
    factor, count = float(rng.choice([100, 0.01, 1000, 0.001])), int(rng.choice([1, 3, 8, 99]))
    return f"{factor:g} for {count}", scaled(rows, at, count, factor, FIGURES)


def _print_size(rng: np.random.Generator) -> float:
    return float(rng.choice([-1, 1]) * rng.uniform(0.05, 0.9))


def _size_words(size: float) -> str:
    limits = {0.1: "05-10", 0.2: "10-20", 0.4: "20-40", 1: "40-90"}
    return f"{next(name for limit, name in limits.items() if abs(size) <= limit)} %"


def _bad_bar(rows: pd.DataFrame, at: int, rng: np.random.Generator, _: Shapes) -> Planted:
    size = _print_size(rng)
    return _size_words(size), scaled(rows, at, 1, 1 + size, FIGURES)


def _bad_close(rows: pd.DataFrame, at: int, rng: np.random.Generator, _: Shapes) -> Planted:
    size = _print_size(rng)
    return _size_words(size), with_bad_close(rows, at, 1 + size)


def _decimal(rows: pd.DataFrame, at: int, rng: np.random.Generator, _: Shapes) -> Planted:
    factor, column = float(rng.choice([10, 0.1, 100, 0.01])), str(rng.choice(["bar", *PRICES]))
    return column, scaled(rows, at, 1, factor, FIGURES if column == "bar" else [column])


def _stale(rows: pd.DataFrame, at: int, rng: np.random.Generator, _: Shapes) -> Planted:
    count = int(rng.integers(1, 11))
    return f"{count}", repeated(rows, at, count)


def _hole(rows: pd.DataFrame, at: int, rng: np.random.Generator, _: Shapes) -> Planted:
    count = int(rng.integers(1, 61))
    return f"{'1-5' if count < 6 else '6-20' if count < 21 else '21-60'}", without(rows, at, count)


def _late(rows: pd.DataFrame, at: int, rng: np.random.Generator, _: Shapes) -> Planted:
    count = int(rng.integers(2, 8))
    return f"{count}", late(rows, at, count)


def _contradiction(rows: pd.DataFrame, at: int, rng: np.random.Generator, _: Shapes) -> Planted:
    column = str(rng.choice(PRICES))
    return column, contradictory(rows, at, column, float(rng.uniform(0.01, 0.3)))


def _twice(rows: pd.DataFrame, at: int, rng: np.random.Generator, _: Shapes) -> Planted:
    factor = float(rng.choice([1.0, 1 + rng.uniform(0.001, 0.2)]))
    return "the same" if factor == 1 else "another price", twice(rows, at, factor)


PLANTERS: dict[str, Callable[[pd.DataFrame, int, np.random.Generator, Shapes], Planted]] = {
    "missing split": _split,
    "real shock": _shock,
    "unit": _unit,
    "bad bar": _bad_bar,
    "bad close": _bad_close,
    "decimal": _decimal,
    "stale": _stale,
    "hole": _hole,
    "a day late": _late,
    "contradiction": _contradiction,
    "twice": _twice,
}
