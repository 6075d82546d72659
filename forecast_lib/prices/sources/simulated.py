"""A made-up market for trying things out: endless, free, offline, and never to be taken for a real one (its
name says so).

Prices follow what real daily prices are known for: calm and wild weeks (GARCH), fat tails (Student's t), New
York's holidays, splits, quarterly dividends. They hold nothing that could be forecast beyond a small
drift and the volatility. SIMX1, SIMX2, ... do: they also report on days that are known ahead, on which their
log variance is larger by EVENT_EFFECT, and share a weather that SIMVIX, which is no share, tells a session
ahead. Their dividends and splits are announced ANNOUNCED sessions ahead: on an ex-dividend day the price
falls by the cash that was announced.

Every ticker draws from its own streams of random numbers, one for each quantity, from the same first session
on. So a series is the same however many tickers there are, and a later `last` appends rows without changing
one.
"""

import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.config import SourceConfig
from forecast_lib.covariates.inputs import EX_DIVIDEND, SPLIT
from forecast_lib.domain import Ticker
from forecast_lib.errors import NoPrices, UnknownTicker
from forecast_lib.prices.source import (
    VALUES,
    Asked,
    Listed,
    Offered,
    PriceSource,
    Told,
    dates_frame,
    listed_actions,
    nobody,
    one_by_one,
)
from forecast_lib.sessions import TickerCalendar

__all__ = ["ANNOUNCED", "EVENT_EFFECT", "FIRST_SESSION", "LEADING", "SimulatedMarket", "opened"]

EVENT_EFFECT = 1.0
"""By so much the log variance of SIMX1 and the like is larger on a day on which they report."""

ANNOUNCED = 20
"""Sessions from the announcement of a dividend or split of theirs to the day on which it counts."""

LEADING = Ticker("SIMVIX")
"""Twice the logarithm of its close, less that of 20, is what the weather adds to theirs on the next
session.
"""

FIRST_SESSION = dt.date(2010, 1, 4)

_TICKER = re.compile(r"SIM(X?)([1-9][0-9]{0,5})")
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

_WEATHER_STREAM = 0  # of random numbers; no ticker has this number
_WEATHER_STAYS, _WEATHER_CHANGES, _WEATHER_LEVEL = 0.95, 0.16, 20.0
_MOVED_LESS = 0.6  # their usual volatility: the weather and the reports come on top
_REPORT_EVERY, _REPORT_KNOWN = 63, dt.timedelta(days=100)  # sessions; ahead

Values = NDArray[np.float64]


class SimulatedMarket(PriceSource):
    """Tickers SIM1, SIM2, ... of one made-up market, daily from 2010-01-04, as traded, in US dollars.

    >>> market = SimulatedMarket(seed=0)
    >>> market.default_tickers()
    ('SIM1', 'SIM2', 'SIM3', 'SIM4', 'SIM5')
    >>> len(market.fetch({Ticker("SIM7"): None}, dt.date(2010, 1, 31)).rows)
    19
    """

    name, near = "simulated", True

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

    def events(self, tickers: Sequence[Ticker], day: dt.date) -> tuple[Listed, ...]:
        """When SIMX1 and the like report, to a hundred days ahead, and what they announced by then."""
        until = day + _REPORT_KNOWN
        sessions = _CALENDAR.sessions(FIRST_SESSION, until)
        numbers = {
            ticker: int(match[2]) for ticker in tickers if (match := _TICKER.fullmatch(ticker)) and match[1]
        }
        known = int(sessions.searchsorted(pd.Timestamp(day), side="right"))
        told = sessions[: known + ANNOUNCED]
        rows, announced = [], []
        for ticker, number in numbers.items():
            reports = {
                "kind": "earnings",
                "session": sessions[_reports(len(sessions), number)],
                "value": None,
            }
            rows.append(pd.DataFrame(reports).assign(ticker=ticker))
            if known:
                announced.append(
                    _announcements(ticker, told, _path(told, known, self._seed, number, moved=True))
                )
        actions, last = dates_frame(announced), pd.Timestamp(told[-1]).date()
        return (
            Listed(dates_frame(rows), ("earnings",), tuple(numbers), until),
            Listed(actions, (EX_DIVIDEND, SPLIT), tuple(numbers), last),
        )

    def _offered(self, ticker: Ticker, first: dt.date | None, last: dt.date) -> Offered:
        match, begin = _TICKER.fullmatch(ticker), max(first or FIRST_SESSION, FIRST_SESSION)
        if not match and ticker != LEADING:
            raise UnknownTicker(ticker, "no ticker of the simulated market: expected SIM1, SIM2, ...")
        sessions = _CALENDAR.sessions(FIRST_SESSION, last) if last >= begin else pd.DatetimeIndex([])
        wanted = int(sessions.searchsorted(pd.Timestamp(begin)))
        if wanted == len(sessions):
            reason = f"no session from {begin} to {last}: the simulated market begins on {FIRST_SESSION}"
            raise NoPrices(ticker, reason)
        if match:
            figures, actions = _history(sessions, self._seed, int(match[2]), wanted, moved=bool(match[1]))
        else:
            figures, actions = _leading(sessions, self._seed, wanted)
        days, told = sessions[wanted:].to_numpy(), Told(timezone="America/New_York")

        def origins(at: NDArray[np.intp]) -> list[str]:
            return [f"simulated market, seed {self._seed}"] * len(at)

        return Offered.of_one(ticker, days, figures, actions, origins, currency="USD", told=told)


