"""The bench of faults on made-up prices: what is planted is what it says, and what is counted is what
happened.
"""

import numpy as np
import pandas as pd
import pytest

from forecast_lib.sessions import TickerCalendar
from tests.bench import _plants as plants
from tests.bench import faults
from tests.bench._mutations import MUTATORS, run
from tests.prices.bars import quiet_bars, shock

pytestmark = pytest.mark.slow

FIGURES = [*plants.FIGURES, "volume"]


@pytest.fixture(scope="module")
def prices() -> faults.Prices:
    """Quiet shares with a real shock each, to have shapes of large moves."""
    rows = {}
    sessions = TickerCalendar("XNYS").sessions(pd.Timestamp("2015-01-05"), pd.Timestamp("2019-01-04"))[:700]
    for number, ticker in enumerate(("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")):
        bars = shock(quiet_bars(after=549, seed=number), -0.3, at=600)
        rows[ticker] = pd.DataFrame({"session": sessions, **{name: getattr(bars, name) for name in FIGURES}})
    return faults.Prices(rows, frozenset({"FFF"}))


@pytest.mark.parametrize("kind", plants.PLANTERS)
def test_what_lies_before_the_place_is_untouched_but_for_splits_and_holes(kind, prices):
    part = prices.rows["AAA"].iloc[100:432].reset_index(drop=True)
    shapes = plants.shapes_of(prices.rows, 0.15, "2015-01-01", "2030-01-01")
    assert len(shapes) == 6
    _, rows = plants.PLANTERS[kind](part, plants.BEFORE, np.random.default_rng(1), shapes)
    assert not rows.equals(part)
    early = slice(0, plants.BEFORE - 61)
    before, now = (np.log(each[["open", "high", "low", "close"]].to_numpy()[early]) for each in (part, rows))
    assert np.ptp(now - before) < 1e-9  # the same, or one factor


def test_a_shock_has_the_size_that_was_asked_for(prices):
    part = prices.rows["AAA"].iloc[100:432].reset_index(drop=True)
    shapes = plants.shapes_of(prices.rows, 0.15, "2015-01-01", "2030-01-01")
    rows = plants.shocked(part, plants.BEFORE, -0.7, shapes, np.random.default_rng(0))
    close = rows["close"].to_numpy()
    assert np.log(close[plants.BEFORE] / close[plants.BEFORE - 1]) == pytest.approx(-0.7)
    assert (rows["low"] <= rows[["open", "close"]].min(axis=1) + 1e-9).all()
    assert (rows["high"] >= rows[["open", "close"]].max(axis=1) - 1e-9).all()


def test_a_missing_split_keeps_the_money_that_changed_hands(prices):
    part = prices.rows["AAA"].iloc[100:432].reset_index(drop=True)
    rows = plants.unsplit(part, plants.BEFORE, 4.0, aware=False)
    assert rows["close"].iloc[0] * rows["volume"].iloc[0] == pytest.approx(
        part["close"].iloc[0] * part["volume"].iloc[0], rel=1e-5
    )
    assert rows["close"].iloc[plants.BEFORE] == part["close"].iloc[plants.BEFORE]


def test_missing_splits_are_caught_and_real_shocks_are_not(prices):
    planted = list(
        faults.planted(prices, "2015-01-01", "2030-01-01", {"missing split": 12, "real shock": 12}, 0)
    )
    seen = {later: faults.seen_on(planted, later) for later in (0, 3, 10)}
    splits = [
        number
        for number, each in enumerate(planted)
        if each.kind == "missing split" and abs(np.log(float(each.what))) > 0.6
    ]
    shocks = [number for number, each in enumerate(planted) if each.kind == "real shock"]
    assert all(seen[3][each].verdict == "split" for each in splits)
    assert all(seen[10][each].loss == pytest.approx(seen[10][each].loss_of_truth) for each in splits)
    assert sum(seen[3][each].verdict == "split" for each in shocks) <= 1


def test_clean_evenings_are_answered(prices):
    found = faults.clean(prices, "2017-03-01", "2017-03-31", 2)
    assert set(found["ticker"]) == set(prices.rows)
    assert found["answered"].all()
    assert not found[["held", "refused", "waits"]].any(axis=None)


def test_mutated_files_alter_nobody(prices):
    trials = run(prices.rows, 2 * len(MUTATORS), 0)
    assert {each.outcome for each in trials} <= {"exact", "refused", "held"}


def test_without_the_prices_it_says_that_it_is_skipped(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(faults, "DATA", tmp_path)
    faults.main([])
    assert (
        capsys.readouterr().out
        == "skipped: dev_prices.parquet and wild_prices.parquet are not in ../shared/data\n"
    )
