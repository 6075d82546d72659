"""What a notebook draws: closes, the bands that had been forecast for them, the fan of what is to come."""

from pathlib import Path

import pandas as pd
import pytest

from forecast_lib import UsageError, Workspace, forecast_long, plot_long
from tests.api.made_up_frames import walk
from tests.store import nights

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def no_window():
    import matplotlib as mpl

    mpl.use("agg")
    yield
    mpl.pyplot.close("all")


def drawn(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_series_and_the_fan_of_its_forecast() -> None:
    frame = pd.concat([walk(1), walk(2)])
    forecasts = forecast_long(frame, horizon=3, model="naive")
    ax = plot_long(frame, forecasts, "S2", sessions=50)
    assert (ax.get_title(loc="left"), drawn(ax)) == (
        "S2",
        ["close", "95 % range", "80 % range", "50 % range", "naive"],
    )
    close, point = ax.lines
    assert close.get_ydata().tolist() == walk(2)["y"].tolist()[-50:]
    assert point.get_xdata().tolist() == [49, 50, 51, 52]  # from the last close on
    widest = ax.collections[0].get_datalim(ax.transData)
    own = forecasts[forecasts["unique_id"] == "S2"]
    assert (widest.y0, widest.y1) == (own["naive-lo-95"].min(), own["naive-hi-95"].max())


def test_forecasts_of_others_need_no_bounds() -> None:
    theirs = forecast_long(walk(1), model="naive")[["unique_id", "ds", "naive"]].rename(
        columns={"naive": "AutoARIMA"}
    )
    assert drawn(plot_long(walk(1), theirs)) == ["close", "AutoARIMA"]


def test_utilsforecast_draws_ours_too() -> None:
    from utilsforecast.plotting import plot_series

    frame = pd.concat([walk(1), walk(2)])
    figure = plot_series(frame, forecast_long(frame, model="naive"), level=[80, 95], max_insample_length=50)
    assert sum(len(axes.collections) for axes in figure.axes) >= 4  # two series, two ranges


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "which unique_id\\? none was named: expected one of S1, S2"),
        ({"unique_id": "S3"}, "which unique_id\\? came 'S3': expected one of S1, S2"),
        ({"unique_id": "S1", "model": "theta"}, "which model\\? came 'theta': expected one of naive"),
    ],
)
def test_what_is_not_clear_is_asked_for(given: dict, said: str) -> None:
    frame = pd.concat([walk(1), walk(2)])
    with pytest.raises(UsageError, match=said):
        plot_long(frame, forecast_long(frame, model="naive"), **given)


def test_a_frame_that_cannot_be_drawn_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="the frame has no column unique_id: expected unique_id, ds, y"):
        plot_long(walk(1).drop(columns="unique_id"), forecast_long(walk(1), model="naive"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two nights. The close that came is 100; of what had been said for it q025 is 96, q975 104."""
    where = tmp_path_factory.mktemp("workspace")
    nights.store_and_publish(where, 0)
    frames = nights.night(1) | {"forecast_outcomes": nights.outcomes("run-0", "run-1", 1, 0)}
    nights.store_and_publish(where, 1, frames)
    return Workspace(where)


def test_a_ticker_s_closes_lie_over_what_had_been_said(workspace: Workspace, tmp_path: Path) -> None:
    ax = workspace.plot("aaa")
    assert drawn(ax) == ["close", "95 % range", "80 % range", "50 % range", "tickercast"]
    before = ax.containers[0].patches[0]
    assert (before.get_x() + before.get_width() / 2, before.get_y(), before.get_height()) == (1.0, 96.0, 8.0)
    ax.figure.savefig(tmp_path / "aaa.png")
    assert (tmp_path / "aaa.png").read_bytes().startswith(b"\x89PNG")


def test_a_close_outside_its_95_percent_range_is_marked(tmp_path: Path) -> None:
    nights.store_and_publish(tmp_path, 0)
    outcome = nights.outcomes("run-0", "run-1", 1, 0).assign(actual=110.0)
    prices = nights.prices(1, ("AAA", "BBB"), close=110.0).assign(
        revision=0, known_at=nights.stamp(nights.day(1)), run_id="run-1"
    )
    nights.store_and_publish(tmp_path, 1, nights.night(1) | {"prices": prices, "forecast_outcomes": outcome})
    ax = Workspace(tmp_path).plot("AAA")
    (missed,) = [line for line in ax.lines if line.get_label() == "came outside 95 %"]
    assert (missed.get_xdata().tolist(), missed.get_ydata().tolist()) == ([1], [110.0])


def test_a_ticker_that_is_not_there_is_named(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="there are no prices of CCC in"):
        workspace.plot("CCC")
