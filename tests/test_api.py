"""What a notebook does: reads last night, forecasts a frame of its own, and tries a model of its own against
ours.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forecast_lib
from forecast_lib import QUANTILES, Workspace, backtest_long, forecast_long, score_long
from forecast_lib.errors import UsageError
from tests.store import nights


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two nights; the second settles the first step of the first."""
    where = tmp_path_factory.mktemp("workspace")
    nights.store_and_publish(where, 0)
    frames = nights.night(1) | {"forecast_outcomes": nights.outcomes("run-0", "run-1", 1, 0)}
    nights.store_and_publish(where, 1, frames)
    return Workspace(where)


def walk(seed: int, days: int = 400) -> pd.DataFrame:
    """A made-up long frame: one series of closes with a daily volatility of 1 %."""
    returns = np.random.default_rng(seed).normal(0, 0.01, days)
    sessions = pd.bdate_range("2023-01-02", periods=days)
    return pd.DataFrame({"unique_id": f"S{seed}", "ds": sessions, "y": 100 * np.exp(np.cumsum(returns))})


def test_a_workspace_gives_forecasts_history_prices_and_any_query(workspace: Workspace) -> None:
    assert workspace.forecasts("aaa")["step"].tolist() == [1, 2]
    assert set(workspace.forecasts()["ticker"]) == {"AAA", "BBB"}
    history = workspace.history("AAA")
    assert (len(history), history["actual"].notna().sum()) == (4, 1)
    assert len(workspace.prices("AAA")) == 2
    assert len(workspace.prices("AAA", known_at=str(nights.now(0)))) == 1
    assert workspace.backtests().empty
    assert workspace.sql("SELECT count(*) AS n FROM runs")["n"].tolist() == [2]


def test_forecasts_come_out_in_the_long_layout(workspace: Workspace) -> None:
    long = workspace.long("AAA")
    assert list(long)[:5] == ["unique_id", "ds", "tickercast", "tickercast-lo-50", "tickercast-hi-50"]
    row = workspace.forecasts("AAA").iloc[0]
    assert (long["tickercast-lo-80"][0], long["tickercast-hi-80"][0]) == (row["q10"], row["q90"])
    assert (long["tickercast-lo-95"][0], long["tickercast-hi-99"][0]) == (row["q025"], row["q995"])


def test_a_plot_shows_itself_in_a_notebook_and_can_be_saved(workspace: Workspace, tmp_path: Path) -> None:
    plot = workspace.plot("AAA")
    assert (
        "<iframe srcdoc=" in plot._repr_html_() and "<svg" not in plot._repr_html_()
    )  # escaped, so nothing in it can run
    page = plot.save(tmp_path / "aaa.html").read_text()
    assert page.count('class="small"') == 1 and "past p80" in page


def test_a_folder_without_a_publication_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing is published in"):
        Workspace(tmp_path)


def test_a_ticker_that_is_no_name_never_reaches_the_sql(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="is not a ticker name"):
        workspace.forecasts("A' OR '1'='1")


@pytest.mark.parametrize("model", ["combined", "har", "garch", "naive"])
def test_a_frame_is_forecast_for_the_weekdays_that_follow_it(model: str) -> None:
    frame = pd.concat([walk(1), walk(2)])
    made = forecast_long(frame, horizon=3, model=model)
    assert made["unique_id"].tolist() == ["S1"] * 3 + ["S2"] * 3
    assert made["ds"].tolist()[:3] == list(
        pd.bdate_range(frame["ds"].max() + pd.Timedelta(days=1), periods=3)
    )
    close = walk(1)["y"].iloc[-1]
    # By hand: with 1 % a day the 80 % interval of a day is about 2.56 % of the close wide.
    width = (made[f"{model}-hi-80"] - made[f"{model}-lo-80"])[0] / close
    assert 0.015 < width < 0.045
    assert (made[f"{model}-hi-95"] > made[f"{model}-hi-80"]).all()


