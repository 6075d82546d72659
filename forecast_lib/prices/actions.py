"""Which dividends and splits of a source can be used."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.prices.adjust import SPLIT_RANGE
from forecast_lib.prices.refusals import as_json, quarantine_table

__all__ = ["LARGEST_PRICE", "WITHDRAWN", "checked_actions", "in_order", "standing"]

LARGEST_PRICE = 1e9
"""The dearest share (Berkshire Hathaway A) costs under 1e6 dollars, indices and won prices stay under 1e7."""

WITHDRAWN = {"dividend": 0.0, "split": 1.0}
"""By kind, the value under which an action is stored anew when its source no longer lists it: it changes no price."""


def checked_actions(actions: pd.DataFrame, last_known: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Actions that are known and usable, oldest first; and the unusable ones as QUARANTINE_COLUMNS.

    Args:
        actions: `source.ACTION_COLUMNS` of one ticker.
        last_known: actions of later sessions are left out.
    """
    if actions.empty:
        return actions, None
    known = in_order(actions[actions["session"].to_numpy() <= last_known.to_datetime64()])
    value, is_split = known["value"].to_numpy(), known["kind"].to_numpy() == "split"
    fits = np.where(is_split, _lies_within(value, SPLIT_RANGE), (value > 0) & (value <= LARGEST_PRICE))
    bad = ~fits | known.duplicated(["session", "kind"], keep=False).to_numpy()
    if not bad.any():
        return known, None
    refused = known[bad]
    table = quarantine_table(
        refused["session"].to_numpy(),
        texts=[as_json(row) for row in refused.to_dict("records")],
        origins=["corporate action"] * len(refused),
        rules=["bad_action"] * len(refused),
        reasons=np.where(fits[bad], "several of its kind on one session, with different values", "no possible value").tolist(),
    )
    return known[~bad].reset_index(drop=True), table


def standing(actions: pd.DataFrame) -> pd.DataFrame:
    """Stored actions without those that the source has taken back: `kind` and `value` among their columns."""
    return actions[actions["value"] != actions["kind"].map(WITHDRAWN)]


def in_order(actions: pd.DataFrame) -> pd.DataFrame:
    """Oldest first, each said once."""
    days = actions["session"].to_numpy()
    if (days[1:] > days[:-1]).all():
        return actions.reset_index(drop=True)
    return actions.drop_duplicates().sort_values(["session", "kind"], ignore_index=True)


def _lies_within(values: NDArray[np.float64], limits: tuple[float, float]) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = (values >= limits[0]) & (values <= limits[1])
    return flags
