"""A long frame forecast by baselines, and by networks that are trained on it as a night trains its own."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib import ModelConfig, Networks, TrainConfig, UsageError, Workspace, forecast_long, train_long
from forecast_lib.errors import ModelDamaged
from forecast_lib.models.bundle import sha256
from tests import made_up
from tests.api import evenings
from tests.api.made_up_frames import walk


@pytest.fixture(scope="module")
def networks() -> Networks:
    return train_long(pd.concat([walk(1), walk(2)]), model=made_up.MODEL, training=made_up.TRAIN)


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


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [
        # On Saturdays and Sundays too.
        (pd.date_range("2023-01-01", periods=400), ["2024-02-05", "2024-02-06", "2024-02-07"]),
        # On holidays too.
        (pd.bdate_range("2023-01-02", "2024-07-03"), ["2024-07-04", "2024-07-05", "2024-07-08"]),
        # New York's own sessions, which leave out the 4 July: exchange_calendars has them.
        (evenings.NEW_YORK.sessions("2022-01-03", "2024-07-03"), ["2024-07-05", "2024-07-08", "2024-07-09"]),
    ],
)
def test_the_days_to_come_go_on_as_the_past_did(sessions: pd.DatetimeIndex, expected: list[str]) -> None:
    frame = walk(1, len(sessions)).assign(ds=sessions)
    assert forecast_long(frame, horizon=3, model="naive")["ds"].astype(str).tolist() == expected


def test_networks_forecast_each_series_and_say_of_what_they_learned(networks: Networks) -> None:
    made = networks.forecast(pd.concat([walk(1), walk(2)]))
    assert list(made)[:4] == ["unique_id", "ds", "tickercast", "tickercast-lo-50"]
    assert len(made) == 2 * made_up.MODEL.horizon
    assert (made["tickercast-lo-95"] < made["tickercast"]).all() and (
        made["tickercast"] < made["tickercast-hi-95"]
    ).all()
    assert repr(networks) == "<Networks: lstm, 2 steps ahead, 2 series>"


def test_networks_go_on_with_newer_rows_and_with_series_that_they_do_not_know(networks: Networks) -> None:
    # The first 400 rows are those that were learned from.
    made = networks.forecast(pd.concat([walk(1, 420), walk(3, 30)]))
    assert made.groupby("unique_id")["ds"].min().astype(str).to_dict() == {
        "S1": "2024-08-12",
        "S3": "2023-02-13",
    }


def test_networks_that_were_saved_forecast_the_same_bit_for_bit(
    networks: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    networks.save("~/kept")
    files = {path.suffix for path in (tmp_path / "kept").iterdir()}
    again = Networks.load("~/kept")
    frame = pd.concat([walk(1, 420), walk(2), walk(3, 30)])
    pd.testing.assert_frame_equal(again.forecast(frame), networks.forecast(frame), rtol=0, atol=0)
    assert (repr(again), files) == (repr(networks), {".npz", ".json"})
    assert (again.model, again.training, dict(again.problems)) == (
        networks.model,
        networks.training,
        networks.problems,
    )


def test_weights_that_series_share_are_kept_once(networks: Networks, tmp_path: Path) -> None:
    """Both series keep to the pool; what is their own is a fraction of it."""
    shared = dataclasses.replace(
        networks,
        bundles={
            name: dataclasses.replace(each, members=networks.pool.members, pool_sha256=sha256(networks.pool))
            for name, each in networks.bundles.items()
        },
    )
    shared.save(tmp_path)
    pooled, *own = sorted((path.stat().st_size for path in tmp_path.glob("*.npz")), reverse=True)
    assert len(own) == 2 and max(own) < pooled
    assert np.array_equal(
        Networks.load(tmp_path).bundles["S1"].members[0]["head/bias"], networks.pool.members[0]["head/bias"]
    )


def test_what_is_no_network_is_refused_by_name(networks: Networks, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no networks in .*: networks.json: No such file"):
        Networks.load(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="networks cannot be written to .*file.*: "):
        networks.save(tmp_path / "file" / "folder")
    networks.save(tmp_path)
    index = (tmp_path / "networks.json").read_text()
    for spoiled, said in (
        (index[:-9], "is not understood: .*; train the networks again"),
        (index.replace('"format": 1', '"format": 2'), "is not understood: format 2, expected 1"),
        (index.replace('"lstm"', '"perceptron"'), "model 'perceptron' is not known: expected one of"),
    ):
        (tmp_path / "networks.json").write_text(spoiled)
        with pytest.raises(UsageError, match=said):
            Networks.load(tmp_path)
    (tmp_path / "networks.json").write_text(index)
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelDamaged, match="is damaged"):
        Networks.load(tmp_path)


def test_what_a_network_says_at_the_end_does_not_hang_on_the_series_beside_it(networks: Networks) -> None:
    alone, beside = (networks.forecast(frame) for frame in (walk(1), pd.concat([walk(1), walk(2, 30)])))
    pd.testing.assert_frame_equal(beside[beside["unique_id"] == "S1"], alone)


def test_a_series_that_is_too_short_to_learn_from_is_answered_for_by_baselines() -> None:
    frame = pd.concat([walk(1), walk(2, 60)])
    networks = train_long(frame, model=made_up.MODEL, training=made_up.TRAIN)
    assert (set(networks.bundles), set(networks.problems)) == ({"S1"}, {"S2"})
    assert "60 sessions of history" in networks.problems["S2"]
    assert set(networks.forecast(frame)["unique_id"]) == {"S1", "S2"}


def test_a_frame_that_nothing_can_be_learned_from_is_refused() -> None:
    with pytest.raises(
        UsageError, match="no series can be learned from: S1: 60 sessions of history, .* asks the baselines"
    ):
        train_long(walk(1, 60))


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (walk(1).rename(columns={"y": "close"}), "the frame has no column y: expected unique_id, ds, y"),
        (walk(1).head(0), "the frame has no rows"),
        (walk(1).head(9), "unique_id 'S1' has 9 rows: expected 10 or more"),
        (
            pd.concat([walk(1), walk(1).tail(1)]),
            "unique_id 'S1' of the frame: sessions must be strictly ascending",
        ),
        (walk(1).assign(y=0.0), "unique_id 'S1' of the frame: every close must be positive"),
        (walk(1).assign(y="dear"), "unique_id 'S1' of the frame: could not convert string to float: 'dear'"),
        (walk(1).assign(ds=np.arange(400)), r"ds holds numbers \(0\): expected dates"),
        (
            walk(1).assign(ds=walk(1)["ds"].dt.tz_localize("America/New_York")),
            "ds has the time zone America/New_York",
        ),
        (
            walk(1).assign(ds=walk(1)["ds"].dt.strftime("%Y-%m-%dT00:00:00+09:00")),
            r"ds has the time zone UTC\+09:00: expected the exchange's own dates",
        ),
        (walk(1).assign(ds="yesterday"), "ds cannot be read as dates"),
        (walk(1).assign(ds=walk(1)["ds"].where(walk(1).index != 5)), "1 of 400 rows have no ds"),
        (pd.concat([walk(1), walk(2).assign(unique_id=None)]), "400 of 800 rows have no unique_id"),
        (pd.concat([walk(1), walk(1)["y"]], axis=1), "'y' 2 times: expected each column once"),
        ([1, 2], "expected a frame of pandas, polars or Arrow, came builtins.list"),
    ],
)
def test_a_wrong_frame_is_refused_by_name(frame: pd.DataFrame, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        forecast_long(frame)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_volume_that_is_missing_is_not_known_however_it_is_written(missing: object) -> None:
    volume = np.full(400, 5.0)
    volume[0] = np.nan
    given = walk(1).assign(volume=pd.Series([missing, *[5] * 399], dtype=object))
    made, same = (forecast_long(frame, model="har") for frame in (given, walk(1).assign(volume=volume)))
    pd.testing.assert_frame_equal(made, same)


def test_a_model_that_is_not_known_is_refused() -> None:
    with pytest.raises(
        UsageError, match="model 'prophet' is not known here: expected one of combined, naive"
    ):
        forecast_long(walk(1), model="prophet")


@pytest.mark.slow
def test_a_notebook_gets_what_the_night_published(tmp_path: Path) -> None:
    """On the prices that the night stored; of five tickers, so that they have a volatility in common too."""
    evenings.make(tmp_path, 1, tickers=5)
    published = Workspace(tmp_path)
    network, training = ModelConfig(**evenings.NETWORK), TrainConfig(**evenings.TRAINING)
    prices = published.series()
    made = train_long(prices, model=network, training=training).forecast(prices)
    pd.testing.assert_frame_equal(made, published.long(), check_dtype=False, rtol=1e-12)
