"""Forecasts: their calibration by hand and on simulated prices, odd histories, and that they know no
future.
"""

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forecast_lib.covariates.calendar import ALWAYS, NEVER
from forecast_lib.covariates.inputs import EX_DIVIDEND, Dividends, Inputs
from forecast_lib.domain import QUANTILES, Ticker
from forecast_lib.drivers import log_width
from forecast_lib.forecast import (
    Forecasts,
    announced_dividends,
    combined_forecast,
    forecast_columns,
    forecast_with_baseline,
    forecast_with_model,
    relative_losses,
    with_scale,
)
from forecast_lib.models.baselines import BASELINES
from forecast_lib.prices.sources.simulated import ANNOUNCED, SimulatedMarket
from forecast_lib.tables import QUANTILE_COLUMNS, SHORTFALL_COLUMNS
from forecast_lib.windows.features import session_features
from forecast_lib.windows.series import series_of
from tests import made_up
from tests.prices.one_ticker import ask, split_adjusted

FIRST_WINDOW = 31
"""The first cutoff that has a window: 22 sessions of warm-up and 10 of window, counted from 0."""


def by(maker: str, series, cutoffs, horizon: int = 2) -> Forecasts:
    if maker == "model":
        return forecast_with_model(
            made_up.bundle(location=0.2, shrinkage=0.5, horizon=horizon), series, cutoffs
        )
    return forecast_with_baseline(maker, series, horizon, cutoffs)


def last(series) -> tuple[int, int]:
    return len(series) - 1, len(series)


def evening(maker: str, series, horizon: int = 2) -> Forecasts:
    return by(maker, series, last(series), horizon)


def multipliers(series) -> np.ndarray:
    """How many scales the naive forecast's upper quantiles (75, 90, 95, 97.5, 99, 99.5 %) of step 1 lie above
    its median.
    """
    made = evening("naive", series, 1)
    scale = session_features(series).ewma_sigma[-1]
    return np.log(made.quantiles[0, 0, 7:] / made.point[0, 0]) / scale


@pytest.mark.parametrize("maker", ["naive", "drift", "model"])
@pytest.mark.parametrize("kind", made_up.ODD)
@pytest.mark.parametrize("horizon", [2, 20])
def test_odd_history_gives_positive_finite_rising_quantiles(maker, kind, horizon):
    series = made_up.ODD[kind]
    made = by(maker, series, (FIRST_WINDOW, len(series)), horizon)
    for values in (made.quantiles, made.point):
        assert np.isfinite(values).all() and (values > 0).all()
    assert (np.diff(made.quantiles, axis=2) >= 0).all()
    assert np.isfinite(made.sigma).all() and (made.sigma >= 0).all()


@pytest.mark.parametrize("sessions", [10, 11, 45])
def test_history_shorter_than_the_horizon_is_answered(sessions):
    made = evening("naive", made_up.noisy(sessions), 20)
    assert made.point.shape == (1, 20) and np.isfinite(made.quantiles).all()
    widths = np.diff(made.quantiles, axis=2)
    assert (widths >= 0).all(), "so few outcomes have one smallest: q005 and q01 are it"
    assert (widths[..., 2:-2] > 0).all()


def test_naive_point_is_the_last_close_to_the_last_bit():
    series = made_up.noisy(300, start=1e-4)
    assert evening("naive", series).point.tolist() == [[series.close[-1]] * 2]


def test_model_whose_location_is_not_believed_says_the_last_close():
    series = made_up.noisy(300)
    made = forecast_with_model(made_up.bundle(location=0.9, shrinkage=0.0), series, last(series))
    assert made.point.tolist() == [[series.close[-1]] * 2]


@pytest.mark.parametrize(("location", "side"), [(0.5, 1), (-0.5, -1)])
def test_location_moves_the_point_by_its_share_of_the_volatility(location, side):
    series = made_up.noisy(300)
    made = forecast_with_model(
        made_up.bundle(location=location, shrinkage=0.5, daily=0.01), series, last(series)
    )
    # By hand: half of tanh 0.5 = 0.4621172, times 1 % and times 1 % * sqrt(2)
    np.testing.assert_allclose(
        np.log(made.point / series.close[-1]), [[side * 0.002310586, side * 0.003267662]], rtol=1e-5
    )


