"""A model of one's own beside ours over the same cutoffs: nobody sees beyond them."""

import numpy as np
import pandas as pd
import pytest

from forecast_lib import QUANTILES, BacktestConfig, ModelConfig, UsageError, backtest_long, score_long
from forecast_lib.jobs.evaluate.backtests import backtest_pool
from forecast_lib.windows.series import Array, TickerSeries
from tests import made_up
from tests.api.made_up_frames import gaussian, walk

ONE_DAY = ModelConfig(horizon=1)
BOTH = pd.concat([walk(1), walk(2)])


def test_a_model_of_one_s_own_is_ranked_among_ours() -> None:
    """The market is a Gaussian walk of 1 %: who knows that is as good as GARCH, who does not is worst."""
    own = {"right": gaussian(0.01), "wild": gaussian(0.03)}
    made = backtest_long(
        BOTH,
        own,
        beside=("garch", "naive"),
        model=ModelConfig(horizon=2),
        config=BacktestConfig(test_share=0.4),
    )
    table = score_long(made, "garch")
    first = table[table["step"] == 1].set_index("model")
    assert first.index[-1] == "wild" and first["pinball_ratio"].is_monotonic_increasing
    assert first["pinball_ratio"]["garch"] == 1.0
    assert (
        first["pinball_ratio"]["right"] == pytest.approx(1.0, abs=0.03)
        and first["pinball_ratio"]["wild"] > 1.3
    )
    assert first["pvalue"]["wild"] < 0.001 < first["pvalue"]["right"]
    assert set(first["n"]) == {2 * 160}  # two fifths of 400 rows, twice
    assert first["cov80"]["right"] == pytest.approx(0.8, abs=0.08)


def test_a_backtest_is_a_long_frame_of_cutoffs_and_what_came() -> None:
    made = backtest_long(BOTH, {"own": gaussian(0.01)}, beside=("naive",), model=ONE_DAY)
    assert list(made)[:6] == ["unique_id", "ds", "cutoff", "y", "own", "own-lo-50"]
    closes = walk(1).set_index("ds")["y"]
    own = made[made["unique_id"] == "S1"]
    assert own["ds"].tolist() == list(closes.index[-80:]) and own["cutoff"].tolist() == list(
        closes.index[-81:-1]
    )
    assert own["y"].tolist() == closes.tolist()[-80:]
    assert own["naive"].tolist() == closes.tolist()[-81:-1]  # the price stays


def test_a_model_of_one_s_own_never_sees_beyond_its_cutoff() -> None:
    seen = []

    def model(series: TickerSeries, horizon: int) -> Array:
        seen.append(
            (len(series), {len(getattr(series, name)) for name in ("open", "high", "low", "close", "volume")})
        )
        assert series.close.base is None and series.inputs is None and series.shape is None
        series.close[:-1] = 1.0  # its own copy: the next cutoff knows nothing of it
        return gaussian(0.01)(series, horizon)

    made = backtest_long(walk(1), {"own": model}, beside=(), config=BacktestConfig(test_share=0.05))
    assert seen == [(count, {count}) for count in range(380, 400)]  # 400 rows, the last one has no outcome
    assert made["y"].min() > 1.0


class Learns:
    """Learns the volatility once a fold; keeps what it was given."""

    def __init__(self) -> None:
        self.known: list[pd.DataFrame] = []

    def fit(self, known: pd.DataFrame):
        self.known.append(known)
        return gaussian(float(np.log(known["y"]).groupby(known["unique_id"]).diff().std()))


def test_a_model_that_learns_gets_what_was_known_at_the_first_cutoff_of_each_fold() -> None:
    """The second series ends earlier: what is known of both ends on the earlier of their first cutoffs."""
    earlier = walk(2).assign(ds=pd.bdate_range("2022-12-26", periods=400))
    learner = Learns()
    backtest_long(
        pd.concat([walk(1), earlier]),
        {"own": learner},
        beside=(),
        model=ONE_DAY,
        config=BacktestConfig(test_share=0.1, folds=2),
    )
    first_cutoffs = [earlier["ds"].iloc[at] for at in (359, 379)]
    assert [known["ds"].max() for known in learner.known] == first_cutoffs
    assert [known.groupby("unique_id").size().to_dict() for known in learner.known] == [
        {"S1": 355, "S2": 360},
        {"S1": 375, "S2": 380},
    ]
    assert list(learner.known[0]) == ["unique_id", "ds", "y", "open", "high", "low", "volume"]


