"""From prices as they were traded to prices that can be compared across splits and dividends, and back.

The store keeps what was traded. A *split* of value `r` on session `e` means r new shares for one old, from
`e` on; a *dividend* of value `d` is cash per share on the share's basis of its ex-date. With F(t) the product
of all splits after t:

    split-adjusted price(t)  = traded price(t) / F(t)        split-adjusted volume(t) = traded volume(t) * F(t)
    total-return close(t)    = split-adjusted close(t) * product over later dividends of (1 - d / p)

where p is the close before the ex-date, on the ex-date's share basis. This is the method behind Yahoo's `Adj
Close` and CRSP's
cumulative factors. Only the actions handed in count: give those known at the as-of time.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["SPLIT_RANGE", "as_traded", "split_adjusted", "split_factors", "total_return_close"]

SPLIT_RANGE = (1e-4, 1e4)
"""Ratios beyond are slips of a file or a source; the largest real ones are reverse splits of 1:1000 or so."""

_TRADED_PRICES = ("open", "high", "low", "close")


def split_factors(
    sessions: pd.Series | pd.DatetimeIndex | NDArray[np.datetime64], actions: pd.DataFrame
) -> NDArray[np.float64]:
    """F(t): how many shares of the newest basis one share of session t has become; 1 where no split follows.

    Args:
        sessions: (n,) of one ticker, in any order.
        actions: ACTION_COLUMNS of the same ticker, in any order.
    """
    is_split = actions["kind"].to_numpy() == "split"
    if not is_split.any():
        return np.ones(len(sessions))
    splits = actions[is_split].sort_values("session")
    from_here_on = np.append(splits["value"].to_numpy(dtype=float)[::-1].cumprod()[::-1], 1.0)
    passed = np.searchsorted(splits["session"].to_numpy(), np.asarray(sessions), side="right")
    factors: NDArray[np.float64] = from_here_on[passed]
    return factors


def split_adjusted(prices: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    """The prices on the share basis of the newest split; `adj_close` and all other columns pass unchanged.

    Args:
        prices: one ticker's rows as traded: `session` and any of open, high, low, close, volume.
        actions: ACTION_COLUMNS of the same ticker.

    Returns:
        A new frame with the same rows in the same order. Without splits the prices are the same.

    >>> days = pd.to_datetime(["2020-08-27", "2020-08-28", "2020-08-31"])
    >>> volume = [38_888_096.0, 46_907_479.0, 223_505_733.0]
    >>> traded = pd.DataFrame({"session": days, "close": [500.04, 499.23, 129.04], "volume": volume})
    >>> split = pd.DataFrame({"session": [pd.Timestamp("2020-08-31")], "kind": ["split"], "value": [4.0]})
    >>> adjusted = split_adjusted(traded, split)  # by hand: 500.04 / 4, 499.23 / 4; 38888096 * 4, 46907479 * 4
    >>> adjusted["close"].round(4).tolist(), adjusted["volume"].tolist()
    ([125.01, 124.8075, 129.04], [155552384.0, 187629916.0, 223505733.0])
    """
    factors = 1 / split_factors(prices["session"], actions)
    return prices.assign(
        **as_traded(
            {name: prices[name] for name in (*_TRADED_PRICES, "volume") if name in prices.columns}, factors
        )
    )


def as_traded(
    figures: Mapping[str, NDArray[np.float64]], factors: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """The inverse of `split_adjusted`: figures that a source has divided by later splits, as they were
    traded; others pass.

    Args:
        figures: by name (n,).
        factors: (n,) `split_factors`.
    """
    return {
        name: values * factors if name in _TRADED_PRICES else values / factors if name == "volume" else values
        for name, values in figures.items()
    }


def total_return_close(prices: pd.DataFrame, actions: pd.DataFrame) -> pd.Series:
    """The close as if every dividend had been put back into the share on its ex-date, split-adjusted.

    Args:
        prices: one ticker's rows as traded, with `session` (oldest first, no doubles) and `close`.
        actions: ACTION_COLUMNS of the same ticker.

    Returns:
        (n,) aligned with `prices`; its newest value is the newest close. Dividends outside the rows change
        nothing.

    Raises:
        ValueError: a dividend is not smaller than the close before it.

    >>> days = pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"])
    >>> traded = pd.DataFrame({"session": days, "close": [100.0, 98.0, 50.0, 49.0]})
    >>> actions = pd.DataFrame({
    ...     "session": pd.to_datetime(["2024-01-03", "2024-01-04", "2024-01-05"]),
    ...     "kind": ["dividend", "split", "dividend"],
    ...     "value": [2.0, 2.0, 1.0],
    ... })
    >>> # By hand: the last day counts as is; before 5 January 1 - 1/50 = 0.98; the split halves what lies before the 4th;
    >>> # before 3 January 1 - 2/100 = 0.98 again: 49, 50*0.98 = 49, 98/2*0.98 = 48.02, 100/2*0.98*0.98 = 48.02
    >>> total_return_close(traded, actions).round(4).tolist()
    [48.02, 48.02, 49.0, 49.0]
    """
    factors = split_factors(prices["session"], actions)
    adjusted = prices["close"].to_numpy(dtype=float) / factors
    kept = np.ones(
        len(prices)
    )  # kept[i]: what dividends with their ex-date on row i leave of the value before
    sessions = prices["session"].to_numpy()
    dividends = actions[actions["kind"] == "dividend"]
    for session, value in zip(
        dividends["session"].to_numpy(), dividends["value"].to_numpy(dtype=float), strict=True
    ):
        row = int(np.searchsorted(sessions, session))
        if row in (0, len(prices)):
            continue
        # Both on the newest share basis: the dividend by the splits after its ex-date, the close before by
        # its own.
        share = value / split_factors(pd.DatetimeIndex([session]), actions)[0] / adjusted[row - 1]
        if not share < 1:
            raise ValueError(
                f"dividend {value:g} of {pd.Timestamp(session).date()} is not smaller than the close"
                " before it"
            )
        kept[row] *= 1 - share
    later = np.append(kept[:0:-1].cumprod()[::-1], 1.0)
    return pd.Series(adjusted * later, index=prices.index, name="total_return_close")