@pytest.mark.parametrize("maker", ["naive", "drift", "model"])
def test_median_is_the_point(maker):
    made = evening(maker, made_up.noisy(300))
    assert made.quantiles[..., QUANTILES.index(0.5)].tobytes() == made.point.tobytes()


def test_until_forty_outcomes_are_known_the_quantiles_are_those_of_a_t():
    expected = stats.t.ppf([0.75, 0.9, 0.95, 0.975, 0.99, 0.995], 6) * np.sqrt(4 / 6)
    np.testing.assert_allclose(multipliers(made_up.noisy(40)), expected, atol=1e-3)  # 40 closes: 39 outcomes
    assert np.abs(multipliers(made_up.noisy(41)) - expected).min() > 0.01


def test_quantiles_are_the_conformal_ranks_of_the_last_500_scores():
    series = made_up.noisy(800)
    sigma = session_features(series).ewma_sigma
    scores = sorted(
        abs(np.log(series.close[at + 1] / series.close[at])) / sigma[at] for at in range(299, 799)
    )
    # By hand, n = 500: ranks ceil(501 * 0.5) = 251, ceil(501 * 0.8) = 401, ceil(501 * 0.9) = 451,
    # ceil(501 * 0.95) = 476, ceil(501 * 0.98) = 491, ceil(501 * 0.99) = 496
    np.testing.assert_allclose(
        multipliers(series), [scores[rank - 1] for rank in (251, 401, 451, 476, 491, 496)], rtol=1e-9
    )


def test_outcome_that_became_known_tonight_counts():
    """The jump of the last session is the largest score; it must push every other score one rank down
    tonight.
    """
    close = made_up.noisy(600).close.copy()
    calm, wild = made_up.closes_only(close), made_up.closes_only(np.append(close[:-1], 2 * close[-1]))
    assert (multipliers(wild) >= multipliers(calm)).all() and (multipliers(wild) != multipliers(calm)).any()


def test_sigma_is_calibrated_too():
    made = by("naive", made_up.noisy(2000, daily=0.02), (1000, 2000))
    np.testing.assert_allclose(made.sigma.mean(axis=0), [0.02, 0.02 * np.sqrt(2)], rtol=0.1)


@pytest.mark.parametrize("maker", ["naive", "drift", "half the volatility", "thrice the volatility"])
def test_intervals_cover_what_they_say(maker):
    """Simulated Student-t returns; a model that takes the volatility for half or thrice what it is, is put
    right by calibration.

    Neighbouring outcomes of step 2 overlap, so about 1,300 of 2,600 count: two standard errors of 0.5 are
    0.028.
    """
    series, cutoffs = made_up.noisy(3000, seed=11, daily=0.01), (380, 2980)
    daily = {"half the volatility": 0.005, "thrice the volatility": 0.03}
    model = made_up.bundle(daily=daily.get(maker, 0.01))
    made = forecast_with_model(model, series, cutoffs) if maker in daily else by(maker, series, cutoffs)
    for step in (1, 2):
        actual = series.close[made.cutoffs + step]
        for low, high, coverage in (
            (5, 7, 0.5),
            (4, 8, 0.8),
            (3, 9, 0.9),
            (2, 10, 0.95),
            (1, 11, 0.98),
            (0, 12, 0.99),
        ):
            inside = (made.quantiles[:, step - 1, low] <= actual) & (
                actual <= made.quantiles[:, step - 1, high]
            )
            assert inside.mean() == pytest.approx(coverage, abs=0.03)


