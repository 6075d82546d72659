"""A file's prices and dividends as they were on their days, whichever way its maker wrote them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast_lib.prices.adjust import as_traded, split_factors
from forecast_lib.prices.basis import share_basis

__all__ = ["Traded", "on_traded_basis"]

_TRADED_BY_HABIT = "splitcoefficient"
"""Where no split tells: Alpha Vantage, who calls the column so, gives prices as traded; Yahoo's are always split-adjusted."""


@dataclass(frozen=True)
class Traded:
    """Attributes:
    prices, actions: as traded.
    undone: the file's were split-adjusted.
    assumption: what was taken for granted, where no split is large enough to tell.
    """

    prices: pd.DataFrame
    actions: pd.DataFrame
    undone: bool = False
    assumption: str | None = None


def on_traded_basis(prices: pd.DataFrame, actions: pd.DataFrame, split_column: str) -> Traded | None:
    """The same prices and actions, with the splits undone where the prices show that they are already divided by them.

    Splits after the last priced row say nothing about the rows yet, and of several ratios for one session none is to be believed:
    they are left as they are.

    Args:
        prices: `session` and figures of one ticker: every row of the file.
        actions: ACTION_COLUMNS of the same ticker, from the same file.
        split_column: the name of the file's column of splits, as lower-case letters and digits.

    Returns:
        None where the closes around the splits fit neither one nor the other.
    """
    splits = _believable_splits(prices, actions)
    if splits.empty:
        return Traded(prices, actions)
    evidence = share_basis(prices, splits)
    if evidence == "contradictory":
        return None
    if evidence == "no_evidence":
        evidence = "as_traded" if split_column == _TRADED_BY_HABIT else "split_adjusted"
        usual = "as traded" if evidence == "as_traded" else "split-adjusted"
        ratios = ", ".join(f"{ratio:g}" for ratio in splits["value"][:5])
        assumption = (
            f"splits of {ratios} are too small for the closes to tell: prices are taken to be {usual}, as in most files of the kind"
        )
    else:
        assumption = None
    if evidence == "as_traded":
        return Traded(prices, actions, assumption=assumption)
    factors = np.where(actions["kind"] == "dividend", split_factors(actions["session"], splits), 1.0)
    return Traded(as_traded(prices, splits), actions.assign(value=actions["value"] * factors), undone=True, assumption=assumption)


def _believable_splits(prices: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    splits = actions[actions["kind"].to_numpy() == "split"]
    if splits.empty:
        return splits
    last = prices["session"].to_numpy()[prices["close"].to_numpy() > 0]
    rivals = splits.duplicated("session", keep=False).to_numpy()
    return splits[~rivals & (splits["session"].to_numpy() <= last.max())] if len(last) else splits.iloc[:0]
