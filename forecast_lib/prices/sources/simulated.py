"""A made-up market for trying things out: endless, free, offline, and never to be taken for a real one (its
name says so).

Prices follow what real daily prices are known for: calm and wild weeks (GARCH), fat tails (Student's t), New
York's holidays, splits, quarterly dividends. They hold nothing that could be forecast beyond a small drift
and the volatility.

Every ticker draws from its own streams of random numbers, one for each quantity, from the same first session
on. So a series is the same however many tickers there are, and a later `last` appends rows without changing
one.
"""

import datetime as dt
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import Ticker
from forecast_lib.errors import NoPrices, UnknownTicker
from forecast_lib.prices.source import ACTION_COLUMNS, Asked, Offered, Told, nobody
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


class _Character(NamedTuple):
    """What distinguishes one company: first price, yearly volatility and drift, quarterly dividend yield,
    usual volume.
    """

    price: float
    volatility: float
    drift: float
    quarterly_yield: float
    volume: float


class SimulatedMarket:
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

    def passed_over(self) -> tuple[str, ...]:
        return ()

    def fetch(self, asked: Asked, last: dt.date, done: Callable[[Ticker], None] = nobody) -> Offered:
        """Every session from each ticker's first one to `last`, whether or not it has ended: the market has
        no clock.
        """
        parts = []
        for ticker, first in asked.items():
            parts.append(self._offered(ticker, first, last))
            done(ticker)
        return Offered.joined(parts)

    def _offered(self, ticker: Ticker, first: dt.date | None, last: dt.date) -> Offered:
        match = _TICKER.fullmatch(ticker)
        if not match:
            reason = "no ticker of the simulated market: expected SIM1, SIM2, ..."
            return Offered.nothing({ticker: Told(UnknownTicker(ticker, reason, rule="unknown_ticker"))})
        begin = max(first or FIRST_SESSION, FIRST_SESSION)
        sessions = _CALENDAR.sessions(FIRST_SESSION, last) if last >= begin else pd.DatetimeIndex([])
        if not len(sessions) or sessions[-1] < pd.Timestamp(begin):
            reason = f"no session from {begin} to {last}: the simulated market begins on {FIRST_SESSION}"
            return Offered.nothing({ticker: Told(NoPrices(ticker, reason, rule="no_rows"))})
        wanted = int(sessions.searchsorted(pd.Timestamp(begin)))
        figures, actions = _history(sessions, self._seed, int(match[1]), wanted)
        days, told = sessions[wanted:].to_numpy(), Told(timezone="America/New_York")
        return Offered.of_one(ticker, days, figures, actions, self._origins, currency="USD", told=told)

    def _origins(self, at: NDArray[np.intp]) -> list[str]:
        return [f"simulated market, seed {self._seed}"] * len(at)


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
    company = _character(character_rng)
    returns, deviations = _garch(shock_rng.standard_t(_DEGREES_OF_FREEDOM, len(sessions)), company)
    pays = _ex_dates(sessions) & (company.quarterly_yield > 0)
    log_close = np.log(company.price) + np.cumsum(
        returns + np.where(pays, np.log1p(-company.quarterly_yield), 0.0)
    )
    splits = _splits(np.exp(log_close))
    shares = np.cumprod(splits)
    close = np.exp(log_close) / shares

    before = np.append(company.price, close[:-1]) / splits  # yesterday's close on today's share basis
    open_ = before * np.exp(gap_rng.standard_normal(len(close)) * deviations * 0.3)
    reach = np.abs(range_rng.standard_normal((len(close), 2))) * (deviations * 0.5)[:, None]
    high = np.maximum(open_, close) * np.exp(reach[:, 0])
    low = np.minimum(open_, close) * np.exp(-reach[:, 1])
    bustle = 0.3 * volume_rng.standard_normal(len(close)) + 0.5 * np.log(
        deviations * np.sqrt(_SESSIONS_PER_YEAR) / company.volatility
    )
    cents = {
        name: np.round(values, 2)
        for name, values in {"open": open_, "high": high, "low": low, "close": close}.items()
    }
    volume = np.round(company.volume * np.exp(bustle) * shares)
    figures = {**cents, "adj_close": np.full(len(close), np.nan), "volume": volume}
    dividends = np.where(pays, np.maximum(np.round(before * company.quarterly_yield, 2), 0.01), 0.0)
    handed_out = {name: values[wanted:] for name, values in figures.items()}
    return handed_out, _actions(sessions[wanted:], splits[wanted:], dividends[wanted:])


def _character(rng: np.random.Generator) -> _Character:
    price, volatility, drift, dividend, volume = rng.uniform(size=5)
    return _Character(
        price=20 + 130 * price,
        volatility=0.18 + 0.22 * volatility,
        drift=0.02 + 0.10 * drift,
        # A third of the companies pay nothing, the others 1 to 4 % a year.
        quarterly_yield=0.0 if dividend < 1 / 3 else (0.01 + 0.03 * (dividend - 1 / 3) * 1.5) / 4,
        volume=float(np.exp(np.log(5e5) + 4 * volume)),
    )


def _garch(shocks: Values, company: _Character) -> tuple[Values, Values]:
    """Log returns with drift, and the standard deviation of each, known the day before."""
    unit = np.clip(
        shocks / np.sqrt(_DEGREES_OF_FREEDOM / (_DEGREES_OF_FREEDOM - 2)), -_WILDEST, _WILDEST
    ).tolist()
    mean_variance = company.volatility**2 / _SESSIONS_PER_YEAR
    constant = (1 - _ALPHA - _BETA) * mean_variance
    highest = _HIGHEST_VARIANCE * mean_variance
    variance, variances = mean_variance, []
    for shock in unit:
        variances.append(variance)
        variance = min(constant + variance * (_ALPHA * shock * shock + _BETA), highest)
    deviations = np.sqrt(variances)
    drift = company.drift / _SESSIONS_PER_YEAR - np.square(deviations) / 2
    return drift + deviations * unit, deviations


def _ex_dates(sessions: pd.DatetimeIndex) -> NDArray[np.bool_]:
    """Whether a session is the first on or after the 10th of February, May, August or November."""
    due = sessions.month.isin(_DIVIDEND_MONTHS) & (sessions.day >= _DIVIDEND_DAY)
    return np.asarray(due & ~np.append(True, due[:-1]))


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


def _actions(sessions: pd.DatetimeIndex, splits: Values, dividends: Values) -> pd.DataFrame:
    """A session's dividend before its split, as their names are ordered."""
    listed = [
        (session, kind, float(values[at]))
        for at, session in ((at, sessions[at]) for at in np.flatnonzero((splits != 1) | (dividends > 0)))
        for kind, values, none in (("dividend", dividends, 0.0), ("split", splits, 1.0))
        if values[at] != none
    ]
    return pd.DataFrame(listed, columns=list(ACTION_COLUMNS)).astype(
        {"session": "datetime64[us]", "kind": str, "value": float}
    )