@pytest.mark.parametrize("maker", ["naive", "drift", "model"])
def test_another_future_moves_no_earlier_forecast(maker):
    series, cut = made_up.noisy(400), 300
    here, there = (by(maker, each, (FIRST_WINDOW, 400)) for each in (series, made_up.scrambled(series, cut)))
    count = cut - FIRST_WINDOW + 1
    for part in ("point", "sigma", "quantiles"):
        before, after = getattr(here, part), getattr(there, part)
        assert before[:count].tobytes() == after[:count].tobytes(), part
        assert (before[count] != after[count]).any(), part


@pytest.mark.parametrize("maker", ["naive", "drift", "model"])
def test_one_evening_says_what_the_backtest_says_of_it(maker):
    series, cut = made_up.noisy(400), 350
    alone, among = evening(maker, series.until(cut + 1)), by(maker, series, (300, 400))
    np.testing.assert_allclose(alone.quantiles[0], among.quantiles[cut - 300], rtol=1e-6)
    np.testing.assert_allclose(alone.sigma[0], among.sigma[cut - 300], rtol=1e-6)


def test_first_and_last_window_are_answered():
    made = by("model", made_up.noisy(100), (FIRST_WINDOW, 100))
    assert (made.cutoffs[0], made.cutoffs[-1], len(made.point)) == (31, 99, 69)


def test_rows_name_cutoff_and_step():
    series = made_up.noisy(300)
    rows = pd.DataFrame(forecast_columns(by("naive", series, (298, 300)), series))
    assert rows["step"].tolist() == [1, 2, 1, 2]
    # 300 weekdays from Monday, 6 January 2020: the last is a Friday
    assert rows["cutoff"].tolist() == [pd.Timestamp("2021-02-25")] * 2 + [pd.Timestamp("2021-02-26")] * 2
    assert rows["cutoff"].dtype == "datetime64[us]"
    assert rows["last_close"].tolist() == [series.close[298]] * 2 + [series.close[299]] * 2
    assert list(rows.columns) == [
        "cutoff",
        "step",
        "last_close",
        "point",
        "sigma",
        *QUANTILE_COLUMNS,
        *SHORTFALL_COLUMNS,
    ]


def test_prices_in_another_unit_give_the_same_forecast_in_that_unit():
    series = made_up.noisy(300)
    for maker in ("naive", "drift", "model"):
        here, there = evening(maker, series), evening(maker, made_up.times(series, 1e4))
        np.testing.assert_allclose(there.quantiles, here.quantiles * 1e4, rtol=1e-6)


# --- announced dividends


def paying(series, share: float, *, on: int, since: int | None = None):
    """The series knowing of a dividend of that share of the last close, on a session after it (a weekday).

    Args:
        on: sessions after the last. since: how many before the last it was announced; None: ever.
    """
    days = np.concatenate([series.sessions, np.busday_offset(series.sessions[-1], np.arange(1, 30))])
    told = ALWAYS if since is None else series.sessions[-1 - since]
    spans = np.array([told]), np.array([NEVER])
    cash = np.array([share * series.close[-1]])
    dividends = Dividends(days, days[len(series) - 1 + on][None], *spans, cash)
    return dataclasses.replace(series, inputs=Inputs(dividends=dividends))


@pytest.mark.parametrize("maker", ["model", *BASELINES])
def test_an_announced_dividend_comes_off_from_its_day_on_whoever_forecasts(maker):
    """By hand: of 100, two are paid with the third session; what is left is 98 %, and its width the same."""
    series = made_up.noisy(400)
    plain, told = (by(maker, each, last(series), 5) for each in (series, paying(series, 0.02, on=3)))
    left = np.array([1.0, 1.0, 0.98, 0.98, 0.98])
    np.testing.assert_allclose(told.point, plain.point * left, rtol=1e-12)
    np.testing.assert_allclose(told.quantiles, plain.quantiles * left[:, None], rtol=1e-12)
    np.testing.assert_array_equal(told.sigma, plain.sigma)