class _Path(NamedTuple):
    """One ticker's way through the market.

    Attributes:
        close: (known,) as traded, not rounded; before: the close before each on the same share basis.
        deviations: (known,) the standard deviation of each log return.
        dividends, splits: (sessions,) of each session, 0 and 1 for none; those to come are announced.
        shares: (known,) of each session for one of the first.
        volume, volatility: what is usual.
        streams: of random numbers, for what else is drawn.
    """

    close: Values
    before: Values
    deviations: Values
    dividends: Values
    splits: Values
    shares: Values
    volume: float
    volatility: float
    streams: Sequence[np.random.Generator]


def _path(sessions: pd.DatetimeIndex, known: int, seed: int, number: int, *, moved: bool) -> _Path:
    """Args:
    sessions: from the market's first one on: each depends on those before; those from `known` on are to come.
    moved: by the weather, and on the days on which it reports; dividends and splits are announced.
    """
    character_rng, shock_rng, *streams = (
        np.random.Generator(np.random.PCG64(stream))
        for stream in np.random.SeedSequence((seed, number)).spawn(5)
    )
    drawn = character_rng.uniform(size=5)
    price, volatility, drift = 20 + 130 * drawn[0], 0.18 + 0.22 * drawn[1], 0.02 + 0.10 * drawn[2]
    dividend, volume = drawn[3], np.exp(np.log(5e5) + 4 * drawn[4])
    # A third of the companies pay nothing, the others 1 to 4 % a year, on the first session from the 10th of
    # a quarter's middle month on.
    quarterly = 0.0 if dividend < 1 / 3 else (0.01 + 0.03 * (dividend - 1 / 3) * 1.5) / 4
    due = sessions.month.isin(_DIVIDEND_MONTHS) & (sessions.day >= _DIVIDEND_DAY)
    pays = due & ~np.append(True, due[:-1]) & (quarterly > 0)
    more = np.zeros(known)
    if moved:
        volatility *= _MOVED_LESS
        more = np.append(0.0, _weather(known, seed)[:-1])
        more += EVENT_EFFECT * _reports(known, number)
    shocks = shock_rng.standard_t(_DEGREES_OF_FREEDOM, known)
    returns, deviations = _garch(shocks, volatility, drift, more)
    if moved:
        log_close, cash = _paying(np.log(price) + np.cumsum(returns), pays, quarterly)
    else:
        log_close = np.log(price) + np.cumsum(returns + np.where(pays, np.log1p(-quarterly), 0.0))
    splits = _splits(np.exp(log_close), len(sessions), ANNOUNCED if moved else 1)
    shares = np.cumprod(splits, dtype=np.float64)
    close = np.exp(log_close) / shares[:known]
    before = np.append(price, close[:-1]) / splits[:known]
    paid = cash / shares if moved else before * quarterly
    return _Path(
        close,
        before,
        deviations,
        np.where(pays & (paid > 0), np.maximum(np.round(paid, 2), 0.01), 0.0),
        splits,
        shares[:known],
        float(volume),
        volatility,
        streams,
    )


def _paying(log_close: Values, pays: NDArray[np.bool_], quarterly: float) -> tuple[Values, Values]:
    """What is left of the closes when dividends are paid, and their cash (sessions,): a share of the close
    ANNOUNCED sessions before, 0 where that is still to come.
    """
    left, cash = log_close.copy(), np.zeros(len(pays))
    for place in np.flatnonzero(pays).tolist():
        told = max(place - ANNOUNCED, 0)
        if told < len(left):
            cash[place] = quarterly * np.exp(left[told])
        if place < len(left):
            left[place:] += np.log1p(-cash[place] / np.exp(left[place - 1]))
    return left, cash


def _announcements(ticker: Ticker, sessions: pd.DatetimeIndex, path: _Path) -> pd.DataFrame:
    """kind, ticker, session and value of its dividends and splits."""
    found = listed_actions(ticker, sessions.to_numpy(), path.dividends, path.splits)
    return found.sort_values(["kind", "session"]).replace({"kind": {"dividend": EX_DIVIDEND}})


