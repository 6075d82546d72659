"""Moves of the close that a missing split, or another unit, would explain: they hold the ticker until a person or the source says more."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from forecast_lib.domain import Ticker
from forecast_lib.errors import TickerHeld
from forecast_lib.prices.adjust import split_factors
from forecast_lib.prices.past import split_that_fits
from forecast_lib.prices.refusals import Rows, as_json, quarantine_table
from forecast_lib.sessions import TickerCalendar

__all__ = [
    "FRESH_SESSIONS",
    "JUMP",
    "JUMP_RULES",
    "RECENT_SESSIONS",
    "SPLIT_LIKE_JUMP",
    "Jump",
    "hold_for_jump",
    "jump_limits",
    "last_that_holds",
    "row_of_the_jump",
    "unexplained_jumps",
]

RECENT_SESSIONS = 250
"""About a year: what the windows and the volatility of tonight's forecast see. Older flaws are counted, and hold nobody."""

FRESH_SESSIONS = 10
"""Sources deliver a late split within days; a jump that stays unexplained for so long is a real move."""

JUMP = np.log(1.4)
"""A close up by 40 % or down by 29 % with no split to explain it, in the fresh sessions. None of 132,545 daily
moves of 32 large US companies, 2005-2021, is as large (the nearest: UNH, 2008-10-13, +35 %, 0.30); 3:2 is 0.41."""

SPLIT_LIKE_JUMP = np.log(1.9)
"""Nearly a 2:1 split; holds for all recent sessions, because such a step would rule the model's scale. Large companies hardly
ever halve in a day (AAPL did on 2000-09-29), splits are missed often."""

CRYPTO_JUMP = np.log(2.5)
"""Both limits for markets that never close: coins do not split, and do lose 40 % in a day (bitcoin on 2020-03-12); -60 % or
+150 %."""

_ALWAYS_OPEN = "24/7"


def jump_limits(calendar: TickerCalendar) -> tuple[float, float]:
    """From which log return a fresh move, and a less fresh one, is a jump."""
    return (CRYPTO_JUMP, CRYPTO_JUMP) if calendar.name == _ALWAYS_OPEN else (JUMP, SPLIT_LIKE_JUMP)


JUMP_RULES = ("jump", "unrecorded_split")


class Jump(NamedTuple):
    """A move of the close that no recorded split explains.

    Attributes:
        session: of the close after the move, datetime64[us].
        log_return: the move, split-adjusted.
        rule: one of JUMP_RULES.
        holds: recent enough, and not accepted by anybody, to hold the ticker.
    """

    session: np.datetime64
    log_return: float
    rule: str
    holds: bool


def unexplained_jumps(
    history: Rows, actions: pd.DataFrame, calendar: TickerCalendar, released: pd.DataFrame, severities: Mapping[str, str]
) -> list[Jump]:
    """Moves of the split-adjusted close beyond the limits, oldest first.

    A move that a person released, or whose rule only warns, holds nobody.

    Args:
        history: `session` and `close` of what will be stored after this run, oldest first.
    """
    close = history["close"] / split_factors(history["session"], actions)
    with np.errstate(all="ignore"):  # a close that a person released may be zero
        log_return = np.diff(np.log(close), prepend=np.nan)
    fresh_limit, limit = jump_limits(calendar)
    age = len(log_return) - 1 - np.arange(len(log_return))
    size = np.abs(log_return)
    recent = ((size > fresh_limit) & (age < FRESH_SESSIONS)) | ((size > limit) & (age < RECENT_SESSIONS))
    jumps = []
    for place in np.flatnonzero(size > fresh_limit).tolist():
        session, move = history["session"][place], float(log_return[place])
        rule = "jump" if split_that_fits(move) is None else "unrecorded_split"
        accepted = severities[rule] != "hold_ticker" or _is_released(session, released)
        jumps.append(Jump(session, move, rule, bool(recent[place]) and not accepted))
    return jumps


def _is_released(session: np.datetime64, released: pd.DataFrame) -> bool:
    """Whether a person released the row of a jump on this session."""
    return bool((released["rule"].isin(JUMP_RULES) & (released["session"] == session)).any())


def last_that_holds(jumps: Sequence[Jump]) -> Jump | None:
    """The newest of the moves that hold the ticker."""
    return next((jump for jump in reversed(jumps) if jump.holds), None)


def hold_for_jump(ticker: Ticker, jump: Jump | None) -> TickerHeld | None:
    """The hold for a move, if there is one that holds."""
    if jump is None:
        return None
    moved = f"close moved by {np.expm1(jump.log_return):+.0%} on {pd.Timestamp(jump.session).date()}"
    split = split_that_fits(jump.log_return)
    if split is None:
        return TickerHeld(
            ticker,
            f"{moved} without a split to explain it; check the source for a missing split or a change of unit, or release the row",
            rule="jump",
        )
    unit = ", or a change of unit" if split in ("100:1", "1:100") else ""
    reason = (
        f"{moved}, which fits a split of {split}{unit}, and no such split is recorded: add it to the source, or release the row if the "
        "move is real"
    )
    return TickerHeld(ticker, reason, rule="unrecorded_split")


def row_of_the_jump(prices: pd.DataFrame, jump: Jump, hold: TickerHeld) -> pd.DataFrame:
    """The row that holds the ticker, as it came, so that a person can look at it and release it; none if it was stored before."""
    row = prices[prices["session"] == jump.session].head(1)
    texts = [as_json(values) for values in row.drop(columns="origin").to_dict("records")]
    return quarantine_table(row["session"].to_numpy(), texts, row["origin"].tolist(), [hold.rule] * len(row), [hold.reason] * len(row))
