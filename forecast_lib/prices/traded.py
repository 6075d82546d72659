"""A source's prices and dividends as they were on their days, whichever way its maker wrote them: what was
divided by splits is undone.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast_lib.prices.adjust import as_traded, split_factors
from forecast_lib.prices.basis import share_basis
from forecast_lib.windows.histories import Histories

__all__ = ["Traded", "Undoing", "on_traded_basis", "splits_to_undo"]

_TRADED_BY_HABIT = "splitcoefficient"
"""Where no split tells: Alpha Vantage, who calls the column so, gives prices as traded; Yahoo's are always
split-adjusted.
"""


@dataclass(frozen=True)
class Undoing:
    """What is to be undone in one ticker's prices.

    Attributes:
        splits: ACTION_COLUMNS of the splits that the prices are divided by; none where they are as traded.
        assumption: what was taken for granted, where no split is large enough to tell.
        torn_until: the closes fit neither traded nor split-adjusted prices: only rows from this session on,
            the last split's, are sure.
    """

    splits: pd.DataFrame
    assumption: str | None = None
    torn_until: np.datetime64 | None = None

    @property
    def torn(self) -> str | None:
        """What became of prices that contradict the splits, in words."""
        if self.torn_until is None:
            return None
        return (
            "the closes around its splits fit neither traded nor split-adjusted prices: rows before "
            f"{self.torn_until.astype('M8[D]')}, the last split, are left out; correct the split column"
        )


@dataclass(frozen=True)
class Traded:
    """Attributes:
    rows, actions: as traded.
    found: of each ticker with splits.
    """

    rows: Histories
    actions: pd.DataFrame
    found: Mapping[str, Undoing]


def on_traded_basis(rows: Histories, actions: pd.DataFrame, split_column: str) -> Traded:
    """The same prices and actions as traded; of a ticker whose prices contradict its splits only what is
    sure.

    Args:
        rows: every row of the tickers with splits, whatever was asked for; of the others some will do.
        actions: ticker, session, kind and value, in order.
        split_column: as in `splits_to_undo`.
    """
    splitting = sorted(set(actions.loc[actions["kind"] == "split", "ticker"]).intersection(rows.tickers))
    if not splitting:
        return Traded(rows, actions, {})
    bounds, sure, found = rows.bounds(), np.ones(len(rows), dtype=bool), {}
    figures = {name: values.copy() for name, values in rows.figures.items()}
    by_ticker = actions.groupby("ticker").indices
    values = actions["value"].to_numpy(copy=True)
    for ticker in splitting:
        place = rows.tickers.index(ticker)
        mine, own = slice(*bounds[place : place + 2].tolist()), by_ticker[ticker]
        closes = pd.DataFrame(
            {"session": rows.sessions[mine].astype("datetime64[us]"), "close": rows.figures["close"][mine]}
        )
        undoing = found[ticker] = splits_to_undo(closes, actions.iloc[own], split_column)
        if undoing.torn_until is not None:
            sure[mine] = rows.sessions[mine] >= undoing.torn_until
        if len(undoing.splits):
            undone = as_traded(
                {name: values[mine] for name, values in figures.items()},
                split_factors(rows.sessions[mine], undoing.splits),
            )
            for name, changed in undone.items():
                figures[name][mine] = changed
            values[own] *= np.where(
                actions["kind"].to_numpy()[own] == "dividend",
                split_factors(actions["session"].iloc[own], undoing.splits),
                1.0,
            )
    traded = dataclasses.replace(rows, figures=figures)
    return Traded(traded if sure.all() else traded.rows(sure), actions.assign(value=values), found)


def splits_to_undo(prices: pd.DataFrame, actions: pd.DataFrame, split_column: str) -> Undoing:
    """The splits by which one ticker's prices are divided already, as the closes around them show.

    Splits after the last priced row say nothing about the rows yet, and of several ratios for one session
    none is to be believed: they are left as they are.

    Args:
        prices: `session` and `close`: every row of the source.
        actions: ACTION_COLUMNS of the same ticker, from the same source.
        split_column: the name of the file's column of splits, as lower-case letters and digits.
    """
    splits = _believable_splits(prices, actions)
    if splits.empty:
        return Undoing(splits)
    evidence = share_basis(prices, splits)
    if evidence == "contradictory":
        return Undoing(splits.iloc[:0], torn_until=splits["session"].to_numpy("datetime64[D]").max())
    if evidence != "no_evidence":
        return Undoing(splits if evidence == "split_adjusted" else splits.iloc[:0])
    traded = split_column == _TRADED_BY_HABIT
    ratios = ", ".join(f"{ratio:g}" for ratio in splits["value"][:5])
    usual = "as traded" if traded else "split-adjusted"
    assumption = (
        f"splits of {ratios} are too small for the closes to tell: prices are taken to be {usual}, as in most"
        " files of the kind"
    )
    return Undoing(splits.iloc[:0] if traded else splits, assumption)


def _believable_splits(prices: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    splits = actions[actions["kind"].to_numpy() == "split"]
    if splits.empty:
        return splits
    last = prices["session"].to_numpy()[prices["close"].to_numpy() > 0]
    rivals = splits.duplicated("session", keep=False).to_numpy()
    return splits[~rivals & (splits["session"].to_numpy() <= last.max())] if len(last) else splits.iloc[:0]