def test_our_networks_stand_beside_it_as_a_backtest_of_the_nights_has_them() -> None:
    series = [made_up.noisy(320, seed, f"T{seed}") for seed in (1, 2)]
    frame = pd.concat(
        [
            pd.DataFrame(
                {
                    "unique_id": each.ticker,
                    "ds": each.sessions,
                    "y": each.close,
                    **{name: getattr(each, name) for name in ("open", "high", "low", "volume")},
                }
            )
            for each in series
        ]
    )
    config = BacktestConfig(test_share=0.1)
    ours = ("tickercast", "lstm", "garch")
    made = backtest_long(frame, beside=ours, model=made_up.MODEL, training=made_up.TRAIN, config=config)
    nights = backtest_pool(series, (made_up.MODEL,), made_up.TRAIN, config, seed=0, baselines=("garch",))
    rows = pd.concat([each.forecasts for each in nights]).sort_values(["ticker", "cutoff", "step"])
    for name, column in (("tickercast", "combined"), ("lstm", "lstm"), ("garch", "garch")):
        expected = rows[rows["model"] == column]
        np.testing.assert_array_equal(made[f"{name}-lo-80"], expected["q10"], err_msg=name)
        np.testing.assert_array_equal(made[name], expected["point"], err_msg=name)


def test_a_later_price_changes_no_earlier_forecast() -> None:
    """The last ten closes are others: what was forecast before them stays to the last bit."""
    other = walk(1).assign(y=lambda rows: rows["y"].where(rows.index < 390, rows["y"] * 3))
    given = {
        "beside": ("tickercast", "har"),
        "model": made_up.MODEL,
        "training": made_up.TRAIN,
        "config": BacktestConfig(test_share=0.1),
    }
    made, changed = (backtest_long(frame, {"own": gaussian(0.01)}, **given) for frame in (walk(1), other))
    before = made["ds"] < walk(1)["ds"].iloc[390]
    # By hand: targets from row 360 on one day ahead, from 361 on two days ahead.
    assert before.sum() == 30 + 29
    pd.testing.assert_frame_equal(made[before], changed[before])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"own": {"own": lambda series, horizon: np.ones(2)}},
            r"model 'own' answered an array of shape \(2,\) for S1: expected \(1, 13\)",
        ),
        (
            {"own": {"own": lambda series, horizon: np.ones((1, 13))[:, ::-1] * QUANTILES[::-1]}},
            "ascending along the quantiles",
        ),
        ({"own": {"garch": gaussian(0.01)}}, "model 'garch' is one of ours: give yours another name"),
        ({"own": {"own": 3}}, "model 'own' is no function"),
        ({}, "there is nothing to test"),
        (
            {"beside": ("prophet",)},
            "model 'prophet' is not known here: expected one of tickercast, stacked, naive",
        ),
        (
            {"beside": ("naive",), "config": BacktestConfig(arms=("none",))},
            "arms none are for tickercast backtest",
        ),
        (
            {"beside": ("naive",), "config": BacktestConfig(folds=400)},
            "S1: 400 sessions give 80 test cutoffs; 400 folds need more; give",
        ),
        (
            {"frame": walk(1, 150), "beside": ("tickercast",)},
            "no network could be trained: .*history.*; leave tickercast out of beside",
        ),
    ],
)
def test_what_cannot_be_tested_is_refused_by_name(given: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        backtest_long(
            **{"frame": walk(1), "model": ONE_DAY, "beside": (), "config": BacktestConfig(test_share=0.2)}
            | given
        )
