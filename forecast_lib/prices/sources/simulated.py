"""A made-up market for trying things out: endless, free, offline, and never to be taken for a real one (its
name says so).

Prices follow what real daily prices are known for: calm and wild weeks (GARCH), fat tails (Student's t), New
York's holidays, splits, quarterly dividends. They hold nothing that could be forecast beyond a small
drift and the volatility.

Every ticker draws from its own streams of random numbers, one for each quantity, from the same first session
on. So a series is the same however many tickers there are, and a later `last` appends rows without changing
one.
"""

import datetime as dt
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import Ticker
from forecast_lib.errors import NoPrices, UnknownTicker
from forecast_lib.prices.source import Asked, Offered, PriceSource, Told, listed_actions, nobody, one_by_one
from forecast_lib.sessions import TickerCalendar

__all__ = ["FIRST_SESSION", "SimulatedMarket"]

FIRST_SESSION = dt.date(2010, 1, 4)

_TICKER = re.compile(r"SIM([1-9][0-9]{0,5})")
_CALENDAR = TickerCalendar("XNYS")
_SESSIONS_PER_YEAR = 252

# GARCH(1,1) as usually estimated on daily stock returns; alpha + beta < 1, so the variance returns to its
# mean.
_ALPHA, _BETA = 0.06, 0.92
# Student's t with 5 degrees of freedom. A shock is cut at 6 standard deviations, the variance at 4 times its
# mean: the wildest day of the wildest company (40 % a year) is then 6 * 2 * 0.40 / sqrt(252) = 0.30, about
# eight times its usual day.
_DEGREES_OF_FREEDOM, _WILDEST, _HIGHEST_VARIANCE = 5, 6.0, 4.0

_SPLIT_ABOVE, _SPLIT_RATIO = 400.0, 4.0
_MERGE_BELOW, _MERGE_RATIO = 4.0, 0.1
_DIVIDEND_MONTHS, _DIVIDEND_DAY = (2, 5, 8, 11), 10

Values = NDArray[np.float64]


class SimulatedMarket(PriceSource):
    """Tickers SIM1, SIM2, ... of one made-up market, daily from 2010-01-04, as traded, in US dollars.

    >>> market = SimulatedMarket(seed=0)
    >>> market.default_tickers()
    ('SIM1', 'SIM2', 'SIM3', 'SIM4', 'SIM5')
    >>> len(market.fetch({Ticker("SIM7"): None}, dt.date(2010, 1, 31)).rows)
    19
    """

    name = "simulated"

    def __init__(self, seed: int = 0, tickers_count: int = 5) -> None:
        self._seed = seed
        self._count = tickers_count

    def default_tickers(self) -> tuple[Ticker, ...]:
        return tuple(Ticker(f"SIM{number}") for number in range(1, self._count + 1))

    def fetch(self, asked: Asked, last: dt.date, done: Callable[[Ticker], None] = nobody) -> Offered:
        """Every session from each ticker's first one to `last`, whether or not it has ended: the market has
        no clock.
        """
        return one_by_one(asked, lambda ticker, first: self._offered(ticker, first, last), done)

    def _offered(self, ticker: Ticker, first: dt.date | None, last: dt.date) -> Offered:
        match, begin = _TICKER.fullmatch(ticker), max(first or FIRST_SESSION, FIRST_SESSION)
        if not match:
            raise UnknownTicker(
                ticker, "no ticker of the simulated market: expected SIM1, SIM2, ...", rule="unknown_ticker"
            )
        sessions = _CALENDAR.sessions(FIRST_SESSION, last) if last >= begin else pd.DatetimeIndex([])
        wanted = int(sessions.searchsorted(pd.Timestamp(begin)))
        if wanted == len(sessions):
            reason = f"no session from {begin} to {last}: the simulated market begins on {FIRST_SESSION}"
            raise NoPrices(ticker, reason, rule="no_rows")
        figures, actions = _history(sessions, self._seed, int(match[1]), wanted)
        origin, told = f"simulated market, seed {self._seed}", Told(timezone="America/New_York")
        return Offered.of_one(
            ticker,
            sessions[wanted:].to_numpy(),
            figures,
            actions,
            lambda at: [origin] * len(at),
            currency="USD",
            told=told,
        )


