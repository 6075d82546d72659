"""The joint tables of a night."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from forecast_lib.domain import QUANTILES
from forecast_lib.jobs.forecast.joint import joint_tables
from forecast_lib.tables import QUANTILE_COLUMNS, empty, validate
from forecast_lib.windows.series import TickerSeries
from tests.made_up import EVENING, correlated, run_config, walk

CONFIG = run_config("AAA", day=EVENING)


def forecasts(tickers: list[str], horizon: int = 2) -> pd.DataFrame:
    """Logistic ones around 100, BBB's with a sigma three times that of the others."""
    odds = np.log(np.array(QUANTILES) / (1 - np.array(QUANTILES)))
    frame = pd.DataFrame(
        [{"ticker": ticker, "step": step} for ticker in tickers for step in range(1, horizon + 1)]
    )
    frame[list(QUANTILE_COLUMNS)] = 100 * np.exp(0.01 * odds)
    sigma = frame["ticker"].map({"BBB": 0.03}).fillna(0.01)
    return frame.assign(run_id="run", last_close=100.0, sigma=sigma, source="simulated", dividend=0.0)


def made(series: list[TickerSeries], troubled: tuple[str, ...] = ()) -> dict[str, pd.DataFrame]:
    by_name = {each.ticker: each for each in series}
    return joint_tables(forecasts(list(by_name)), by_name, troubled, CONFIG)


def test_the_tables_have_their_columns_and_a_row_a_ticker_and_step_and_a_portfolio_and_step() -> None:
    tables = made(correlated(0.5))
    for table, frame in tables.items():
        validate(table, frame.assign(source="simulated"))
    assert (len(tables["scenarios"]), len(tables["portfolio_forecasts"])) == (4, 2 * 103)
    weights = tables["portfolio_forecasts"].set_index(["portfolio", "step"])["weights"]
    np.testing.assert_allclose(weights["inverse_volatility", 1], [0.75, 0.25])


def test_what_moves_against_each_other_is_safe_together_and_what_moves_alike_is_not() -> None:
    """Half in each of two tickers: at a correlation of -0.95 little of the loss is left, at 0.95
    nearly all.
    """
    lost = {
        rho: made(correlated(rho))["portfolio_forecasts"].set_index(["portfolio", "step"])["q01"]["equal", 1]
        for rho in (-0.95, 0.95)
    }
    alone = np.exp(0.01 * np.log(0.01 / 0.99)) - 1
    assert lost[-0.95] > 0.4 * alone
    assert lost[0.95] < 0.9 * alone


def test_a_dividend_that_is_announced_is_no_loss_of_who_holds_the_share() -> None:
    """The price falls by the dividend, and the holder has it."""
    series = correlated(0.5)
    by_name, plain = {each.ticker: each for each in series}, forecasts([each.ticker for each in series])
    paying = plain.assign(dividend=5.0)
    paying[list(QUANTILE_COLUMNS)] -= 5.0
    told, before = (
        joint_tables(rows, by_name, (), CONFIG)["portfolio_forecasts"] for rows in (paying, plain)
    )
    # Between the quantiles the logarithm is what is straight, so not to the last digit.
    np.testing.assert_allclose(told[["q01", "q50"]], before[["q01", "q50"]], atol=1e-4)
    lost = joint_tables(paying.assign(dividend=0.0), by_name, (), CONFIG)["portfolio_forecasts"]
    assert lost.set_index("portfolio")["q50"]["equal"].to_numpy() == pytest.approx(-0.05, abs=0.001)


def test_a_ticker_in_trouble_is_in_no_portfolio_and_changes_nobody_s_rows() -> None:
    sound, wild = correlated(0.5), walk("ZZZ", 0.3 * np.random.default_rng(9).standard_normal(1500))
    without, beside = made(sound), made([*sound, wild], ("ZZZ",))
    pd.testing.assert_frame_equal(beside["portfolio_forecasts"], without["portfolio_forecasts"])
    np.testing.assert_array_equal(
        np.stack(beside["scenarios"]["prices"].iloc[:4].to_list()),
        np.stack(without["scenarios"]["prices"].to_list()),
    )
    assert len(beside["scenarios"]) == 6


def test_a_night_without_forecasts_or_with_none_that_is_trusted_has_what_it_can() -> None:
    nothing = joint_tables(empty("forecasts"), {}, (), CONFIG)
    assert [len(frame) for frame in nothing.values()] == [0, 0]
    alone = made([walk("AAA", np.zeros(30), dt.date(2024, 6, 7))], ("AAA",))
    assert [len(frame) for frame in alone.values()] == [2, 0]
