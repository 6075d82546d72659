import datetime as dt
import time

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import UnknownTicker
from forecast_lib.prices.checks import check, nothing_before
from forecast_lib.prices.sources.simulated import (
    ANNOUNCED,
    EVENT_EFFECT,
    FIRST_SESSION,
    LEADING,
    SimulatedMarket,
)
from forecast_lib.sessions import TickerCalendar
from tests.contracts.price_source import PriceSourceContract
from tests.prices.one_ticker import OfferedTicker, ask, split_adjusted

LAST = dt.date(2026, 11, 20)


def fetch(number: int, *, seed: int = 0, first: dt.date | None = None, last: dt.date = LAST) -> OfferedTicker:
    return ask(SimulatedMarket(seed), f"SIM{number}", first, last)


def log_returns(fetched: OfferedTicker) -> pd.Series:
    return np.log(split_adjusted(fetched.prices, fetched.actions)["close"]).diff().dropna()


class TestSimulatedMarketKeepsTheContract(PriceSourceContract):
    ticker = "SIM1"
    unknown_ticker = "AAPL"
    first, middle, last = FIRST_SESSION, dt.date(2014, 4, 30), dt.date(2024, 6, 3)

    @pytest.fixture
    def source(self) -> SimulatedMarket:
        return SimulatedMarket(seed=0)


class TestMovedTickersKeepTheContract(TestSimulatedMarketKeepsTheContract):
    ticker = "SIMX1"


class TestTheLeaderKeepsTheContract(TestSimulatedMarketKeepsTheContract):
    ticker = "SIMVIX"


def test_it_is_named_so_that_nobody_takes_it_for_real() -> None:
    assert SimulatedMarket().name == "simulated"


def test_a_ticker_is_the_same_series_however_many_there_are() -> None:
    few, many = SimulatedMarket(3, tickers_count=1), SimulatedMarket(3, tickers_count=500)
    assert many.default_tickers()[-1] == "SIM500"
    assert_frame_equal(ask(few, "SIM2", None, LAST).prices, ask(many, "SIM2", None, LAST).prices)


@pytest.mark.parametrize("number", range(1, 9))
def test_a_later_last_leaves_earlier_rows_bit_identical(number: int) -> None:
    """Also across a split, and for the odd lengths at which vector instructions treat the tail
    differently.
    """
    whole = fetch(number)
    for last in (
        dt.date(2010, 1, 4),
        dt.date(2010, 1, 14),
        dt.date(2016, 12, 30),
        dt.date(2017, 2, 6),
        dt.date(2026, 11, 19),
    ):
        early = fetch(number, last=last)
        assert_frame_equal(early.prices, whole.prices.iloc[: len(early.prices)], check_exact=True)
        known = whole.actions[whole.actions["session"] <= pd.Timestamp(last)]
        assert_frame_equal(early.actions, known.reset_index(drop=True), check_exact=True)


def test_seeds_and_tickers_give_different_series() -> None:
    closes = {
        tuple(fetch(number, seed=seed).prices["close"].head(20)) for number in (1, 2, 3) for seed in (0, 1)
    }
    assert len(closes) == 6


def test_series_of_different_tickers_do_not_move_together() -> None:
    """4,247 independent returns: a correlation has a standard error of 0.015."""
    returns = pd.DataFrame({number: log_returns(fetch(number)) for number in range(1, 7)})
    beside = returns.corr().to_numpy()[np.triu_indices(6, 1)]
    assert np.abs(beside).max() < 0.08


def test_sessions_are_new_yorks() -> None:
    sessions = fetch(1).prices["session"]
    assert list(sessions) == list(TickerCalendar("XNYS").sessions(FIRST_SESSION, LAST))


@pytest.mark.parametrize("number", range(1, 9))
def test_rows_are_possible_and_in_cents(number: int) -> None:
    prices = fetch(number).prices
    lowest, highest = prices[["open", "close"]].min(axis=1), prices[["open", "close"]].max(axis=1)
    assert (prices["low"] <= lowest).all()
    assert (prices["high"] >= highest).all()
    assert (prices["low"] > 0).all()
    assert (prices["volume"] >= 1).all()
    figures = prices[["open", "high", "low", "close"]].to_numpy()
    assert np.array_equal(figures, np.round(figures, 2))


