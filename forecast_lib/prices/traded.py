"""A source's prices and dividends as they were on their days, whichever way its maker wrote them: what was divided by splits is undone.

The prices tell. On the first session of a 4:1 split the traded price falls to about a quarter; in a split-adjusted file it hardly
moves. A small ratio tells where it stands out from the share's own daily moves (5:4 does, for most); where it does not (spin-offs such
as 1.046), it follows what the others say.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.windows.histories import FIGURES, Histories, shares_since

__all__ = ["Basis", "Traded", "Undoing", "as_traded", "on_traded_basis", "share_basis"]

Days = NDArray[np.datetime64]
Values = NDArray[np.float64]
Basis = Literal["as_traded", "split_adjusted", "contradictory", "no_evidence"]

_TRADED_BY_HABIT = "splitcoefficient"
"""Where no split tells: Alpha Vantage, who calls the column so, gives prices as traded; Yahoo's are always split-adjusted."""

_LARGE_SPLIT = float(np.log(1.5))
"""From this ratio on (or its inverse) a split stands out from an ordinary day of any share."""

_CLEAR_SPLIT = 6.0
"""A smaller one stands out where its logarithm is so many times the share's usual daily move: then chance would need moves of four
times the usual one to be taken for the other case."""

# Share of the split that the price went along with: 0 for adjusted prices, 1 for traded ones. In between lies no verdict: at
# 3:2 the band begins at a day's move of 15 %, at 4:1 at one of 38 %.
_ADJUSTED_BELOW, _TRADED_ABOVE = 0.35, 0.65
_LONGEST_HOLE = np.timedelta64(10, "D")
"""Across a longer one in the rows the price says too little about one day."""
_FEWEST_MOVES = 20


@dataclass(frozen=True)
class Undoing:
    """What is to be undone in one ticker's prices.

    Attributes:
        days, ratios: of the splits that the prices are divided by; none where they are as traded.
        assumption: what was taken for granted, where no split is large enough to tell.
        torn_until: the closes fit neither traded nor split-adjusted prices: only rows from this session on, the last split's, are sure.
    """

    days: Days = dataclasses.field(default_factory=lambda: np.empty(0, "datetime64[D]"))
    ratios: Values = dataclasses.field(default_factory=lambda: np.empty(0))
    assumption: str | None = None
    torn_until: np.datetime64 | None = None

    @property
    def torn(self) -> str | None:
        """What became of prices that contradict the splits, in words."""
        if self.torn_until is None:
            return None
        return (
            f"the closes around its splits fit neither traded nor split-adjusted prices: rows before {self.torn_until}, "
            "the last split, are left out; correct the split column"
        )


@dataclass(frozen=True)
class Traded:
    """Attributes:
    rows, actions: as traded.
    stays: which of the rows are sure.
    found: of each ticker with splits.
    """

    rows: Histories
    actions: pd.DataFrame
    stays: NDArray[np.bool_] | slice
    found: Mapping[str, Undoing]


def as_traded(figures: Mapping[str, Values], shares: Values) -> dict[str, Values]:
    """Figures that a source has divided by later splits, as they were traded: prices times `shares` (`shares_since`), the volume divided by
    them; the adjusted close is left as it is.
    """
    prices = {name: values * shares for name, values in figures.items() if name in FIGURES[:4]}
    return {**figures, **prices, **({"volume": figures["volume"] / shares} if "volume" in figures else {})}


