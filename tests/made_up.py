"""Made-up series of one ticker, and the tiny sizes that the tests of the numeric core share.

The same sizes everywhere, so that one compiled program serves all of these tests.
"""

import dataclasses
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast_lib.backtest.panels import Losses, Panels
from forecast_lib.config import ModelConfig, RunConfig, TrainConfig
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.jobs.ingest.new_prices import Market, Problem
from forecast_lib.models.bundle import Bundle, Pool
from forecast_lib.models.network import first_weights
from forecast_lib.models.training import network_of
from forecast_lib.sessions import calendar_for
from forecast_lib.tables import QUANTILE_COLUMNS, TABLES, empty, validate
from forecast_lib.windows.scaling import VolatilityScale
from forecast_lib.windows.series import TickerSeries
from forecast_lib.windows.volatility_inputs import VOLATILITY_INPUTS

MODEL = ModelConfig(variant="lstm", units=4, lookback=10, horizon=2)
TRAIN = TrainConfig(
    members=2,
    batch_size=4,
    steps_per_epoch=3,
    epochs=2,
    fine_tune_batch_size=4,
    fine_tune_steps=3,
    fine_tune_epochs=1,
    patience=2,
    learning_rate=0.01,
    validation_sessions=60,
)
LADDER = dict(
    zip(
        QUANTILE_COLUMNS,
        [80.0, 85.0, 91.0, 92.0, 93.0, 96.0, 100.0, 104.0, 107.0, 108.0, 109.0, 115.0, 120.0],
        strict=True,
    )
)
"""The quantiles of `forecast_row`."""
EVENING = dt.date(2024, 6, 7)
PRICES = ("open", "high", "low", "close", "volume")
MONDAY = np.datetime64("2020-01-06")


def closes_only(closes, ticker="ACME") -> TickerSeries:
    """A series on weekdays from Monday, 6 January 2020, whose source has nothing but closes."""
    close = np.asarray(closes, dtype=float)
    sessions = np.busday_offset(MONDAY, np.arange(len(close)))
    absent = np.full(len(close), np.nan)
    return TickerSeries(ticker, sessions, absent, absent, absent, close, absent)


def clustered(sessions: int, seed: int = 0) -> TickerSeries:
    """Closes whose returns follow a GARCH(1,1) with weights 0.08 and 0.9, and a volatility of 1 % in the long
    run.
    """
    random, variance, returns = np.random.default_rng(seed), 1e-4, []
    for shock in random.standard_t(6, sessions) * np.sqrt(4 / 6):
        returns.append(np.sqrt(variance) * shock)
        variance = 0.02e-4 + 0.08 * returns[-1] ** 2 + 0.9 * variance
    return closes_only(100 * np.exp(np.cumsum(returns)))


def growing(sessions: int, rate: float = 0.01, ticker="ACME") -> TickerSeries:
    """Closes that rise by the same share each session, from 100."""
    return closes_only(100.0 * (1 + rate) ** np.arange(sessions), ticker)


def noisy(
    sessions: int, seed: int = 0, ticker="ACME", start: float = 100.0, daily: float = 0.01
) -> TickerSeries:
    """A random walk: Student-t returns with 6 degrees of freedom and standard deviation `daily`, with open,
    high, low and volume.
    """
    random = np.random.default_rng(seed)
    # The variance of a t with 6 degrees of freedom is 6/4.
    returns = random.standard_t(6, sessions) * np.sqrt(4 / 6) * daily
    close = start * np.exp(np.cumsum(returns))
    before = np.concatenate([[start], close[:-1]])
    opened = before * np.exp(0.3 * daily * random.standard_normal(sessions))
    high = np.maximum(opened, close) * np.exp(0.4 * daily * np.abs(random.standard_normal(sessions)))
    low = np.minimum(opened, close) * np.exp(-0.4 * daily * np.abs(random.standard_normal(sessions)))
    volume = np.round(np.exp(12 + 0.3 * random.standard_normal(sessions)))
    return TickerSeries(ticker, closes_only(close).sessions, opened, high, low, close, volume)


def times(series: TickerSeries, factor: float) -> TickerSeries:
    """The same ticker in a unit of money so many times smaller."""
    changed = {name: getattr(series, name) * factor for name in ("open", "high", "low", "close")}
    return dataclasses.replace(series, **changed)


def scrambled(series: TickerSeries, after: int) -> TickerSeries:
    """Another future: every price and volume later than the session `after` is a different one, ten times as
    wild.
    """
    other = noisy(len(series), seed=987, start=3.0 * float(series.close[after]), daily=0.1)
    keep = np.arange(len(series)) <= after
    return dataclasses.replace(
        series, **{name: np.where(keep, getattr(series, name), getattr(other, name)) for name in PRICES}
    )


