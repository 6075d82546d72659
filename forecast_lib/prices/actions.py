"""Which dividends and splits of a source can be used."""

import numpy as np
import pandas as pd

from forecast_lib.prices.adjust import SPLIT_RANGE
from forecast_lib.prices.refusals import as_json

__all__ = ["LARGEST_PRICE", "checked_actions"]

LARGEST_PRICE = 1e9
"""The dearest share (Berkshire Hathaway A) costs under 1e6 dollars, indices and won prices stay under 1e7."""


def checked_actions(actions: pd.DataFrame, last_known: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Actions that are known and usable, oldest first; and the unusable ones as rows of the quarantine.

    Args:
        actions: `source.ACTION_COLUMNS` of one ticker.
        last_known: actions of later sessions are left out.
    """
    if actions.empty:
        return actions, None
    known = actions[actions["session"] <= last_known].drop_duplicates().sort_values(["session", "kind"], ignore_index=True)
    is_split = known["kind"] == "split"
    dividend_fits = known["value"].between(0, LARGEST_PRICE, inclusive="right")
    usable = dividend_fits.where(~is_split, known["value"].between(*SPLIT_RANGE))
    rivals = known.duplicated(["session", "kind"], keep=False) & is_split
    bad = known[~usable | rivals]
    if bad.empty:
        return known, None
    refused = bad[["session"]].assign(
        row=[as_json(row) for row in bad.to_dict("records")],
        origin="corporate action",
        rule="bad_action",
        reason=np.where(usable[bad.index], "several splits of one session, with different ratios", "no possible value"),
    )
    return known.drop(index=bad.index).reset_index(drop=True), refused
