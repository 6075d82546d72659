"""What is sent to whoever trains one of a pool's networks: the histories that it draws, and what it becomes
is the same.
"""

import pickle

import numpy as np

from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.jobs.refresh.pool import pool_members, train_members
from forecast_lib.models import training
from tests import made_up

MODEL = ModelConfig("lstm", units=4, lookback=20, horizon=2)
TRAIN = TrainConfig(members=2, epochs=1, steps_per_epoch=2, validation_sessions=40)


def test_a_member_is_sent_what_it_draws_and_becomes_what_it_is_of_all(monkeypatch):
    monkeypatch.setattr(training, "_POOL_TICKERS", 3)
    many = [made_up.noisy(300, seed, ticker=f"T{seed}") for seed in range(9)]
    members = pool_members(many, MODEL, TRAIN, 1)
    assert [len(each.series) for each in members] == [3, 3]
    assert {one.ticker for one in members[0].series} != {one.ticker for one in members[1].series}
    sent = pickle.loads(pickle.dumps(members))
    for place, fit in enumerate(train_members(sent, MODEL, TRAIN, 1)):
        whole = training.train_member(many, MODEL, TRAIN, seed=1, member=place)
        assert {name: value.tobytes() for name, value in fit.weights.items()} == {
            name: value.tobytes() for name, value in whole.weights.items()
        }


def test_nobody_to_learn_from_needs_no_member():
    assert pool_members([], MODEL, TRAIN, 1) == []


def test_slopes_are_of_the_whole_pool(monkeypatch):
    monkeypatch.setattr(training, "_POOL_TICKERS", 3)
    many = [made_up.noisy(300, seed, ticker=f"T{seed}") for seed in range(9)]
    first, second = pool_members(many, MODEL, TRAIN, 1)
    np.testing.assert_array_equal(first.slopes, training.pool_slopes(many, MODEL, TRAIN, 1, ()))
    assert first.slopes is second.slopes
