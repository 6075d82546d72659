"""Moves of the close that a missing split, or another unit, would explain: they hold the ticker until a person or the source says more."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from forecast_lib.domain import Ticker
from forecast_lib.errors import TickerHeld
from forecast_lib.prices.adjust import split_factors
from forecast_lib.prices.past import split_that_fits
from forecast_lib.prices.refusals import as_json
from forecast_lib.sessions import TickerCalendar

__all__ = [
    "FRESH_SESSIONS",
    "JUMP",
    "JUMP_RULES",
    "RECENT_SESSIONS",
    "SPLIT_LIKE_JUMP",
    "hold_for_jump",
    "jump_limits",
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


def unexplained_jumps(
    history: pd.DataFrame, actions: pd.DataFrame, calendar: TickerCalendar, released: pd.DataFrame, severities: Mapping[str, str]
) -> pd.DataFrame:
    """Moves of the split-adjusted close beyond the limits: session, log_return, rule, holds (recent enough to hold the ticker).

    A move that a person released, or whose rule only warns, holds nobody.
    """
    close = history["close"].to_numpy(float) / split_factors(history["session"], actions)
    log_return = pd.Series(np.log(close)).diff()
    fresh_limit, limit = jump_limits(calendar)
    age = len(history) - 1 - np.arange(len(history))
    size = log_return.abs()
    recent = ((size > fresh_limit) & (age < FRESH_SESSIONS)) | ((size > limit) & (age < RECENT_SESSIONS))
    jumps = pd.DataFrame({"session": history["session"], "log_return": log_return, "holds": recent})[size > fresh_limit]
    rules = ["jump" if split_that_fits(move) is None else "unrecorded_split" for move in jumps["log_return"]]
    accepted = jumps["session"].isin(released.loc[released["rule"].isin(JUMP_RULES), "session"])
    stays = np.array([severities[rule] == "hold_ticker" for rule in rules], dtype=bool)
    return jumps.assign(rule=rules, holds=jumps["holds"] & ~accepted & stays)


def hold_for_jump(ticker: Ticker, jumps: pd.DataFrame) -> TickerHeld | None:
    """The hold for the last of the moves that hold, if any does."""
    holding = jumps[jumps["holds"]]
    if holding.empty:
        return None
    last = holding.iloc[-1]
    moved = f"close moved by {np.expm1(last['log_return']):+.0%} on {last['session'].date()}"
    split = split_that_fits(last["log_return"])
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


def row_of_the_jump(prices: pd.DataFrame, jumps: pd.DataFrame, hold: TickerHeld) -> pd.DataFrame | None:
    """The row that holds the ticker, as it came, so that a person can look at it and release it."""
    rows = prices[prices["session"] == jumps.loc[jumps["holds"], "session"].iloc[-1]].head(1)
    texts = [as_json(row) for row in rows.drop(columns="origin").to_dict("records")]
    return rows[["session", "origin"]].assign(row=texts, rule=hold.rule, reason=hold.reason)