def bundle(
    location=0.0, log_scale=0.0, shrinkage=1.0, daily: float = 0.01, horizon: int = MODEL.horizon
) -> Bundle:
    """A model of the tests' size whose head says the same at every session, and whose volatility is always
    `daily`.
    """
    network = network_of(dataclasses.replace(MODEL, horizon=horizon))
    weights = first_weights(network, 0)
    weights["head/bias"][:horizon] = location
    weights["head/bias"][horizon : 2 * horizon] = log_scale
    coefficients = np.zeros((1 + len(VOLATILITY_INPUTS), horizon))
    coefficients[0] = 2 * np.log(daily)
    scale = VolatilityScale(coefficients, np.zeros((len(VOLATILITY_INPUTS), horizon)))
    return Bundle(
        network,
        horizon,
        (weights,),
        coefficients[1:],
        None,
        scale,
        np.full(horizon, shrinkage),
        "2024-01-02",
        "0" * 64,
        0,
    )


def pool(seed: int = 0, horizon: int = MODEL.horizon) -> Pool:
    """Two untrained networks of the tests' size."""
    network = network_of(dataclasses.replace(MODEL, horizon=horizon))
    slopes = np.zeros((len(VOLATILITY_INPUTS), horizon))
    return Pool(
        network,
        horizon,
        (first_weights(network, seed), first_weights(network, seed + 1)),
        slopes,
        "2024-01-02",
        "0" * 64,
        0,
    )


def run_config(
    *tickers: str, workspace: Path = Path("workspace"), day: dt.date = dt.date(2021, 2, 26), **more: Any
) -> RunConfig:
    """A run of the tests' size on the evening of `day`, after New York has closed."""
    now = dt.datetime.combine(day, dt.time(22, 30), dt.UTC)
    names = tuple(Ticker(ticker) for ticker in tickers or ("ACME",))
    return RunConfig(
        "run-1", workspace, names, AsOf(day, now, now), **{"model": MODEL, "train": TRAIN, **more}
    )


def market(
    *series: TickerSeries, problems: dict[str, Problem] | None = None, also: tuple[str, ...] = ()
) -> Market:
    """A market of these series, with nothing new tonight; `also` are tickers without prices."""
    nothing = {name: empty(table) for name, table in (("prices", "prices"), ("actions", "corporate_actions"))}
    names = [each.ticker for each in series]
    return Market(
        series={each.ticker: each for each in series},
        calendars={name: calendar_for(name) for name in (*names, *also)},
        currencies=dict.fromkeys(names, "USD"),
        quarantined=empty("quarantined_prices"),
        problems=problems or {},
        **nothing,
    )


def stored(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as the store takes it, `source` filled in from the run; whatever breaks the table's rules is
    refused.
    """
    filled = (
        frame.assign(source="simulated")
        if "source" in TABLES[table].columns and "source" not in frame
        else frame
    )
    return validate(table, filled)


ODD = {
    "constant": closes_only(np.full(400, 50.0)),
    "closes only": closes_only(noisy(400).close),
    "a hundredth of a cent": noisy(400, start=1e-4),
    "a million": noisy(400, start=1e6),
    "doubles once": closes_only(noisy(400).close * np.where(np.arange(400) < 390, 1.0, 2.0)),
    "ten thousandfold once": closes_only(noisy(400).close * np.where(np.arange(400) < 390, 1.0, 1e4)),
    "doubles after standing still": closes_only(np.where(np.arange(400) < 395, 50.0, 100.0)),
    "halves after standing still": closes_only(np.where(np.arange(400) < 395, 50.0, 25.0)),
    "no trades": dataclasses.replace(noisy(400), volume=np.zeros(400)),
    "open, high and low repeat the close": dataclasses.replace(
        noisy(400), **dict.fromkeys(("open", "high", "low"), noisy(400).close)
    ),
}
"""Histories that a source may well send."""


def walk(ticker: str, returns: np.ndarray, last: dt.date = EVENING) -> TickerSeries:
    """A history of week days with these log returns."""
    sessions = np.busday_offset(last, np.arange(-len(returns), 1), roll="backward")
    close = 100 * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))
    return TickerSeries(ticker, sessions, close, close, close, close, np.ones(len(close)))


def correlated(rho: float, count: int = 1500, seed: int = 1) -> list[TickerSeries]:
    chance = np.random.default_rng(seed).standard_normal((2, count))
    second = rho * chance[0] + np.sqrt(1 - rho**2) * chance[1]
    return [walk("AAA", 0.01 * chance[0]), walk("BBB", 0.02 * second)]


def forecast_row(
    step: int, target: str, *, ticker="ACME", point=102.0, last_close=100.0, cutoff="2020-01-06"
) -> dict[str, object]:
    """A row of the table of forecasts, made by hand."""
    return {
        "run_id": "run-1",
        "ticker": ticker,
        "step": step,
        "target_session": pd.Timestamp(target),
        "cutoff": pd.Timestamp(cutoff),
        "made_by": "lstm",
        "last_close": last_close,
        "point": point,
        **LADDER,
    }


def panels_of(tickers: Sequence[Losses]) -> Panels:
    """The averages over tickers that were all scored at once."""
    panels = Panels()
    panels.add(0, tickers)
    return panels
