"""A ticker that goes on under another name: the rows of the old name are its past.

    FB   FB   FB  | META META META        FB = { now = "META", on = 2022-06-09 }

Before that day the rows of the old name count, and its own only where the old name has none: some sources
give the new name the whole history. From that day on only its own count, for an old name may be given to
another company. Every row stays stored under the name that it came with, so an evening before the day sees
what was known then.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from forecast_lib.config import Rename
from forecast_lib.windows.histories import Histories

__all__ = ["linked"]


def linked(
    histories: Histories, actions: pd.DataFrame, renames: Sequence[Rename]
) -> tuple[Histories, pd.DataFrame]:
    """Rows and corporate actions with each renamed ticker's past; those of the old names stay as they are.

    Args:
        actions: ticker, session, kind and value.
        renames: those of a chain in the order of their days.
    """
    for each in sorted(renames, key=lambda each: each.on):
        histories, actions = _linked_rows(histories, each), _linked_actions(actions, each)
    return histories, actions


def _linked_rows(histories: Histories, rename: Rename) -> Histories:
    if rename.was not in histories.tickers or rename.now not in histories.tickers:
        return histories
    was, now = (histories.tickers.index(name) for name in (rename.was, rename.now))
    past = (histories.of == was) & (histories.sessions < np.datetime64(rename.on, "D"))
    twice = (histories.of == now) & np.isin(histories.sessions, histories.sessions[past])
    rows = np.concatenate([np.flatnonzero(~twice), np.flatnonzero(past)])
    joined = histories.rows(rows)
    of = joined.of.copy()
    of[-np.count_nonzero(past) or len(of) :] = now
    return Histories.ordered(
        joined.tickers, of, joined.sessions, joined.figures, joined.currencies, joined.currency
    )


def _linked_actions(actions: pd.DataFrame, rename: Rename) -> pd.DataFrame:
    past = actions[(actions["ticker"] == rename.was) & (actions["session"] < pd.Timestamp(rename.on))]
    joined = pd.concat([past.assign(ticker=rename.now), actions], ignore_index=True) if len(past) else actions
    key = ["ticker", "session", "kind"]
    return joined.drop_duplicates(key).sort_values(key, ignore_index=True) if len(past) else actions
