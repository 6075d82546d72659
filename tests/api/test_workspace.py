"""What a notebook reads of last night."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import forecast_lib
from forecast_lib import UsageError, Workspace
from tests.store import nights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two nights; the second settles the first step of the first."""
    where = tmp_path_factory.mktemp("workspace")
    nights.store_and_publish(where, 0)
    frames = nights.night(1) | {"forecast_outcomes": nights.outcomes("run-0", "run-1", 1, 0)}
    nights.store_and_publish(where, 1, frames)
    return Workspace(where)


def test_a_workspace_gives_forecasts_history_prices_and_any_query(workspace: Workspace) -> None:
    assert workspace.forecasts("aaa")["step"].tolist() == [1, 2]
    assert set(workspace.forecasts()["ticker"]) == {"AAA", "BBB"}
    history = workspace.history("AAA")
    assert (len(history), history["actual"].notna().sum()) == (4, 1)
    assert len(workspace.prices("AAA")) == 2
    assert len(workspace.prices("AAA", known_at=str(nights.now(0)))) == 1
    assert len(workspace.prices("AAA", known_at=f"{nights.now(0):%Y-%m-%d}")) == 1  # the whole of that day
    assert workspace.backtests().empty
    assert workspace.sql("SELECT count(*) AS n FROM runs")["n"].tolist() == [2]


def test_forecasts_come_out_in_the_long_layout(workspace: Workspace) -> None:
    long = workspace.long("AAA")
    assert list(long)[:5] == ["unique_id", "ds", "tickercast", "tickercast-lo-50", "tickercast-hi-50"]
    row = workspace.forecasts("AAA").iloc[0]
    assert (long["tickercast-lo-80"][0], long["tickercast-hi-80"][0]) == (row["q10"], row["q90"])
    assert (long["tickercast-lo-95"][0], long["tickercast-hi-99"][0]) == (row["q025"], row["q995"])


def test_what_has_come_true_is_a_long_frame_with_cutoff_and_y(workspace: Workspace) -> None:
    past, settled = workspace.past("AAA"), workspace.history("AAA").dropna(subset=["actual"])
    assert list(past)[:5] == ["unique_id", "ds", "cutoff", "y", "tickercast"]
    assert past["y"].tolist() == settled["actual"].tolist()
    assert past["cutoff"].tolist() == settled["cutoff"].tolist()


def test_prices_come_out_in_the_long_layout_on_the_newest_share_basis(tmp_path: Path) -> None:
    """By hand: a 2:1 split on the second day halves prices before it, and doubles the shares traded."""
    nights.store_and_publish(tmp_path, 0)
    split = {
        "ticker": ["AAA"],
        "session": [nights.stamp(nights.day(1))],
        "kind": ["split"],
        "value": [2.0],
        "source": ["simulated"],
    }
    known = {"known_at": [nights.stamp(nights.day(1))], "run_id": ["run-1"]}
    nights.store_and_publish(
        tmp_path, 1, nights.night(1) | {"corporate_actions": pd.DataFrame({**split, **known})}
    )
    assert Workspace(tmp_path).series("AAA", known_at=str(nights.now(0))).iloc[0, 2:].tolist() == [
        100.0,
        99.0,
        102.0,
        98.0,
        1000.0,
    ]
    series = Workspace(tmp_path).series("AAA")
    assert list(series) == ["unique_id", "ds", "y", "open", "high", "low", "volume"]
    assert series.iloc[0, 2:].tolist() == [50.0, 49.5, 51.0, 49.0, 2000.0]
    assert series.iloc[1, 2:].tolist() == [100.0, 99.0, 102.0, 98.0, 1000.0]


def test_an_instant_that_is_none_is_refused(workspace: Workspace) -> None:
    for said in ("last week", "", "NaT"):
        with pytest.raises(UsageError, match=f"known_at '{said}' is no instant"):
            workspace.prices("AAA", known_at=said)


def test_a_folder_without_a_publication_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing is published in"):
        Workspace(tmp_path)


def test_a_ticker_that_is_no_name_never_reaches_the_sql(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="is not a ticker name"):
        workspace.forecasts("A' OR '1'='1")


def test_the_names_are_listed_and_loaded_only_when_they_are_asked_for() -> None:
    code = "print(sorted({'pandas', 'duckdb', 'numpy'} & set(sys.modules)), dir(forecast_lib))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, forecast_lib; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"[] {sorted(forecast_lib.__all__)}"
    assert all(getattr(forecast_lib, name) is not None for name in forecast_lib.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing': expected one of QUANTILES"):
        forecast_lib.Nothing  # noqa: B018


def test_reading_a_workspace_loads_neither_the_networks_nor_the_nights() -> None:
    code = "import sys; from forecast_lib import Workspace; print({names} & set(sys.modules))"
    code = code.format(names="{'numba', 'scipy', 'pandera', 'keras'}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