def _history(
    sessions: pd.DatetimeIndex, seed: int, number: int, wanted: int, *, moved: bool
) -> tuple[dict[str, Values], pd.DataFrame]:
    """Figures by name, and actions (ACTION_COLUMNS), of one ticker.

    Args:
        sessions: from the market's first one on.
        wanted: the place of the first session that is handed out.
        moved: as of `_path`.
    """
    path = _path(sessions, len(sessions), seed, number, moved=moved)
    gap_rng, range_rng, volume_rng = path.streams
    close, deviations = path.close, path.deviations
    open_ = path.before * np.exp(gap_rng.standard_normal(len(close)) * deviations * 0.3)
    reach = np.abs(range_rng.standard_normal((len(close), 2))) * (deviations * 0.5)[:, None]
    high = np.maximum(open_, close) * np.exp(reach[:, 0])
    low = np.minimum(open_, close) * np.exp(-reach[:, 1])
    lively = np.log(deviations * np.sqrt(_SESSIONS_PER_YEAR) / path.volatility)
    bustle = 0.3 * volume_rng.standard_normal(len(close)) + 0.5 * lively
    traded = np.round(path.volume * np.exp(bustle) * path.shares)
    days, dividends, splits = sessions[wanted:].to_numpy(), path.dividends[wanted:], path.splits[wanted:]
    actions = listed_actions(f"SIM{'X' if moved else ''}{number}", days, dividends, splits)
    return _figures(open_, high, low, close, traded, wanted), actions


def _figures(
    open_: Values, high: Values, low: Values, close: Values, volume: Values, wanted: int
) -> dict[str, Values]:
    """VALUES by name, prices in cents, from the place of the first session that is handed out on."""
    absent = np.full(len(close), np.nan)
    prices = (np.round(each, 2)[wanted:] for each in (open_, high, low, close, absent))
    return dict(zip(VALUES, (*prices, volume[wanted:]), strict=True))


def _weather(sessions: int, seed: int) -> Values:
    """(sessions,) an autoregression, known at each close; its standard deviation is 0.5."""
    stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, _WEATHER_STREAM))))
    weather, now = [], 0.0
    for change in stream.standard_normal(sessions).tolist():
        now = _WEATHER_STAYS * now + _WEATHER_CHANGES * change
        weather.append(now)
    return np.array(weather)


def _reports(sessions: int, number: int) -> NDArray[np.bool_]:
    """(sessions,) whether the ticker of this number reports: once a quarter, others on other days."""
    return (np.arange(sessions) + 7 * number) % _REPORT_EVERY == _REPORT_EVERY - 1


def _leading(sessions: pd.DatetimeIndex, seed: int, wanted: int) -> tuple[dict[str, Values], pd.DataFrame]:
    close = _WEATHER_LEVEL * np.exp(_weather(len(sessions), seed) / 2)
    before, absent = np.append(close[0], close[:-1]), np.full(len(close), np.nan)
    high, low = np.maximum(before, close), np.minimum(before, close)
    nothing = listed_actions(LEADING, sessions[wanted:].to_numpy(), None, None)
    return _figures(before, high, low, close, absent, wanted), nothing


def _garch(shocks: Values, volatility: float, yearly_drift: float, more: Values) -> tuple[Values, Values]:
    """Log returns with drift, and the standard deviation of each, known the day before.

    Args:
        more: (n,) by how much the log variance of each session is larger than the process has it.
    """
    usual = np.sqrt(_DEGREES_OF_FREEDOM / (_DEGREES_OF_FREEDOM - 2))
    unit = np.clip(shocks / usual, -_WILDEST, _WILDEST).tolist()
    mean_variance = volatility**2 / _SESSIONS_PER_YEAR
    constant = (1 - _ALPHA - _BETA) * mean_variance
    highest = _HIGHEST_VARIANCE * mean_variance
    variance, variances = mean_variance, []
    for shock in unit:
        variances.append(variance)
        variance = min(constant + variance * (_ALPHA * shock * shock + _BETA), highest)
    deviations = np.sqrt(variances) * np.exp(more / 2)
    drift = yearly_drift / _SESSIONS_PER_YEAR - np.square(deviations) / 2
    return drift + deviations * unit, deviations


def _splits(close: Values, sessions: int, after: int) -> Values:
    """(sessions,) the split that takes effect on each session, 1 for none: it follows so many sessions after
    a close beyond the bounds.
    """
    splits, start, shares = np.ones(sessions), 0, 1.0
    while True:
        traded = close[start : sessions - after] / shares
        beyond = (traded > _SPLIT_ABOVE) | (traded < _MERGE_BELOW)
        if not beyond.any():
            return splits
        at = int(np.argmax(beyond))
        ratio = _SPLIT_RATIO if traded[at] > _SPLIT_ABOVE else _MERGE_RATIO
        start += at + after
        splits[start] = ratio
        shares *= ratio


def opened(config: SourceConfig, **_: Any) -> SimulatedMarket:
    """The market of that seed."""
    return SimulatedMarket(config.market_seed)