def test_returns_have_fat_tails_and_clustered_volatility_but_no_memory() -> None:
    """A normal series of this length has excess kurtosis 0 +- 0.08 and an autocorrelation of 0 +- 0.015 at
    any lag.
    """
    series = [log_returns(fetch(number)) for number in range(1, 21)]
    assert np.median([returns.kurt() for returns in series]) > 1.5
    assert np.median([returns.pow(2).autocorr(1) for returns in series]) > 0.05
    assert np.median([returns.pow(2).autocorr(20) for returns in series]) > 0.02
    assert abs(np.median([returns.autocorr(1) for returns in series])) < 0.02


def test_prices_are_raw_and_the_split_explains_the_step() -> None:
    fetched = fetch(1)
    splits = fetched.actions[fetched.actions["kind"] == "split"]
    assert len(splits) >= 1
    closes = fetched.prices.set_index("session")["close"]
    for session, ratio in zip(splits["session"], splits["value"], strict=True):
        at = closes.index.get_loc(session)
        assert closes.iloc[at - 1] > 400, "splits 4:1 on the session after a close above 400"
        assert ratio == 4.0
        assert closes.iloc[at - 1] / closes.iloc[at] == pytest.approx(4, rel=0.35)
    assert log_returns(fetched).abs().max() < np.log(1.4)


def test_dividends_are_quarterly_and_the_ex_dates_are_sessions() -> None:
    """By hand: February, May, August and November of 2010 to 2026, first session from the 10th on."""
    fetched = fetch(3)
    dividends = fetched.actions[fetched.actions["kind"] == "dividend"]
    assert len(dividends) == 17 * 4
    assert list(dividends["session"].head(4).dt.strftime("%Y-%m-%d")) == [
        "2010-02-10",
        "2010-05-10",
        "2010-08-10",
        "2010-11-10",
    ]
    assert dividends["session"].isin(fetched.prices["session"]).all()
    assert dividends["value"].between(0.01, 5).all()


def test_merges_shares_that_have_become_too_cheap() -> None:
    """Some company of the first 60 falls below 4 dollars in 16 years."""
    actions = pd.concat([fetch(number).actions.assign(number=number) for number in range(1, 61)])
    merged = actions[(actions["kind"] == "split") & (actions["value"] < 1)]
    assert set(merged["value"]) == {0.1}


@pytest.mark.slow
def test_passes_the_checks_without_a_refused_row() -> None:
    now = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
    for number in range(1, 31):
        ticker = Ticker(f"SIM{number}")
        checked = check(
            SimulatedMarket().fetch({ticker: None}, LAST), nothing_before((ticker,)), AsOf(LAST, now, now)
        )
        assert not checked.holds
        assert checked.quarantined.empty
        assert {each.verdict for each in checked.judged.verdicts.get(ticker, ())} <= {"real"}


@pytest.mark.parametrize("name", ["SIM", "SIM0", "SIM01", "SIM-1", "SIM1234567", "XSIM1", "SIM1X"])
def test_other_names_are_unknown(name: str) -> None:
    with pytest.raises(UnknownTicker, match="expected SIM1, SIM2"):
        ask(SimulatedMarket(), name, None, LAST)


def test_sixteen_years_take_well_under_a_tenth_of_a_second() -> None:
    fetch(1)
    seconds = []
    for number in range(2, 8):
        started = time.perf_counter()
        fetch(number)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.1


# --- what moves SIMX1 and the like


def test_moved_tickers_are_others_than_the_plain_ones() -> None:
    assert not np.allclose(log_returns(fetch(1)), log_returns(ask(SimulatedMarket(), "SIMX1", None, LAST)))


