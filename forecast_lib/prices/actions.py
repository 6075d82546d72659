"""Dividends and splits: which of a source's can be used, which are new, and which it has taken back."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import Ticker
from forecast_lib.prices.source import ACTION_COLUMNS, Offered, as_json, refused_frame
from forecast_lib.windows.histories import Histories, key_of

__all__ = [
    "INFERRED",
    "LARGEST_PRICE",
    "SPLIT_RANGE",
    "WITHDRAWN",
    "among",
    "new_actions",
    "overlaid_actions",
    "standing",
    "unusable",
    "withdrawn",
]

LARGEST_PRICE = 1e12
"""The dearest share (Berkshire Hathaway A) costs under 1e6 dollars, a bitcoin some 1e9 rupiah or dong."""

SPLIT_RANGE = (1e-4, 1e4)
"""Ratios beyond are slips of a file or a source; the largest real ones are reverse splits of 1:1000 or so."""

WITHDRAWN = {"dividend": 0.0, "split": 1.0, "unit": 1.0}
"""By kind, the value under which an action is stored anew when its source no longer lists it: it changes no
price.
"""

INFERRED = "inferred"
"""Stands as the source of a split that no source lists, and of a change of unit."""

_KEY = ["ticker", "session", "kind"]
_COLUMNS = ["ticker", *ACTION_COLUMNS]


def unusable(actions: pd.DataFrame, rows: Histories, beside: Histories) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The actions that can be used, and the others as refused rows with rule and reason.

    Args:
        actions: ticker, session, kind and value, each said once.
        rows, beside: offered and stored ones, as traded; a dividend cannot be as large as the close before
            it.
    """
    if actions.empty:
        return actions, refused_frame(())
    value, is_split = actions["value"].to_numpy(), (actions["kind"] == "split").to_numpy()
    possible = np.where(is_split, value >= SPLIT_RANGE[0], value > 0)
    possible &= value <= np.where(is_split, SPLIT_RANGE[1], LARGEST_PRICE)
    rivals = actions.duplicated(_KEY, keep=False).to_numpy()
    dear = ~is_split & (value >= _close_before(actions, rows, beside))
    several = "several of its kind on one session, with different values"
    words = ["no possible value", several, "a dividend not smaller than the close before it"]
    reasons = np.select([~possible, rivals, dear], words, "")
    bad = reasons != ""
    refused = actions[bad].assign(
        row=[as_json(each) for each in actions.loc[bad, list(ACTION_COLUMNS)].to_dict("records")],
        origin="corporate action",
        rule=np.where(dear & possible & ~rivals, "dividend_above_price", "bad_action")[bad],
        reason=reasons[bad],
    )
    return actions[~bad], refused_frame([refused])


def _close_before(actions: pd.DataFrame, rows: Histories, beside: Histories) -> NDArray[np.float64]:
    """(actions,) the ticker's close before the session, on the session's share basis; infinite where there is
    none.
    """
    close, nearest = np.full(len(actions), np.inf), np.full(len(actions), np.iinfo(np.int64).min)
    of = pd.Index(rows.tickers).get_indexer(actions["ticker"]).astype(np.int32)
    wanted = key_of(of, actions["session"].to_numpy("datetime64[D]"))
    for known in (each for each in (beside, rows) if len(each)):  # of one session the offered row
        keys = known.keys()
        at = np.maximum(np.searchsorted(keys, wanted) - 1, 0)
        nearer = (known.of[at] == of) & (keys[at] < wanted) & (keys[at] >= nearest)
        close[nearer], nearest[nearer] = known.figures["close"][at[nearer]], keys[at[nearer]]
    splits = (actions["kind"] == "split").to_numpy()
    first = ~pd.Index(wanted[splits]).duplicated()
    at = pd.Index(wanted[splits][first]).get_indexer(wanted)
    ratio = np.append(actions["value"].to_numpy()[splits][first], 1.0)[at]
    with np.errstate(all="ignore"):  # any ratio may stand in a file
        close = close / ratio
    return np.where(close > 0, close, np.inf)


def new_actions(actions: pd.DataFrame, known: pd.DataFrame) -> set[str]:
    """Tickers with an action of a kind and session of which none was known."""
    return set(actions.loc[~among(actions, standing(known)), "ticker"])


def withdrawn(offered: Offered, actions: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Known actions of sessions that an answer speaks of, but that are not in it, with the value that takes
    them back.

    Args:
        actions: the answer's, as far as they can be used.
        known: with their `source`; what was inferred is not for a source to take back.
    """
    before = standing(known[known["source"] != INFERRED])
    lost = before.loc[~among(before, actions), _COLUMNS] if len(before) else before[_COLUMNS]
    if lost.empty:
        return lost
    gone = lost[np.array([_speaks_of(offered, row) for row in lost.itertuples()], dtype=bool)]
    return gone.assign(value=gone["kind"].map(WITHDRAWN).astype(float))


def _speaks_of(offered: Offered, action: Any) -> bool:
    """Whether the answer would list such an action."""
    told = offered.told.get(Ticker(action.ticker))
    if told is None or told.problem is not None or action.kind not in told.action_kinds:
        return False
    days = offered.rows.part(offered.rows.tickers.index(action.ticker)).sessions
    first = days[:1] if told.actions_from is None else told.actions_from
    return bool(len(days) and first <= np.datetime64(action.session, "D") <= days[-1])


def overlaid_actions(stored: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Ticker, session, kind and value: of the same session and kind the newer one."""
    joined = pd.concat([stored[_COLUMNS], new[_COLUMNS]], ignore_index=True) if len(new) else stored[_COLUMNS]
    return joined.drop_duplicates(_KEY, keep="last").sort_values(_KEY, ignore_index=True)


def standing(actions: pd.DataFrame) -> pd.DataFrame:
    """Stored actions without those that the source has taken back: `kind` and `value` among their columns."""
    return actions[actions["value"] != actions["kind"].map(WITHDRAWN)]


def among(actions: pd.DataFrame, others: pd.DataFrame) -> NDArray[np.bool_]:
    """(actions,) whether the others have one of the same ticker, session and kind."""
    names = pd.Index(pd.unique(pd.concat([actions["ticker"], others["ticker"]])))

    def keys(frame: pd.DataFrame) -> NDArray[np.int64]:
        of = names.get_indexer(frame["ticker"]).astype(np.int32)
        kind = pd.Index(WITHDRAWN).get_indexer(frame["kind"])
        return len(WITHDRAWN) * key_of(of, frame["session"].to_numpy("datetime64[D]")) + kind

    found: NDArray[np.bool_] = np.isin(keys(actions), keys(others))
    return found