def test_a_series_that_trades_on_weekends_is_forecast_for_every_day() -> None:
    frame = walk(1).assign(ds=pd.date_range("2023-01-01", periods=400))
    assert forecast_long(frame, horizon=7, model="naive")["ds"].diff().dropna().eq(pd.Timedelta(days=1)).all()


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (walk(1).rename(columns={"y": "close"}), "the frame has no column y: expected unique_id, ds and y"),
        (walk(1).head(10), "unique_id 'S1' has 10 rows: expected 30 or more"),
        (pd.concat([walk(1), walk(1).tail(1)]), "sessions must be strictly ascending"),
        (walk(1).assign(y=0.0), "every close must be positive"),
    ],
)
def test_a_wrong_frame_is_refused_by_name(frame: pd.DataFrame, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        forecast_long(frame)


def test_intervals_of_others_are_scored_like_ours() -> None:
    frame = pd.DataFrame(
        {"unique_id": "A", "y": [10.0, 20.0], "M-lo-80": [9.0, 9.0], "M-hi-80": [11.0, 11.0]}
    )
    (row,) = score_long(frame, "M").itertuples()
    # By hand: widths 2 and 2, one miss of 9 with the penalty 2 / 0.2 = 10: (2 + 2 + 90) / 2, of a mean of 15.
    assert (row.level, row.n, row.held, row.winkler) == (80.0, 2, 0.5, pytest.approx(47 / 15))
    with pytest.raises(UsageError, match="no column N-lo-80"):
        score_long(frame, "N")


def gaussian(scale: float):
    from scipy.stats import norm

    def model(closes: np.ndarray, horizon: int) -> np.ndarray:
        steps = np.sqrt(np.arange(1, horizon + 1))[:, None]
        return closes[-1] * np.exp(scale * steps * norm.ppf(QUANTILES)[None, :])

    return model


def test_a_model_of_one_s_own_is_ranked_among_ours() -> None:
    """The market is a Gaussian walk of 1 %: who knows that is as good as GARCH, who thinks it three times as
    wild is worst.
    """
    frame = pd.concat([walk(1), walk(2)])
    table = backtest_long(
        frame,
        {"right": gaussian(0.01), "wild": gaussian(0.03)},
        horizon=2,
        sessions=150,
        beside=("garch", "naive"),
    )
    first = table[table["step"] == 1]
    ratios = first.set_index("model")["pinball_per_garch"]
    assert first["model"].iloc[-1] == "wild" and list(ratios) == sorted(ratios)
    assert ratios["garch"] == 1.0 and ratios["right"] == pytest.approx(1.0, abs=0.03) and ratios["wild"] > 1.3
    assert set(table["n"]) == {300}
    assert first.set_index("model")["held80"]["right"] == pytest.approx(0.8, abs=0.08)


def test_a_model_of_one_s_own_never_sees_beyond_its_cutoff() -> None:
    seen = []

    def model(closes: np.ndarray, horizon: int) -> np.ndarray:
        seen.append(len(closes))
        return gaussian(0.01)(closes, horizon)

    backtest_long(walk(1), {"own": model}, horizon=5, sessions=20, beside=())
    assert seen == list(range(376, 396))  # 400 rows: the last cutoff is 5 before the end


def test_an_answer_of_another_shape_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"model 'own' answered an array of shape \(2,\) for S1: expected \(1, 13\)"
    ):
        backtest_long(walk(1), {"own": lambda closes, horizon: np.ones(2)})


def test_the_names_are_loaded_only_when_they_are_asked_for() -> None:
    code = (
        "import sys, forecast_lib; print(sorted({'pandas', 'duckdb', 'numpy'} & set(sys.modules)),"
        " dir(forecast_lib))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"[] {sorted(forecast_lib.__all__)}"
    with pytest.raises(AttributeError, match="no attribute 'Nothing': expected one of QUANTILES"):
        forecast_lib.Nothing  # noqa: B018