def test_reports_come_once_a_quarter_and_are_known_a_hundred_days_ahead() -> None:
    day = dt.date(2024, 6, 3)
    listed, _ = SimulatedMarket().events([Ticker("SIMX1"), Ticker("SIM1"), Ticker("SIMX2")], day)
    assert (listed.tickers, listed.until) == (("SIMX1", "SIMX2"), dt.date(2024, 9, 11))
    own = listed.rows.loc[listed.rows["ticker"] == "SIMX1", "session"]
    sessions = TickerCalendar("XNYS").sessions(FIRST_SESSION, listed.until)
    assert set(np.diff(sessions.get_indexer(own))) == {63}
    assert own.max() > pd.Timestamp(day)
    later = SimulatedMarket().events([Ticker("SIMX1")], dt.date(2024, 7, 3))[0].rows["session"]
    assert set(own) <= set(later)


@pytest.mark.slow
def test_dividends_and_splits_are_announced_a_month_ahead_and_come_as_they_were_announced() -> None:
    day, names = dt.date(2024, 4, 22), [Ticker(f"SIMX{number}") for number in range(1, 61)]
    told = SimulatedMarket().events(names, day)[1]
    sessions = TickerCalendar("XNYS").sessions(day, told.until)
    assert len(sessions) == 1 + ANNOUNCED and told.kinds == ("ex_dividend", "split")
    to_come = told.rows[told.rows["session"] > pd.Timestamp(day)]
    assert len(to_come) > 20
    plain = told.rows.set_index(["ticker", "session"])["value"].to_dict()
    for name in names[:20]:
        actions = ask(SimulatedMarket(), name, None, told.until).actions
        listed = {(name, row.session): row.value for row in actions.itertuples()}
        assert listed == {key: value for key, value in plain.items() if key[0] == name}


@pytest.mark.slow
def test_on_an_ex_dividend_day_the_price_falls_by_what_was_announced() -> None:
    """Against the plain ticker with the same shocks, of which the drift alone is left: over all ex-dividend
    days the close is lower by the dividend, to a twentieth.
    """
    falls, shares = [], []
    for number in range(1, 41):
        offered = ask(SimulatedMarket(), f"SIMX{number}", None, LAST)
        prices = split_adjusted(offered.prices, offered.actions).set_index("session")["close"]
        splits = offered.actions[offered.actions["kind"] == "split"]
        for row in offered.actions[offered.actions["kind"] == "dividend"].itertuples():
            at = prices.index.get_loc(row.session)
            later = splits.loc[splits["session"] > row.session, "value"].prod()
            shares.append(row.value / later / prices.iloc[at - 1])
            falls.append(np.log(prices.iloc[at] / prices.iloc[at - 1]))
    error = np.array(falls) - np.log1p(-np.array(shares))
    assert len(falls) > 1000 and abs(error.mean()) < 3 * error.std() / np.sqrt(len(error))
    assert abs(np.mean(falls)) > 6 * error.std() / np.sqrt(len(error))  # so that it could have failed


def test_the_leader_tells_the_next_session_and_reports_move_their_own() -> None:
    """Squared returns against those of the plain ticker with the same shocks, by least squares: the truth is
    1 and EVENT_EFFECT, and only the drift blurs it.
    """
    market, names = SimulatedMarket(), [Ticker(f"SIMX{number}") for number in range(1, 4)]
    weather = 2 * np.log(ask(market, LEADING, None, LAST).prices.set_index("session")["close"] / 20)
    dates = market.events(names, LAST)[0].rows
    told, moved = [], []

    def returns_of(name: str) -> pd.Series:
        offered = ask(market, name, None, LAST)
        close = split_adjusted(offered.prices, offered.actions).set_index("session")["close"]
        return np.log(close).diff().dropna()

    for name in names:
        returns = returns_of(name)
        before = weather.shift(1).reindex(returns.index)
        reports = returns.index.isin(dates.loc[dates["ticker"] == name, "session"]).astype(float)
        plain = returns_of(name.replace("X", ""))
        squares = np.log(np.maximum(returns**2, 1e-9)) - np.log(np.maximum(plain**2, 1e-9))
        told.append(np.stack([np.ones(len(returns)), before, reports], axis=1))
        moved.append(squares.to_numpy())
    effects = np.linalg.lstsq(np.concatenate(told), np.concatenate(moved), rcond=None)[0]
    assert effects[1] == pytest.approx(1.0, abs=0.05) and effects[2] == pytest.approx(EVENT_EFFECT, abs=0.1)
