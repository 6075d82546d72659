"""Windows and chunks: which session stands where, at the first and at the last cutoff too."""

import numpy as np
import pytest

from forecast_lib.windows.sequences import Corpus, Framing, corpus, cut_windows, framing_for, sample, tile

COUNTED = np.arange(100.0)[:, None]
"""One feature and one target: the number of the session itself."""


def counted(first: int, last: int, targets=COUNTED, values=COUNTED) -> Corpus:
    """One ticker with these cutoffs."""
    return corpus([(values, targets, (first, last))])


def test_first_and_last_window():
    windows = cut_windows(np.arange(5.0)[:, None], np.array([2, 4]), 3)
    assert windows[..., 0].tolist() == [[0, 1, 2], [2, 3, 4]]


def test_every_cutoff_with_enough_sessions_has_its_window():
    assert cut_windows(np.arange(5.0)[:, None], np.arange(2, 5), 3).shape == (3, 3, 1)


def test_no_cutoff_gives_no_window():
    assert cut_windows(COUNTED, np.arange(0), 3).shape == (0, 3, 1)


def test_window_that_would_begin_before_the_series_is_refused():
    with pytest.raises(ValueError, match="cutoff 1 has 2 sessions; a window needs 3"):
        cut_windows(COUNTED, np.array([1, 2]), 3)


def test_network_that_looks_back_is_trained_on_windows():
    assert framing_for(60, looks_back=True) == Framing(60, 1)


def test_each_target_of_a_sequence_sees_the_whole_lookback():
    framing = framing_for(10, looks_back=False)
    assert framing.length - framing.positions + 1 == 10  # sessions up to and including the first target's


@pytest.mark.parametrize("framing", [Framing(20, 11), Framing(10, 1), Framing(7, 3)])
@pytest.mark.parametrize("cutoffs", [(30, 100), (30, 41), (99, 100)])
def test_tiles_hold_every_cutoff_once(framing, cutoffs):
    batches = tile(counted(*cutoffs), framing)
    assert sorted(batches.targets[batches.weights == 1].tolist()) == list(range(*cutoffs))


@pytest.mark.parametrize("framing", [Framing(20, 11), Framing(10, 1)])
def test_each_target_stands_beside_its_own_session(framing):
    random = np.random.default_rng(3)
    for batches in (tile(counted(30, 90), framing), sample(counted(30, 90), framing, (5, 8), random)):
        beside = batches.inputs[:, :, -framing.positions :]
        assert (batches.targets == np.where(batches.weights == 1, beside, 0)).all()
        assert (
            np.diff(batches.inputs[batches.inputs[:, :, 0, 0] > 0][..., 0], axis=-1) == 1
        ).all()  # no session is left out


def test_of_more_chunks_than_wanted_some_evenly_spread_are_taken():
    assert tile(counted(30, 53), Framing(20, 11)).targets.shape[1] == 3  # 23 cutoffs in chunks of 11
    few = tile(counted(30, 90), Framing(10, 1), most=6)
    # 60 chunks: places 0, 11.8, 23.6, ... rounded down.
    assert few.targets.ravel().tolist() == [30, 41, 53, 65, 77, 89]


def test_a_chunk_holds_sessions_of_one_ticker_only():
    parts = [
        (COUNTED[:40], COUNTED[:40], (25, 39)),
        (COUNTED + 1000, COUNTED + 1000, (3, 100)),
        (COUNTED[:30] + 2000, COUNTED[:30], (20, 30)),
    ]
    random = np.random.default_rng(1)
    for batches in (
        tile(corpus(parts), Framing(20, 11)),
        sample(corpus(parts), Framing(20, 11), (40, 8), random),
    ):
        inputs = batches.inputs[..., 0].reshape(-1, 20)
        filled = np.where(inputs > 0, inputs // 1000, np.nan)
        assert (np.nanmax(filled, axis=1) == np.nanmin(filled, axis=1)).all()
    assert {0, 1, 2} == set((inputs.max(axis=1) // 1000).tolist())  # all three are drawn from


def test_tiles_of_several_tickers_hold_every_cutoff_of_each_once():
    parts = [
        (COUNTED, COUNTED, (30, 53)),
        (COUNTED, COUNTED + 1000, (40, 41)),
        (COUNTED, COUNTED + 2000, (0, 100)),
    ]
    batches = tile(corpus(parts), Framing(20, 11))
    expected = [*range(30, 53), 1040, *range(2000, 2100)]
    assert sorted(batches.targets[batches.weights == 1].tolist()) == expected


def test_unknown_target_has_no_weight():
    targets = COUNTED.copy()
    targets[50] = np.nan
    batches = tile(counted(40, 60, targets), Framing(20, 11))
    assert sorted(batches.targets[batches.weights == 1].tolist()) == [*range(40, 50), *range(51, 60)]
    assert np.isfinite(batches.targets).all()


def test_what_lies_before_the_series_is_zero_and_has_no_weight():
    batches = tile(counted(0, 5, values=COUNTED + 1), Framing(20, 11))
    assert not batches.inputs[0, 0, :15].any() and batches.inputs[0, 0, 15:, 0].tolist() == [1, 2, 3, 4, 5]
    assert batches.weights.sum() == 5


def test_drawn_targets_and_sessions_never_reach_past_the_last_cutoff():
    batches = sample(counted(30, 70), Framing(20, 11), (50, 20), np.random.default_rng(0))
    drawn = batches.targets[batches.weights == 1]
    assert (drawn.min(), drawn.max()) == (30, 69)
    assert batches.inputs.max() == 69


def test_cutoffs_at_the_borders_are_drawn_too():
    """No cutoff less than half and none more than 1.6 times as often as the mean of those in the middle."""
    batches = sample(counted(30, 90), Framing(20, 11), (500, 20), np.random.default_rng(0))
    often = np.bincount(batches.targets[batches.weights == 1].astype(int), minlength=90)[30:90] / 10_000
    middle = often[20:40].mean()
    assert 0.5 * middle < often.min() and often.max() < 1.6 * middle


def test_same_seed_draws_the_same():
    first, second = (
        sample(counted(30, 90), Framing(20, 11), (5, 8), np.random.default_rng(7)) for _ in range(2)
    )
    assert first.inputs.tobytes() == second.inputs.tobytes()