def on_traded_basis(rows: Histories, actions: pd.DataFrame, split_column: str) -> Traded:
    """The same prices and actions as traded; of a ticker whose prices contradict its splits only what is sure.

    Args:
        rows: every row of the tickers with splits, whatever was asked for; of the others some will do.
        actions: ticker, session, kind and value, in order.
        split_column: the name of the file's column of splits, as lower-case letters and digits.
    """
    splitting = sorted(set(actions.loc[actions["kind"] == "split", "ticker"]).intersection(rows.tickers))
    if not splitting:
        return Traded(rows, actions, slice(None), {})
    bounds, stays, found = rows.bounds(), np.ones(len(rows), dtype=bool), {}
    figures = {name: values.copy() for name, values in rows.figures.items()}
    days, kinds, values = actions["session"].to_numpy("datetime64[D]"), actions["kind"].to_numpy(), actions["value"].to_numpy(copy=True)
    by_ticker = actions.groupby("ticker").indices
    for ticker in splitting:
        place, own = rows.tickers.index(ticker), by_ticker[ticker]
        mine, splits, paid = slice(*bounds[place : place + 2]), own[kinds[own] == "split"], own[kinds[own] == "dividend"]
        sessions = rows.sessions[mine]
        undoing = found[ticker] = _to_undo(sessions, rows.figures["close"][mine], days[splits], values[splits], split_column)
        if undoing.torn_until is not None:
            stays[mine] = sessions >= undoing.torn_until
        if len(undoing.days):
            shares = shares_since(sessions, undoing.days, undoing.ratios)
            for name, changed in as_traded({name: column[mine] for name, column in figures.items()}, shares).items():
                figures[name][mine] = changed
            values[paid] *= shares_since(days[paid], undoing.days, undoing.ratios)
    traded = dataclasses.replace(rows, figures=figures)
    return Traded(traded if stays.all() else traded.rows(stays), actions.assign(value=values), stays, found)


def _to_undo(sessions: Days, closes: Values, days: Days, ratios: Values, split_column: str) -> Undoing:
    """The splits by which one ticker's prices are divided already, as the closes around them show.

    Splits after the last priced row say nothing about the rows yet, and of several ratios for one session none is to be believed:
    they are left as they are.
    """
    last = sessions[closes > 0].max(initial=np.datetime64("0000-01-01"))
    believable = ~pd.Series(days).duplicated(keep=False).to_numpy() & (days <= last) & (ratios > 0)
    if not believable.any():
        return Undoing()
    days, ratios = days[believable], ratios[believable]
    basis, traded = share_basis(sessions, closes, days, ratios), split_column == _TRADED_BY_HABIT
    if basis == "contradictory":
        return Undoing(torn_until=days.max())
    if basis != "no_evidence":
        return Undoing(days, ratios) if basis == "split_adjusted" else Undoing()
    listed, usual = ", ".join(f"{ratio:g}" for ratio in ratios[:5]), "as traded" if traded else "split-adjusted"
    assumption = f"splits of {listed} are too small for the closes to tell: prices are taken to be {usual}, as in most files of the kind"
    return Undoing(assumption=assumption) if traded else Undoing(days, ratios, assumption)


def share_basis(sessions: Days, closes: Values, days: Days, ratios: Values) -> Basis:
    """What the closes around the splits that stand out say, all together.

    Args:
        sessions, closes: (n,) of one ticker; rows without a positive close are passed over.
        days, ratios: of its splits, new shares for one old.

    Returns:
        `contradictory` if two splits speak against each other, or all of them speak unclearly; `no_evidence` if no split between two
        rows stands out.

    >>> sessions, ratio = np.array(["2020-08-28", "2020-08-31"], "datetime64[D]"), np.array([4.0])
    >>> [share_basis(sessions, np.array([before, 129.04]), sessions[1:], ratio) for before in (499.23, 124.81)]
    ['as_traded', 'split_adjusted']
    """
    usable = (closes > 0) & np.isfinite(closes)
    verdicts = list(_verdicts(sessions[usable], np.log(closes[usable]), days, np.log(ratios)))
    clear = set(verdicts) - {"contradictory"}
    if not verdicts:
        return "no_evidence"
    return clear.pop() if len(clear) == 1 else "contradictory"


def _verdicts(sessions: Days, logs: Values, days: Days, log_ratios: Values) -> Iterator[Basis]:
    sizes = np.abs(np.diff(logs))
    usual = 1.4826 * np.median(sizes) if len(sizes) >= _FEWEST_MOVES else 0.0  # a standard deviation, were the moves normal
    least = min(_CLEAR_SPLIT * usual, _LARGE_SPLIT) if usual > 0 else _LARGE_SPLIT
    for day, ratio in zip(days, log_ratios, strict=True):
        at = int(np.searchsorted(sessions, day))
        if abs(ratio) >= least and 0 < at < len(sessions) and sessions[at] - sessions[at - 1] <= _LONGEST_HOLE:
            followed = (logs[at - 1] - logs[at]) / ratio
            yield "split_adjusted" if followed < _ADJUSTED_BELOW else "as_traded" if followed > _TRADED_ABOVE else "contradictory"
