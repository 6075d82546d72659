"""Dividends and splits: which of a source's can be used, which are new, and which it has taken back."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import Ticker
from forecast_lib.prices.adjust import SPLIT_RANGE
from forecast_lib.prices.source import ACTION_COLUMNS, Offered, Told
from forecast_lib.windows.histories import Histories, key_of

__all__ = [
    "INFERRED",
    "LARGEST_PRICE",
    "WITHDRAWN",
    "in_order",
    "new_actions",
    "overlaid_actions",
    "standing",
    "unusable",
    "withdrawn",
]

LARGEST_PRICE = 1e9
"""The dearest share (Berkshire Hathaway A) costs under 1e6 dollars, indices and won prices stay under 1e7."""

WITHDRAWN = {"dividend": 0.0, "split": 1.0}
"""By kind, the value under which an action is stored anew when its source no longer lists it: it changes no
price.
"""

INFERRED = "inferred"
"""Stands as the source of a split that no source lists."""

_KEY = ["ticker", "session", "kind"]
_COLUMNS = ["ticker", *ACTION_COLUMNS]


def unusable(actions: pd.DataFrame, rows: Histories) -> tuple[NDArray[np.bool_], list[str], list[str]]:
    """Which actions cannot be used, and of each of those the rule and the reason.

    Args:
        actions: ticker, session, kind and value, each said once.
        rows: as traded; a dividend cannot be as large as the close before it.
    """
    value, is_split = actions["value"].to_numpy(), (actions["kind"] == "split").to_numpy()
    low, high = (
        np.where(is_split, SPLIT_RANGE[0], np.nextafter(0, 1)),
        np.where(is_split, SPLIT_RANGE[1], LARGEST_PRICE),
    )
    impossible = ~((value >= low) & (value <= high))
    rivals = actions.duplicated(_KEY, keep=False).to_numpy()
    dear = ~is_split & ~impossible & ~rivals & (value >= _close_before(actions, rows))
    bad: NDArray[np.bool_] = impossible | rivals | dear
    rules = np.where(dear[bad], "dividend_above_price", "bad_action")
    several = "several of its kind on one session, with different values"
    reasons = np.where(
        impossible[bad],
        "no possible value",
        np.where(rivals[bad], several, "a dividend not smaller than the close before it"),
    )
    return bad, rules.tolist(), reasons.tolist()


def _close_before(actions: pd.DataFrame, rows: Histories) -> NDArray[np.float64]:
    """(actions,) the ticker's close before the session, on the session's share basis; infinite where there is
    none.
    """
    if not len(rows) or actions.empty:
        return np.full(len(actions), np.inf)
    of, days = _places(actions, rows.tickers), actions["session"].to_numpy("datetime64[D]")
    at = np.searchsorted(rows.keys(), key_of(of, days)) - 1
    there = (at >= 0) & (rows.of[at] == of)
    splits = actions[actions["kind"] == "split"].drop_duplicates(_KEY[:2]).set_index(_KEY[:2])["value"]
    ratio = (
        splits.reindex(pd.MultiIndex.from_frame(actions[_KEY[:2]])).fillna(1.0).to_numpy()
        if len(splits)
        else 1.0
    )
    close = rows.figures["close"][at] / ratio
    found: NDArray[np.float64] = np.where(there & (close > 0), close, np.inf)
    return found


def new_actions(actions: pd.DataFrame, known: pd.DataFrame) -> set[str]:
    """Tickers with an action of a kind and session of which none was known."""
    return set(actions.loc[~_among(actions, standing(known)), "ticker"])


def withdrawn(offered: Offered, actions: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Known actions of sessions that an answer speaks of, but that are not in it, with the value that takes
    them back.

    Args:
        actions: the answer's, as far as they can be used.
        known: with their `source`; what was inferred is not for a source to take back.
    """
    before = standing(known[known["source"] != INFERRED] if "source" in known else known)
    lost = before.loc[~_among(before, actions), _COLUMNS] if len(before) else before[_COLUMNS]
    if lost.empty:
        return lost
    spoken = [
        _speaks_of(offered, Ticker(row.ticker), row.session, str(row.kind)) for row in lost.itertuples()
    ]
    gone = lost[np.array(spoken, dtype=bool)]
    return gone.assign(value=gone["kind"].map(WITHDRAWN).astype(float))


def _speaks_of(offered: Offered, ticker: Ticker, session: pd.Timestamp, kind: str) -> bool:
    told: Mapping[Ticker, Told] = offered.told
    if ticker not in told or told[ticker].problem is not None or kind not in told[ticker].action_kinds:
        return False
    place = int(np.searchsorted(np.array(offered.rows.tickers, dtype=str), ticker))
    low, high = np.searchsorted(offered.rows.of, [place, place + 1]).tolist()
    if low == high:
        return False
    first = told[ticker].actions_from or offered.rows.sessions[low]
    return bool(np.datetime64(first, "D") <= np.datetime64(session, "D") <= offered.rows.sessions[high - 1])


def overlaid_actions(stored: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Ticker, session, kind and value: of the same session and kind the newer one."""
    joined = pd.concat([stored[_COLUMNS], new[_COLUMNS]], ignore_index=True) if len(new) else stored[_COLUMNS]
    return joined.drop_duplicates(_KEY, keep="last").sort_values(_KEY, ignore_index=True)


def standing(actions: pd.DataFrame) -> pd.DataFrame:
    """Stored actions without those that the source has taken back: `kind` and `value` among their columns."""
    return actions[actions["value"] != actions["kind"].map(WITHDRAWN)]


def in_order(actions: pd.DataFrame) -> pd.DataFrame:
    """By ticker and session, each said once."""
    return actions.drop_duplicates().sort_values(_KEY, ignore_index=True)


def _places(actions: pd.DataFrame, tickers: tuple[str, ...]) -> NDArray[np.int32]:
    return pd.Index(tickers).get_indexer(actions["ticker"]).astype(np.int32)


def _among(actions: pd.DataFrame, others: pd.DataFrame) -> NDArray[np.bool_]:
    """(actions,) whether the others have one of the same ticker, session and kind."""
    names = tuple(pd.unique(pd.concat([actions["ticker"], others["ticker"]])))
    mine, theirs = (
        2 * key_of(_places(each, names), each["session"].to_numpy("datetime64[D]"))
        + (each["kind"] == "split").to_numpy(np.int64)
        for each in (actions, others)
    )
    found: NDArray[np.bool_] = np.isin(mine, theirs)
    return found
