"""Ours are evaluated by utilsforecast and theirs by us, and both say the same."""

import numpy as np
import pandas as pd
import pytest
from utilsforecast.data import generate_series
from utilsforecast.evaluation import evaluate
from utilsforecast.losses import coverage, mae, mqloss, rmse, scaled_crps

from forecast_lib import BacktestConfig, ModelConfig, UsageError, backtest_long, forecast_long, score_long
from forecast_lib.api.frames import pandas_of
from tests.api.made_up_frames import gaussian, walk

BOTH = pd.concat([walk(1), walk(2)])
LEVELS = [50, 80, 90, 95]


@pytest.fixture(scope="module")
def made() -> pd.DataFrame:
    """A backtest of one day ahead."""
    own = {"right": gaussian(0.01), "wild": gaussian(0.03)}
    return backtest_long(
        BOTH, own, beside=("garch",), model=ModelConfig(horizon=1), config=BacktestConfig(test_share=0.2)
    )


def test_utilsforecast_evaluates_what_we_forecast() -> None:
    """A forecast joined with what came, as it is; by hand: the price stays."""
    forecasts = forecast_long(BOTH.groupby("unique_id").head(395), horizon=5, model="naive")
    table = evaluate(forecasts.merge(BOTH), metrics=[mae, coverage], level=[80, 95])
    assert set(table["metric"]) == {"mae", "coverage_level80", "coverage_level95"}
    closes = walk(1)["y"].to_numpy()
    found = table[(table["unique_id"] == "S1") & (table["metric"] == "mae")]["naive"].item()
    assert found == pytest.approx(np.abs(closes[395:] - closes[394]).mean())


@pytest.mark.parametrize("engine", ["pandas", "polars"])
def test_series_made_by_utilsforecast_go_in_as_they_are(engine: str) -> None:
    """Their names are categories. It evaluates what comes out, too."""
    frame = generate_series(2, freq="D", min_length=60, max_length=90, engine=engine)
    frame = frame.assign(y=frame["y"] + 1) if engine == "pandas" else frame.with_columns(frame["y"] + 1)
    past = backtest_long(
        frame, beside=("har",), model=ModelConfig(horizon=2), config=BacktestConfig(test_share=0.2)
    )
    assert isinstance(past, type(frame))
    held, counted = score_long(past, "har"), pandas_of(past).groupby("unique_id")["y"].size()
    theirs = pandas_of(
        evaluate(
            past.drop(["cutoff"], axis=1) if engine == "pandas" else past.drop("cutoff"),
            [coverage],
            level=[80],
        )
    )
    share = (
        theirs.set_index("unique_id")["har"] * counted
    ).sum() / counted.sum()  # of all outcomes, as they count each series by itself
    assert np.average(held["cov80"], weights=held["n"]) == pytest.approx(share)


def test_both_sides_count_the_same_in_our_backtests(made: pd.DataFrame) -> None:
    ours = score_long(made, "garch").set_index("model")
    made = made.drop(columns="cutoff")  # else they average each cutoff by itself
    errors = (
        evaluate(made, metrics=[rmse], models=["right", "garch"])
        .groupby("unique_id")[["right", "garch"]]
        .mean()
    )
    assert ours["rmse_ratio"]["right"] == pytest.approx(
        np.exp(np.log(errors["right"] / errors["garch"]).mean())
    )
    held = evaluate(made, metrics=[coverage], models=["right"], level=[80])["right"].mean()
    assert ours["cov80"]["right"] == pytest.approx(held)
    # Their mean over the quantiles of a list, ours over the bounds of the same levels.
    quantiles = np.array(sorted(0.5 + side * level / 200 for level in LEVELS for side in (-1, 1)))
    names = {
        m: [f"{m}-{'lo' if q < 0.5 else 'hi'}-{round(abs(q - 0.5) * 200)}" for q in quantiles]
        for m in ("right", "garch")
    }
    losses = mqloss(made, models=names, quantiles=quantiles).set_index("unique_id")
    assert ours["pinball_ratio"]["right"] == pytest.approx(
        np.exp(np.log(losses["right"] / losses["garch"]).mean())
    )
    crps = scaled_crps(made, models=names, quantiles=quantiles)
    assert (crps["right"] / crps["garch"]).mean() == pytest.approx(ours["pinball_ratio"]["right"], rel=0.01)


