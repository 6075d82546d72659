"""Joint scenarios: as many possible worlds, in each of which every ticker has one price at every step.

Each ticker's own prices are its forecast distribution, taken at the same probabilities for all. Which of them
meet in one world is learned from what came true together: every world stands for one past evening, and a
ticker has in it the rank that its move from that evening had among its moves from all of them. (Clark and
others 2004 call this the Schaake shuffle; with moves in units of the volatility known on the evening it is
filtered historical simulation: Barone-Adesi, Giannopoulos and Vosper 1999.)

    evening    Mon  Tue  Wed  …          the same for every ticker, whatever its exchange
    AAA       +0.3 -2.1 +0.9  …   ranks  ──>  its quantile of that rank is its price in the world "Tue"
    BBB       -0.2 -1.7 +1.1  …

From an evening a ticker moves on to its own next sessions, so that time zones and holidays do tonight what
they did then. A ticker's places depend on its own history alone, except on evenings from which it has no move
(it is younger than they, or stood still): there its move is made up from what the others had in common, and
from chance.
"""

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from forecast_lib.distribution import price_at
from forecast_lib.models.baselines.prediction import running_sum
from forecast_lib.windows.series import Array, TickerSeries

__all__ = ["PROBABILITIES", "WORLDS", "draws", "evenings", "normal_scores", "places", "ranked", "scores"]

WORLDS = 1000
"""Possible worlds: four years of evenings."""

PROBABILITIES = (np.arange(WORLDS) + 0.5) / WORLDS
"""The probabilities at which each ticker's distribution is taken, in ascending order."""

# week days by which the latest evening lies farther back, so that every exchange has had its sessions since
_HOLIDAYS = 5
_DECAY = 0.94  # of the variance, by session (RiskMetrics 1996)
_SETTLED = 20  # sessions before the variance says something
_SMALLEST = 1e-8  # log units of volatility: a price that stands still has none
_DRAWN_TO_ALL = 60  # evenings of its own after which a ticker's bond with the others counts as much as theirs
_AT_ONCE = 32  # tickers
_TIE_BREAK = 1e-9  # of a score: equal moves are put in an order of chance, not of time


def evenings(as_of: dt.date, horizon: int) -> NDArray[np.datetime64]:
    """(WORLDS,) the week days that worlds stand for, ascending; all sessions up to the horizon after them are
    over.

    >>> evenings(dt.date(2024, 6, 7), 5)[-1]
    np.datetime64('2024-05-24')
    """
    last = np.busday_offset(as_of, -(horizon + _HOLIDAYS), roll="backward")
    return np.busday_offset(last, np.arange(1 - WORLDS, 1))


def scores(series: TickerSeries, days: NDArray[np.datetime64], horizon: int) -> Array:
    """(horizon, days) log returns from each evening to each step, in units of the volatility known on it; NaN
    where there is none.

    Args:
        days: ascending evenings; the last session up to each is where the ticker stood.
    """
    first = max(int(np.searchsorted(series.sessions, days[0])) - 10 * _SETTLED, 0)
    log_close = np.log(series.close[first:])
    if len(log_close) <= _SETTLED:
        return np.full((horizon, len(days)), np.nan)
    variance = np.concatenate([[0.0], running_sum((1 - _DECAY) * np.diff(log_close) ** 2, _DECAY, 0.0)])
    variance /= np.maximum(1 - _DECAY ** np.arange(len(log_close)), _SMALLEST)  # the weights then sum to one
    at = np.searchsorted(series.sessions[first:], days, side="right") - 1
    steps = np.arange(1, horizon + 1)[:, None]
    target = np.minimum(at + steps, len(log_close) - 1)
    known = (at >= _SETTLED) & (at + steps < len(log_close))
    scale = np.maximum(np.sqrt(variance[at]), _SMALLEST) * np.sqrt(steps)
    return np.where(known, (log_close[target] - log_close[at]) / scale, np.nan)