def _history(
    sessions: pd.DatetimeIndex, seed: int, number: int, wanted: int
) -> tuple[dict[str, Values], pd.DataFrame]:
    """Figures by name, and actions (ACTION_COLUMNS), of one ticker.

    Args:
        sessions: from the market's first one on: each depends on those before.
        wanted: the place of the first session that is handed out.
    """
    character_rng, shock_rng, gap_rng, range_rng, volume_rng = (
        np.random.Generator(np.random.PCG64(stream))
        for stream in np.random.SeedSequence((seed, number)).spawn(5)
    )
    price, volatility, drift, dividend, volume = character_rng.uniform(size=5)
    price, volatility, drift, volume = (
        20 + 130 * price,
        0.18 + 0.22 * volatility,
        0.02 + 0.10 * drift,
        np.exp(np.log(5e5) + 4 * volume),
    )
    # A third of the companies pay nothing, the others 1 to 4 % a year, on the first session from the 10th of
    # a quarter's middle month on.
    quarterly = 0.0 if dividend < 1 / 3 else (0.01 + 0.03 * (dividend - 1 / 3) * 1.5) / 4
    due = sessions.month.isin(_DIVIDEND_MONTHS) & (sessions.day >= _DIVIDEND_DAY)
    pays = due & ~np.append(True, due[:-1]) & (quarterly > 0)
    returns, deviations = _garch(shock_rng.standard_t(_DEGREES_OF_FREEDOM, len(sessions)), volatility, drift)
    log_close = np.log(price) + np.cumsum(returns + np.where(pays, np.log1p(-quarterly), 0.0))
    splits = _splits(np.exp(log_close))
    shares = np.cumprod(splits)
    close = np.exp(log_close) / shares

    before = np.append(price, close[:-1]) / splits  # yesterday's close on today's share basis
    open_ = before * np.exp(gap_rng.standard_normal(len(close)) * deviations * 0.3)
    reach = np.abs(range_rng.standard_normal((len(close), 2))) * (deviations * 0.5)[:, None]
    high = np.maximum(open_, close) * np.exp(reach[:, 0])
    low = np.minimum(open_, close) * np.exp(-reach[:, 1])
    bustle = 0.3 * volume_rng.standard_normal(len(close)) + 0.5 * np.log(
        deviations * np.sqrt(_SESSIONS_PER_YEAR) / volatility
    )
    cents = {
        name: np.round(values, 2)
        for name, values in {"open": open_, "high": high, "low": low, "close": close}.items()
    }
    traded = np.round(float(volume) * np.exp(bustle) * shares)
    figures = {**cents, "adj_close": np.full(len(close), np.nan), "volume": traded}
    dividends = np.where(pays, np.maximum(np.round(before * quarterly, 2), 0.01), 0.0)
    handed_out = {name: values[wanted:] for name, values in figures.items()}
    return handed_out, listed_actions(
        f"SIM{number}", sessions[wanted:].to_numpy(), dividends[wanted:], splits[wanted:]
    )


def _garch(shocks: Values, volatility: float, yearly_drift: float) -> tuple[Values, Values]:
    """Log returns with drift, and the standard deviation of each, known the day before."""
    unit = np.clip(
        shocks / np.sqrt(_DEGREES_OF_FREEDOM / (_DEGREES_OF_FREEDOM - 2)), -_WILDEST, _WILDEST
    ).tolist()
    mean_variance = volatility**2 / _SESSIONS_PER_YEAR
    constant = (1 - _ALPHA - _BETA) * mean_variance
    highest = _HIGHEST_VARIANCE * mean_variance
    variance, variances = mean_variance, []
    for shock in unit:
        variances.append(variance)
        variance = min(constant + variance * (_ALPHA * shock * shock + _BETA), highest)
    deviations = np.sqrt(variances)
    drift = yearly_drift / _SESSIONS_PER_YEAR - np.square(deviations) / 2
    return drift + deviations * unit, deviations


def _splits(close: Values) -> Values:
    """(n,) the split that takes effect on each session, 1 for none: it follows a close beyond the bounds."""
    splits, start, shares = np.ones(len(close)), 0, 1.0
    while True:
        traded = close[start:-1] / shares
        beyond = (traded > _SPLIT_ABOVE) | (traded < _MERGE_BELOW)
        if not beyond.any():
            return splits
        at = int(np.argmax(beyond))
        ratio = _SPLIT_RATIO if traded[at] > _SPLIT_ABOVE else _MERGE_RATIO
        start += at + 1
        splits[start] = ratio
        shares *= ratio