def test_we_evaluate_what_theirs_forecast() -> None:
    """As `cross_validation` of their libraries makes it, one model without bounds; the figures by hand."""
    theirs = pd.DataFrame(
        {
            "unique_id": ["A", "A", "B", "B"],
            "ds": pd.to_datetime(["2024-01-02", "2024-01-03"] * 2),
            "cutoff": pd.to_datetime(["2024-01-01", "2024-01-02"] * 2),
            "y": [10.0, 20.0, 1.0, 1.0],
            "AutoARIMA": [12.0, 18.0, 1.1, 0.9],
            "AutoARIMA-lo-80": [9.0, 9.0, 0.8, 0.8],
            "AutoARIMA-hi-80": [11.0, 11.0, 1.2, 1.2],
            "Theta": [11.0, 19.0, 1.4, 0.6],
        }
    )
    table = score_long(theirs, "AutoARIMA").set_index("model")
    # Theta's errors are 1 and 1 where AutoARIMA's are 2 and 2, and four times as large for B: sqrt(1/2 * 4).
    assert table["rmse_ratio"]["Theta"] == pytest.approx(2**0.5)
    assert (table["n"]["Theta"], table["cov80"]["AutoARIMA"]) == (4, 0.75)
    assert np.isnan(table["pinball_ratio"]["Theta"]) and np.isnan(table["cov95"]["AutoARIMA"])


def test_rows_without_bounds_count_for_nobody(made: pd.DataFrame) -> None:
    """As where a network had too little history at first."""
    late = made.assign(
        **{
            name: made[name].where(made["ds"] >= made["ds"].median())
            for name in made
            if name.startswith("right")
        }
    )
    table = score_long(late, "garch").set_index("model")
    assert table["n"].to_dict() == {"right": 80, "wild": 160, "garch": 160}
    half = score_long(made[made["ds"] >= made["ds"].median()], "garch").set_index("model")
    assert table["pinball_ratio"]["right"] == half["pinball_ratio"]["right"]
    assert table["cov80"]["right"] == half["cov80"]["right"]


def test_steps_are_told_apart_by_their_cutoff(made: pd.DataFrame) -> None:
    two = backtest_long(
        walk(1),
        beside=("garch", "naive"),
        model=ModelConfig(horizon=2),
        config=BacktestConfig(test_share=0.2),
    )
    table = score_long(two, "garch", models=["naive"], coverage=[90])
    assert table[["model", "step", "n"]].to_numpy().tolist() == [["naive", 1, 80], ["naive", 2, 79]]
    assert list(table)[-1] == "cov90"
    assert set(score_long(made.drop(columns="cutoff"), "garch")["step"]) == {1}
    # A first day that has no price: the second is still the second.
    first = two.groupby("cutoff")["ds"].transform("min") == two["ds"]
    gone = score_long(two.assign(y=two["y"].where(~first)), "garch", models=["naive"], coverage=[90])
    pd.testing.assert_frame_equal(gone, table[table["step"] == 2].reset_index(drop=True))


@pytest.mark.parametrize(
    ("frame", "against", "said"),
    [
        (walk(1), "garch", "the frame has no model 'garch': it has none"),
        (walk(1).assign(garch=1.0), "theta", "the frame has no model 'theta': it has garch"),
        (
            walk(1).assign(garch=1.0, sector="shipping"),
            "garch",
            "column sector holds no numbers: name the models",
        ),
        (
            walk(1).assign(garch=1.0, cutoff=walk(1)["ds"].where(walk(1).index > 3)),
            "garch",
            "4 of 400 rows have no cutoff",
        ),
        (walk(1).assign(y=np.nan, garch=1.0), "garch", "no row has an outcome y"),
        (walk(1).drop(columns="y"), "garch", "the frame has no column y: expected unique_id, ds, y, came"),
    ],
)
def test_a_frame_without_outcomes_or_models_is_refused(frame: pd.DataFrame, against: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        score_long(frame, against)
