"""A file's prices and dividends as they were on their days, whichever way its maker wrote them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast_lib.prices.adjust import as_traded, split_factors
from forecast_lib.prices.basis import share_basis

__all__ = ["Traded", "Undoing", "actions_as_traded", "on_traded_basis", "splits_to_undo"]

_TRADED_BY_HABIT = "splitcoefficient"
"""Where no split tells: Alpha Vantage, who calls the column so, gives prices as traded; Yahoo's are always split-adjusted."""


@dataclass(frozen=True)
class Undoing:
    """What is to be undone in a file's prices of one ticker.

    Attributes:
        splits: ACTION_COLUMNS of the splits that the prices are divided by; none where they are as traded.
        assumption: what was taken for granted, where no split is large enough to tell.
    """

    splits: pd.DataFrame
    assumption: str | None = None


def splits_to_undo(prices: pd.DataFrame, actions: pd.DataFrame, split_column: str) -> Undoing | None:
    """The splits by which the prices are divided already, as the closes around them show.

    Splits after the last priced row say nothing about the rows yet, and of several ratios for one session none is to be believed:
    they are left as they are.

    Args:
        prices: `session` and `close` of one ticker: every row of the file.
        actions: ACTION_COLUMNS of the same ticker, from the same file.
        split_column: the name of the file's column of splits, as lower-case letters and digits.

    Returns:
        None where the closes fit neither traded nor split-adjusted prices.
    """
    splits = _believable_splits(prices, actions)
    if splits.empty:
        return Undoing(splits)
    evidence = share_basis(prices, splits)
    if evidence == "contradictory":
        return None
    if evidence != "no_evidence":
        return Undoing(splits if evidence == "split_adjusted" else splits.iloc[:0])
    traded = split_column == _TRADED_BY_HABIT
    ratios = ", ".join(f"{ratio:g}" for ratio in splits["value"][:5])
    usual = "as traded" if traded else "split-adjusted"
    assumption = f"splits of {ratios} are too small for the closes to tell: prices are taken to be {usual}, as in most files of the kind"
    return Undoing(splits.iloc[:0] if traded else splits, assumption)


def actions_as_traded(actions: pd.DataFrame, undone: pd.DataFrame) -> pd.DataFrame:
    """Dividends on the share basis of their own day.

    Args:
        actions: ACTION_COLUMNS of one ticker.
        undone: the splits that the dividends are divided by.
    """
    if undone.empty:
        return actions
    factors = np.where(actions["kind"] == "dividend", split_factors(actions["session"], undone), 1.0)
    return actions.assign(value=actions["value"] * factors)


@dataclass(frozen=True)
class Traded:
    """Attributes:
    prices, actions: as traded.
    assumption: as in `Undoing`.
    """

    prices: pd.DataFrame
    actions: pd.DataFrame
    assumption: str | None = None


def on_traded_basis(prices: pd.DataFrame, actions: pd.DataFrame, split_column: str) -> Traded | None:
    """The same prices and actions as traded; arguments and None as in `splits_to_undo`.

    Args:
        prices: with figures.
    """
    found = splits_to_undo(prices, actions, split_column)
    if found is None or found.splits.empty:
        return None if found is None else Traded(prices, actions, found.assumption)
    return Traded(as_traded(prices, found.splits), actions_as_traded(actions, found.splits), found.assumption)


def _believable_splits(prices: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    splits = actions[actions["kind"].to_numpy() == "split"]
    if splits.empty:
        return splits
    last = prices["session"].to_numpy()[prices["close"].to_numpy() > 0]
    rivals = splits.duplicated("session", keep=False).to_numpy()
    return splits[~rivals & (splits["session"].to_numpy() <= last.max())] if len(last) else splits.iloc[:0]
