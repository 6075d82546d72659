"""polars in, polars out; Arrow in, Arrow out; what is not installed is named with its extra."""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forecast_lib import (
    BacktestConfig,
    ModelConfig,
    UsageError,
    Workspace,
    backtest_long,
    forecast_long,
    plot_long,
    score_long,
)
from tests.apart import installed_apart
from tests.api.made_up_frames import gaussian, walk

DATES = pl.from_dict(
    {"unique_id": [7] * 400, "ds": walk(1)["ds"].dt.date.tolist(), "y": walk(1)["y"].tolist()}
)
"""Keys as polars people have them: dates without a time, whole numbers as names."""


@pytest.mark.slow
def test_polars_in_polars_out_with_keys_that_can_be_joined() -> None:
    made = forecast_long(DATES, horizon=2, model="naive")
    assert (
        isinstance(made, pl.DataFrame)
        and made.schema["ds"] == pl.Date
        and made.schema["unique_id"] == pl.Int64
    )
    same = forecast_long(walk(1), horizon=2, model="naive")
    assert made["naive-hi-95"].to_list() == same["naive-hi-95"].tolist()
    assert made.join(DATES, on=["unique_id", "ds"], how="left").height == 2


def test_a_backtest_and_its_scores_stay_polars() -> None:
    given = {"beside": ("garch",), "model": ModelConfig(horizon=1), "config": BacktestConfig(test_share=0.1)}
    made, same = (backtest_long(frame, {"own": gaussian(0.01)}, **given) for frame in (DATES, walk(1)))
    assert made.schema["cutoff"] == pl.Date
    assert (
        score_long(made, "garch")["pinball_ratio"].to_list()
        == score_long(same, "garch")["pinball_ratio"].tolist()
    )
    assert_frame_equal(made.drop("unique_id", "ds", "cutoff"), pl.from_dict(same.iloc[:, 3:].to_dict("list")))


def test_a_model_that_learns_is_given_the_kind_of_frame_that_came() -> None:
    class Learns:
        def fit(self, known: pl.DataFrame):
            assert known.schema["ds"] == pl.Date and known["ds"].max() < dt.date(2024, 7, 1)
            return gaussian(0.01)

    backtest_long(
        DATES,
        {"own": Learns()},
        beside=(),
        model=ModelConfig(horizon=1),
        config=BacktestConfig(test_share=0.1),
    )


def test_dates_with_a_time_zone_are_refused_and_not_moved_to_another_day() -> None:
    """A midnight in Tokyo is the afternoon of the day before in UTC."""
    there = DATES.with_columns(pl.col("ds").cast(pl.Datetime("us")).dt.replace_time_zone("Asia/Tokyo"))
    with pytest.raises(
        UsageError, match="ds has the time zone Asia/Tokyo: expected the exchange's own dates"
    ):
        forecast_long(there)


def test_a_lazy_frame_is_refused() -> None:
    with pytest.raises(UsageError, match=r"came polars\.LazyFrame: collect a lazy one first"):
        forecast_long(DATES.lazy())


@pytest.mark.parametrize(
    ("package", "kind"), [("polars", "polars"), ("pyarrow", "polars"), ("pyarrow", "arrow")]
)
def test_what_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, kind: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as Python marks a module that must not be imported
    with pytest.raises(
        UsageError, match=rf"{package} is not installed: pip install 'tickercast\[{kind}\]' brings it"
    ):
        Workspace(tmp_path, frames=kind)


def test_without_matplotlib_a_plot_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        UsageError, match=r"matplotlib is not installed: pip install 'tickercast\[plot\]' brings it"
    ):
        plot_long(walk(1), forecast_long(walk(1), model="naive"))


def test_a_kind_of_frame_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="frames 'spark' is not known: expected one of pandas, polars, arrow"
    ):
        Workspace(tmp_path, frames="spark")


WITH_ARROW = """
import sys
from pathlib import Path
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from forecast_lib import UsageError, Workspace, forecast_long
from tests.api.made_up_frames import walk
from tests.store import nights

where = Path(sys.argv[1])
nights.store_and_publish(where, 0)
assert pd.Series(["text"]).dtype.storage == "pyarrow"  # what else changes when it is installed
for kind, frame_of in (("polars", pl.DataFrame), ("arrow", pa.Table)):
    read = Workspace(where, frames=kind)
    answer = read.sql("SELECT ticker, point, target_session FROM latest_forecasts ORDER BY ALL")
    assert isinstance(answer, frame_of) and list(answer["ticker"].to_numpy()) == ["AAA", "AAA", "BBB", "BBB"]
    assert isinstance(read.long("AAA"), frame_of)
    expected = Workspace(where).long("AAA")["tickercast-lo-80"].tolist()
    assert list(read.long("AAA")["tickercast-lo-80"].to_numpy()) == expected
    for sql in ("SELECT nothing FROM runs", "SELECT CAST(ticker AS INT) FROM forecasts", "DROP TABLE runs"):
        with pytest.raises(UsageError) as one:
            Workspace(where).sql(sql)
        with pytest.raises(UsageError) as other:
            read.sql(sql)
        assert str(one.value) == str(other.value)
frame = walk(1)
days = frame["ds"].dt.date.tolist()
table = pa.table({"unique_id": frame["unique_id"].tolist(), "ds": days, "y": frame["y"].to_numpy()})
there = table.set_column(1, "ds", pa.array(frame["ds"].dt.tz_localize("Asia/Tokyo")))
with pytest.raises(UsageError, match="ds has the time zone Asia/Tokyo"):
    forecast_long(there, model="naive")
made, same = forecast_long(table, model="naive"), forecast_long(frame, model="naive")
assert isinstance(made, pa.Table) and made.schema.field("ds").type == pa.date32()
assert made["naive-lo-80"].to_pylist() == same["naive-lo-80"].tolist()
"""


@pytest.mark.slow
@pytest.mark.slow
def test_a_workspace_reads_as_polars_and_arrow_and_arrow_comes_out_where_it_went_in(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """In a folder of its own, kept from run to run: with pyarrow pandas keeps texts otherwise."""
    folder = installed_apart(request, "pyarrow")
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
    ran = subprocess.run(
        [sys.executable, "-c", WITH_ARROW, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


WITHOUT_EXTRAS = """
import sys
sys.modules.update(dict.fromkeys(["polars", "pyarrow", "matplotlib", "utilsforecast"]))
from forecast_lib import ModelConfig, backtest_long, forecast_long, score_long
from tests.api.made_up_frames import walk
print(len(forecast_long(walk(1), model="naive")))
past = backtest_long(walk(1), beside=("naive",), model=ModelConfig(horizon=1))
print(score_long(past, "naive")["n"].tolist())
"""


@pytest.mark.slow
def test_pandas_needs_no_extra() -> None:
    """With what `make run` installs: nothing else can be imported."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["5", "[80]"], "")
