"""What is kept of covariates and events, where it is known which of them matter: the simulated market."""

import dataclasses
import datetime as dt

import numpy as np
import pytest

from forecast_lib.backtest.selection import select
from forecast_lib.config import ModelConfig
from forecast_lib.covariates.calendar import ALWAYS, NEVER, calendar_events
from forecast_lib.covariates.inputs import Ahead, Inputs
from forecast_lib.covariates.series import Covariate, as_known, level_of
from forecast_lib.domain import Ticker
from forecast_lib.prices.sources.simulated import EVENT_EFFECT, LEADING, SimulatedMarket
from forecast_lib.sessions import TickerCalendar
from forecast_lib.windows.features import session_features
from forecast_lib.windows.scaling import Sample, fit_volatility_scale, panel_slopes
from forecast_lib.windows.series import TickerSeries, series_of
from forecast_lib.windows.volatility_inputs import VOLATILITY_INPUTS, scale_inputs
from tests.prices.one_ticker import ask, split_adjusted

pytestmark = pytest.mark.slow

CALENDAR = TickerCalendar("XNYS")
LAST = dt.date(2020, 6, 30)
MODEL = ModelConfig(lookback=10, horizon=3)
MARKET = SimulatedMarket(seed=1)
NAMES = tuple(Ticker(f"SIMX{number}") for number in range(1, 9))
LEVEL = ("covariate SIMVIX/change", "covariate SIMVIX/level", "covariate SIMVIX/mean")
EARNINGS = "event earnings"


def priced(ticker: str) -> TickerSeries:
    offered = ask(MARKET, ticker, None, LAST)
    return series_of(ticker, split_adjusted(offered.prices, offered.actions))


def named(name: str, days, values) -> Covariate:
    return Covariate(name, None, days, values, CALENDAR.evenings(days))


@pytest.fixture(scope="module")
def series() -> list[TickerSeries]:
    """Eight tickers with the true leader, their reports, a covariate that means nothing, and the calendar."""
    leader, found = priced(LEADING), []
    random = np.random.default_rng(5)
    nothing = np.exp(np.cumsum(0.05 * random.standard_normal(len(leader))))
    days, evenings = leader.sessions, CALENDAR.evenings(leader.sessions)
    shared = tuple(
        as_known(level_of(each), days, evenings)
        for each in (named(LEADING, days, leader.close), named("nothing", days, nothing))
    )
    planned = calendar_events(CALENDAR, dt.date(2010, 1, 4), LAST)
    dates, _ = (listed.rows for listed in MARKET.events(NAMES, LAST))
    for ticker in NAMES:
        on = dates.loc[dates["ticker"] == ticker, "session"].to_numpy("datetime64[D]")
        always, never = np.full(len(on), ALWAYS), np.full(len(on), NEVER)
        own = Ahead((EARNINGS,), planned.days, np.zeros(len(on), int), on, always, never)
        found.append(dataclasses.replace(priced(ticker), inputs=Inputs(shared, (planned, own))))
    return found


def test_what_leads_is_kept_and_what_means_nothing_is_not(series):
    found = select(series, MODEL)
    assert found.inputs == (*LEVEL, EARNINGS)
    kept = {each.name: each for each in found.tried if each.kept}
    assert set(kept) == {"covariate SIMVIX", EARNINGS}
    assert all(each.loss_with < 0.99 * each.loss_without and each.adjusted < 1e-3 for each in kept.values())
    assert kept[EARNINGS].tickers == kept[EARNINGS].tickers_better == len(NAMES)
    dropped = next(each for each in found.tried if each.name == "covariate nothing")
    assert dropped.adjusted > 0.05 and dropped.half_years == 20  # of 2,641 sessions


def test_the_effect_of_an_event_is_found_within_its_error(series):
    """One session ahead, where an event is all or nothing: against the true one, with the error that the
    tickers' own estimates show.
    """
    names = (*LEVEL, EARNINGS)
    samples = []
    for each in series:
        inputs, ahead = scale_inputs(each, names, MODEL.horizon)
        samples.append(Sample(inputs, session_features(each), 60, len(each) - 5, ahead))
    panel = panel_slopes(samples, MODEL.horizon, len(VOLATILITY_INPUTS))
    alone = [panel_slopes([each], MODEL.horizon, len(VOLATILITY_INPUTS))[-1, 0] for each in samples]
    error = np.std(alone, ddof=1) / np.sqrt(len(alone))
    assert error < 0.1 and abs(panel[-1, 0] - EVENT_EFFECT) < 3 * error
    scale = fit_volatility_scale(samples[0], MODEL.horizon, panel, len(VOLATILITY_INPUTS))
    ahead = samples[0].ahead
    assert ahead is not None
    quiet, sigma = np.zeros_like(ahead), scale.sigma(samples[0].inputs, ahead)
    wider = np.log(sigma / scale.sigma(samples[0].inputs, quiet))[60:, 0]
    eve = ahead[60:, 0, 0] == 1.0
    assert eve.sum() > 30 and np.abs(2 * wider[eve] - EVENT_EFFECT).max() < 0.25  # the ticker's own estimate
    assert not wider[~eve].any()


def test_of_two_that_say_the_same_one_is_kept(series):
    twice = []
    for each in series:
        assert each.inputs is not None
        leader = each.inputs.at_close[0]
        same = dataclasses.replace(
            leader, names=tuple(name.replace("SIMVIX", "twin") for name in leader.names)
        )
        twice.append(dataclasses.replace(each, inputs=Inputs((leader, same), ())))
    kept = [each.name for each in select(twice, MODEL).tried if each.kept]
    assert kept == ["covariate SIMVIX"]


def test_sessions_after_the_end_move_nothing(series):
    """A past evening selects what it would have selected then, whatever came."""
    cut = 2000
    then = [each.until(cut) for each in series]
    random = np.random.default_rng(9)
    blurred = []
    for each in then:
        assert each.inputs is not None
        other = []
        for part in each.inputs.at_close:
            late = part.sessions > each.sessions[-1]
            noise = random.standard_normal(part.values.shape)
            other.append(dataclasses.replace(part, values=np.where(late[:, None], noise, part.values)))
        inputs = Inputs(tuple(other), each.inputs.ahead)
        blurred.append(dataclasses.replace(each, inputs=inputs))
    assert select(then, MODEL) == select(blurred, MODEL)


def test_a_short_past_keeps_nothing(series):
    found = select([each.until(400) for each in series], MODEL)
    assert found.inputs == () and all(each.pvalue == 1.0 for each in found.tried)


def test_without_candidates_nothing_is_tried(series):
    found = select([dataclasses.replace(each, inputs=None) for each in series], MODEL)
    assert (found.inputs, found.tried) == ((), ())


def test_a_long_horizon_is_tried_at_some_of_its_steps(series):
    """At twenty sessions the leader, whose weather lasts two weeks, is still worth having."""
    found = select([each.until(1500) for each in series], dataclasses.replace(MODEL, horizon=20))
    assert set(LEVEL) <= set(found.inputs)
