"""What models said of the past is not asked again, and is never taken for anything else."""

import dataclasses

import numpy as np
import pytest

from forecast_lib.config import ModelConfig
from forecast_lib.jobs.forecast.remembered import recalled, remember
from forecast_lib.jobs.forecast.tickers import Question, forecast_shard
from forecast_lib.models.along import Remembered, said_along
from forecast_lib.models.training import network_of
from forecast_lib.windows.features import WARM_UP, session_features
from tests import made_up
from tests.models.keras_side import lively

BUNDLE = dataclasses.replace(made_up.bundle(), members=(lively(made_up.bundle().network),))
LOOKBACK = BUNDLE.network.lookback
FIRST = WARM_UP + LOOKBACK - 1


LONGER = made_up.noisy(300 + LOOKBACK)
SERIES = LONGER.until(300)


def said(series, remembered=None, bundle=BUNDLE, since=FIRST, until=None):
    cutoffs = np.arange(since, until or len(series))
    made = said_along(bundle, session_features(series).values, cutoffs, first=FIRST, remembered=remembered)
    return np.stack([made.location, made.scale, made.df])


def kept(folder, model="m1"):
    """What a night leaves."""
    remembered = Remembered(model)
    said(SERIES, remembered)
    remember(folder, "ACME", remembered)
    return remembered


@pytest.mark.parametrize("sessions", [300, 299, 300 - LOOKBACK, FIRST + 3])
def test_what_is_remembered_is_what_would_be_said_to_the_bit(tmp_path, sessions):
    """Nights after a first one that knew less: one more session, a few chunks more, and nearly everything."""
    earlier = Remembered("m1")
    said(SERIES.until(sessions), earlier)
    remember(tmp_path, "ACME", earlier)
    assert np.array_equal(said(SERIES, recalled(tmp_path, "ACME", "m1")), said(SERIES))


def test_whole_chunks_are_not_asked_again(tmp_path):
    kept(tmp_path)
    remembered = recalled(tmp_path, "ACME", "m1")
    changed = {name: part + 1.0 for name, part in remembered.before.items()}
    differs = (said(SERIES, dataclasses.replace(remembered, before=changed)) != said(SERIES)).all(axis=(0, 2))
    whole = (len(SERIES) - FIRST - LOOKBACK + 1) // LOOKBACK * LOOKBACK
    assert whole > 200
    assert differs.tolist() == [True] * whole + [False] * (len(differs) - whole)


def test_what_is_asked_of_a_chunk_that_is_not_whole_ends_with_the_last_session(tmp_path):
    """It is said again the next night, with one session more."""
    kept(tmp_path)
    for until in range(len(SERIES) - LOOKBACK, len(SERIES)):
        made = said(SERIES, recalled(tmp_path, "ACME", "m1"), until=until)
        assert np.array_equal(made, said(SERIES, until=until))


def test_another_model_and_other_prices_are_asked(tmp_path):
    asked = kept(tmp_path).asked
    other = dataclasses.replace(
        BUNDLE, members=({**BUNDLE.members[0], "head/bias": BUNDLE.members[0]["head/bias"] + 1},)
    )
    of_another = recalled(tmp_path, "ACME", "m2")
    assert np.array_equal(said(SERIES, of_another, bundle=other), said(SERIES, bundle=other))
    assert of_another.before.keys() == asked.keys() and not of_another.asked.keys() & asked.keys()
    close = SERIES.close.copy()
    close[200] *= 1.001
    revised = dataclasses.replace(SERIES, close=close)
    assert np.array_equal(said(revised, recalled(tmp_path, "ACME", "m1")), said(revised))


@pytest.mark.parametrize("variant", ["gru", "bidirectional", "attention"])
def test_of_networks_whose_last_bits_depend_on_what_else_is_asked_nothing_is_remembered(variant):
    network = network_of(ModelConfig(variant, lookback=LOOKBACK, units=4))
    bundle = dataclasses.replace(BUNDLE, network=network, horizon=5, members=(lively(network),))
    remembered = Remembered("m1")
    assert np.array_equal(said(SERIES, remembered, bundle), said(SERIES, bundle=bundle))
    assert not remembered.asked


def test_a_file_that_is_not_whole_is_not_used(tmp_path):
    kept(tmp_path)
    path = tmp_path / "ACME"
    content = path.read_bytes()
    assert recalled(tmp_path, "ACME", "m1").before
    for place in (0, 40, 60, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert not recalled(tmp_path, "ACME", "m1").before
        path.write_bytes(content[:place])
        assert not recalled(tmp_path, "ACME", "m1").before
    path.unlink()
    assert not recalled(tmp_path, "ACME", "m1").before


def test_a_night_writes_where_there_is_something_new_and_keeps_no_more_than_it_asked(tmp_path):
    remembered = kept(tmp_path)
    path = tmp_path / "ACME"
    path.touch()
    before = path.stat().st_mtime_ns
    again = recalled(tmp_path, "ACME", "m1")
    said(SERIES, again)
    remember(tmp_path, "ACME", again)
    assert path.stat().st_mtime_ns == before
    later = recalled(tmp_path, "ACME", "m1")
    said(LONGER, later, since=FIRST + LOOKBACK)
    remember(tmp_path, "ACME", later)
    assert recalled(tmp_path, "ACME", "m1").before.keys() == later.asked.keys()
    gone, new = remembered.asked.keys() - later.asked.keys(), later.asked.keys() - remembered.asked.keys()
    assert (len(gone), len(new)) == (1, 1)


def test_a_shard_answers_the_same_with_and_without_what_it_remembers(tmp_path):
    asked = [Question(SERIES, BUNDLE, "m1")]
    plain, first, second, elsewhere = (
        forecast_shard(asked, BUNDLE.horizon, folder)[0]
        for folder in (None, tmp_path, tmp_path, tmp_path / "not there")
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ACME"]
    for each in (first, second, elsewhere):
        assert np.array_equal(each.forecast.forecasts.quantiles, plain.forecast.forecasts.quantiles)
        assert np.array_equal(each.forecast.weights, plain.forecast.weights)
        assert np.array_equal(each.drivers.effects, plain.drivers.effects)
