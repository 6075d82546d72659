"""A source's prices and dividends as they were on their days, whichever way its maker wrote them: what was
divided by splits is undone.

The prices tell. On the first session of a 4:1 split the traded price falls to about a quarter; in a
split-adjusted file it hardly moves. A small ratio tells where it stands out from the share's own daily moves
(5:4 does, for most); where it does not (spin-offs such as 1.046), it follows what the others say.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.windows.histories import FIGURES, Histories, shares_since

__all__ = ["Basis", "Traded", "as_traded", "on_traded_basis", "share_basis"]

Days = NDArray[np.datetime64]
Values = NDArray[np.float64]
Basis = Literal["as_traded", "split_adjusted", "contradictory", "no_evidence"]

_TRADED_BY_HABIT = "splitcoefficient"
"""Where no split tells: Alpha Vantage, who calls the column so, gives prices as traded; Yahoo's are always
split-adjusted.
"""

_LARGE_SPLIT = float(np.log(1.5))
"""From this ratio on (or its inverse) a split stands out from an ordinary day of any share."""

_CLEAR_SPLIT = 6.0
"""A smaller one stands out where its logarithm is so many times the share's usual daily move: then chance
would need moves of four times the usual one to be taken for the other case.
"""

# Share of the split that the price went along with: 0 for adjusted prices, 1 for traded ones. In between lies
# no verdict: at 3:2 the band begins at a day's move of 15 %, at 4:1 at one of 38 %.
_ADJUSTED_BELOW, _TRADED_ABOVE = 0.35, 0.65
_LONGEST_HOLE = np.timedelta64(10, "D")
"""Across a longer one in the rows the price says too little about one day."""
_FEWEST_MOVES = 20
_BEFORE_ALL = np.datetime64("0000-01-01")
_ASSUMED = (
    "splits of {} are too small for the closes to tell: prices are taken to be {}, as in most files of the"
    " kind"
)
_IN_WORDS = {"as_traded": "as traded", "split_adjusted": "split-adjusted"}
_TORN = (
    "the closes around its splits fit neither traded nor split-adjusted prices: rows before {}, the last"
    " split, are left out; correct the split column"
)


@dataclass(frozen=True)
class Traded:
    """One file's prices as they were on their days.

    Attributes:
        rows, actions: as traded.
        stays: which of the rows that came are sure.
        assumed: by ticker, what was taken for granted where no split is large enough to tell, in words.
        torn: by ticker, what became of prices that contradict the splits, in words.
    """

    rows: Histories
    actions: pd.DataFrame
    stays: NDArray[np.bool_] | slice
    assumed: Mapping[str, str]
    torn: Mapping[str, str]


def as_traded(figures: Mapping[str, Values], shares: Values) -> dict[str, Values]:
    """Figures that a source has divided by later splits, as they were traded: prices times `shares`
    (`shares_since`), the volume divided by them; the adjusted close is left as it is.
    """
    prices = {name: values * shares for name, values in figures.items() if name in FIGURES[:4]}
    return {**figures, **prices, **({"volume": figures["volume"] / shares} if "volume" in figures else {})}


def on_traded_basis(rows: Histories, actions: pd.DataFrame, split_column: str) -> Traded:
    """The same prices and actions as traded; of a ticker whose prices contradict its splits only what is
    sure.

    Splits after the last priced row say nothing about the rows yet, and of several ratios for one session
    none is to be believed: they are left as they are.

    Args:
        rows: every row of the tickers with splits, whatever was asked for; of the others some will do.
        actions: ticker, session, kind and value, in order.
        split_column: the name of the file's column of splits, as lower-case letters and digits.
    """
    splitting = sorted(set(actions.loc[actions["kind"] == "split", "ticker"]).intersection(rows.tickers))
    if not splitting:
        return Traded(rows, actions, slice(None), {}, {})
    stays, assumed, torn = np.ones(len(rows), dtype=bool), {}, {}
    figures = dict(rows.figures)
    days, kinds = actions["session"].to_numpy("datetime64[D]"), actions["kind"].to_numpy()
    values = actions["value"].to_numpy(copy=True)
    by_ticker, bounds = actions.groupby("ticker").indices, rows.bounds()
    for ticker in splitting:
        place, own = rows.tickers.index(ticker), by_ticker[ticker]
        mine, paid = slice(*bounds[place : place + 2]), own[kinds[own] == "dividend"]
        sessions, closes = rows.sessions[mine], rows.figures["close"][mine]
        newest = np.append(_BEFORE_ALL, sessions[closes > 0])[-1]
        splits = own[(kinds[own] == "split") & (days[own] <= newest) & (values[own] > 0)]
        splits = splits[~pd.Series(days[splits]).duplicated(keep=False).to_numpy()]
        basis = share_basis(sessions, closes, days[splits], values[splits])
        by_habit: Basis = "as_traded" if split_column == _TRADED_BY_HABIT else "split_adjusted"
        if basis == "contradictory":
            stays[mine], torn[ticker] = sessions >= days[splits].max(), _TORN.format(days[splits].max())
        elif len(splits) and basis == "no_evidence":
            ratios = ", ".join(f"{ratio:g}" for ratio in values[splits[:5]])
            assumed[ticker], basis = _ASSUMED.format(ratios, _IN_WORDS[by_habit]), by_habit
        if basis == "split_adjusted":
            shares = shares_since(sessions, days[splits], values[splits])
            undivided = as_traded({name: column[mine] for name, column in figures.items()}, shares)
            for name, undone in undivided.items():
                if figures[name] is rows.figures[name]:
                    figures[name] = figures[name].copy()
                figures[name][mine] = undone
            values[paid] *= shares_since(days[paid], days[splits], values[splits])
    traded = dataclasses.replace(rows, figures=figures)
    traded = traded if stays.all() else traded.rows(stays)
    return Traded(traded, actions.assign(value=values), stays, assumed, torn)


def share_basis(sessions: Days, closes: Values, days: Days, ratios: Values) -> Basis:
    """What the closes around the splits that stand out say, all together.

    Args:
        sessions, closes: (n,) of one ticker; rows without a positive close are passed over.
        days, ratios: of its splits, new shares for one old.

    Returns:
        `contradictory` if two splits speak against each other, or all of them speak unclearly; `no_evidence`
        if no split between two rows stands out.

    >>> sessions, ratio = np.array(["2020-08-28", "2020-08-31"], "datetime64[D]"), np.array([4.0])
    >>> closes = [np.array([before, 129.04]) for before in (499.23, 124.81)]
    >>> [share_basis(sessions, each, sessions[1:], ratio) for each in closes]
    ['as_traded', 'split_adjusted']
    """
    usable = (closes > 0) & np.isfinite(closes)
    sessions, logs = sessions[usable], np.log(closes[usable])
    sizes = np.abs(np.diff(logs))
    # A standard deviation, were the moves normal.
    usual = 1.4826 * np.median(sizes) if len(sizes) >= _FEWEST_MOVES else 0.0
    least = min(_CLEAR_SPLIT * usual, _LARGE_SPLIT) if usual > 0 else _LARGE_SPLIT
    at, logs_of = np.searchsorted(sessions, days), np.log(ratios)
    tells = (np.abs(logs_of) >= least) & (at > 0) & (at < len(sessions))
    at, logs_of = at[tells], logs_of[tells]
    near = sessions[at] - sessions[at - 1] <= _LONGEST_HOLE
    followed = ((logs[at - 1] - logs[at]) / logs_of)[near]
    if not len(followed):
        return "no_evidence"
    adjusted, traded = bool((followed < _ADJUSTED_BELOW).any()), bool((followed > _TRADED_ABOVE).any())
    if adjusted == traded:
        return "contradictory"
    return "split_adjusted" if adjusted else "as_traded"
