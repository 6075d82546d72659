"""Rules that a row keeps or breaks beside its neighbours: repeated bars, spikes, wrong units, and the splits that nobody recorded."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.prices.adjust import split_factors
from forecast_lib.prices.refusals import Breach, Flags, Rows, breaches_of

__all__ = [
    "CURRENCY_FACTOR",
    "FROZEN_SESSIONS",
    "LONGEST_BLOCK",
    "REVERSAL",
    "UNIT_TOLERANCE",
    "broken_beside_neighbours",
    "overlaid",
    "past_breaches",
    "split_that_fits",
]

CURRENCY_FACTOR = 100.0
"""Pence for pounds, cents for dollars, agorot for shekels."""

UNIT_TOLERANCE = 0.1
"""In logs: the market's own move of a day on top of the factor; larger moves are rare, other factors far away."""

LONGEST_BLOCK = 250
"""Sessions, about a year: a unit that stays wrong for longer is the unit."""

REVERSAL = 0.2
"""Share of a spike that may be left after it: four fifths of the move must be taken back at once."""

SPIKE_SCALE = 8.0
"""A spike stands out from the ticker's own usual move (median absolute return) by so much; a penny share's 40 % does not."""

FROZEN_SESSIONS = 5
"""A week of the same close."""

SPLIT_TOLERANCE = 0.06
"""In logs: the market's own move on the day of a split; 5:4 and 4:3 lie 0.065 apart."""

_RATIOS = ((5, 4), (4, 3), (3, 2), (5, 3), (2, 1), (5, 2), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (10, 1), (12, 1), (15, 1),
           (20, 1), (25, 1), (30, 1), (40, 1), (50, 1), (100, 1))  # fmt: skip

_FIGURES = ("open", "high", "low", "close", "volume")

_REASONS = {
    "stale_bar": "the bar of the session before again, volume {volume:.10g} included",
    "currency_block": "close {close:.10g} is about " + f"{CURRENCY_FACTOR:g}" + " times off, as in the sessions beside it: another unit",
    "price_spike": "close {close:.10g} jumps beyond the limit and the next session takes it back",
    "zero_volume": "no trades",
    "frozen_price": "close {close:.10g} has not moved for a week or longer",
}


def past_breaches(rows: Rows, candidates: Flags, known: pd.DataFrame | None, actions: pd.DataFrame, jump: float) -> list[Breach]:
    """Breaches of these rules by fetched rows, judged beside what is stored.

    Args:
        candidates: which of the rows are worth a look: those that no other rule has refused.
        known: stored rows, as in `checks.check_prices`.
        actions: `source.ACTION_COLUMNS`, stored and fetched ones.
        jump: as in `broken_beside_neighbours`.
    """
    # Rows that a warning let pass may share a session: the last stands for it.
    history = overlaid(known, {name: values[candidates] for name, values in rows.items()}, _FIGURES)
    broken = broken_beside_neighbours(history, split_factors(history["session"], actions), jump)
    found = {rule: history["session"][flags] for rule, flags in broken.items() if flags.any()}
    return breaches_of(rows, {rule: (candidates & np.isin(rows["session"], days), _REASONS[rule]) for rule, days in found.items()})


def overlaid(known: pd.DataFrame | None, rows: Rows, figures: Sequence[str]) -> Rows:
    """Stored and fetched rows together, oldest first, one a session: the last of the fetched ones, or else of the stored ones.

    Args:
        known: as in `checks.check_prices`; figures that it does not have are missing.
        figures: which ones are wanted beside the session.
    """
    both = {name: rows[name] for name in ("session", *figures)}
    if known is not None:
        missing = np.full(len(known), np.nan)
        before = {
            "session": known["session"].to_numpy(),
            **{name: known[name].to_numpy(float) if name in known else missing for name in figures},
        }
        both = {name: np.concatenate([before[name], values]) for name, values in both.items()}
    days = both["session"]
    if (days[1:] > days[:-1]).all():
        return both
    order = np.argsort(days, kind="stable")
    chosen = order[np.append(days[order][1:] != days[order][:-1], True)]
    return {name: values[chosen] for name, values in both.items()}


def broken_beside_neighbours(history: Rows, factors: NDArray[np.float64], jump: float) -> dict[str, Flags]:
    """Rule -> which rows break it.

    Args:
        history: one ticker's rows as traded, oldest first, one a session: `session`, open, high, low, close and volume.
        factors: (n,) what the splits divide each row's close by (`adjust.split_factors`).
        jump: the log return from which a move is a jump for this market.
    """
    close = history["close"] / factors
    with np.errstate(all="ignore"):
        returns = np.diff(np.log(close), prepend=np.log(close[:1]))
    blocks = _wrong_units(returns)
    return {
        "stale_bar": _stale(history),
        "currency_block": blocks,
        "price_spike": _spikes(returns, jump) & ~blocks,
        "zero_volume": _without_trades(history["volume"]),
        "frozen_price": _frozen(close),
    }


def _stale(history: Rows) -> Flags:
    """Rows that repeat the row before in every figure. A thin share may repeat its price, not also its range and its volume."""
    if not len(history["close"]):
        return np.zeros(0, dtype=bool)
    same = np.logical_and.reduce([np.diff(history[name]) == 0 for name in _FIGURES])
    traded = (history["volume"] > 0) & (history["high"] > history["low"])
    return np.concatenate([[False], same]) & traded


def _wrong_units(returns: NDArray[np.float64]) -> Flags:
    """Rows between a step by CURRENCY_FACTOR and the step back."""
    inside = np.zeros(len(returns), dtype=bool)
    steps = np.flatnonzero(np.abs(np.abs(returns) - np.log(CURRENCY_FACTOR)) < UNIT_TOLERANCE)
    at = 0
    while at + 1 < len(steps):
        out, back = steps[at], steps[at + 1]
        if returns[out] * returns[back] < 0 and back - out <= LONGEST_BLOCK:
            inside[out:back] = True
            at += 2
        else:
            at += 1
    return inside


def _spikes(returns: NDArray[np.float64], jump: float) -> Flags:
    if len(returns) < 3:
        return np.zeros(len(returns), dtype=bool)
    after = np.append(returns[1:], np.nan)
    usual = np.nanmedian(np.abs(returns[1:])) / 0.6745  # the standard deviation of a normal variable by its median
    size = np.abs(returns)
    return (size > max(jump, SPIKE_SCALE * usual)) & (np.abs(returns + after) < REVERSAL * size)


def _without_trades(volume: NDArray[np.float64]) -> Flags:
    usual = np.nanmedian(volume) if np.isfinite(volume).any() else 0.0
    return (volume == 0) & (usual > 0)


def _frozen(close: NDArray[np.float64]) -> Flags:
    same = np.concatenate([[False], np.diff(close) == 0]) if len(close) else np.zeros(0, dtype=bool)
    place = np.arange(len(close))
    began = np.maximum.accumulate(np.where(same, 0, place))
    return place - began >= FROZEN_SESSIONS - 1


def split_that_fits(log_return: float) -> str | None:
    """The split that would explain a move of the close: new shares for old, or None where no usual ratio fits.

    >>> split_that_fits(np.log(0.252)), split_that_fits(np.log(9.9)), split_that_fits(np.log(0.56))
    ('4:1', '1:10', None)
    """
    fits = [(abs(abs(log_return) - np.log(new / old)), new, old) for new, old in _RATIOS]
    distance, new, old = min(fits)
    if distance > SPLIT_TOLERANCE:
        return None
    return f"{new}:{old}" if log_return < 0 else f"{old}:{new}"
