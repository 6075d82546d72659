"""The bake-off's fairness and its tables; the trainings themselves are a benchmark, not a test."""

import numpy as np
import pandas as pd
import pytest

from forecast_lib.config import VARIANTS, ModelConfig
from forecast_lib.models.network import Network
from forecast_lib.models.training import network_of
from tests import made_up
from tests.bench.bakeoff import (
    Worked,
    as_wide_as,
    leaderboard,
    naive_losses,
    parameters,
    publish,
    sine_network,
    ticker_model,
    ticker_table,
)

SERIES = [made_up.noisy(600, seed, ticker) for seed, ticker in enumerate(("ACME", "EMCA", "MACE"))]


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_variants_have_as_many_parameters_within_5_percent(variant):
    # By hand: LSTM(50) on one value has 4 * 50 * (1 + 50 + 1) + 51 = 10451; two of 50 on ten features and
    # three outputs 4 * 50 * (10 + 50 + 1) + 4 * 50 * (50 + 50 + 1) + 3 * 51 = 32553
    assert parameters(sine_network(variant)) == pytest.approx(10451, rel=0.05)
    assert parameters(network_of(ticker_model(variant))) == pytest.approx(32553, rel=0.05)


def test_the_default_is_compared_as_it_is():
    assert ticker_model("stacked") == ModelConfig("stacked", horizon=1)


def test_budget_that_no_width_meets_is_refused():
    with pytest.raises(ValueError, match="gru: 89 parameters is the nearest to 101; expected within 5%"):
        as_wide_as(Network("gru", 1, 1, 1, 1, 10), 101)


def worked(variant: str, naive: dict[str, np.ndarray], factor: float) -> Worked:
    """A variant whose every loss is so many times naive's, a little more or less by seed and date."""
    random = np.random.default_rng(len(variant))
    losses = {
        ticker: stays * factor * random.uniform(0.95, 1.05, (2, *stays.shape))
        for ticker, stays in naive.items()
    }
    rows = [
        {"ticker": ticker, "seed": seed, "seconds": 1.0, "forecast_seconds": 0.1}
        for ticker in naive
        for seed in range(2)
    ]
    return Worked(variant, {}, rows, [1.0, 1.0], losses, 100.0)


def test_leaderboard_ranks_and_tests_what_it_was_given(tmp_path):
    naive = naive_losses(SERIES)
    results = [worked("stacked", naive, 1.0), worked("gru", naive, 0.8), worked("lstm", naive, 1.3)]
    details = ticker_table(results, naive)
    table = leaderboard(results, naive, details, SERIES).set_index("variant")
    assert list(table.index) == ["gru", "stacked", "lstm"]
    assert table["pinball_ratio"].tolist() == pytest.approx([0.8, 1.0, 1.3], rel=0.01)
    assert table.loc["gru", ["pinball_better_naive", "pinball_better_stacked", "mcs_tickers"]].tolist() == [
        3,
        3,
        3,
    ]
    assert table.loc["lstm", ["pinball_worse_naive", "pinball_worse_stacked", "mcs_tickers"]].tolist() == [
        3,
        3,
        0,
    ]
    assert (table.loc["gru", "mcs_p_all"], table.loc["lstm", "mcs_p_all"]) == (
        1.0,
        pytest.approx(0.0, abs=0.01),
    )
    publish(tmp_path, {"leaderboard": table.reset_index(), "by-ticker": details}, 60.0)
    assert pd.read_csv(tmp_path / "leaderboard.csv")["variant"].tolist() == ["gru", "stacked", "lstm"]
    assert len(pd.read_csv(tmp_path / "by-ticker.csv")) == 9
    assert "| gru | 1 |" in (tmp_path / "leaderboard.md").read_text()
