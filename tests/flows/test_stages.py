"""Stages of a run: begun at once, and what a shard became is held for as long as it is needed, no longer."""

import datetime as dt
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from flows.running.stages import SideBySide
from forecast_lib.config import RunConfig
from forecast_lib.domain import AsOf, RunId, Ticker
from forecast_lib.errors import TickercastError

NOW = dt.datetime(2024, 6, 28, 22, tzinfo=dt.UTC)


class Large:
    """Something that should not pile up."""


def work(shard: tuple[int, ...]) -> list[Any]:
    if 3 in shard:
        raise TickercastError("the third is bad")
    return [Large() for _ in shard]


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return RunConfig(RunId("run"), tmp_path, (Ticker("A"),), AsOf(NOW.date(), NOW, NOW))


def test_of_each_shard_only_what_is_kept_is_held(config: RunConfig) -> None:
    told: list[weakref.ref[Large]] = []
    held: list[int] = []

    def keep(place: int, made: list[Any]) -> list[Any]:
        held.append(sum(each() is not None for each in told))
        told.append(weakref.ref(made[0]))
        return [place]

    shards = [(0,)] * 6
    with SideBySide(config) as stages:
        assert stages.begin("models", work, shards, [""] * 6)(keep) == list(range(6))
    assert max(held) <= 1  # the one before, in the hands of who asked for the next


def test_a_shard_that_fails_ends_the_stage_once_the_others_are_told(config: RunConfig) -> None:
    told: list[int] = []

    def keep(place: int, made: list[Any]) -> list[Any]:
        told.append(place)
        return made

    with SideBySide(config) as stages, pytest.raises(TickercastError, match="the third is bad"):
        stages.begin("models", work, [(1,), (2,), (3,), (4,)], ["1", "2", "3", "4"])(keep)
    assert sorted(told) == [0, 1, 3]


def test_what_is_begun_is_worked_on_before_its_end_is_waited_for(config: RunConfig) -> None:
    first, second = threading.Event(), threading.Event()
    with SideBySide(config) as stages:
        ended = stages.begin("pool", lambda shard: [first.set() or place for place in shard], [(1,)], ["1"])
        also = stages.begin("models", lambda shard: [second.set() or place for place in shard], [(2,)], ["2"])
        assert first.wait(60) and second.wait(60)
        assert stages.seconds == {}  # no stage is shown yet
        assert also() == [2] and ended() == [1]
        assert stages.begin("backtest", work, [], [])() == []
    assert list(stages.seconds) == ["models", "pool"]