def test_what_answers_is_lower_by_the_dividend_and_as_wide():
    series = made_up.noisy(400)
    plain, told = (combined_forecast(None, each, 5) for each in (series, paying(series, 0.02, on=3)))
    left = np.array([1.0, 1.0, 0.98, 0.98, 0.98])
    np.testing.assert_allclose(told.forecasts.quantiles[0], plain.forecasts.quantiles[0] * left[:, None])
    np.testing.assert_allclose(log_width(told.forecasts.quantiles), log_width(plain.forecasts.quantiles))
    twice = np.full((1, 5), 2.0)
    wider = with_scale(told, paying(series, 0.02, on=3), "naive", twice).parts["naive"]
    alone = with_scale(plain, series, "naive", twice).parts["naive"]
    np.testing.assert_allclose(wider.quantiles[0], alone.quantiles[0] * left[:, None])


def test_nobody_knows_of_a_dividend_before_it_was_announced():
    series = made_up.noisy(400)
    told = paying(series, 0.02, on=1, since=2)
    every = (len(series) - 6, len(series))
    plain, known = (by("naive", each, every, 5) for each in (series, told))
    np.testing.assert_array_equal(known.quantiles[:3], plain.quantiles[:3])  # bit by bit
    assert (known.quantiles[3:, 4] < plain.quantiles[3:, 4]).all()
    before = by("naive", told.until(len(series) - 3), (len(series) - 6, len(series) - 3), 5)
    np.testing.assert_array_equal(before.quantiles, plain.quantiles[:3])


@pytest.mark.parametrize("share", [0.5, 3.0])
def test_a_dividend_of_half_the_price_is_a_slip_and_moves_nothing(share):
    series = made_up.noisy(400)
    plain, told = (evening("naive", each) for each in (series, paying(series, share, on=1)))
    np.testing.assert_array_equal(told.quantiles, plain.quantiles)
    assert announced_dividends(paying(series, share, on=1), 2).tolist() == [0.0, 0.0]
    assert announced_dividends(paying(series, 0.4, on=2), 2) == pytest.approx([0, 0.4 * series.close[-1]])


def announcing(number: int):
    """A share of the simulated market that knows its dividends as they were announced, and their places."""
    market, last = SimulatedMarket(), dt.date(2026, 11, 20)
    offered = ask(market, f"SIMX{number}", None, last)
    series = series_of(f"SIMX{number}", split_adjusted(offered.prices, offered.actions))
    actions = offered.actions.set_index("session")
    splits = actions.loc[actions["kind"] == "split", "value"]
    told = market.events([Ticker(series.ticker)], last)[1].rows
    told = told[(told["kind"] == EX_DIVIDEND) & (told["session"] <= pd.Timestamp(last))]
    place = np.searchsorted(series.sessions, told["session"].to_numpy("datetime64[D]"))
    later = [splits[splits.index > day].prod() for day in told["session"]]
    cash = told["value"].to_numpy() / np.array(later)
    spans = series.sessions[place - ANNOUNCED], np.full(len(place), NEVER)
    dividends = Dividends(series.sessions, series.sessions[place], *spans, cash)
    return dataclasses.replace(series, inputs=Inputs(dividends=dividends)), place


@pytest.mark.slow
def test_on_the_simulated_market_forecasts_of_ex_dividend_days_have_their_centre_where_the_truth_is():
    """Within three standard errors with the announcements, beyond ten without; and the loss is lower."""
    errors, blind, losses = [], [], []
    for number in range(1, 31):
        series, place = announcing(number)
        place = place[place > 300]
        every = [dataclasses.replace(series, inputs=inputs) for inputs in (series.inputs, None)]
        both = [by("naive", each, (300, len(series) - 1), 1) for each in every]
        points = [np.log(series.close[place] / made.point[place - 301, 0]) for made in both]
        errors, blind = [*errors, *points[0]], [*blind, *points[1]]
        own = [relative_losses(made, each)[place - 301, 0] for made, each in zip(both, every, strict=True)]
        losses.append(np.sum(own, axis=1))
    known, unknown = np.sum(losses, axis=0)
    error = np.std(errors) / np.sqrt(len(errors))
    assert len(errors) > 1000 and abs(np.mean(errors)) < 3 * error and np.mean(blind) < -10 * error
    assert known < 0.97 * unknown
