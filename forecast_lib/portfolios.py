"""Reference portfolios: the joint forecast is judged by them, since what is joint shows only in sums.

The same every night as far as the tickers are: chance is a hash of the names of portfolio and ticker, so that
one ticker more or less changes what it is in, and nothing else.
"""

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from forecast_lib.windows.series import Array

__all__ = ["RANDOM", "reference_portfolios", "risk"]

RANDOM = 100
"""Portfolios of tickers and weights by chance."""

_HELD = 10  # tickers of a portfolio by chance
_TAILS = (0.01, 0.025)
_LEVELS = {"q01": 0.01, "q025": 0.025, "q05": 0.05, "q50": 0.5, "q95": 0.95, "q975": 0.975, "q99": 0.99}


def _chance(portfolio: str, tickers: Sequence[str]) -> Array:
    """(tickers,) between 0 and 1, both excluded."""
    return np.array([(crc32(f"{portfolio} {ticker}".encode()) + 0.5) / 2**32 for ticker in tickers])


def reference_portfolios(tickers: Sequence[str], sigma: Array) -> dict[str, Array]:
    """By name, the (tickers,) shares of the money that each portfolio has in each ticker; without sign they
    sum to 1.

    `equal` and `inverse_volatility` hold all; `long_short` has one half of them bought and one half sold
    short; random ones hold up to ten, bought.

    Args:
        sigma: (tickers,) volatilities, not negative.

    >>> weights = reference_portfolios(["AAA", "BBB"], np.array([0.01, 0.03]))
    >>> len(weights), weights["equal"].tolist(), weights["inverse_volatility"].round(2).tolist()
    (103, [0.5, 0.5], [0.75, 0.25])
    """
    halves = np.argsort(np.argsort(_chance("long_short", tickers))) % 2
    made = {
        "equal": np.ones(len(tickers)),
        "inverse_volatility": 1 / np.maximum(sigma, 1e-4),
        "long_short": 1.0 - 2.0 * halves,
    }
    for number in range(1, RANDOM + 1):
        name = f"random_{number:03d}"
        chance = _chance(name, tickers)
        among = np.argsort(chance)[:_HELD]
        made[name] = np.zeros(len(tickers))
        made[name][among] = -np.log(_chance(f"{name} weight", [tickers[at] for at in among]))
    return {name: weights / np.abs(weights).sum() for name, weights in made.items()}


def risk(returns: Array) -> dict[str, Array]:
    """Of (…, worlds) returns: mean, sigma, quantiles q01 … q99, and es01, es025, the means of the worst 1 and
    2.5 % of the worlds.

    The i-th smallest of n worlds is the quantile at (i - 1/2) / n; between them straight lines (Hazen 1914).

    >>> risk(np.arange(1000.0))["q01"], risk(np.arange(1000.0))["es01"]
    (np.float64(9.5), np.float64(4.5))
    """
    ordered = np.sort(returns, axis=-1)
    quantiles = np.quantile(ordered, list(_LEVELS.values()), axis=-1, method="hazen")
    worst = [ordered[..., : max(round(level * ordered.shape[-1]), 1)].mean(axis=-1) for level in _TAILS]
    return {
        "mean": ordered.mean(axis=-1),
        "sigma": ordered.std(axis=-1),
        **dict(zip(_LEVELS, quantiles, strict=True)),
        "es01": worst[0],
        "es025": worst[1],
    }