def places(moves: Array, tickers: Sequence[str], trusted: NDArray[np.bool_], seed: int) -> NDArray[np.intp]:
    """(tickers, steps, worlds) the rank, from 0, of the price that each ticker has in each world.

    Args:
        moves: (tickers, steps, worlds) scores of the evenings that worlds stand for, NaN where there is none.
        tickers: their names; chance is a ticker's own, drawn from the seed and its name.
        trusted: (tickers,) who may tell what tickers have in common: nobody's places depend on one that is
            not.
    """
    chance = np.stack(
        [
            np.random.default_rng([seed, crc32(name.encode())]).standard_normal(moves.shape[-1])
            for name in tickers
        ]
    )

    def without_ties(some: Any) -> Array:
        return moves[some] + _TIE_BREAK * chance[some, None, :]

    ranks = np.empty(moves.shape, np.intp)
    for some in _in_turn(len(moves)):
        ranks[some] = ranked(without_ties(some))
    lacking = np.isnan(moves).any(axis=(1, 2))
    if lacking.any():
        complete = without_ties(trusted & ~lacking)
        ranks[lacking] = ranked(_filled(without_ties(lacking), complete, chance[lacking]))
    return ranks


def draws(quantiles: Array, ranks: NDArray[np.intp]) -> NDArray[np.float32]:
    """(tickers, steps, worlds) prices: each ticker's distribution at PROBABILITIES, in the order of its
    ranks.

    Args:
        quantiles: (tickers, steps, levels) published prices. ranks: (tickers, steps, worlds).
    """
    drawn = np.empty(ranks.shape, np.float32)
    for some in _in_turn(len(ranks)):
        prices = price_at(quantiles[some, :, None, :], PROBABILITIES[None, None, :]).astype(np.float32)
        for row, own, at in zip(_rows(drawn[some]), _rows(prices), _rows(ranks[some]), strict=True):
            row[:] = own[at]
    return drawn


def _in_turn(tickers: int) -> Iterator[slice]:
    """All of them, as many at once as leave what is between the steps in the processor's own memory."""
    return (slice(first, first + _AT_ONCE) for first in range(0, tickers, _AT_ONCE))


def _rows(values: NDArray[Any]) -> NDArray[Any]:
    """Those along the last axis."""
    return values.reshape(math.prod(values.shape[:-1]), values.shape[-1])


def ranked(values: Array) -> NDArray[np.intp]:
    """Ranks from 0 along the last axis."""
    order, own = np.argsort(values, axis=-1), np.arange(values.shape[-1])
    ranks = np.empty(order.shape, np.intp)
    for row, at in zip(_rows(ranks), _rows(order), strict=True):
        row[at] = own
    return ranks


def normal_scores(values: Array) -> Array:
    """Normal scores: the ranks along the last axis as standard normal quantiles."""
    return ndtri((ranked(values) + 0.5) / values.shape[-1])


def _filled(moves: Array, complete: Array, chance: Array) -> Array:
    """Moves in normal scores, without gaps: (lacking, steps, worlds).

    A gap gets b m + sqrt(1 - b^2) e, where m is what the complete tickers had in common in that world, b the
    correlation with it, the ticker's own as far as it has evenings, else that of one like them, and e chance,
    the same at all steps.
    """
    common, bond = _common(complete, moves.shape[1:])
    filled = np.empty_like(moves)
    for ticker, step in np.ndindex(*moves.shape[:2]):
        known = ~np.isnan(moves[ticker, step])
        own, ours = normal_scores(moves[ticker, step, known]), common[step]
        count = known.sum()
        its = (
            np.nan_to_num(np.corrcoef(own, ours[known])[0, 1]) if count > 2 and ours[known].std() > 0 else 0.0
        )
        b = (count * its + _DRAWN_TO_ALL * bond[step]) / (count + _DRAWN_TO_ALL)
        filled[ticker, step] = b * ours + np.sqrt(1 - b**2) * chance[ticker]
        filled[ticker, step, known] = own
    return filled


def _common(complete: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """(steps, worlds) what complete tickers had in common, of variance 1, and (steps,) the correlation that
    one more ticker has with it, were it like them: where two of n have one of r, r sqrt(n / (1 + (n - 1) r)).
    0 where there are not two, or they have nothing in common.
    """
    count = len(complete)
    if not count:
        return np.zeros(shape), np.zeros(shape[0])
    normal = normal_scores(complete)
    mean = normal.mean(axis=0)
    deviation = np.maximum(mean.std(axis=-1), _SMALLEST)
    shared = (deviation / normal.std(axis=-1).mean(axis=0)) ** 2  # of one's variance
    pair = np.maximum((count * shared - 1) / max(count - 1, 1), 0.0) if count > 1 else np.zeros(shape[0])
    return mean / deviation[:, None], pair * np.sqrt(count / (1 + (count - 1) * pair))
