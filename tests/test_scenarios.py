"""Joint scenarios: exact margins, the dependence of the past, and nobody disturbed by anybody."""

import numpy as np
import pytest

from forecast_lib import scenarios
from forecast_lib.domain import QUANTILES
from forecast_lib.scenarios import WORLDS
from forecast_lib.windows.series import TickerSeries
from tests.made_up import EVENING, correlated, walk

DAYS = scenarios.evenings(EVENING, 5)


def ranks(series: list[TickerSeries], trusted: list[bool] | None = None, seed: int = 0) -> np.ndarray:
    moves = np.stack([scenarios.scores(each, DAYS, 5) for each in series])
    return scenarios.places(
        moves, [each.ticker for each in series], np.array(trusted or [True] * len(series)), seed
    )


def rank_correlation(places: np.ndarray, step: int = 1) -> float:
    return float(np.corrcoef(places[:2, step - 1])[0, 1])


def test_worlds_are_the_last_thousand_week_days_whose_horizon_is_over() -> None:
    """2024-06-07 is a Friday; 5 + 5 week days before it is Friday 2024-05-24, and 999 before that Monday
    2020-07-27.
    """
    assert (str(DAYS[-1]), str(DAYS[0]), len(DAYS)) == ("2024-05-24", "2020-07-27", 1000)


def test_a_score_is_the_move_from_the_evening_in_units_of_the_volatility_known_on_it() -> None:
    """Returns of +1, -1, +1 ... % have a volatility of 0.01; two of them cancel."""
    returns = np.where(np.arange(1500) % 2, 0.01, -0.01)
    first = scenarios.scores(walk("AAA", returns), DAYS, 2)
    np.testing.assert_allclose(np.abs(first[0]), 1.0, rtol=1e-6)
    np.testing.assert_allclose(first[1], 0.0, atol=1e-9)


def test_scores_know_nothing_after_the_last_session_and_do_not_change_when_it_comes() -> None:
    series = correlated(0.5)[0]
    before, after = (scenarios.scores(each, DAYS, 5) for each in (series.until(len(series) - 40), series))
    known = ~np.isnan(before)
    assert 0 < (~known).sum() < 400
    np.testing.assert_array_equal(before[known], after[known])


def test_every_ticker_has_exactly_the_prices_of_its_own_distribution() -> None:
    odds = np.log(np.array(QUANTILES) / (1 - np.array(QUANTILES)))
    quantiles = 100 * np.exp(0.01 * odds * np.arange(1, 6)[:, None])[None].repeat(2, axis=0)
    drawn = scenarios.draws(quantiles, ranks(correlated(0.9)))
    assert (drawn.shape, drawn.dtype) == ((2, 5, WORLDS), np.float32)
    p = (np.arange(WORLDS) + 0.5) / WORLDS
    # Of step 3: ln(price) is a line in the log odds throughout.
    logistic = 100 * np.exp(0.03 * np.log(p / (1 - p)))
    np.testing.assert_allclose(np.sort(drawn[1, 2]), logistic, rtol=1e-6)


@pytest.mark.parametrize("rho", [-0.8, 0.0, 0.6])
def test_tickers_depend_on_each_other_as_they_did(rho: float) -> None:
    """Spearman's correlation of normal variables is 6 / pi * asin(rho / 2); its error here is 0.03."""
    assert rank_correlation(ranks(correlated(rho))) == pytest.approx(6 / np.pi * np.arcsin(rho / 2), abs=0.08)


def test_an_exchange_with_other_holidays_keeps_the_bond() -> None:
    first, second = correlated(0.8)
    closed = np.arange(len(second)) % 20 != 7
    kept = {
        name: getattr(second, name)[closed] for name in ("sessions", "open", "high", "low", "close", "volume")
    }
    assert rank_correlation(ranks([first, TickerSeries("BBB", **kept)])) > 0.7


def test_places_are_the_same_again_and_other_tickers_do_not_move_them() -> None:
    both = correlated(0.5)
    alone = ranks(both[:1])
    np.testing.assert_array_equal(ranks(both)[0], alone[0])
    np.testing.assert_array_equal(ranks(both), ranks(both))


def test_a_short_history_gets_the_bond_it_showed_and_the_bond_of_the_others() -> None:
    """120 evenings in step with the others say enough for the rest."""
    first, second = correlated(0.9)
    third = walk("CCC", np.diff(np.log(first.close)))
    short = second.since(len(second) - 150)
    places = ranks([short, first, third])
    assert 0.6 < rank_correlation(places) < 0.98
    assert sorted(places[0, 0]) == list(range(WORLDS))


@pytest.mark.parametrize("beside", [1, 2, 5])
def test_a_new_ticker_has_no_bond_with_tickers_that_have_none_with_each_other(beside: int) -> None:
    """Nor where there is one only, which tells nothing of how tickers go together."""
    chance = np.random.default_rng(3).standard_normal((beside + 1, 1500))
    others = [walk(f"OLD{number}", 0.01 * each) for number, each in enumerate(chance[1:])]
    new = walk("NEW", 0.01 * chance[0]).since(1470)
    found = ranks([new, *others])[:, 0]
    assert np.abs(np.corrcoef(found)[0, 1:]).max() < 0.15


@pytest.mark.parametrize("beside", [2, 10])
def test_a_new_ticker_goes_with_the_others_as_they_go_with_each_other(beside: int) -> None:
    """Returns that have half their variance in common: a correlation of 0.5 between any two."""
    chance = np.random.default_rng(4).standard_normal((beside + 1, 1500))
    others = [walk(f"OLD{number}", 0.01 * (chance[0] + each)) for number, each in enumerate(chance[1:])]
    new = walk("NEW", np.zeros(40))
    found = ranks([new.since(19), *others])[:, 0]
    assert np.corrcoef(found)[0, 1:].mean() == pytest.approx(0.5, abs=0.08)


def test_a_new_ticker_takes_no_order_of_time_from_prices_that_never_move() -> None:
    still = [walk("AAA", np.zeros(1500)), walk("BBB", np.zeros(1500))]
    found = ranks([*still, walk("NEW", np.zeros(15)), walk("NEWER", np.zeros(15))])[:, 0]
    assert np.abs(np.corrcoef(found)[2:, :2]).max() < 0.1 and abs(np.corrcoef(found)[2, 3]) < 0.1


def test_a_short_history_beside_none_that_is_trusted_is_on_its_own() -> None:
    first, second = correlated(0.9)
    short = second.since(len(second) - 40)
    places = ranks([short, first], [True, False])
    np.testing.assert_array_equal(places[0], ranks([short])[0])
    assert abs(rank_correlation(places)) < 0.15


def test_a_ticker_in_trouble_changes_nobody_s_places() -> None:
    first, second = correlated(0.9)
    short, wild = (
        second.since(len(second) - 40),
        walk("ZZZ", 0.3 * np.random.default_rng(9).standard_normal(1500)),
    )
    with_it = ranks([short, first, wild], [True, True, False])
    np.testing.assert_array_equal(with_it[:2], ranks([short, first]))


def test_equal_moves_are_ordered_by_chance_and_not_by_time() -> None:
    """Two tickers whose price never moves have nothing to do with each other; nor has a ticker of ten
    sessions a say.
    """
    still = [walk("AAA", np.zeros(1500)), walk("BBB", np.zeros(1500))]
    assert abs(rank_correlation(ranks(still))) < 0.1
    assert np.isnan(scenarios.scores(walk("AAA", np.zeros(9)), DAYS, 5)).all()
